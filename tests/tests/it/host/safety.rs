//! Changes that can be looked at before, taken back after, and that end by themselves.

use sg_tests::{
    eventually,
    sg_ctl::SgCtl,
    topology::{Host, Network},
    traffic::{Connection, Server, tcp_is_silent},
};

use super::attached::{Side, guard};

/// Rules that admit one service.
pub(super) fn rules(service: &str) -> String {
    format!(
        "
        security_groups:
          tested: {{ inbound: [{{ type: {service}, source: anywhere-ipv4 }}], outbound: [] }}
        interfaces: {{ eth0: {{ groups: [tested] }} }}
        "
    )
}

/// Whether a new connection to a port gets an answer.
fn answers(client: &Host, server: &Host, port: u16) -> bool {
    Connection::open(&client.namespace, server.v4, port)
        .and_then(|mut connection| connection.exchange("hello"))
        .is_ok()
}

/// The state of the interface in one word.
fn state(sg: &SgCtl<'_>) -> String {
    let status = sg.json(&["status"]);
    let state = status["interfaces"][0]["state"].as_str();
    state.expect("an interface has one").to_owned()
}

#[test]
fn a_dry_run_tells_what_would_change_and_changes_nothing() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), &rules("SSH"));
    let _servers = [22, 80].map(|port| Server::tcp(&server.namespace, port));
    let before = sg.json(&["status"])["generation"].clone();

    let same = sg.rule_file("same.yaml", &rules("SSH"));
    let outcome = sg.run(&["apply", "--dry-run", "-f", &same]);
    assert_eq!(outcome.code, 0, "{outcome:#?}");
    assert!(outcome.stdout.contains("nothing differs"), "{outcome:#?}");

    let other = sg.rule_file("other.yaml", &rules("HTTP"));
    let outcome = sg.run(&["apply", "--dry-run", "-f", &other]);
    assert_eq!(outcome.code, 3, "{outcome:#?}");
    for line in [
        "group tested\n",
        "  - inbound tcp 22 from 0.0.0.0/0 (sgr-",
        "  + inbound tcp 80 from 0.0.0.0/0 (sgr-",
        "would be in force on eth0",
        "1024 KiB of kernel memory",
    ] {
        assert!(outcome.stdout.contains(line), "{line}: {outcome:#?}");
    }
    let outcome = sg.run(&["apply", "--dry-run", "--json", "-f", &other]);
    let json: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("a document");
    assert_eq!((outcome.code, &json["applied"]), (3, &false.into()));
    assert_eq!(json["changes"]["diff"][0]["kind"], "group");
    assert_eq!(json["policy"]["kernel_bytes"], 1 << 20);

    let mistake = sg.rule_file("mistake.yaml", &rules("HTTQ"));
    sg.fails(1, &["apply", "--dry-run", "-f", &mistake]);
    assert_eq!(sg.json(&["status"])["generation"], before);
    assert!(answers(client, server, 22));
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));

    // What the rules come to may change while they do not.
    server.namespace.ip("addr add 198.51.100.99/32 dev eth0\n");
    let with_self = sg.rule_file(
        "self.yaml",
        &rules("SSH").replace("anywhere-ipv4", "'sg:tested'"),
    );
    sg.ok(&["apply", "-f", &with_self]);
    server.namespace.ip("addr del 198.51.100.99/32 dev eth0\n");
    let outcome = sg.run(&["apply", "--dry-run", "-f", &with_self]);
    assert_eq!(outcome.code, 3, "{outcome:#?}");
    assert!(
        outcome.stderr.contains("addresses of this host"),
        "{outcome:#?}"
    );
}

#[test]
fn rollback_returns_to_the_rules_before_and_back_again() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = SgCtl::new(&server.namespace);
    let _servers = [22, 80].map(|port| Server::tcp(&server.namespace, port));
    let error = sg.fails(1, &["rollback"]);
    assert!(error.contains("no rules to return to"), "{error}");

    let ssh = sg.rule_file("ssh.yaml", &rules("SSH"));
    let http = sg.rule_file("http.yaml", &rules("HTTP"));
    sg.ok(&["apply", "-f", &ssh]);
    sg.ok(&["attach", "eth0"]);
    sg.ok(&["apply", "-f", &http]);
    // Neither of these changes rules.
    sg.ok(&["apply", "-f", &http]);
    sg.ok(&["mode", "eth0", "enforce"]);
    assert!(answers(client, server, 80));
    assert!(tcp_is_silent(&client.namespace, server.v4, 22));
    for (open, closed) in [(22, 80), (80, 22), (22, 80)] {
        let told = sg.ok(&["rollback"]);
        assert!(told.contains(&format!("+ inbound tcp {open}")), "{told}");
        assert!(answers(client, server, open));
        assert!(tcp_is_silent(&client.namespace, server.v4, closed));
    }
}

