//! The command on a host: refusals that change nothing, and verdicts that need no process.

use sg_tests::{
    foreign::{self, ForeignXdp},
    sg_ctl::SgCtl,
    topology::{Host, Network},
    traffic::{Connection, Server, tcp_is_silent},
};

use super::attached::{Side, drops, guard, packets};

const SSH: &str = "
    security_groups:
      tested:
        inbound: [{ type: SSH, sources: [198.51.100.0/24, '2001:db8::/32'], description: ssh }]
        outbound: []
    interfaces: { eth0: { groups: [tested] } }
";

/// Exit codes.
const REFUSED: i32 = 1;

/// Whether a new connection to a port gets an answer.
fn answers(client: &Host, server: &Host, port: u16) -> bool {
    Connection::open(&client.namespace, server.v4, port)
        .and_then(|mut connection| connection.exchange("hello"))
        .is_ok()
}

/// What the kernel says is attached to the interfaces of a host.
fn hooks(host: &Host) -> String {
    let mut ip = std::process::Command::new("ip");
    let output = host.namespace.output(ip.args(["-details", "link"]));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn an_interface_that_is_guarded_is_not_attached_again() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), SSH);
    let _server = Server::tcp(&server.namespace, 22);
    let before = sg.json(&["show", "interfaces"]);
    let error = sg.fails(REFUSED, &["attach", "eth0", "--group", "default"]);
    assert!(error.contains("eth0 is attached already"), "{error}");
    assert_eq!(sg.json(&["show", "interfaces"]), before);
    assert!(answers(client, server, 22));
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));
}

#[test]
fn an_interface_that_is_missing_is_not_attached() {
    let network = Network::new(&["server"]);
    let [server] = network.hosts();
    let sg = SgCtl::new(&server.namespace);
    let file = sg.rule_file("rules.yaml", SSH);
    let error = sg.fails(REFUSED, &["attach", "eth7", "--file", &file]);
    assert!(error.contains("eth7") && error.contains("eth0"), "{error}");
    assert!(sg.is_untouched());
}

#[test]
fn a_group_that_is_missing_is_not_carried() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let _server = Server::tcp(&server.namespace, 80);
    let sg = SgCtl::new(&server.namespace);
    let file = sg.rule_file("rules.yaml", SSH);
    let attach = ["attach", "eth0", "--group", "tasted", "--file", &file];
    let error = sg.fails(REFUSED, &attach);
    assert!(
        error.contains("tasted") && error.contains("help: "),
        "{error}"
    );
    assert!(sg.is_untouched());
    assert!(answers(client, server, 80));
}

#[test]
fn a_mistake_in_a_rule_file_attaches_nothing() {
    let network = Network::new(&["server"]);
    let [server] = network.hosts();
    let sg = SgCtl::new(&server.namespace);
    let file = sg.rule_file("rules.yaml", &SSH.replace("SSH", "SHH"));
    let error = sg.fails(REFUSED, &["attach", "eth0", "--file", &file]);
    assert!(error.contains("rules.yaml:4:"), "{error}");
    assert!(sg.is_untouched());
}

#[test]
fn the_xdp_program_of_somebody_else_stays() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let _foreign = ForeignXdp::attach(&server.namespace, "eth0");
    let sg = SgCtl::new(&server.namespace);
    let file = sg.rule_file("rules.yaml", SSH);
    let before = hooks(server);
    for hook in ["xdp", "xdp-generic"] {
        let attach = ["attach", "eth0", "--hook", hook, "--file", &file];
        let error = sg.fails(REFUSED, &attach);
        assert!(error.contains(foreign::NAME), "{error}");
        assert_eq!(hooks(server), before);
        assert!(sg.is_untouched());
    }
    // Without a wish there is another hook, and a word about it.
    let told = sg.ok(&["attach", "eth0", "--file", &file]);
    assert!(told.contains("XDP is taken"), "{told}");
    let _servers = [22, 80].map(|port| Server::tcp(&server.namespace, port));
    assert!(answers(client, server, 22));
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));
    sg.ok(&["detach", "eth0"]);
    assert_eq!(hooks(server), before);
}

#[test]
fn the_flow_table_has_the_size_of_the_rule_file_until_everything_is_detached() {
    let network = Network::new(&["server"]);
    let [server] = network.hosts();
    let sg = SgCtl::new(&server.namespace);
    let sized = |size| sg.rule_file("sized.yaml", &format!("{SSH}    limits: {size}\n"));
    let room = || sg.json(&["status"])["flow_table"]["flows"].clone();
    let file = sized("{ flow_table_size: 16384 }");
    let told = sg.run(&["apply", "--dry-run", "--file", &file]).stderr;
    assert!(told.contains("room for 16384 flows, 4 MiB"), "{told}");
    assert!(room().is_null(), "nothing was made");
    sg.ok(&["attach", "eth0", "--file", &file]);
    assert_eq!(room(), 16384);
    let wider = sized("{ flow_table_size: 100000 }");
    let told = sg.run(&["apply", "--file", &wider]).stderr;
    assert!(told.contains("keeps its room for 16384 flows"), "{told}");
    assert_eq!(room(), 16384);
    let told = sg.run(&["status"]);
    assert!(told.stdout.contains("4128 KiB"), "{told:#?}");
    assert!(
        told.stderr.contains("the rules ask for 100000"),
        "{told:#?}"
    );
    sg.ok(&["detach", "--all"]);
    sg.ok(&["attach", "eth0"]);
    assert_eq!(room(), 100_000);
}

