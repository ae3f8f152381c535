//! What verbs print with --json keeps to its schema, here where no root is needed.

use crate::answers::{Answers, ROOTLESS};
use crate::command::{Scratch, sg_ctl, text};

const RULES: &str = "security_groups:
  web:
    description: web servers
    inbound:
      - { type: HTTP, source: 203.0.113.0/24, description: the office }
      - { protocol: icmp, icmp: echo-request, source: 'sg:web' }
interfaces:
  eth0: { groups: [web] }
";

const CASES: &str = "
cases:
  - { name: it passes, interface: eth0, inbound: tcp 203.0.113.7:40000 80, expect: allow }
  - { interface: eth0, inbound: udp 203.0.113.7:40000 53, expect: allow }
";

const GROUPS: &str = r#"{ "SecurityGroups": [{
    "GroupId": "sg-0123456789abcdef0", "GroupName": "web", "Description": "web",
    "VpcId": "vpc-1", "IpPermissions": [], "IpPermissionsEgress": []
}] }"#;

#[test]
fn answers_that_need_no_root_keep_to_their_schemas() {
    let scratch = Scratch::new("schema");
    let rules = scratch.file("rules.yaml", RULES);
    let wrong = scratch.file("wrong.yaml", "security_groups: { web: { inbund: [] } }");
    let cases = scratch.file("cases.yaml", CASES);
    let groups = scratch.file("groups.json", GROUPS);
    let mut answers = Answers::new();
    let printed = |arguments: &[&str]| {
        let output = sg_ctl(&[arguments, &["--json"]].concat());
        let [out, error] = [&output.stdout, &output.stderr].map(|bytes| text(bytes).to_owned());
        if out.is_empty() { error } else { out }
    };
    for file in [&rules, &wrong] {
        answers.check("check", &printed(&["check", file]));
    }
    answers.check("error", &printed(&["apply", "-f", &wrong]));
    answers.check("error", &printed(&["show", "nothing"]));
    for packet in [
        ["tcp", "203.0.113.7:40000", "80"],
        ["udp", "[2001:db8::1]:1", "53"],
    ] {
        let words = ["explain", "-f", &rules, "-i", "eth0", "--inbound"];
        answers.check("explain", &printed(&[&words[..], &packet].concat()));
    }
    answers.check("test", &printed(&["test", "-f", &rules, &cases]));
    answers.check("import", &printed(&["import", &groups]));
    answers.check("import", &printed(&["import", &wrong]));
    answers.check("templates", &printed(&["templates"]));
    for name in ROOTLESS {
        assert!(!answers.unchecked().contains(&name), "{name} is not tried");
    }
}

#[test]
fn the_schema_of_one_answer_is_that_of_all() {
    let all = sg_ctl(&["schema", "--output", "all"]);
    let all: serde_json::Value = serde_json::from_slice(&all.stdout).expect("JSON");
    let status = sg_ctl(&["schema", "--output", "status"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!(status["title"], "sg-ctl status --json");
    assert_eq!(all["status"], status);
}
