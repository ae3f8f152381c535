//! What command lines say in place of the rules.

use sg_tests::{sg_ctl::SgCtl, topology::Network};

#[test]
fn what_the_command_line_keeps_from_counting_is_told() {
    let network = Network::new(&["server"]);
    let [server] = network.hosts();
    let sg = SgCtl::new(&server.namespace);
    let groups = "security_groups: { tested: {}, locked: { inbound: [], outbound: [] } }";
    let file = sg.rule_file("rules.yaml", groups);
    sg.ok(&[
        "attach", "eth0", "--group", "tested", "--audit", "-f", &file,
    ]);
    sg.ok(&["mode", "eth0", "enforce"]);
    let rules = format!("{groups}\ninterfaces: {{ eth0: {{ groups: [locked], audit: true }} }}");
    sg.rule_file("rules.yaml", &rules);
    let told = "eth0: groups, audit stay as the command line said";
    let dry_run = sg.run(&["apply", "-n", "-f", &file]);
    assert_eq!(dry_run.code, 3, "{dry_run:#?}");
    assert!(dry_run.stderr.contains(told), "{dry_run:#?}");
    let applied = sg.run(&["apply", "-f", &file]);
    assert_eq!(applied.code, 0, "{applied:#?}");
    assert!(applied.stderr.contains(told), "{applied:#?}");
    // What the rules say once more is no news.
    let again = sg.run(&["apply", "-f", &file]);
    assert!(!again.stderr.contains("command line"), "{again:#?}");
    let shown = sg.json(&["show", "interfaces"]);
    assert_eq!(
        shown[0]["overrides"],
        serde_json::json!(["groups", "audit"]),
        "{shown}"
    );
    let status = sg.json(&["status"]);
    assert_eq!(status["interfaces"][0]["groups"][0], "tested", "{status}");
}