#[test]
fn without_rights_nothing_is_attached() {
    let network = Network::new(&["server"]);
    let [server] = network.hosts();
    let sg = SgCtl::new(&server.namespace);
    let file = sg.rule_file("rules.yaml", SSH);
    let outcome = sg.run_as_nobody(&["attach", "eth0", "--file", &file]);
    assert_eq!(outcome.code, REFUSED, "{outcome:#?}");
    assert!(
        outcome.stderr.contains("help: run it as root"),
        "{outcome:#?}"
    );
    assert!(sg.is_untouched());
}

#[test]
fn without_rights_nothing_is_changed_and_nothing_told() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), SSH);
    let file = sg.rule_file("rules.yaml", SSH);
    let before = sg.json(&["show", "interfaces"]);
    for words in [
        &["attach", "eth0"][..],
        &["detach", "eth0"],
        &["detach", "--all"],
        &["apply", "--file", &file],
        &["status"],
        &["show", "rules"],
        &["flows"],
        &["logs"],
    ] {
        let outcome = sg.run_as_nobody(words);
        assert_eq!(outcome.code, REFUSED, "{words:?}: {outcome:#?}");
        assert!(outcome.stderr.contains("help: "), "{words:?}: {outcome:#?}");
        assert_eq!(outcome.stdout, "", "{words:?}");
    }
    assert_eq!(sg.json(&["show", "interfaces"]), before);
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));
}

#[test]
fn everything_is_detached_whatever_the_state_says() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), SSH);
    let _server = Server::tcp(&server.namespace, 80);
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));

    sg.rule_file("state/state.json", "{");
    sg.fails(2, &["status"]);
    let detached = sg.json(&["detach", "--all"]);
    assert_eq!(detached["detached"], serde_json::json!(["eth0"]));
    assert!(answers(client, server, 80));
    assert!(sg.has_no_pins());
    assert!(sg.directory().join("state/state.damaged.json").exists());
}

#[test]
fn rules_with_a_mistake_leave_the_old_ones_in_force() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), SSH);
    let _servers = [22, 80].map(|port| Server::tcp(&server.namespace, port));
    let generation = sg.json(&["status"])["generation"].clone();
    for mistake in ["type: SHH", "type: SSH, sauce: 0.0.0.0/0", "protocol: tcp"] {
        let file = sg.rule_file("mistake.yaml", &SSH.replace("type: SSH", mistake));
        sg.fails(REFUSED, &["apply", "--file", &file]);
    }
    sg.fails(REFUSED, &["apply", "--file", "/nowhere/rules.yaml"]);
    assert_eq!(sg.json(&["status"])["generation"], generation);
    assert!(answers(client, server, 22));
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));
}

#[test]
fn verdicts_need_no_process() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), SSH);
    let _servers = [22, 80].map(|port| Server::tcp(&server.namespace, port));
    let mut connection =
        Connection::open(&client.namespace, server.v4, 22).expect("a rule admits it");
    let mut log = sg.start(&["logs", "--follow"]);
    log.line_with(&["ALLOW", "new"]);
    // As `kill -9` does, in the middle of its work.
    log.kill();
    connection.exchange("hello").expect("the flow lives on");
    assert!(answers(client, server, 22));
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));
    // The next reader goes on where that one was.
    sg.start(&["logs", "--follow"])
        .line_with(&["DENY", "no-rule", ":80 "]);
}

#[test]
fn what_is_detached_passes_everything_and_leaves_nothing() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let _servers = [22, 80].map(|port| Server::tcp(&server.namespace, port));
    for hook in ["tc", "xdp", "xdp-generic"] {
        let bare = hooks(server);
        let sg = guard(&network, server, (Side::Nic, hook), SSH);
        assert!(tcp_is_silent(&client.namespace, server.v4, 80));
        let answer = sg.json(&["detach", "eth0"]);
        assert_eq!(answer["detached"], serde_json::json!(["eth0"]));
        assert!(answers(client, server, 80));
        assert_eq!(hooks(server), bare);
        let status = sg.json(&["status"]);
        assert_eq!(status["interfaces"], serde_json::json!([]));
        assert!(sg.has_no_pins());
        let error = sg.fails(REFUSED, &["detach", "eth0"]);
        assert!(error.contains("eth0"), "{error}");
    }
}

