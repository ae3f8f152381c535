//! Connections that are older than their guard go on, and nobody locks himself out unwarned.

use std::{
    net::{TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use rstest::rstest;
use sg_tests::{
    eventually,
    family::Family,
    sg_ctl::SgCtl,
    topology::{Host, Network},
    traffic::{Connection, Server, tcp_is_silent, uninterrupted},
};

use super::attached::{Side, drops, packets};

/// Rules that admit nothing that the tests do.
const CLOSED: &str = "
    security_groups: { tested: { inbound: [{ type: RDP, source: 192.0.2.0/24 }], outbound: [] } }
    interfaces: { eth0: { groups: [tested] }, server: { groups: [tested] } }
";

/// Connections from the client to the server and from the server to the client, both families.
fn connections(client: &Host, server: &Host) -> Vec<Connection> {
    let open = |from: &Host, to: &Host, family, port| {
        // On a busy machine neighbours may not have found each other yet.
        let mut connection = eventually("a connection, for nothing is guarded yet", || {
            Connection::open(&from.namespace, to.address(family), port).ok()
        });
        connection.exchange("before").expect("answers pass");
        connection
    };
    let both = |family| {
        [
            open(client, server, family, 80),
            open(server, client, family, 443),
        ]
    };
    Family::BOTH.map(both).into_iter().flatten().collect()
}

#[rstest]
fn connections_go_on_without_a_lost_segment(#[values("tc", "xdp", "xdp-generic")] hook: &str) {
    go_on_without_a_lost_segment(Side::Nic, hook);
}

#[rstest]
fn connections_of_a_workload_go_on_without_a_lost_segment(#[values("tc", "xdp")] hook: &str) {
    go_on_without_a_lost_segment(Side::Workload, hook);
}

fn go_on_without_a_lost_segment(side: Side, hook: &str) {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let (namespace, place) = match side {
        Side::Nic => (&server.namespace, ["eth0", "--side", "nic"]),
        Side::Workload => (&network.router, ["server", "--side", "workload"]),
    };
    let _servers = [80, 81].map(|port| Server::tcp(&server.namespace, port));
    let _elsewhere = Server::tcp(&client.namespace, 443);
    let mut connections = connections(client, server);
    let sg = SgCtl::new(namespace);
    let file = sg.rule_file("closed.yaml", CLOSED);
    let words = [&["attach"], &place[..], &["--hook", hook, "-f", &file]].concat();

    let attached = std::thread::scope(|scope| {
        let attach = scope.spawn(|| sg.json(&words));
        // All the time, also while the verdicts begin to count.
        while !attach.is_finished() {
            for connection in &mut connections {
                connection.exchange("meanwhile").expect("it goes on");
            }
        }
        attach.join().expect("it attaches")
    });
    let existing = &attached["existing"];
    let count = |name: &str| existing[name].as_u64().expect("a number");
    assert_eq!((count("opened"), count("refused")), (4, 0), "{attached:#}");
    for connection in &mut connections {
        connection.exchange("after").expect("it goes on");
        connection.pour(1 << 20).expect("it goes on");
    }
    // Counted from the moment at which verdicts began to count.
    assert_eq!(drops(&sg), [], "segments were lost");

    // None of them could be opened now.
    assert!(tcp_is_silent(&client.namespace, server.v4, 81));
    assert!(tcp_is_silent(&server.namespace, client.v6, 443));
    assert!(packets(&sg, "inbound", "no-rule") > 0);
    let flows = sg.json(&["flows", "--protocol", "tcp"]);
    let mut seen: Vec<_> = flows
        .as_array()
        .expect("a list")
        .iter()
        .map(|flow| {
            assert_eq!(flow["rule"], serde_json::Value::Null, "no rule admitted it");
            assert_eq!(flow["state"], "established");
            (
                flow["opened"].as_str(),
                flow["local_port"].as_u64() == Some(80),
            )
        })
        .collect();
    seen.sort_unstable();
    let (inbound, outbound) = ((Some("inbound"), true), (Some("outbound"), false));
    assert_eq!(seen, [inbound, inbound, outbound, outbound]);
}

#[test]
fn connected_datagram_sockets_are_still_spoken_to() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let bind = |host: &Host| {
        let socket = host.namespace.enter(|| UdpSocket::bind((host.v4, 0)));
        let socket = socket.expect("a port is free");
        let patience = Some(Duration::from_secs(30));
        socket.set_read_timeout(patience).expect("not zero");
        socket
    };
    let (near, far) = (bind(server), bind(client));
    let address = |socket: &UdpSocket| socket.local_addr().expect("it is bound");
    near.connect(address(&far))
        .expect("datagrams need no answer");
    let sg = SgCtl::new(&server.namespace);
    let file = sg.rule_file("closed.yaml", CLOSED);
    sg.ok(&["attach", "eth0", "-f", &file]);
    far.send_to(b"hello", address(&near)).expect("it is sent");
    let mut text = [0; 16];
    assert_eq!(
        uninterrupted(|| near.recv(&mut text)).expect("it arrives"),
        5
    );
    near.send(b"hello").expect("it is sent");
    assert_eq!(
        uninterrupted(|| far.recv(&mut text)).expect("it arrives"),
        5
    );
    assert_eq!(drops(&sg), []);
}

#[test]
fn what_an_audited_interface_let_pass_goes_on_when_it_enforces() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let _server = Server::tcp(&server.namespace, 80);
    let _elsewhere = Server::tcp(&client.namespace, 443);
    let sg = SgCtl::new(&server.namespace);
    let file = sg.rule_file("closed.yaml", CLOSED);
    sg.ok(&["attach", "eth0", "--audit", "-f", &file]);
    let mut connections = connections(client, server);
    sg.ok(&["mode", "eth0", "enforce"]);
    for connection in &mut connections {
        connection.exchange("after").expect("it goes on");
    }
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));
}

