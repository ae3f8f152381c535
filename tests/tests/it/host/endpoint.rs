//! The EC2 endpoint of one host: what it writes down, and what it shows of changes that were undone.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::{Value, json};
use sg_tests::{
    ec2::Client,
    eventually,
    netns::Namespace,
    sg_ctl::{Running, SgCtl},
};

/// Where the endpoint is, in the namespace of the host that serves it.
const ENDPOINT: &str = "127.0.0.1:8790";

/// A host of one interface.
fn host() -> Namespace {
    let namespace = Namespace::new("endpoint");
    namespace.ip("link set lo up\nlink add eth0 type veth peer name p0\n");
    namespace
}

/// Starts the endpoint with a key that may do this; it answers when this returns.
fn serve<'n>(namespace: &'n Namespace, sg: &SgCtl<'_>, role: &str) -> (Running, Client<'n>) {
    let state = sg.directory().join("state");
    fs::create_dir_all(&state).expect("the directory is ours");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).expect("it is ours");
    let keys = state.join("keys.json");
    let key = json!([{
        "id": "AKIDEXAMPLEEXAMPLE00", "secret": "example-secret", "role": role, "name": "tests",
    }]);
    fs::write(&keys, key.to_string()).expect("the directory is ours");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let mut serving = sg.start(&["serve"]);
    serving.line_with(&["EC2 endpoint"]);
    let client = Client::new(namespace, ENDPOINT.parse().expect("an address"), sg);
    (serving, client)
}

/// What is made with a new group.
fn group<'p>(name: &'p str, vpc: &'p str) -> [(&'p str, &'p str); 3] {
    [
        ("GroupName", name),
        ("GroupDescription", "tested"),
        ("VpcId", vpc),
    ]
}

fn vpc(client: &Client<'_>) -> String {
    client.ok("DescribeVpcs", &[]).first("vpcId").to_owned()
}

/// The calls that were written down.
fn written(sg: &SgCtl<'_>) -> Vec<Value> {
    let entries = sg.json(&["audit"]);
    entries.as_array().expect("a list").clone()
}

#[test]
fn what_somebody_changed_who_hung_up_is_written_down() {
    let namespace = host();
    let sg = SgCtl::new(&namespace);
    let (_serving, client) = serve(&namespace, &sg, "admin");
    let vpc = vpc(&client);
    let names: Vec<_> = (0..20).map(|number| format!("group-{number}")).collect();
    for name in &names {
        client.hang_up("CreateSecurityGroup", &group(name, &vpc));
    }
    // Whose request was taken up has his group, who was too quick has none; there is an entry for each
    // group, and for no other.
    let made = || {
        let groups = sg.json(&["show", "groups"]);
        let groups = groups.as_array().expect("a list").clone();
        let names = groups.iter().filter_map(|group| group["name"].as_str());
        let mut made: Vec<_> = names
            .filter(|name| *name != "default")
            .map(str::to_owned)
            .collect();
        made.sort_unstable();
        made
    };
    let told = || {
        let entries = written(&sg);
        let done = entries.iter().filter(|entry| entry["result"] == "ok");
        let names = done.filter_map(|entry| entry["parameters"]["GroupName"].as_str());
        let mut told: Vec<_> = names.map(str::to_owned).collect();
        told.sort_unstable();
        told
    };
    client.ok("CreateSecurityGroup", &group("last", &vpc));
    eventually("every change has its entry", || {
        let (made, told) = (made(), told());
        (made == told && made.contains(&"last".to_owned())).then_some(())
    });
}

#[test]
fn of_a_key_that_may_only_read_no_parameters_are_written_down() {
    let namespace = host();
    let sg = SgCtl::new(&namespace);
    let (_serving, client) = serve(&namespace, &sg, "read");
    let vpc = vpc(&client);
    let refused = client.call("CreateSecurityGroup", &group("web", &vpc));
    assert_eq!(refused.status, 403, "{}", refused.text);
    assert_eq!(refused.first("Code"), "UnauthorizedOperation");
    let entries = written(&sg);
    assert_eq!(entries.len(), 1, "{entries:#?}");
    let entry = &entries[0];
    assert_eq!(
        (&entry["action"], &entry["result"], &entry["parameters"]),
        (
            &json!("CreateSecurityGroup"),
            &json!("UnauthorizedOperation"),
            &json!({})
        )
    );
}

#[test]
fn past_a_deadline_the_rules_before_are_shown_and_changed() {
    let namespace = host();
    let sg = SgCtl::new(&namespace);
    sg.ok(&["attach", "eth0"]);
    let (_serving, client) = serve(&namespace, &sg, "admin");
    let vpc = vpc(&client);
    let names = || {
        let groups = client.ok("DescribeSecurityGroups", &[]);
        let mut names: Vec<_> = groups
            .all("groupName")
            .into_iter()
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let tried = sg.rule_file("tried.yaml", "security_groups: { tried: {} }");
    sg.ok(&["apply", "-f", &tried, "--confirm-within", "24h"]);
    assert_eq!(names(), ["default", "tried"]);
    sg.ok(&["mode", "eth0", "audit", "--confirm-within", "1s"]);
    eventually("the change is undone", || {
        (names() == ["default"]).then_some(())
    });
    client.ok("CreateSecurityGroup", &group("made", &vpc));
    assert_eq!(names(), ["default", "made"]);
    let shown = sg.ok(&["show", "groups"]);
    assert!(
        shown.contains("made") && !shown.contains("tried"),
        "{shown}"
    );
}
