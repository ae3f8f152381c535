//! The agent on a host: what it follows, what it tells, and what is left when it ends.

mod layouts;
mod places;
mod refused;
mod tell;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
};

use nix::sys::signal::Signal;
use sg_tests::{
    eventually,
    netns::Namespace,
    sg_ctl::{Capability, Running, SgCtl},
    topology::{Host, Network},
    traffic::{Connection, Server, tcp_is_silent},
};

use super::attached::packets;

const SSH: &str = "
    security_groups:
      tested:
        inbound: [{ type: SSH, source: anywhere-ipv4, description: ssh }]
        outbound: []
    interfaces: { eth0: { groups: [tested] } }
";

/// Where the agent serves metrics, in a namespace of its own.
pub(super) const METRICS: &str = "127.0.0.1:9100";

/// What the agent answers to a request over HTTP, `None` while nobody listens.
pub(super) fn get(namespace: &Namespace, path: &str) -> Option<String> {
    let mut stream = namespace.enter(|| TcpStream::connect(METRICS)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Whether the metrics have a line.
fn has(namespace: &Namespace, line: &str) -> bool {
    get(namespace, "/metrics").is_some_and(|text| text.lines().any(|each| each == line))
}

/// Waits for a line of the metrics.
#[track_caller]
fn wait_for(namespace: &Namespace, line: &str) {
    eventually(line, || has(namespace, line).then_some(()));
}

/// Starts an agent that serves metrics, and waits until it is at work.
fn start(sg: &SgCtl<'_>, namespace: &Namespace, words: &[&str]) -> Running {
    let agent = sg.start(&[&["agent", "--metrics", METRICS], words].concat());
    wait_until_ready(namespace);
    agent
}

fn wait_until_ready(namespace: &Namespace) {
    eventually("metrics of the agent", || get(namespace, "/metrics"));
}

fn answers(client: &Host, server: &Host, port: u16) -> bool {
    Connection::open(&client.namespace, server.v4, port)
        .and_then(|mut connection| connection.exchange("hello"))
        .is_ok()
}

#[test]
fn a_changed_rule_file_is_applied_and_a_wrong_one_changes_nothing() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = SgCtl::new(&server.namespace);
    let file = sg.rule_file("rules.yaml", SSH);
    let _servers = [22, 80].map(|port| Server::tcp(&server.namespace, port));
    let agent = start(&sg, &server.namespace, &["-f", &file]);
    assert!(answers(client, server, 22));
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));

    // As editors do: a new file takes the place of the old one.
    let new = sg.rule_file("new", &SSH.replace("type: SSH", "type: HTTP"));
    fs::rename(new, &file).expect("they are in one directory");
    wait_for(&server.namespace, "sg_applies_total 2");
    assert!(answers(client, server, 80));
    assert!(tcp_is_silent(&client.namespace, server.v4, 22));

    let generation = sg.json(&["status"])["generation"].clone();
    sg.rule_file("rules.yaml", &SSH.replace("type: SSH", "type: SHH"));
    wait_for(&server.namespace, "sg_apply_errors_total 1");
    assert_eq!(sg.json(&["status"])["generation"], generation);
    assert!(answers(client, server, 80));

    // Asked to, it says again what is wrong.
    agent.signal(Signal::SIGHUP);
    wait_for(&server.namespace, "sg_apply_errors_total 2");
    sg.rule_file("rules.yaml", SSH);
    wait_for(&server.namespace, "sg_applies_total 3");
    assert!(answers(client, server, 22));
}

#[test]
fn an_agent_that_cannot_write_its_records_changes_nothing() {
    let namespace = Namespace::new("agent");
    let sg = SgCtl::new(&namespace);
    let file = sg.rule_file("rules.yaml", "security_groups: {}");
    let outcome = sg.run(&[
        "agent",
        "-f",
        &file,
        "--flow-log",
        "/no/such/directory/flows",
    ]);
    assert_ne!(outcome.code, 0, "{outcome:#?}");
    assert!(
        outcome.stderr.contains("/no/such/directory/flows"),
        "{outcome:#?}"
    );
    assert!(sg.is_untouched());
}

