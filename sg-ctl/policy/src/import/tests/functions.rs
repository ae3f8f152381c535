//! What a template does tell: functions of known values, exports, references, and what is refused.

use super::unknown::{GROUP, has, of, with_rules};
use super::{findings, findings_of, imported, rules};
use crate::import::{Options, import};
use crate::model::Direction::{Inbound, Outbound};
use crate::text::Source;

#[test]
fn scalars_where_rules_stand_are_errors() {
    for value in ["hello", "None", "[hello]", "[[]]", "''", "[80, 443]"] {
        for key in ["SecurityGroupEgress", "SecurityGroupIngress"] {
            let text = format!(
                "Resources: {{Web: {{Type: AWS::EC2::SecurityGroup, Properties: {{GroupDescription: \
                 w, {key}: {value}}}}}}}"
            );
            let found = findings_of(&text);
            assert!(
                has(&found, "a rule should stand here"),
                "{key} {value}: {found:?}"
            );
            assert!(found[0].starts_with("error a:1 "), "{found:?}");
        }
    }
}

#[test]
fn functions_of_known_values_are_evaluated() {
    let head = "
Parameters:
  Vpc: {Type: String, Default: 10.20.0.0/16}
  Nets: {Type: CommaDelimitedList, Default: '10.0.0.0/8, 192.168.0.0/16'}
Mappings: {Net: {eu: {Office: 192.0.2.0/24, All: [198.51.100.0/24, 203.0.113.0/24]}}}";
    let cases = [
        ("CidrIp: !Select [1, !Ref Nets]", "192.168.0.0/16"),
        (
            "CidrIp: !Select [1, !Split [';', '10.0.0.0/8;10.1.0.0/16']]",
            "10.1.0.0/16",
        ),
        (
            "CidrIp: !Select [2, !Cidr [!Ref Vpc, 6, 8]]",
            "10.20.2.0/24",
        ),
        ("CidrIp: !Select [0, !Cidr [!Ref Vpc, 1]]", "10.20.0.0/24"),
        (
            "CidrIpv6: !Select [1, !Cidr ['2001:db8::/56', 2, 64]]",
            "2001:db8:0:1::/64",
        ),
        ("CidrIpv6: !Select [0, !Cidr ['::/0', 1, 128]]", "::/0"),
        ("CidrIp: !Join ['.', ['10', '9.0', 0/24]]", "10.9.0.0/24"),
        (
            "CidrIp: !Join ['', [!Select [0, !Split [/, !Ref Vpc]], /24]]",
            "10.20.0.0/24",
        ),
        ("CidrIp: !FindInMap [Net, eu, Office]", "192.0.2.0/24"),
        (
            "CidrIp: !Select [1, !FindInMap [Net, !Join ['', [e, u]], All]]",
            "203.0.113.0/24",
        ),
        (
            "CidrIp: !Sub ['${A}.0.0/16', {A: !Sub '10.7'}]",
            "10.7.0.0/16",
        ),
    ];
    for (keys, expected) in cases {
        let text = with_rules(head, &[("", keys)]);
        let found = rules(&of(&text).model, "Web", Inbound);
        assert_eq!(found, [format!("tcp 0 {expected}")], "{keys}");
    }
    for keys in [
        "CidrIp: !Select [2, !Ref Nets]",
        "CidrIp: !Select [-1, !Ref Nets]",
        "CidrIp: !Select [0, !Cidr [!Ref Vpc, 300, 8]]",
        "CidrIp: !Select [0, !Cidr [!Ref Vpc, 1, 33]]",
        "CidrIp: !Select [1, !Cidr [10.0.0.0/32, 2, 0]]",
        "CidrIp: !FindInMap [Net, eu, None]",
        "CidrIp: !Select [0, !Split ['', abc]]",
    ] {
        let imported = of(&with_rules(head, &[("", keys)]));
        assert!(rules(&imported.model, "Web", Inbound).is_empty(), "{keys}");
        assert!(!imported.warnings.diagnostics.is_empty(), "{keys}");
    }
}

