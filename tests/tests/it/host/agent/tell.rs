//! What the agent tells: metrics, flow records, and how it is.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
};

use nix::sys::signal::Signal;
use sg_tests::{
    PATIENCE, eventually,
    netns::Namespace,
    sg_ctl::SgCtl,
    topology::Network,
    traffic::{Connection, Server, tcp_is_silent, uninterrupted},
};

use super::{METRICS, SSH, get, start, wait_for};
use crate::host::attached::packets;

#[test]
fn metrics_tell_what_status_tells() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = SgCtl::new(&server.namespace);
    let file = sg.rule_file("rules.yaml", SSH);
    let _server = Server::tcp(&server.namespace, 22);
    let _agent = start(&sg, &server.namespace, &["-f", &file]);
    let connection = Connection::open(&client.namespace, server.v4, 22);
    connection
        .and_then(|mut connection| connection.exchange("hello"))
        .expect("a rule admits it");
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));

    let dropped = packets(&sg, "inbound", "no-rule");
    assert!(dropped > 0);
    let answer = get(&server.namespace, "/metrics").expect("the agent listens");
    let (head, text) = answer.split_once("\r\n\r\n").expect("HTTP");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("application/openmetrics-text"), "{head}");
    let no_rule = r#"{interface="eth0",direction="inbound",verdict="deny",reason="no-rule"}"#;
    let new = r#"{interface="eth0",direction="inbound",verdict="allow",reason="new"}"#;
    for line in [
        &format!("sg_packets_total{no_rule} {dropped}"),
        &format!("sg_bytes_total{no_rule} {}", dropped * 74),
        &format!("sg_packets_total{new} 1"),
        r#"sg_interface_attached{interface="eth0"} 1"#,
        r#"sg_interface_enforcing{interface="eth0"} 1"#,
        r#"sg_events_lost_total{interface="eth0"} 0"#,
        r"sg_flow_table_slots_used 1",
        r"sg_applies_total 1",
        r"sg_attaches_total 1",
        r"sg_apply_errors_total 0",
    ] {
        assert!(text.lines().any(|each| each == line), "{line}:\n{text}");
    }
    assert!(
        text.contains(r#"sg_flows{interface="eth0",state=""#),
        "{text}"
    );
    let generation = &sg.json(&["status"])["image"]["generation"];
    assert!(text.contains(&format!("sg_policy_generation {generation}\n")));
    assert!(text.ends_with("# EOF\n"), "{text}");

    let elsewhere = get(&server.namespace, "/").expect("the agent listens");
    assert!(elsewhere.starts_with("HTTP/1.1 404 "), "{elsewhere}");
}

#[test]
fn flow_records_add_up_what_passed_and_what_was_dropped() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = SgCtl::new(&server.namespace);
    let file = sg.rule_file("rules.yaml", SSH);
    server
        .namespace
        .ip("link add idle type veth peer name far\nlink set idle up\n");
    let _server = Server::tcp(&server.namespace, 22);
    let records = sg.directory().join("flows.log");
    let path = records.display().to_string();
    let words = [
        ["-f", &file],
        ["--attach", "idle"],
        ["--flow-log", &path],
        ["--flow-window", "600"],
    ];
    let agent = start(&sg, &server.namespace, words.as_flattened());
    let mut connection =
        Connection::open(&client.namespace, server.v4, 22).expect("a rule admits it");
    connection.exchange("hello").expect("answers pass");
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));
    let dropped = packets(&sg, "inbound", "no-rule");

    let log = sg.ok(&["logs", "--denied"]);
    assert!(log.contains(":80 "), "the agent passes events on: {log}");

    let flows = sg.json(&["flows"]);
    let flow = &flows[0];
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait(), 0);
    let text = fs::read_to_string(records).expect("the agent wrote it");
    let port = &flow["remote_port"];
    let (client, server) = (client.v4, server.v4);
    let [inward, outward] = ["in", "out"].map(|side| {
        let number = |name: &str| flow[format!("{name}_{side}")].to_string();
        format!("6 {} {} ", number("packets"), number("bytes"))
    });
    for (begin, end) in [
        (
            format!("2 - eth0 {client} {server} {port} 22 {inward}"),
            " ACCEPT OK",
        ),
        (
            format!("2 - eth0 {server} {client} 22 {port} {outward}"),
            " ACCEPT OK",
        ),
        (format!("2 - eth0 {client} {server} "), " REJECT OK"),
        ("2 - idle - - - - - - - ".to_owned(), " - NODATA"),
    ] {
        let is_it = |line: &&str| line.starts_with(&begin) && line.ends_with(end);
        let count = text.lines().filter(is_it).count();
        assert_eq!(count, 1, "{begin}…{end}:\n{text}");
    }
    let rejected = text.lines().find(|line| line.ends_with("REJECT OK"));
    let rejected = rejected.expect("it was counted above");
    let sums = format!(" 80 6 {dropped} {} ", dropped * 74);
    assert!(rejected.contains(&sums), "{sums}: {rejected}");
    assert_eq!(text.lines().count(), 4, "{text}");
}

