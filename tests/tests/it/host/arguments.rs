//! The command line: names to act on, dry runs, terminals, completions.

use sg_tests::{
    sg_ctl::SgCtl,
    topology::Network,
    traffic::{Connection, Server, tcp_is_silent},
};

const RULES: &str = "
    security_groups:
      web:
        inbound: [{ type: SSH, source: 198.51.100.0/24, description: for the people who run it }]
        outbound: []
      other-group: {}
    interfaces:
      eth0: { groups: [web] }
      eth1: { groups: [web, other-group] }
";

/// A host whose two interfaces are guarded.
fn guarded(network: &Network) -> SgCtl<'_> {
    let sg = SgCtl::new(&network.router);
    sg.ok(&["apply", "-f", &sg.rule_file("rules.yaml", RULES)]);
    for interface in ["eth0", "eth1"] {
        sg.ok(&["attach", interface]);
    }
    sg
}

#[test]
fn dry_runs_tell_what_would_be_done_and_change_nothing() {
    let network = Network::new(&["eth0", "eth1"]);
    let sg = guarded(&network);
    let told = sg.run(&["detach", "eth0", "--dry-run"]);
    assert_eq!(told.code, 3);
    assert!(told.stdout.contains("eth0 would be detached"), "{told:?}");
    let all = sg.run(&["detach", "--all", "-n", "--json"]);
    assert_eq!(all.code, 3);
    assert!(all.stdout.contains("eth0") && all.stdout.contains("eth1"));
    assert_eq!(sg.run(&["detach", "--missing", "-n"]).code, 0);
    assert_eq!(sg.run(&["detach", "eth7", "-n"]).code, 1);

    sg.ok(&[
        "apply",
        "-f",
        &sg.rule_file(
            "shut.yaml",
            &RULES.replace("198.51.100.0/24", "192.0.2.0/24"),
        ),
    ]);
    let back = sg.run(&["rollback", "-n"]);
    assert_eq!(back.code, 3, "{back:?}");
    assert!(back.stdout.contains("198.51.100.0/24"), "{back:?}");
    assert!(sg.ok(&["show", "rules"]).contains("192.0.2.0/24"));

    assert_eq!(sg.run(&["restore", "-n"]).code, 0);
    std::fs::remove_dir_all(sg.pin_version().join("zones/0")).expect("eth0 has it");
    let due = sg.run(&["restore", "-n"]);
    assert_eq!(due.code, 3, "{due:?}");
    assert!(due.stdout.contains("would be guarded again"), "{due:?}");
    assert_eq!(sg.run(&["restore", "-n"]).code, 3, "nothing was done");
    sg.ok(&["detach", "--all"]);
}

#[test]
fn rules_that_say_nothing_of_an_interface_are_told_where_it_is_attached() {
    let network = Network::new(&["eth0"]);
    let sg = SgCtl::new(&network.router);
    let attach = |rules: &str, words: &[&str]| {
        let file = sg.rule_file("rules.yaml", rules);
        let told = sg.run(&[&["attach", "eth0", "-f", &file], words].concat());
        assert_eq!(told.code, 0, "{told:?}");
        sg.ok(&["detach", "eth0"]);
        told.stderr
    };
    let told = attach("security_groups: { web: {}, db: {} }", &[]);
    for words in [
        "warning: the rule files say nothing of eth0",
        "`default`",
        "(db, web)",
        "--group NAME",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    for (rules, words) in [
        ("security_groups: { web: {} }", &["--group", "web"][..]),
        ("security_groups: { web: {} }", &["--group", "default"]),
        ("security_groups: { default: {} }", &[]),
        (
            "{ security_groups: { web: {} }, interfaces: { eth0: { groups: [web] } } }",
            &[],
        ),
        (
            "{ security_groups: { web: {} }, interfaces: { 'eth*': { groups: [web] } } }",
            &[],
        ),
    ] {
        let told = attach(rules, words);
        assert!(
            !told.contains("say nothing of"),
            "{rules} {words:?}: {told}"
        );
    }
}

#[test]
fn the_log_is_followed_by_each_of_its_flags() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = SgCtl::new(&server.namespace);
    let file = sg.rule_file("rules.yaml", RULES);
    sg.ok(&["attach", "eth0", "-f", &file, "--log", "denied"]);
    for (port, flag) in [(81, "-F"), (82, "-f"), (83, "--follow")] {
        let mut log = sg.start(&["logs", flag]);
        assert!(tcp_is_silent(&client.namespace, server.v4, port));
        log.line_with(&["DENY", &format!(":{port} ")]);
    }
}