#[test]
fn audit_drops_nothing_and_says_what_it_would() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = SgCtl::new(&server.namespace);
    let file = sg.rule_file("rules.yaml", SSH);
    sg.ok(&["attach", "eth0", "--audit", "--file", &file]);
    let _server = Server::tcp(&server.namespace, 80);
    let mut log = sg.start(&["logs", "--follow", "--denied"]);
    assert!(answers(client, server, 80));
    log.line_with(&["inbound", "AUDIT-DENY", "no-rule", ":80 "]);
    log.line_with(&["outbound", "AUDIT-DENY", "no-rule"]);
    drop(log);
    let status = sg.json(&["status"]);
    let interface = &status["interfaces"][0];
    assert_eq!(interface["state"], "auditing");
    assert!(interface["audited"]["inbound"]["packets"].as_u64() > Some(0));
    assert_eq!(drops(&sg).len(), 2);
}

#[test]
fn the_log_tells_who_spoke_and_which_rule_decided() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), SSH);
    let _server = Server::tcp(&server.namespace, 22);
    let mut log = sg.start(&["logs", "--follow", "--json"]);
    assert!(answers(client, server, 22));
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));
    let mut verdict = |words: &[&str]| -> serde_json::Value {
        serde_json::from_str(&log.line_with(words)).expect("a line is a document")
    };
    let rules = sg.json(&["show", "rules", "--group", "tested"]);
    let rule = &rules.as_array().expect("a list")[0];

    let passed = verdict(&["\"verdict\":\"allow\""]);
    assert_eq!(passed["type"], "verdict");
    assert_eq!(passed["interface"], "eth0");
    assert_eq!(passed["direction"], "inbound");
    assert_eq!(passed["reason"], "new");
    assert_eq!(passed["protocol"], "tcp");
    assert_eq!(passed["source"], client.v4.to_string());
    assert_eq!(passed["destination"], server.v4.to_string());
    assert_eq!(passed["destination_port"], 22);
    assert_eq!(passed["rule"]["group"], "tested");
    assert_eq!(passed["rule"]["id"], rule["id"], "{rules:#}");

    let denied = verdict(&["\"verdict\":\"deny\""]);
    assert_eq!(denied["reason"], "no-rule");
    assert_eq!(denied["destination_port"], 80);
    assert_eq!(denied["rule"], serde_json::Value::Null);

    let other = sg.fails(REFUSED, &["logs"]);
    assert!(other.contains("help: "), "one reader at a time: {other}");
}

#[test]
fn flows_name_the_rule_that_admitted_them() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), SSH);
    let _server = Server::tcp(&server.namespace, 22);
    let mut connection =
        Connection::open(&client.namespace, server.v6, 22).expect("a rule admits it");
    connection.exchange("hello").expect("answers pass");
    let flows = sg.json(&["flows"]);
    let [flow] = &flows.as_array().expect("a list")[..] else {
        panic!("not one flow: {flows:#}");
    };
    assert_eq!(flow["opened"], "inbound");
    assert_eq!(flow["state"], "established");
    assert_eq!(flow["local"], server.v6.to_string());
    assert_eq!(flow["local_port"], 22);
    assert_eq!(flow["remote"], client.v6.to_string());
    assert_eq!(flow["rule"]["group"], "tested");
    assert!(flow["packets_in"].as_u64() >= Some(3), "{flow:#}");
    assert!(packets(&sg, "inbound", "established") >= 2);
}

#[test]
fn flows_outlive_their_rule_until_they_are_ended() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), SSH);
    let _server = Server::tcp(&server.namespace, 22);
    let open = || {
        let connection = Connection::open(&client.namespace, server.v4, 22);
        connection.expect("a rule admits it")
    };
    let (mut one, mut other) = (open(), open());
    let flows = sg.json(&["flows"]);
    let rule = flows[0]["rule"]["id"].as_str().expect("a rule").to_owned();
    let nothing = SSH.replace("type: SSH", "type: HTTPS");
    sg.ok(&["apply", "-f", &sg.rule_file("rules.yaml", &nothing)]);
    for connection in [&mut one, &mut other] {
        connection.exchange("hello").expect("the flow is alive");
    }
    let top = sg.json(&["flows", "--top", "1", "--sort", "packets"]);
    let port = top[0]["remote_port"].to_string();

    let of_another_rule = sg.json(&["flows", "kill", "--rule", "sgr-0123456789abcdef0"]);
    assert_eq!(of_another_rule["killed"], 0);
    let of_one_port = sg.json(&["flows", "kill", "--port", &port]);
    assert_eq!(of_one_port["killed"], 1);
    let of_the_rule = sg.json(&["flows", "kill", "--rule", &rule]);
    assert_eq!(of_the_rule["killed"], 1);
    assert_eq!(sg.json(&["flows"]), serde_json::json!([]));
    for mut connection in [one, other] {
        assert!(connection.is_cut());
    }
    assert!(packets(&sg, "inbound", "no-rule") > 0);
}