/// The interfaces in force, as `name state group`.
fn guarded(sg: &SgCtl<'_>) -> Vec<String> {
    let status = sg.json(&["status"]);
    let line = |interface: &serde_json::Value| {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or("?").to_owned();
        let [name, state, group] = [
            &interface["name"],
            &interface["state"],
            &interface["groups"][0],
        ]
        .map(text);
        format!("{name} {state} {group}")
    };
    let interfaces = status["interfaces"].as_array().expect("a list");
    interfaces.iter().map(line).collect()
}

#[track_caller]
fn wait_until_guarded(sg: &SgCtl<'_>, wanted: &[&str]) {
    eventually(&format!("{wanted:?}"), || {
        (guarded(sg) == wanted).then_some(())
    });
}

#[test]
fn interfaces_are_attached_when_they_appear_and_when_they_return() {
    let namespace = Namespace::new("agent");
    let sg = SgCtl::new(&namespace);
    let rules = "
        security_groups: { tested: { inbound: [], outbound: [] } }
        interfaces: { uplink: { groups: [tested] } }
    ";
    let file = sg.rule_file("rules.yaml", rules);
    let add = |name: &str| {
        namespace.ip(&format!(
            "link add {name} type veth peer name far-{name}\nlink set {name} up\n"
        ));
    };
    add("tap0");
    let words = ["-f", &file, "--attach", "tap*", "--side", "workload"];
    let _agent = start(&sg, &namespace, &words);
    wait_until_guarded(&sg, &["tap0 enforcing default"]);
    add("tap1");
    add("uplink");
    add("other");
    let all = [
        "tap0 enforcing default",
        "tap1 enforcing default",
        "uplink enforcing tested",
    ];
    wait_until_guarded(&sg, &all);
    assert_eq!(sg.json(&["status"])["interfaces"][0]["side"], "workload");

    namespace.ip("link del tap1\n");
    wait_until_guarded(&sg, &[all[0], "tap1 missing default", all[2]]);
    add("tap1");
    wait_until_guarded(&sg, &all);

    // Whoever detaches it means it, until there is another interface of the name.
    eventually("a moment in which the agent changes nothing", || {
        (sg.run(&["detach", "tap0"]).code == 0).then_some(())
    });
    add("tap2");
    wait_until_guarded(&sg, &[all[1], "tap2 enforcing default", all[2]]);
    namespace.ip("link del tap0\n");
    add("tap0");
    wait_until_guarded(&sg, &[all[0], all[1], "tap2 enforcing default", all[2]]);
}

#[test]
fn interfaces_that_a_pattern_of_the_rules_matches_are_attached() {
    let namespace = Namespace::new("agent");
    let sg = SgCtl::new(&namespace);
    let rules = "
        security_groups: { vm: {}, uplink: {} }
        interfaces:
          'tap*': { groups: [vm], side: workload }
          tap7: { groups: [uplink], audit: true }
    ";
    let file = sg.rule_file("rules.yaml", rules);
    let add = |name: &str| {
        namespace.ip(&format!(
            "link add {name} type veth peer name far-{name}\nlink set {name} up\n"
        ));
    };
    add("tap0");
    add("other");
    let _agent = start(&sg, &namespace, &["-f", &file]);
    wait_until_guarded(&sg, &["tap0 enforcing vm"]);
    add("tap7");
    add("tap8");
    let all = [
        "tap0 enforcing vm",
        "tap7 auditing uplink",
        "tap8 enforcing vm",
    ];
    wait_until_guarded(&sg, &all);
    assert_eq!(sg.json(&["status"])["interfaces"][0]["side"], "workload");
    assert_eq!(sg.json(&["status"])["interfaces"][1]["side"], "nic");

    // New settings of the pattern reach what is attached, and a new pattern what is not.
    let quiet = "'tap*': { groups: [uplink], side: workload }\n          'oth??': { groups: [vm] }";
    let text = rules.replace("'tap*': { groups: [vm], side: workload }", quiet);
    sg.rule_file("rules.yaml", &text);
    let all = [
        "other enforcing vm",
        "tap0 enforcing uplink",
        "tap7 auditing uplink",
        "tap8 enforcing uplink",
    ];
    wait_until_guarded(&sg, &all);
}

