//! Who reads the events: the agent for everybody, or `logs` alone, and how they change over.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read as _};
use std::net::UdpSocket;
use std::ops::Range;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::Value;
use sg_tests::{
    eventually,
    nobody::as_nobody,
    sg_ctl::{Running, SgCtl},
    topology::{Host, Network},
};

use super::attached::{Side, guard, packets};

const RULES: &str = "
    security_groups: { tested: { inbound: [], outbound: [] } }
    interfaces: { eth0: { groups: [tested], log: denied, log_limit: 100000 } }
";

/// Sends a datagram that no rule admits to each of these ports.
fn knock(client: &Host, server: &Host, ports: Range<u16>) {
    client.namespace.enter(|| {
        let socket = UdpSocket::bind((client.v4, 0)).expect("a free port");
        for port in ports {
            socket.send_to(b"?", (server.v4, port)).expect("it is sent");
        }
    });
}

/// The ports that a log in JSON tells of, until this one.
fn ports_until(log: &mut Running, last: u64) -> Vec<u64> {
    let mut ports = Vec::new();
    while ports.last() != Some(&last) {
        let line: Value = serde_json::from_str(&log.line()).expect("a line is a document");
        if line["protocol"] == "udp" && line["length"] == 43 {
            ports.extend(line["destination_port"].as_u64());
        }
    }
    ports
}

/// Starts an agent, and waits until readers can connect to it.
fn agent(sg: &SgCtl<'_>, words: &[&str]) -> Running {
    let agent = sg.start(&[&["agent"], words].concat());
    eventually("the socket of the agent", || connect(sg).map(drop));
    agent
}

fn connect(sg: &SgCtl<'_>) -> Option<UnixStream> {
    UnixStream::connect(sg.socket()).ok()
}

/// Knocks on one port after another until it is the agent that has the events; returns the port.
fn handed_over(sg: &SgCtl<'_>, (client, server): (&Host, &Host), from: u16) -> u16 {
    let mut port = from - 1;
    eventually("the agent has the events", || {
        port += 1;
        knock(client, server, port..port + 1);
        let log = sg.ok(&["logs", "--json"]);
        log.contains(&format!(r#""destination_port":{port}"#))
            .then_some(port)
    })
}

#[test]
fn a_log_that_follows_misses_nothing_when_agents_come_end_and_are_killed() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), RULES);
    let mut log = sg.start(&["logs", "--follow", "--json"]);
    knock(client, server, 1001..1002);
    assert_eq!(ports_until(&mut log, 1001), [1001]);

    let first = agent(&sg, &[]);
    let last = handed_over(&sg, (client, server), 1002).into();
    let expected: Vec<u64> = (1002..=last).collect();
    assert_eq!(ports_until(&mut log, last), expected);
    let mut other = sg.start(&["logs", "--follow", "--json"]);
    ports_until(&mut other, last);
    knock(client, server, 20_001..20_002);
    for log in [&mut log, &mut other] {
        assert_eq!(ports_until(log, 20_001), [20_001]);
    }

    first.kill();
    assert!(sg.socket().exists());
    knock(client, server, 20_002..20_003);
    let second = agent(&sg, &[]);
    let last = handed_over(&sg, (client, server), 20_003).into();
    // One of them may have had the events between the agents. Neither shows one twice.
    let seen = [&mut log, &mut other].map(|log| ports_until(log, last));
    for port in 20_002..=last {
        assert!(seen.iter().flatten().any(|seen| *seen == port), "{seen:?}");
    }
    assert!(
        seen.iter().all(|ports| ports.is_sorted_by(|a, b| a < b)),
        "{seen:?}"
    );

    drop(other);
    second.signal(Signal::SIGTERM);
    assert_eq!(second.wait(), 0);
    assert!(!sg.socket().exists());
    knock(client, server, 40_000..40_001);
    assert_eq!(ports_until(&mut log, 40_000), [40_000]);
}

#[test]
fn readers_take_nothing_from_flow_records_nor_from_each_other() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), RULES);
    // It has the events when the agent begins, and gives way.
    let mut log = sg.start(&["logs", "--follow", "--json"]);
    knock(client, server, 999..1000);
    assert_eq!(ports_until(&mut log, 999), [999]);
    let records = sg.directory().join("flows.log");
    let path = records.display().to_string();
    let agent = agent(&sg, &["--flow-log", &path, "--flow-window", "600"]);
    eventually("the log of flows", || records.exists().then_some(()));
    let mut top = sg.start(&["top", "--json", "--top", "1000"]);
    knock(client, server, 1000..1200);
    let expected: Vec<u64> = (1000..1200).collect();
    assert_eq!(ports_until(&mut log, 1199), expected);
    let drops = |picture: &Value| {
        let drops = picture["drops"].as_array().expect("an agent runs");
        drops.iter().filter(|drop| drop["length"] == 43).count()
    };
    while drops(&serde_json::from_str(&top.line()).expect("JSON")) < 200 {}
    for _ in 0..2 {
        let text = sg.ok(&["logs", "--denied", "--json"]);
        assert_eq!(text.matches(r#""length":43"#).count(), 200, "{text}");
    }
    let dropped = packets(&sg, "inbound", "no-rule") - 1;
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait(), 0);
    let text = fs::read_to_string(records).expect("the agent wrote it");
    let rejected = text.lines().filter(|line| line.ends_with("REJECT OK"));
    let sum: u64 = rejected
        .map(|line| {
            line.split(' ')
                .nth(8)
                .expect("packets")
                .parse::<u64>()
                .expect("a number")
        })
        .sum();
    assert!(
        (200..=dropped).contains(&sum),
        "{sum} of {dropped}:\n{text}"
    );
    assert!(!text.contains("SKIPDATA"), "{text}");
}

#[test]
fn a_reader_that_is_stopped_holds_up_nobody() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), RULES);
    let _agent = agent(&sg, &[]);
    let mut stopped = sg.start(&["logs", "--follow", "--json"]);
    let mut log = sg.start(&["logs", "--follow", "--json"]);
    knock(client, server, 1001..1002);
    ports_until(&mut stopped, 1001);
    ports_until(&mut log, 1001);
    stopped.signal(Signal::SIGSTOP);
    knock(client, server, 1002..3000);
    let seen = ports_until(&mut log, 2999).len();
    stopped.signal(Signal::SIGCONT);
    assert_eq!(ports_until(&mut stopped, 2999).len(), seen);
}

#[test]
fn the_socket_is_roots_alone() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), RULES);
    let _agent = agent(&sg, &[]);
    handed_over(&sg, (client, server), 1001);
    let socket = sg.socket();
    let mode = |path: &Path| fs::metadata(path).expect("it exists").mode() & 0o777;
    let directory = socket.parent().expect("it has one");
    assert_eq!((mode(&socket), mode(directory)), (0o600, 0o700));
    // Whoever connects is asked who he is, too: the socket may have been opened to others.
    for (path, mode) in [(directory, 0o755), (&socket, 0o666)] {
        let refused = as_nobody(|| UnixStream::connect(&socket));
        let refused = refused.expect_err("it is closed to others");
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
    }
    let read = |mut stream: UnixStream| stream.read(&mut [0; 64]).expect("it answers or ends");
    let by_nobody = as_nobody(|| UnixStream::connect(&socket).expect("it is open to all"));
    assert_eq!(read(by_nobody), 0);
    assert!(read(connect(&sg).expect("the agent runs")) > 0);
}
