//! Of the connections that a host knows, an interface carries those that pass it, and no other.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use rstest::rstest;
use sg_tests::{
    conntrack::{Entry, track},
    family::Family,
    sg_ctl::SgCtl,
    topology::Network,
    traffic::{ping, uninterrupted},
};

use super::attached::packets;

/// A group that admits nothing that the tests do, and a small table.
const CLOSED: &str = "
    limits: { flow_table_size: 1024 }
    security_groups:
      closed: { inbound: [], outbound: [] }
      pings: { inbound: [], outbound: [{ type: All ICMP - IPv4, destination: 0.0.0.0/0 }] }
";

/// Flows as `local remote opened`, in order.
fn flows(sg: &SgCtl<'_>, interface: &str) -> Vec<String> {
    let flows = sg.json(&["flows", "--interface", interface]);
    let end = |flow: &serde_json::Value, side: &str| {
        let field = |name: String| flow[name].to_string().replace('"', "");
        let port = field(format!("{side}_port"));
        format!("{}:{port}", field(side.to_owned()))
    };
    let text = |flow: &serde_json::Value| {
        let (local, remote) = (end(flow, "local"), end(flow, "remote"));
        format!("{local} {remote} {}", flow["opened"].as_str().unwrap_or(""))
    };
    let mut texts: Vec<_> = flows.as_array().expect("a list").iter().map(text).collect();
    texts.sort_unstable();
    texts
}

#[rstest]
fn another_workloads_connection_opens_no_way_out(
    #[values(Family::V4, Family::V6)] family: Family,
    #[values("workload", "nic")] side: &str,
) {
    let network = Network::new(&["victim", "tenant", "server"]);
    let [victim, tenant, server] = network.hosts();
    let ends = |port| {
        let (from, to) = (victim.address(family), server.address(family));
        (SocketAddr::new(from, port), SocketAddr::new(to, 9090))
    };
    if !track(&network.router, &[Entry::new(false, ends(7000))]) {
        return;
    }
    let listener = server.namespace.enter(|| UdpSocket::bind(ends(0).1));
    let listener = listener.expect("the port is free");
    // The tenant takes the victim's address, and has a connection from it, too.
    let length = if family == Family::V4 { 32 } else { 128 };
    let stolen = victim.address(family);
    tenant
        .namespace
        .ip(&format!("addr add {stolen}/{length} dev lo nodad\n"));
    let forge = |port| {
        let socket = tenant.namespace.enter(|| UdpSocket::bind(ends(port).0));
        let socket = socket.expect("it is his own network");
        socket.connect(ends(port).1).expect("there is a route");
        socket
    };
    let forged = [forge(7000), forge(7001)];
    let sg = SgCtl::new(&network.router);
    let file = sg.rule_file("closed.yaml", CLOSED);
    let words = ["attach", "tenant", "--side", side, "--group", "closed"];
    let attached = sg.json(&[&words[..], &["-f", &file]].concat());
    assert_eq!(attached["existing"]["opened"], 0, "{attached:#}");
    assert_eq!(flows(&sg, "tenant"), [""; 0]);

    let direction = if side == "nic" { "inbound" } else { "outbound" };
    for (sent, socket) in (1..).zip(&forged) {
        socket.send(b"forged").expect("it leaves the tenant");
        sg_tests::eventually("it is dropped", || {
            (packets(&sg, direction, "no-rule") == sent).then_some(())
        });
    }
    let patience = Some(Duration::from_millis(100));
    listener.set_read_timeout(patience).expect("not zero");
    let received = uninterrupted(|| listener.recv(&mut [0; 16]));
    let silent = received.expect_err("it was delivered");
    assert_eq!(silent.kind(), ErrorKind::WouldBlock);
}

#[test]
fn connections_of_others_take_no_place_in_the_flow_table() {
    let network = Network::new(&["busy", "idle", "server"]);
    let [busy, idle, server] = network.hosts();
    let entries: Vec<_> = (0..1300)
        .map(|number| {
            let from = SocketAddr::new(busy.v4.into(), 10_000 + number);
            Entry::new(true, (from, SocketAddr::new(server.v4.into(), 80)))
        })
        .collect();
    if !track(&network.router, &entries) {
        return;
    }
    let sg = SgCtl::new(&network.router);
    let file = sg.rule_file("closed.yaml", CLOSED);
    let words = ["attach", "idle", "--side", "workload", "--group", "pings"];
    let attached = sg.json(&[&words[..], &["-f", &file]].concat());
    assert_eq!(attached["existing"]["opened"], 0, "{attached:#}");
    ping(&idle.namespace, server.v4).expect("there is room");
    assert_eq!(packets(&sg, "outbound", "flow-table-full"), 0);
}

#[test]
fn every_interface_carries_its_own_connections_once() {
    let network = Network::new(&["one", "two", "uplink"]);
    let [one, two, uplink] = network.hosts();
    let end = |address: IpAddr, port| SocketAddr::new(address, port);
    // This router masquerades, as seen from the uplink, and forwards a port.
    let (inside, outside) = (end(one.v4.into(), 40_000), end(uplink.v4.into(), 443));
    let public = end("198.51.100.49".parse().expect("an address"), 50_000);
    let published = end(public.ip(), 8080);
    let (service, stranger) = (end(two.v4.into(), 80), end(uplink.v4.into(), 60_000));
    let (left, right) = (end(one.v6.into(), 1000), end(two.v6.into(), 2000));
    let nowhere = ["192.0.2.1:7001", "192.0.2.2:80"].map(|text| text.parse().expect("an end"));
    let entries = [
        Entry {
            is_tcp: true,
            original: (inside, outside),
            reply: (outside, public),
        },
        Entry {
            is_tcp: true,
            original: (stranger, published),
            reply: (service, stranger),
        },
        Entry::new(false, (left, right)),
        Entry::new(true, (nowhere[0], nowhere[1])),
    ];
    if !track(&network.router, &entries) {
        return;
    }
    let sg = SgCtl::new(&network.router);
    let file = sg.rule_file("closed.yaml", CLOSED);
    let attach = |interface, side| {
        let words = ["attach", interface, "--side", side, "--group", "closed"];
        let attached = sg.json(&[&words[..], &["-f", &file]].concat());
        let existing = &attached["existing"];
        assert_eq!(existing["refused"], 0, "{attached:#}");
        flows(&sg, interface)
    };
    assert_eq!(
        attach("one", "workload"),
        [
            format!("{inside} {outside} outbound"),
            form(left, right, "outbound")
        ]
    );
    assert_eq!(
        attach("two", "workload"),
        [
            format!("{service} {stranger} inbound"),
            form(right, left, "inbound")
        ]
    );
    let mut expected = [
        format!("{public} {outside} outbound"),
        format!("{published} {stranger} inbound"),
    ];
    expected.sort_unstable();
    assert_eq!(attach("uplink", "nic"), expected);
}

fn form(local: SocketAddr, remote: SocketAddr, opened: &str) -> String {
    let text = |end: SocketAddr| format!("{}:{}", end.ip(), end.port());
    format!("{} {} {opened}", text(local), text(remote))
}