#[test]
fn what_stacks_export_is_found_in_files_given_together() {
    let file = |name: &str, text: &str| Source {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let net = file(
        "net.yaml",
        "
Resources: {Clients: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: clients}}}
Outputs:
  C: {Value: !GetAtt Clients.GroupId, Export: {Name: net-clients}}
  V: {Value: 10.0.0.0/16, Export: {Name: !Sub 'net-${AWS::NoSuch}'}}
  W: {Value: 10.1.0.0/16, Export: {Name: net-range}}",
    );
    let pass = file(
        "pass.yaml",
        "
Resources: {}
Outputs: {C: {Value: !ImportValue net-clients, Export: {Name: passed}}}",
    );
    let db = file(
        "db.yaml",
        "
Resources:
  Db:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: db
      SecurityGroupIngress:
        - {IpProtocol: tcp, FromPort: 1, ToPort: 1, SourceSecurityGroupId: !ImportValue passed}
        - {IpProtocol: tcp, FromPort: 2, ToPort: 2, CidrIp: !ImportValue net-range}
        - {IpProtocol: tcp, FromPort: 3, ToPort: 3, CidrIp: !ImportValue other}
  Out: {Type: AWS::EC2::SecurityGroupEgress, Properties: {GroupId: !ImportValue net-clients, IpProtocol: '-1', CidrIp: 127.0.0.1/32}}",
    );
    let all = [db, pass, net];
    let imported = imported(&all);
    assert_eq!(
        rules(&imported.model, "Db", Inbound),
        ["tcp 1 sg:Clients", "tcp 2 10.1.0.0/16"]
    );
    assert_eq!(
        rules(&imported.model, "Clients", Outbound),
        ["all 127.0.0.1/32"]
    );
    let found = findings(&imported.warnings);
    assert!(has(&found, "give --import other=VALUE"), "{found:?}");
    let options = Options {
        imports: [("other".to_owned(), "10.2.0.0/16".to_owned())].into(),
        ..Options::default()
    };
    let given = import(&all, &options).expect("a model");
    assert_eq!(rules(&given.model, "Db", Inbound)[2], "tcp 3 10.2.0.0/16");
    let unused = |found: &[String]| has(found, "nothing that was read imports the value");
    assert!(!unused(&findings(&given.warnings)));
    let options = Options {
        imports: [("othre".to_owned(), "10.2.0.0/16".to_owned())].into(),
        ..Options::default()
    };
    let given = import(&all, &options).expect("a model");
    assert!(unused(&findings(&given.warnings)));
}

#[test]
fn a_group_called_by_reference_is_that_group() {
    let text = "
Resources:
  Web:
    Type: AWS::EC2::SecurityGroup
    Properties: {GroupDescription: w, SecurityGroupIngress: [{IpProtocol: tcp, FromPort: 80, ToPort: 80, SourceSecurityGroupName: !Ref Lb}]}
  Lb: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: lb}}
  More: {Type: AWS::EC2::SecurityGroupIngress, Properties: {GroupName: !Ref Web, IpProtocol: tcp, FromPort: 22, ToPort: 22, CidrIp: 10.0.0.0/8}}";
    let imported = of(text);
    assert_eq!(
        rules(&imported.model, "Web", Inbound),
        ["tcp 80 sg:Lb", "tcp 22 10.0.0.0/8"]
    );
    assert_eq!(imported.model.groups.len(), 3);
    assert_eq!(findings(&imported.warnings), [""; 0]);
}

