//! `sg-ctl top`: what it counts, that it takes no events, and how it leaves the terminal.

use std::net::UdpSocket;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sg_tests::{
    sg_ctl::SgCtl,
    topology::{Host, Network},
    traffic::{Connection, Server},
};

use super::attached::{Side, guard};

const SSH: &str = "
    security_groups:
      tested:
        inbound: [{ type: SSH, source: 198.51.100.0/24 }]
        outbound: []
    interfaces: { eth0: { groups: [tested] } }
";

/// Bytes of a datagram of ten bytes, from the Ethernet header on.
const DATAGRAM: u64 = 14 + 20 + 8 + 10;

/// Sends datagrams that no rule admits.
fn knock(client: &Host, server: &Host, times: usize) {
    let socket = client
        .namespace
        .enter(|| UdpSocket::bind((client.v4, 0)))
        .expect("a port");
    for _ in 0..times {
        socket
            .send_to(&[0; 10], (server.v4, 9))
            .expect("the router takes it");
    }
}

/// Waits until so many datagrams have been dropped, and returns one picture as JSON.
fn once(sg: &SgCtl<'_>, dropped: u64) -> Value {
    sg_tests::eventually("the drops", || {
        let picture = sg.json(&["top", "--once"]);
        let is_listed = |drops: &Vec<Value>| drops.len() as u64 == dropped;
        let is_all = picture["drops"].as_array().is_some_and(is_listed)
            && picture["interfaces"][0]["inbound"]["dropped"]["packets"] == dropped;
        is_all.then_some(picture)
    })
}

#[test]
fn one_picture_has_exact_counters_flows_and_drops_and_takes_no_event() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), SSH);
    let none = sg.run(&["top", "--once", "--json"]);
    assert!(none.stdout.contains(r#""drops":null"#), "{none:#?}");
    let _agent = sg.start(&["agent"]);
    let _server = Server::tcp(&server.namespace, 22);
    let mut connection =
        Connection::open(&client.namespace, server.v4, 22).expect("a rule admits it");
    connection.exchange("hello").expect("answers pass");
    knock(client, server, 3);

    let first = once(&sg, 3);
    let again = once(&sg, 3);
    for picture in [&first, &again] {
        let interface = &picture["interfaces"][0];
        assert_eq!(interface["name"], "eth0");
        assert_eq!(interface["state"], "enforcing");
        assert_eq!(interface["events_lost"], 0);
        let dropped = json!({
            "packets": 3,
            "bytes": 3 * DATAGRAM,
            "packets_per_second": 0.0,
            "bits_per_second": 0.0,
        });
        let mut no_rule = dropped.clone();
        no_rule["direction"] = "inbound".into();
        no_rule["verdict"] = "deny".into();
        no_rule["reason"] = "no-rule".into();
        let reasons = interface["reasons"].as_array().expect("a list");
        assert!(reasons.contains(&no_rule), "{reasons:#?}");
        assert_eq!(picture["flow_table"]["live"], 1);
        let flow = &picture["flows"][0];
        assert_eq!(flow["local_port"], 22);
        assert_eq!(flow["rule"]["group"], "tested");
        let drops = picture["drops"].as_array().expect("a list");
        assert_eq!(drops.len(), 3);
        for drop in drops {
            assert_eq!(drop["reason"], "no-rule");
            assert_eq!(drop["protocol"], "udp");
            assert_eq!(drop["source"], client.v4.to_string());
            assert_eq!(drop["destination_port"], 9);
        }
    }
    // Beside the first look at it, the second sees no growth.
    assert_eq!(
        again["interfaces"][0]["inbound"]["dropped"]["packets_per_second"],
        0.0
    );
    let text = sg.ok(&["top", "--interface", "eth0"]);
    for words in [", flows: 1 of", "no-rule", ":9 ", ":22 "] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // All of it is still there for who reads the log.
    let log = sg.ok(&["logs", "--denied"]);
    assert_eq!(log.matches("DENY").count(), 3, "{log}");
    let drops = &sg.json(&["top", "--once"])["drops"];
    assert_eq!(drops.as_array().map(Vec::len), Some(3), "{drops}");
}

#[test]
fn drops_are_seen_beside_a_reader_of_the_log() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), SSH);
    let _agent = sg.start(&["agent"]);
    // What `logs` reads by itself before the agent has the ring nobody else sees.
    sg_tests::eventually("the agent serves events", || {
        let picture = sg.json(&["top", "--once"]);
        picture["drops"].is_array().then_some(())
    });
    let mut log = sg.start(&["logs", "--follow", "--denied"]);
    let mut top = sg.start(&["top", "--json", "--interface", "eth0"]);
    let is_seen = |picture: &Value| picture["drops"][0]["destination_port"] == 9;
    let first: Value = serde_json::from_str(&top.line()).expect("JSON");
    assert!(!is_seen(&first), "{first:#}");
    knock(client, server, 1);
    log.line_with(&["DENY", "no-rule", ":9 "]);
    while !is_seen(&serde_json::from_str(&top.line()).expect("JSON")) {}
}

#[test]
fn the_terminal_is_given_back() {
    let network = Network::new(&["server"]);
    let [server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), SSH);
    for signal in [None, Some(Signal::SIGTERM), Some(Signal::SIGINT)] {
        let mut terminal = sg.start_on_terminal(100, &["top"]);
        terminal.shows("\x1b[?1049h");
        terminal.shows("interfaces");
        terminal.shows("enforcing");
        assert!(!terminal.takes_lines());
        terminal.press("2");
        terminal.shows("REASON");
        match signal {
            Some(signal) => terminal.signal(signal),
            None => terminal.press("q"),
        }
        assert_eq!(terminal.wait(), 0);
        terminal.shows("\x1b[?1049l");
        assert!(terminal.takes_lines(), "after {signal:?}");
    }
}

#[test]
fn an_interface_that_is_not_attached_is_refused() {
    let network = Network::new(&["server"]);
    let [server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), SSH);
    let error = sg.fails(1, &["top", "--once", "--interface", "eth7"]);
    assert!(error.contains("eth7 is not attached"), "{error}");
}
