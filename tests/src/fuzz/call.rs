//! Calls of the API: any form and any headers are answered or refused, and what they leave is a document
//! that rule files could have made.

use std::borrow::Cow;

use sg_ctl::api::{
    actions::{Action, Call},
    form::Form,
    pages::Tokens,
    sigv4::{Claim, Request},
    world::{Eni, Place, World},
};
use sg_ctl::vpc::{Document, Owners};
use sg_policy::model::{InterfaceSpec, Model};

/// Between the calls of an input.
const NEXT_CALL: u8 = b'\n';

/// Makes the calls of an input one after the other; each is headers, too.
pub(super) fn run(input: &[u8]) {
    let place = Place {
        account: "123456789012".to_owned(),
        region: "us-east-1".to_owned(),
        host: "fuzz".to_owned(),
        vpc: "default".to_owned(),
        is_shared: false,
        ipv6: false,
    };
    let world = World {
        interfaces: vec![Eni {
            id: place.eni_id(&place.host, "eth0"),
            host: place.host.clone(),
            name: "eth0".to_owned(),
            in_use: true,
            mac: "02:00:00:00:00:01".to_owned(),
            addresses: Vec::new(),
            spec: InterfaceSpec::default(),
        }],
        place,
    };
    let mut document = Document::new(Model::new(), Owners::default());
    let mut number = 0;
    for call in input.split(|byte| *byte == NEXT_CALL) {
        claim(call);
        if let Some(changed) = answer(&document, &world, call, &mut number) {
            changed.check().expect("what a call leaves is right");
            document = changed;
        }
    }
}

/// Makes one call; returns the document that it leaves, if it changed it.
fn answer(document: &Document, world: &World, call: &[u8], number: &mut u128) -> Option<Document> {
    let form = Form::parse("", call).ok()?;
    let action = Action::find(form.get("Action")?).ok()?;
    form.get("Version");
    let tokens = Tokens::new([0; 32]);
    // Ids that a form can name: 1, 2, 3, ….
    let mut fresh = || {
        *number += 1;
        *number
    };
    let mut call = Call {
        document: Cow::Borrowed(document),
        world,
        tokens: &tokens,
        caller: "fuzz",
        fresh: &mut fresh,
    };
    let node = action.run(&mut call, &form).ok()?;
    let mut text = String::new();
    node.write(&mut text);
    match call.document {
        Cow::Owned(document) => Some(document),
        Cow::Borrowed(_) => None,
    }
}

/// Reads a signature, which is not one.
fn claim(bytes: &[u8]) {
    let query = String::from_utf8_lossy(bytes);
    let headers: [(&str, &[u8]); 3] = [
        ("authorization", bytes),
        ("host", b"localhost"),
        ("x-amz-date", b"20150830T123600Z"),
    ];
    let request = Request {
        method: "POST",
        path: &query,
        query: &query,
        headers: &headers,
        body: bytes,
    };
    if let Ok(claim) = Claim::of(&request) {
        let _ = claim.check_time(0);
        assert!(
            claim.verify(&request, "secret").is_err(),
            "a forged signature"
        );
    }
}

/// Calls that follow one another, and a header.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let group = "GroupId=sg-00000000000000001";
    let permission =
        "IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=22&IpPermissions.1.ToPort=22";
    let calls = [
        "Action=CreateSecurityGroup&GroupName=web&GroupDescription=d".to_owned(),
        format!(
            "Action=AuthorizeSecurityGroupIngress&{group}&{permission}&IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0/8\
             &IpPermissions.1.Groups.1.GroupId=sg-00000000000000001"
        ),
        "Action=CreateManagedPrefixList&PrefixListName=l&AddressFamily=IPv4&MaxEntries=5&Entry.1.Cidr=10.0.0.0/8".to_owned(),
        format!("Action=RevokeSecurityGroupIngress&{group}&{permission}&IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0/8"),
        format!(
            "Action=ModifySecurityGroupRules&{group}&SecurityGroupRule.1.SecurityGroupRuleId=sgr-00000000000000003\
             &SecurityGroupRule.1.SecurityGroupRule.IpProtocol=-1&SecurityGroupRule.1.SecurityGroupRule.CidrIpv4=0.0.0.0/0"
        ),
        "Action=CreateTags&ResourceId.1=sg-00000000000000001&Tag.1.Key=a&Tag.1.Value=b".to_owned(),
        "Action=DescribeSecurityGroups&Filter.1.Name=tag:a&Filter.1.Value.1=*b?&MaxResults=5".to_owned(),
        "Action=DescribeSecurityGroupRules&Filter.1.Name=group-id&Filter.1.Value.1=sg-00000000000000001".to_owned(),
        "Action=DeleteSecurityGroup&GroupName=web".to_owned(),
    ];
    let header = "AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/ec2/aws4_request, SignedHeaders=host;x-amz-date, Signature="
        .to_owned()
        + &"0".repeat(64);
    vec![calls.join("\n").into_bytes(), header.into_bytes()]
}