#[test]
fn the_mode_of_an_attached_interface_can_be_changed() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = SgCtl::new(&server.namespace);
    let _server = Server::tcp(&server.namespace, 80);
    let file = sg.rule_file("rules.yaml", &rules("SSH"));
    sg.ok(&["attach", "eth0", "--audit", "-f", &file]);
    assert_eq!(state(&sg), "auditing");
    assert!(answers(client, server, 80));
    sg.ok(&["mode", "eth0", "enforce"]);
    assert_eq!(state(&sg), "enforcing");
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));
    sg.ok(&["mode", "eth0", "audit"]);
    assert!(answers(client, server, 80));
    // A later change of rules leaves it so.
    sg.ok(&["apply", "-f", &file]);
    assert_eq!(state(&sg), "auditing");
    let error = sg.fails(1, &["mode", "eth7", "enforce"]);
    assert!(error.contains("attached: eth0"), "{error}");
}

/// Waits until a change on trial is undone, which the kernel does: no process is there to do it.
fn wait_until_undone(sg: &SgCtl<'_>) {
    eventually("the deadline", || {
        let status = sg.json(&["status"]);
        (status["interfaces"][0]["deadline"]["passed"] == true).then_some(())
    });
}

#[test]
fn what_is_not_confirmed_is_undone_by_the_kernel() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), &rules("HTTP"));
    let _server = Server::tcp(&server.namespace, 80);
    let _other = Server::tcp(&server.namespace, 22);
    let closed = sg.rule_file("closed.yaml", &rules("SSH"));
    let apply = ["apply", "-f", &closed, "--confirm-within"];
    let groups = || sg.ok(&["show", "rules"]);

    // Confirmed in time.
    let shown = sg.ok(&[&apply[..], &["60s"]].concat());
    assert!(
        shown.contains("undone in 1m00s, unless you run sg-ctl confirm"),
        "{shown}"
    );
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));
    let deadline = &sg.json(&["status"])["interfaces"][0]["deadline"];
    assert_eq!(deadline["passed"], false);
    assert!(deadline["in_ms"].as_u64() <= Some(60_000));
    assert_eq!(sg.ok(&["confirm"]), "confirmed: eth0\n");
    assert_eq!(sg.ok(&["confirm"]), "nothing waits to be confirmed\n");
    let status = sg.json(&["status"]);
    assert_eq!(status["interfaces"][0]["deadline"], serde_json::Value::Null);
    sg.ok(&["rollback"]);
    assert!(answers(client, server, 80));
    let before = groups();

    // Not confirmed: the rules before are in force, and what they deny is denied.
    sg.ok(&[&apply[..], &["1s"]].concat());
    wait_until_undone(&sg);
    assert_eq!(state(&sg), "enforcing");
    assert!(answers(client, server, 80));
    assert!(tcp_is_silent(&client.namespace, server.v4, 22));
    assert_eq!(groups(), before, "the rules in force are shown");
    let problems = sg.run(&["status"]);
    assert_eq!(problems.code, 4, "{problems:#?}");
    assert!(
        problems.stderr.contains("was not confirmed in time"),
        "{problems:#?}"
    );
    // It is too late to confirm it, however often one asks.
    for _ in 0..2 {
        let error = sg.fails(1, &["confirm"]);
        assert!(error.contains("too late: the change of eth0"), "{error}");
    }
    assert!(answers(client, server, 80));
    // What is undone already is not put in force again by undoing once more.
    assert_eq!(sg.run(&["rollback", "-n"]).code, 0);
    sg.ok(&["rollback"]);
    assert!(answers(client, server, 80));
    assert_eq!(groups(), before);
    // The next change ends that.
    sg.ok(&["apply", "-f", &closed]);
    assert_eq!(sg.json(&["status"])["problems"], serde_json::json!([]));
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));
}

#[test]
fn several_changes_on_trial_are_undone_together() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), &rules("HTTP"));
    let _server = Server::tcp(&server.namespace, 80);
    let file = |kind: &str| sg.rule_file(&format!("{kind}.yaml"), &rules(kind));
    let ssh = file("SSH");
    sg.ok(&["apply", "-f", &ssh, "--confirm-within", "24h"]);
    let outcome = sg.run(&["apply", "-f", &file("RDP")]);
    assert!(outcome.stderr.contains("undone with it"), "{outcome:#?}");
    sg.ok(&["mode", "eth0", "audit", "--rollback-after", "1s"]);
    wait_until_undone(&sg);
    assert_eq!(state(&sg), "enforcing");
    assert!(answers(client, server, 80));
    // `rollback` undoes a trial at once, to the same end.
    sg.ok(&["apply", "-f", &ssh, "--confirm-within", "24h"]);
    sg.ok(&["apply", "-f", &file("RDP")]);
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));
    sg.ok(&["rollback"]);
    assert!(answers(client, server, 80));
    assert_eq!(sg.ok(&["confirm"]), "nothing waits to be confirmed\n");
}