#[test]
fn flow_records_go_on_in_a_new_file_when_theirs_is_full_and_renamed() {
    const MIB: u64 = 1 << 20;
    let namespace = Namespace::new("agent");
    namespace.ip("link add eth0 type veth peer name far\n");
    let sg = SgCtl::new(&namespace);
    let file = sg.rule_file("rules.yaml", SSH);
    let [records, older] = ["flows.log", "flows.log.1"].map(|name| sg.directory().join(name));
    let path = records.display().to_string();
    fs::write(&records, vec![b'\n'; MIB as usize]).expect("the directory is ours");
    let words = [
        ["-f", &file],
        ["--flow-log", &path],
        ["--flow-window", "1"],
        ["--flow-log-limit", "1"],
    ];
    let agent = ["agent", "--metrics", METRICS];
    let mut agent = sg.start_for_notes(&[&agent, words.as_flattened()].concat());
    agent.line_with(&["flow records are not written", "flows.log has 1 MiB"]);
    wait_for(&namespace, "sg_flow_log_errors_total 1");
    let length = |path| fs::metadata(path).expect("it is there").len();
    assert_eq!(length(&records), MIB, "nothing was added");

    // What is missing is told where records go on; after that nothing is.
    for (told, before) in [(" - SKIPDATA", MIB), (" - NODATA", 0)] {
        fs::rename(&records, &older).expect("both are in one directory");
        let text = eventually("records in a new file", || {
            fs::read_to_string(&records)
                .ok()
                .filter(|text| !text.is_empty())
        });
        let first = text.lines().next().expect("it is not empty");
        assert!(first.starts_with("2 - eth0 "), "{text}");
        assert!(first.ends_with(told), "{text}");
        assert!(before == 0 || length(&older) == before, "it was left alone");
    }
    let permissions = fs::metadata(&records).expect("it is there").permissions();
    assert_eq!(permissions.mode() & 0o777, 0o600);
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait(), 0);
}

#[test]
fn a_service_manager_is_told_how_the_agent_is() {
    let namespace = Namespace::new("agent");
    let sg = SgCtl::new(&namespace);
    let file = sg.rule_file("rules.yaml", SSH);
    let path = sg.directory().join("notify");
    let socket = UnixDatagram::bind(&path).expect("the directory is ours");
    let timeout = socket.set_read_timeout(Some(PATIENCE));
    timeout.expect("it is not zero");
    let wait_for = |wanted: &str| {
        let mut bytes = [0; 256];
        loop {
            let length = uninterrupted(|| socket.recv(&mut bytes)).expect(wanted);
            let text = String::from_utf8_lossy(&bytes[..length]);
            if text.lines().any(|line| line == wanted) {
                return;
            }
        }
    };
    let agent = sg.start_as_service(&["agent", "-f", &file], &path);
    for state in ["READY=1", "WATCHDOG=1"] {
        wait_for(state);
    }
    agent.signal(Signal::SIGHUP);
    for state in ["RELOADING=1", "READY=1"] {
        wait_for(state);
    }
    agent.signal(Signal::SIGTERM);
    wait_for("STOPPING=1");
    assert_eq!(agent.wait(), 0);
}
