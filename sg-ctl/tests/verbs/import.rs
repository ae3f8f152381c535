//! `sg-ctl import` and `sg-ctl export` as their user meets them. Needs no privileges.

use std::fs;

use nix::sys::resource::{UsageWho, getrusage};

use crate::command::{Scratch, assert_fails, sg_ctl, text};

#[test]
fn import_makes_a_rule_file_that_check_accepts_and_export_gives_it_back() {
    let scratch = Scratch::new("import");
    let answer = r#"{"SecurityGroups": [{"GroupId": "sg-0123456789abcdef0", "GroupName": "web",
"IpPermissions": [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443,
"IpRanges": [{"CidrIp": "10.0.0.1/8"}]}]}]}"#;
    let groups = scratch.file("groups.json", answer);
    let rules = scratch.0.join("rules.yaml").display().to_string();

    let output = sg_ctl(&["import", &groups, "-o", &rules]);
    assert!(output.status.success());
    let stderr = text(&output.stderr);
    assert!(stderr.contains("groups.json:3:"), "{stderr}");
    assert!(stderr.contains("imported as 10.0.0.0/8"), "{stderr}");
    assert!(sg_ctl(&["check", &rules]).status.success());

    let output = sg_ctl(&["export", "-f", &rules, "--format", "aws-json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let exported = scratch.file("exported.json", text(&output.stdout));
    let again = sg_ctl(&["import", &exported]);
    assert_eq!(text(&again.stderr), "");
    let written = fs::read_to_string(&rules).expect("the rule file");
    assert_eq!(text(&again.stdout), written);
    assert_eq!(text(&sg_ctl(&["export", "-f", &rules]).stdout), written);

    let strict = sg_ctl(&["import", "--strict", &groups]);
    assert_fails(
        &strict,
        1,
        &["imported as 10.0.0.0/8", "1 warning with --strict"],
    );
    let json = sg_ctl(&["import", "--json", &groups]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json["findings"][0]["line"], 3);
    assert_eq!(
        json["rules"]["security_groups"]["web"]["outbound"],
        serde_json::json!([])
    );
}

#[test]
fn import_refuses_what_it_does_not_understand() {
    let scratch = Scratch::new("import-nothing");
    let file = scratch.file("a.json", r#"{"Instances": []}"#);
    assert_fails(
        &sg_ctl(&["import", &file]),
        1,
        &["a.json:1:1", "none of the formats"],
    );
    let json = sg_ctl(&["import", "--json", &file]);
    assert_eq!(json.status.code(), Some(1));
    assert!(text(&json.stdout).contains("\"rules\": null"));
}

#[test]
fn import_takes_parameters_of_a_stack() {
    let scratch = Scratch::new("parameters");
    let template = scratch.file(
        "template.yaml",
        "Parameters: {Port: {Type: Number}}
Resources:
  Web:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: web
      SecurityGroupIngress:
        - {IpProtocol: tcp, FromPort: !Ref Port, ToPort: !Ref Port, CidrIp: 10.0.0.0/8}
",
    );
    let import =
        |parameter: &str| sg_ctl(&["import", "--strict", &template, "--parameter", parameter]);
    let output = import("Port=8443");
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stdout).contains("8443"), "{output:?}");
    assert_fails(&import("Prot=8443"), 1, &["error: ", "`Prot`", "Port"]);
    assert_fails(&import("Port"), 1, &["error: ", "KEY=VALUE"]);
}

#[test]
fn what_cannot_be_read_for_import_is_not_taken_for_a_rule_file() {
    let scratch = Scratch::new("import-unreadable");
    for (name, content, words) in [
        ("empty.json", "", ["the file is empty", "did the command"]),
        (
            "cut.json",
            "{\"SecurityGroups\": [",
            ["cut.json:1:", "was the file cut off?"],
        ),
    ] {
        let output = sg_ctl(&["import", &scratch.file(name, content)]);
        assert_fails(&output, 1, &words);
        assert!(!text(&output.stderr).contains("rule file"), "{output:?}");
    }
    let wide = scratch.0.join("wide.json");
    fs::write(&wide, b"\xff\xfe{\0}\0").expect("a file for the test");
    let output = sg_ctl(&["import", &wide.display().to_string()]);
    assert_fails(
        &output,
        1,
        &["cannot read", "help: give it as text in UTF-8"],
    );
}

/// The most memory that a process had which this one started and which has ended, in bytes. What this
/// one had when it started it counts, too.
fn most_memory_of_children() -> u64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the kernel tells");
    usage.max_rss().unsigned_abs() << 10
}

/// An account of so many groups, as `aws ec2 describe-security-groups --output json` tells it, in one
/// line.
fn account(groups: usize) -> String {
    let range = |group: usize, number: usize| {
        let range = format!("10.{number}.{}.0/24", group % 256);
        format!(r#"{{"CidrIp":"{range}","Description":"rule of a colleague"}}"#)
    };
    let permission = |group: usize, port: u16| {
        let ranges: Vec<_> = (0..4).map(|number| range(group, number)).collect();
        format!(
            r#"{{"IpProtocol":"tcp","FromPort":{port},"ToPort":{port},"UserIdGroupPairs":[],"IpRanges":[{}],"Ipv6Ranges":[],"PrefixListIds":[]}}"#,
            ranges.join(",")
        )
    };
    let group = |number: usize| {
        let permissions = [22, 80, 443].map(|port| permission(number, port));
        format!(
            r#"{{"GroupId":"sg-{number:08x}","GroupName":"g{number}","Description":"x","VpcId":"vpc-0a1b2c3d","OwnerId":"111122223333","IpPermissions":[{}],"IpPermissionsEgress":[]}}"#,
            permissions.join(",")
        )
    };
    let groups: Vec<_> = (0..groups).map(group).collect();
    format!(r#"{{"SecurityGroups":[{}]}}"#, groups.join(","))
}

#[test]
fn import_takes_at_most_ten_times_the_memory_of_the_file() {
    let scratch = Scratch::new("import-large");
    let rules = scratch.0.join("rules.yaml").display().to_string();
    let import = |groups: usize| {
        let account = account(groups);
        let output = sg_ctl(&[
            "import",
            &scratch.file("groups.json", &account),
            "-o",
            &rules,
        ]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        (account.len() as u64, most_memory_of_children())
    };
    // What any run takes, whatever it reads.
    let (_, least) = import(1);
    let (size, most) = import(3000);
    let taken = most.saturating_sub(least);
    println!("{taken} bytes for a file of {size}");
    assert!(taken <= 10 * size, "{taken} bytes for a file of {size}");
}