#[test]
fn a_first_attach_that_is_not_confirmed_passes_everything() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = SgCtl::new(&server.namespace);
    let _server = Server::tcp(&server.namespace, 80);
    let file = sg.rule_file("rules.yaml", &rules("SSH"));
    sg.ok(&["attach", "eth0", "-f", &file, "--confirm-within", "1s"]);
    wait_until_undone(&sg);
    assert_eq!(state(&sg), "auditing");
    assert!(answers(client, server, 80));
    // Other rules do not enforce it behind one's back; the mode does.
    sg.ok(&["apply", "-f", &file]);
    assert_eq!(state(&sg), "auditing");
    sg.ok(&["mode", "eth0", "enforce"]);
    assert_eq!(state(&sg), "enforcing");
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));
}

#[test]
fn a_mode_that_is_not_confirmed_is_what_it_was() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), &rules("SSH"));
    let _server = Server::tcp(&server.namespace, 80);
    sg.ok(&["mode", "eth0", "audit", "--confirm-within", "1s"]);
    wait_until_undone(&sg);
    assert_eq!(state(&sg), "enforcing");
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));
    sg.ok(&["mode", "eth0", "audit"]);
    sg.ok(&["mode", "eth0", "enforce", "--confirm-within", "1s"]);
    wait_until_undone(&sg);
    assert_eq!(state(&sg), "auditing");
    assert!(answers(client, server, 80));
}

#[test]
fn restore_brings_back_what_a_reboot_took() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), &rules("SSH"));
    let _server = Server::tcp(&server.namespace, 80);
    let reboot = || {
        std::fs::remove_dir_all(sg.pins()).expect("they are ours");
        assert!(answers(client, server, 80), "nothing is attached");
    };
    let results = || sg.json(&["restore"])[0]["result"].clone();
    assert_eq!(results(), "intact");
    reboot();
    assert_eq!(state(&sg), "not-attached");
    assert_eq!(results(), "attached");
    assert_eq!(state(&sg), "enforcing");
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));

    // What nobody confirmed is not confirmed by a reboot.
    let other = sg.rule_file("other.yaml", &rules("HTTP"));
    sg.ok(&["apply", "-f", &other, "--confirm-within", "24h"]);
    reboot();
    assert_eq!(results(), "attached");
    assert_eq!(state(&sg), "enforcing");
    assert!(
        tcp_is_silent(&client.namespace, server.v4, 80),
        "the rules before"
    );
    let error = sg.fails(1, &["confirm"]);
    assert!(error.contains("too late"), "{error}");

    server.namespace.ip("link set eth0 name eth9\n");
    reboot_with_nothing(&sg);
    assert_eq!(results(), "missing");
    server.namespace.ip("link set eth9 name eth0\n");
    assert_eq!(results(), "attached");
    assert_eq!(state(&sg), "enforcing");
}

/// A reboot after which the interface is not there.
fn reboot_with_nothing(sg: &SgCtl<'_>) {
    std::fs::remove_dir_all(sg.pins()).expect("they are ours");
    assert_eq!(state(sg), "missing");
}

/// What `status` complains about.
pub(super) fn problems(sg: &SgCtl<'_>) -> Vec<String> {
    let status = sg.json(&["status"]);
    let problems = status["problems"].as_array().expect("a list");
    let text = |problem: &serde_json::Value| problem["text"].as_str().expect("text").to_owned();
    problems.iter().map(text).collect()
}

#[test]
fn nothing_is_said_to_be_in_force_where_no_program_is() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), &rules("SSH"));
    let _server = Server::tcp(&server.namespace, 80);
    std::fs::remove_dir_all(sg.pins()).expect("they are ours");
    let file = sg.rule_file("rules.yaml", &rules("SMTP"));
    let outcome = sg.run(&["apply", "-f", &file]);
    assert_eq!(outcome.code, 0, "{outcome:#?}");
    assert!(!outcome.stdout.contains("in force"), "{outcome:#?}");
    let note = "eth0: no program is attached: its packets are not judged; `sg-ctl restore`";
    assert!(outcome.stderr.contains(note), "{outcome:#?}");
    assert!(answers(client, server, 80), "nothing is attached");
    for words in [&["mode", "eth0", "audit"][..], &["isolate", "eth0"]] {
        let error = sg.fails(1, words);
        assert!(error.contains("no program is attached"), "{error}");
        assert!(error.contains("help: `sg-ctl restore`"), "{error}");
    }
    sg.ok(&["restore"]);
    let applied = sg.ok(&["apply", "-f", &file]);
    assert!(applied.contains("in force on eth0"), "{applied}");
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));
}

#[test]
fn a_status_read_during_changes_contradicts_itself_never() {
    let network = Network::new(&["server"]);
    let [server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), &rules("SSH"));
    let files = ["HTTP", "SSH"].map(|service| sg.rule_file(service, &rules(service)));
    std::thread::scope(|scope| {
        let changes = scope.spawn(|| {
            for file in files.iter().cycle().take(6) {
                sg.ok(&["apply", "-f", file]);
            }
        });
        while !changes.is_finished() {
            let text = problems(&sg).join("\n");
            assert!(!text.contains("the state says"), "{text}");
        }
    });
    assert_eq!(problems(&sg), [""; 0]);
}