#[test]
fn what_cloudformation_refuses_is_an_error() {
    let parameter = |keys: &str| {
        let head = format!("Parameters: {{P: {{Type: Number, {keys}}}}}");
        with_rules(&head, &[("", "CidrIp: !Sub '10.0.${P}.0/24'")])
    };
    for (text, words) in [
        (
            parameter("Default: 7, MaxValue: 5"),
            "`P` may not be `7` (MaxValue is 5)",
        ),
        (
            parameter("Default: 7, MinValue: 8"),
            "`P` may not be `7` (MinValue is 8)",
        ),
        (
            parameter("Default: x"),
            "`P` may not be `x` (it is a number)",
        ),
        (
            with_rules("", &[("", "CidrIp: !Ref Nothing")]),
            "`Nothing` is neither a parameter nor",
        ),
        (
            with_rules("", &[("Condition: No,", "CidrIp: 10.0.0.0/8")]),
            "no condition `No`",
        ),
        (
            with_rules("", &[("", "CidrIp: '::/0'")]),
            "`::/0` is no IPv4 range",
        ),
        (
            with_rules("", &[("", "CidrIpv6: 10.0.0.0/8")]),
            "`10.0.0.0/8` is no IPv6 range",
        ),
        (
            with_rules("", &[("", "CidrIp: 010.0.0.0/8")]),
            "`010.0.0.0/8` is ambiguous",
        ),
        (
            with_rules("", &[("", "CidrIp: !Ref AWS::NoValue")]),
            "no source or destination",
        ),
        (
            with_rules("", &[("", "Description: x")]),
            "no source or destination",
        ),
        (
            with_rules("", &[("", "CidrIp: 10.0.0.0/8")]).replace("FromPort: 0", "FromPort: 022"),
            "the number `022` is ambiguous",
        ),
        (
            with_rules("", &[("", "CidrIp: 10.0.0.0/8")])
                .replace("IpProtocol: tcp", "IpProtocol: 017"),
            "`017` is not a protocol",
        ),
    ] {
        let found = findings_of(&text);
        assert!(has(&found, words), "{text}: {found:?}");
        assert!(
            found.iter().any(|found| found.starts_with("error ")),
            "{found:?}"
        );
    }
}

#[test]
fn names_are_evaluated_once_however_often_they_are_used() {
    // Ten names of each in the next: 10^12 and more, if each use counted.
    let conditions: String = (0..13)
        .map(|index| {
            let all = vec![format!("!Condition C{}", index + 1); 10].join(", ");
            format!("  C{index}: !And [{all}]\n")
        })
        .chain(["  C13: !Equals [!Ref P, a]\n".to_owned()])
        .collect();
    let network = |index: usize, range: &str| {
        format!("  V{index}: {{Type: AWS::EC2::VPC, Properties: {{CidrBlock: {range}}}}}\n")
    };
    let networks: String = (0..13)
        .map(|index| {
            let all = format!("${{V{}.CidrBlock}}", index + 1).repeat(10);
            network(index, &format!("!Sub '{all}'"))
        })
        .chain([network(13, "'1.'")])
        .collect();
    let text = format!(
        "Parameters: {{P: {{Type: String}}}}\nConditions:\n{conditions}Resources:\n{networks}  Web:
    Type: AWS::EC2::SecurityGroup
    Condition: C0
    Properties: {{GroupDescription: d}}
  Db:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: d
      SecurityGroupIngress: [{{IpProtocol: '-1', CidrIp: !GetAtt V0.CidrBlock}}]
"
    );
    let found = findings_of(&text);
    assert!(
        has(
            &found,
            "`C0` is not known from the template (it depends on `P`)"
        ),
        "{found:?}"
    );
    assert!(has(&found, "a text of more than 4096 bytes"), "{found:?}");
}

#[test]
fn addresses_of_a_template_are_members() {
    let text = format!(
        "Resources:
  {GROUP}
  I: {{Type: AWS::EC2::Instance, Properties: {{SecurityGroupIds: [!Ref Web], PrivateIpAddress: 10.0.0.5}}}}
  N: {{Type: AWS::EC2::NetworkInterface, Properties: {{GroupSet: [!GetAtt Web.GroupId], PrivateIpAddresses: [{{PrivateIpAddress: 10.0.0.6, Primary: true}}], Ipv6Addresses: [{{Ipv6Address: '2001:db8::6'}}]}}}}
  M: {{Type: AWS::EC2::Instance, Properties: {{NetworkInterfaces: [{{DeviceIndex: '0', GroupSet: [!Ref Web], PrivateIpAddress: 10.0.0.7}}]}}}}
"
    );
    let model = of(&text).model;
    let members: Vec<_> = model.members["Web"]
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(members, ["10.0.0.5", "10.0.0.6", "10.0.0.7", "2001:db8::6"]);
}
