//! A flow table that is full says so, and with what.

use std::net::SocketAddr;

use sg_common::{
    ends::VlanIds,
    flow::{Direction, FlowState},
    proto::TCP,
};
use sg_ctl::host::dataplane::{Connection, Dataplane};
use sg_tests::{
    eventually,
    sg_ctl::SgCtl,
    topology::Network,
    traffic::{Server, tcp_is_silent},
};

const RULES: &str = "
    limits: { flow_table_size: 1024 }
    security_groups: { tested: { inbound: [{ type: HTTP, source: 198.51.100.0/24 }], outbound: [] } }
    interfaces: { eth0: { groups: [tested] } }
";

/// Opens flows until there is no place for another one in most buckets.
fn fill(sg: &SgCtl<'_>, flows: u32) {
    let connection = |number: u32| Connection {
        vlan: VlanIds::NONE,
        protocol: TCP,
        local: "198.51.100.34:80".parse().expect("an end"),
        remote: SocketAddr::new(
            [203, 0, 113, (number % 4) as u8].into(),
            (number / 4) as u16,
        ),
        state: FlowState::TCP_ESTABLISHED,
        opened: Direction::Inbound,
    };
    let connections: Vec<_> = (0..flows).map(connection).collect();
    sg.enter(|| {
        let mut dataplane = Dataplane::open(sg.pins()).expect("the pins are in order");
        dataplane.seed(0, &connections).expect("it is attached");
    });
}

#[test]
fn a_full_table_is_told_by_state_interface_and_remote() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let _server = Server::tcp(&server.namespace, 80);
    let sg = SgCtl::new(&server.namespace);
    let file = sg.rule_file("rules.yaml", RULES);
    sg.ok(&["attach", "eth0", "-f", &file]);
    let problems = || sg.json(&["status"])["problems"].to_string();
    let table = || sg.json(&["status"])["flow_table"].clone();
    assert!(!problems().contains("flow table"), "{}", problems());
    assert!(
        sg.ok(&["status"])
            .contains("flow table: 0 of 1024 flows (0 %)")
    );

    fill(&sg, 900);
    assert_eq!(
        (&table()["live"], &table()["room"]),
        (&900.into(), &1024.into())
    );
    let told = problems();
    for part in [
        "nearly full",
        "established (900)",
        "eth0 (900)",
        "203.0.113.0 (225)",
    ] {
        assert!(told.contains(part), "{told}");
    }
    // What the table has room for with luck is no room.
    fill(&sg, 40_000);
    let live = table()["live"].as_u64().expect("a number");
    assert!(live > 1024, "{live}");
    let text = format!("flow table: {live} flows, more than the 1024 that it is made for");
    let status = sg.run(&["status"]).stdout;
    assert!(status.contains(&text), "{status}");

    // The client's connections find no place, by one port or another.
    let words = ["explain", "--inbound", "tcp", "198.51.100.18:50000", "80"];
    assert_eq!(sg.json(&words)["reason"], "flow-table-full");
    assert_eq!(sg.json(&words)["verdict"], "deny");
    eventually("a connection is refused", || {
        tcp_is_silent(&client.namespace, server.v4, 80).then_some(())
    });
    let refused = table();
    assert!(refused["refused"].as_u64() > Some(0), "{refused:#}");
    assert_eq!(refused["refused_at"], serde_json::json!(["eth0"]));
    assert!(
        problems().contains("had no place for them"),
        "{}",
        problems()
    );

    for (by, first, flows) in [("state", "established", live), ("interface", "eth0", live)] {
        let sums = sg.json(&["flows", "--by", by]);
        assert_eq!(
            (&sums[0]["of"], &sums[0]["flows"]),
            (&first.into(), &flows.into())
        );
        assert_eq!(sums[0]["percent"], 100);
    }
    let remotes = sg.json(&["flows", "--by", "remote", "--top", "2"]);
    assert_eq!(remotes.as_array().map(Vec::len), Some(2));
    assert_eq!(sg.json(&["flows", "--by", "rule"])[0]["of"], "-");
    assert!(sg.ok(&["flows", "--by", "remote"]).contains("203.0.113."));

    // The agent tells it at once, and then once a minute.
    let mut agent = sg.start_for_notes(&["agent"]);
    agent.line_with(&["warning: the flow table is nearly full", "established"]);
    agent.line_with(&["had no place for them"]);
}