#[test]
fn an_address_that_is_added_becomes_a_member() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = SgCtl::new(&server.namespace);
    server
        .namespace
        .ip("link add own type veth peer name far\nlink set own up\n");
    let rules = "
        security_groups:
          server: { inbound: [{ type: SSH, source: 'sg:own' }], outbound: [] }
          own: { inbound: [], outbound: [] }
        interfaces: { eth0: { groups: [server] }, own: { groups: [own] } }
    ";
    let file = sg.rule_file("rules.yaml", rules);
    let _agent = start(&sg, &server.namespace, &["-f", &file]);
    let passed = || packets(&sg, "inbound", "new");
    assert!(tcp_is_silent(&client.namespace, server.v4, 22));
    assert_eq!(
        (passed(), packets(&sg, "inbound", "no-rule") > 0),
        (0, true)
    );

    let change = |action: &str| {
        let before = sg.json(&["status"])["image"]["generation"].clone();
        let address = client.v4;
        server
            .namespace
            .ip(&format!("addr {action} {address}/32 dev own\n"));
        eventually("another policy", || {
            (sg.json(&["status"])["image"]["generation"] != before).then_some(())
        });
    };
    // The filter now admits the client; the host then drops what claims to come from itself.
    change("add");
    assert!(tcp_is_silent(&client.namespace, server.v4, 22));
    let admitted = passed();
    assert!(admitted > 0);
    change("del");
    sg.ok(&["flows", "kill", "--all"]);
    assert!(tcp_is_silent(&client.namespace, server.v4, 22));
    assert_eq!(passed(), admitted);
}

#[test]
fn enforcement_goes_on_when_the_agent_ends() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = SgCtl::new(&server.namespace);
    let file = sg.rule_file("rules.yaml", SSH);
    let _servers = [22, 80].map(|port| Server::tcp(&server.namespace, port));
    let agent = start(&sg, &server.namespace, &["-f", &file]);
    let mut connection =
        Connection::open(&client.namespace, server.v4, 22).expect("a rule admits it");
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait(), 0);
    connection.exchange("hello").expect("the flow is alive");
    assert_eq!(guarded(&sg), ["eth0 enforcing tested"]);
    assert!(answers(client, server, 22));
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));
}

#[test]
fn three_capabilities_are_enough() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = SgCtl::new(&server.namespace);
    let file = sg.rule_file("rules.yaml", SSH);
    let _servers = [22, 80].map(|port| Server::tcp(&server.namespace, port));
    let records = sg.directory().join("flows.log").display().to_string();
    let words = ["agent", "--metrics", METRICS, "-f", &file];
    let words = [&words[..], &["--flow-log", &records, "--attach", "tap*"]].concat();
    let capabilities = [
        Capability::CAP_BPF,
        Capability::CAP_NET_ADMIN,
        Capability::CAP_PERFMON,
    ];
    let agent = sg.start_with_capabilities(&words, &capabilities);
    wait_until_ready(&server.namespace);
    for set in ["CapEff:", "CapPrm:", "CapBnd:"] {
        assert_eq!(agent.status_line(set), "000000c000001000", "{set}");
    }
    assert!(answers(client, server, 22));
    sg.rule_file("rules.yaml", &SSH.replace("type: SSH", "type: HTTP"));
    wait_for(&server.namespace, "sg_applies_total 2");
    assert!(answers(client, server, 80));
    assert!(tcp_is_silent(&client.namespace, server.v4, 22));
    server
        .namespace
        .ip("link add tap0 type veth peer name far\nlink set tap0 up\n");
    wait_for(
        &server.namespace,
        r#"sg_interface_enforcing{interface="tap0"} 1"#,
    );
    server.namespace.ip("link del tap0\n");
    wait_for(
        &server.namespace,
        r#"sg_interface_attached{interface="tap0"} 0"#,
    );
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait(), 0);
    let text = fs::read_to_string(records).expect("the agent wrote it");
    assert!(
        text.contains(" ACCEPT OK") && text.contains(" REJECT OK"),
        "{text}"
    );
}