#[test]
fn status_confirm_and_restore_take_interfaces() {
    let network = Network::new(&["eth0", "eth1"]);
    let sg = guarded(&network);
    for interface in ["eth0", "eth1"] {
        sg.ok(&["mode", interface, "enforce", "--rollback-after", "1h"]);
    }
    let waits = |interface: &str| {
        let status = sg.run(&["status", interface, "--json"]).stdout;
        let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
        let interfaces = status["interfaces"].as_array().expect("a list").clone();
        assert_eq!(interfaces.len(), 1, "{interfaces:?}");
        assert_eq!(interfaces[0]["name"], interface);
        !interfaces[0]["deadline"].is_null()
    };
    assert!(waits("eth0") && waits("eth1"));
    sg.ok(&["confirm", "eth1"]);
    assert_eq!(["eth0", "eth1"].map(waits), [true, false]);
    assert!(sg.ok(&["restore", "eth0"]).contains("eth0 is guarded"));
    for verb in ["status", "confirm", "restore"] {
        let refused = sg.fails(1, &[verb, "eth7"]);
        assert!(refused.contains("eth7"), "{refused}");
    }
}

#[test]
fn everything_fits_a_terminal_of_80_columns() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = SgCtl::new(&server.namespace);
    let _servers = Server::tcp(&server.namespace, 22);
    sg.ok(&["attach", "eth0", "-f", &sg.rule_file("rules.yaml", RULES)]);
    let mut connection = Connection::open(&client.namespace, server.v4, 22).expect("a rule admits");
    connection.exchange("hello").expect("an answer");
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));
    for words in [
        &["status"][..],
        &["status", "--counters"],
        &["flows"],
        &["show", "rules"],
        &["show", "rules", "--counters"],
        &["show", "groups"],
        &["show", "interfaces"],
        &["show", "infra"],
        &["top", "--once"],
        &["logs"],
    ] {
        let words = [words, &["--color", "never"]].concat();
        let text = sg.start_on_terminal(80, &words).text();
        let is_sentence = |line: &str| line.starts_with("warning: ") || line.contains("policy ");
        for line in text.lines().filter(|line| !is_sentence(line)) {
            assert!(line.chars().count() <= 80, "{words:?}: {line}");
        }
        assert!(
            text.contains("eth0") || text.contains("web"),
            "{words:?}: {text}"
        );
    }
    let wide = sg.start_on_terminal(80, &["flows", "--wide", "--color", "never"]);
    let wide = wide.text();
    assert!(
        wide.contains("BYTES-OUT") && wide.contains("RULE"),
        "{wide}"
    );
    assert!(
        sg.ok(&["flows"]).contains("BYTES-OUT"),
        "a pipe has room for all"
    );
}

#[test]
fn shells_are_offered_the_names_of_this_host() {
    let network = Network::new(&["eth0", "eth1"]);
    let sg = guarded(&network);
    let rule = sg.json(&["show", "rules", "--group", "web"])[0]["id"].clone();
    let rule = rule.as_str().expect("an id");
    for shell in ["bash", "zsh", "fish"] {
        let script = sg.ok(&["completions", shell]);
        assert!(script.contains("SG_CTL_COMPLETE"), "{script}");
        let offered = |words: &[&str]| {
            let index = words.len().to_string();
            let variables = [
                ("SG_CTL_COMPLETE", shell),
                ("_CLAP_COMPLETE_INDEX", index.as_str()),
                ("_CLAP_IFS", "\n"),
            ];
            let words = [&["--", "sg-ctl"], words].concat();
            sg.run_with(&variables, &words).stdout
        };
        let detach = offered(&["detach", "et"]);
        assert!(
            detach.contains("eth0") && detach.contains("eth1"),
            "{shell}: {detach}"
        );
        assert!(offered(&["attach", "eth1", "--group", "o"]).contains("other-group"));
        let both = offered(&["attach", "eth1", "--group", "web,o"]);
        assert!(both.contains("web,other-group"), "{shell}: {both}");
        assert!(
            offered(&["flows", "--rule", "sgr-"]).contains(rule),
            "{shell}"
        );
        assert!(offered(&["sta"]).contains("status"), "{shell}");
    }
    // Whoever may not read the state is told nothing of it, and no error.
    let nobody = sg.run_as_nobody(&["completions", "bash"]);
    assert_eq!(nobody.code, 0, "{nobody:?}");
}
