//! Rule files that are not put in force.

use std::fs;

use sg_tests::{netns::Namespace, sg_ctl::SgCtl};

use super::{METRICS, SSH, start, wait_for, wait_until_ready};

/// Exit code.
const REFUSED: i32 = 1;

#[test]
fn an_agent_does_not_begin_with_a_wrong_rule_file() {
    let namespace = Namespace::new("agent");
    let sg = SgCtl::new(&namespace);
    let file = sg.rule_file("rules.yaml", "security_group: {}");
    let outcome = sg.run(&["agent", "-f", &file]);
    assert_eq!(outcome.code, REFUSED, "{outcome:#?}");
    assert!(outcome.stderr.contains("security_group"), "{outcome:#?}");
    assert!(sg.is_untouched());
}

#[test]
fn what_is_guarded_is_looked_after_although_the_file_has_become_wrong() {
    let namespace = Namespace::new("agent");
    namespace.ip("link add v0 type veth peer name p0\nlink add v1 type veth peer name p1\n");
    let sg = SgCtl::new(&namespace);
    let file = sg.rule_file("rules.yaml", SSH);
    sg.ok(&["attach", "v0", "-f", &file]);
    sg.rule_file("rules.yaml", "security_group: {}");
    let _agent = start(&sg, &namespace, &["-f", &file, "--attach", "v1"]);
    wait_for(&namespace, "sg_apply_errors_total 1");
    wait_for(&namespace, "sg_attaches_total 1");
    sg.rule_file("rules.yaml", SSH);
    wait_for(&namespace, "sg_applies_total 1");
}

#[test]
fn a_file_that_could_not_be_put_in_force_is_tried_again() {
    let namespace = Namespace::new("agent");
    namespace.ip("link add v0 type veth peer name p0\n");
    let sg = SgCtl::new(&namespace);
    sg.ok(&["attach", "v0"]);
    let file = sg.rule_file(
        "rules.yaml",
        "security_groups: { web: {} }\ninterfaces: { v0: { groups: [web], side: workload } }",
    );
    let mut agent = sg.start_for_notes(&["agent", "--metrics", METRICS, "-f", &file]);
    wait_until_ready(&namespace);
    wait_for(&namespace, "sg_apply_errors_total 1");
    // No text has changed, and what was in the way is gone.
    sg.ok(&["detach", "v0"]);
    wait_for(&namespace, "sg_applies_total 1");
    agent.line_with(&["v0", "side"]);
}

#[test]
fn a_file_that_was_gone_is_told_to_be_back_and_undoes_nothing() {
    let namespace = Namespace::new("agent");
    namespace.ip("link add eth0 type veth peer name p0\n");
    let sg = SgCtl::new(&namespace);
    let file = sg.rule_file("rules.yaml", SSH);
    let mut agent = sg.start_for_notes(&["agent", "--metrics", METRICS, "-f", &file]);
    wait_until_ready(&namespace);
    agent.line_with(&["is in force"]);
    let locked = "security_groups: { locked: {} }\ninterfaces: { eth0: { groups: [locked] } }";
    let other = sg.rule_file("other.yaml", locked);
    sg.ok(&["apply", "-f", &other]);
    let generation = sg.json(&["status"])["generation"].clone();
    let aside = format!("{file}.aside");
    fs::rename(&file, &aside).expect("both are in one directory");
    agent.line_with(&["cannot read"]);
    agent.line_with(&["the rule files are not in force"]);
    fs::rename(&aside, &file).expect("both are in one directory");
    agent.line_with(&["note: the rule files can be read again, and are as they were"]);
    wait_for(&namespace, "sg_apply_errors_total 1");
    assert_eq!(sg.json(&["status"])["generation"], generation);
}

#[test]
fn a_file_that_was_undone_with_another_change_is_put_in_force_again() {
    let namespace = Namespace::new("agent");
    namespace.ip("link add eth0 type veth peer name p0\n");
    let sg = SgCtl::new(&namespace);
    let rules = |kind: &str| SSH.replace("type: SSH", &format!("type: {kind}"));
    let file = sg.rule_file("rules.yaml", SSH);
    sg.ok(&["attach", "eth0", "-f", &file]);
    let mut agent = sg.start_for_notes(&["agent", "--metrics", METRICS, "-f", &file]);
    wait_until_ready(&namespace);
    let tried = sg.rule_file("tried.yaml", &rules("RDP"));
    sg.ok(&["apply", "-f", &tried, "--confirm-within", "24h"]);
    sg.rule_file("rules.yaml", &rules("HTTP"));
    agent.line_with(&["undone with it"]);
    wait_for(&namespace, "sg_applies_total 2");
    sg.ok(&["mode", "eth0", "audit", "--confirm-within", "1s"]);
    wait_for(&namespace, "sg_applies_total 3");
    let shown = sg.ok(&["show", "rules"]);
    assert!(shown.contains("tcp       80"), "{shown}");
}

#[test]
fn a_host_whose_membership_is_unreadable_keeps_its_last_policy() {
    let namespace = Namespace::new("agent");
    let sg = SgCtl::new(&namespace);
    namespace.ip("link add v0 type veth peer name p0\n");
    sg.ok(&["attach", "v0"]);
    let membership = sg.directory().join("state/vpc.json");
    fs::write(&membership, "{").expect("the directory is ours");
    let file = sg.rule_file("rules.yaml", SSH);
    let mut agent = sg.start_for_notes(&["agent", "--metrics", METRICS, "-f", &file]);
    agent.line_with(&["vpc.json is damaged"]);
    wait_until_ready(&namespace);
    wait_for(&namespace, "sg_applies_total 0");
    agent.kill();
    fs::remove_file(membership).expect("it is there");
    let groups = sg.ok(&["show", "groups"]);
    assert!(!groups.contains("tested"), "{groups}");
}