#[test]
fn what_passed_since_the_deadline_goes_on_when_the_rules_are_enforced_later() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let _server = Server::tcp(&server.namespace, 80);
    let _elsewhere = Server::tcp(&client.namespace, 443);
    let sg = SgCtl::new(&server.namespace);
    let file = sg.rule_file("closed.yaml", CLOSED);
    sg.ok(&["attach", "eth0", "-f", &file, "--confirm-within", "1s"]);
    eventually("the deadline", || {
        let status = sg.json(&["status"]);
        (status["interfaces"][0]["state"] == "auditing").then_some(())
    });
    let mut connections = connections(client, server);
    sg.ok(&["mode", "eth0", "enforce"]);
    for connection in &mut connections {
        connection.exchange("after").expect("it goes on");
    }
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));
}

#[test]
fn whoever_would_lock_himself_out_is_warned_or_kept() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let _server = Server::tcp(&server.namespace, 22);
    let sg = SgCtl::new(&server.namespace);
    let closed = sg.rule_file("closed.yaml", CLOSED);
    let open = sg.rule_file(
        "open.yaml",
        &CLOSED.replace("RDP, source: 192.0.2.0/24", "SSH, source: 0.0.0.0/0"),
    );
    let connection = format!("{} 50000 {} 22", client.v4, server.v4);
    let over_ssh = |words: &[&str]| {
        let outcome = sg.run_over_ssh(&connection, words);
        assert_eq!(outcome.code, 0, "{outcome:#?}");
        outcome.stderr
    };
    let is_warning = |text: &str| text.contains("no rule of eth0 admits your own SSH client");
    let is_open = || Connection::open(&client.namespace, server.v4, 22).is_ok();

    assert!(!is_warning(&over_ssh(&["attach", "eth0", "-f", &open])));
    let told = sg.run_over_ssh(&connection, &["apply", "-n", "-f", &closed]);
    assert!(told.code == 3 && is_warning(&told.stderr), "{told:#?}");
    assert!(is_warning(&over_ssh(&["apply", "-f", &closed])));
    assert!(tcp_is_silent(&client.namespace, server.v4, 22));

    let told = over_ssh(&["apply", "-f", &closed, "--keep-ssh"]);
    assert!(told.contains(&client.v4.to_string()), "{told}");
    assert!(is_open());
    assert!(tcp_is_silent(&client.namespace, server.v6, 22));
    // Until somebody says otherwise.
    sg.ok(&["mode", "eth0", "enforce"]);
    assert!(is_open());
    sg.ok(&["apply", "-f", &closed]);
    assert!(tcp_is_silent(&client.namespace, server.v4, 22));

    sg.ok(&["detach", "eth0"]);
    let error = sg.fails(1, &["attach", "eth0", "--keep-ssh"]);
    assert!(error.contains("no SSH connection"), "{error}");
    assert!(is_warning(&over_ssh(&["attach", "eth0"])));
    sg.ok(&["detach", "eth0"]);
    over_ssh(&["attach", "eth0", "--keep-ssh"]);
    assert!(is_open());

    sg.ok(&["detach", "eth0"]);
    sg.ok(&["attach", "eth0", "--audit"]);
    assert!(!is_warning(&over_ssh(&["mode", "eth0", "audit"])));
    assert!(is_warning(&over_ssh(&["mode", "eth0", "enforce"])));
}

#[test]
fn an_ssh_client_is_known_by_the_sshd_above_when_the_environment_is_cleared() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let listen = || TcpListener::bind((server.v4, 22));
    let listener = server.namespace.enter(listen).expect("the port is free");
    let connect = || TcpStream::connect((server.v4, 22));
    let _client = client.namespace.enter(connect).expect("nothing is guarded");
    let (connection, _) = listener.accept().expect("it is connected");
    let sg = SgCtl::new(&server.namespace);
    let closed = sg.rule_file("closed.yaml", CLOSED);
    let below_sshd = |words: &[&str]| {
        let connection = connection.try_clone().expect("there are descriptors");
        let outcome = sg.run_below_sshd(connection, words);
        assert_eq!(outcome.code, 0, "{outcome:#?}");
        outcome.stderr
    };

    let told = below_sshd(&["attach", "eth0", "-f", &closed]);
    let warning = format!(
        "no rule of eth0 admits your own SSH client, {}, to port 22",
        client.v4
    );
    assert!(told.contains(&warning), "{told}");
    let told = below_sshd(&["apply", "-f", &closed, "--keep-ssh"]);
    let kept = format!("eth0 admits {} to port 22", client.v4);
    assert!(told.contains(&kept), "{told}");
}
