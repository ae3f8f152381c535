//! Shares of the flow table: no interface takes the room of another, no address more than its part.

use std::net::SocketAddr;

use sg_common::{
    ends::VlanIds,
    flow::{Direction, FlowState},
    proto::TCP,
};
use sg_ctl::host::dataplane::{Connection, Dataplane, Seeded};
use sg_tests::{sg_ctl::SgCtl, topology::Network};

const RULES: &str = "
    limits: { flow_table_size: 1024 }
    security_groups:
      open: { inbound: [{ type: All TCP, sources: [203.0.113.0/24, 192.0.2.0/24] }] }
    interfaces:
      \"tenant*\": { groups: [open], side: workload }
";

/// Opens proven flows of an interface, of 64 remote addresses; returns what became of them.
fn open(sg: &SgCtl<'_>, interface: &str, numbers: std::ops::Range<u32>) -> Seeded {
    let connection = |number: u32| Connection {
        vlan: VlanIds::NONE,
        protocol: TCP,
        local: "198.51.100.34:80".parse().expect("an end"),
        remote: SocketAddr::new(
            [203, 0, 113, (number % 64) as u8].into(),
            (number / 64) as u16,
        ),
        state: FlowState::TCP_ESTABLISHED,
        opened: Direction::Inbound,
    };
    let connections: Vec<_> = numbers.map(connection).collect();
    let zone = status(sg, interface)["zone"].as_u64().expect("a number");
    sg.enter(|| {
        let mut dataplane = Dataplane::open(sg.pins()).expect("the pins are in order");
        let seeded = dataplane.seed(zone as u32, &connections);
        seeded.expect("it is attached")
    })
}

fn status(sg: &SgCtl<'_>, interface: &str) -> serde_json::Value {
    let status = sg.run(&["status", "--json"]).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let interfaces = status["interfaces"].as_array().expect("a list");
    let found = interfaces.iter().find(|each| each["name"] == interface);
    found.expect("it is attached").clone()
}

fn live(sg: &SgCtl<'_>, interface: &str) -> usize {
    let flows = sg.json(&["flows", "--interface", interface]);
    flows.as_array().expect("a list").len()
}

#[test]
fn no_tenant_takes_the_room_of_another() {
    let network = Network::new(&["tenant1", "tenant2", "tenant3"]);
    let sg = SgCtl::new(&network.router);
    let file = sg.rule_file("rules.yaml", RULES);
    sg.ok(&["apply", "-f", &file]);
    let share = |interface: &str| status(&sg, interface)["flow_share"].clone();
    let attach = |interface: &str| sg.json(&["attach", interface]);
    attach("tenant1");
    assert_eq!(share("tenant1"), 1024, "all of it");
    attach("tenant2");
    assert_eq!([share("tenant1"), share("tenant2")], [512, 512]);

    // One takes the whole table, both slots of each flow.
    open(&sg, "tenant1", 0..10_000);
    assert!(live(&sg, "tenant1") > 2000, "{}", live(&sg, "tenant1"));
    let explain = |interface: &str| {
        let words = ["explain", "--interface", interface, "--inbound", "tcp"];
        let ends = ["203.0.113.7:50000", "198.51.100.18:80"];
        sg.json(&[&words[..], &ends].concat())["reason"].clone()
    };
    assert_eq!(explain("tenant1"), "flow-table-full");
    assert_eq!(explain("tenant2"), "new", "what would happen to it now");
    // The other gets what it is sure of, of proven flows, and no more.
    let of_other = open(&sg, "tenant2", 0..500);
    assert_eq!((of_other.opened, of_other.refused), (500, 0));
    open(&sg, "tenant2", 500..10_000);
    let held = live(&sg, "tenant2");
    assert!((512..540).contains(&held), "{held}");
    // Nor does the first get back what the other one has a right to.
    open(&sg, "tenant1", 10_000..15_000);
    assert!(live(&sg, "tenant2") >= 512, "{}", live(&sg, "tenant2"));

    // Who comes and goes divides it anew, and who asks has what he asks for.
    let attached = sg.json(&["attach", "tenant3", "--flow-share", "1000"]);
    assert_eq!(share("tenant3"), 1000);
    assert_eq!([share("tenant1"), share("tenant2")], [16, 16], "a 64th");
    let notes = attached["notes"].to_string();
    assert!(notes.contains("come to 1032 flows"), "{notes}");
    sg.ok(&["detach", "tenant2"]);
    assert_eq!([share("tenant1"), share("tenant3")], [24, 1000]);
    let shared = "      tenant1: { groups: [open], side: workload, flow_share: 20 }\n";
    let file = sg.rule_file(
        "shared.yaml",
        &format!("{}{shared}", RULES.trim_end_matches(' ')),
    );
    sg.ok(&["apply", "-f", &file]);
    assert_eq!([share("tenant1"), share("tenant3")], [20, 1000]);
}

#[test]
fn one_address_holds_no_more_than_its_part() {
    let network = Network::new(&["tenant1", "eth0"]);
    let sg = SgCtl::new(&network.router);
    let file = sg.rule_file("rules.yaml", RULES);
    sg.ok(&["apply", "-f", &file]);
    sg.ok(&["attach", "tenant1"]);
    let limit = |interface: &str| status(&sg, interface)["flows_per_remote"].clone();
    assert_eq!(limit("tenant1"), 64, "a 16th");
    sg.ok(&["attach", "eth0"]);
    assert_eq!(limit("eth0"), 0, "one may be a proxy");

    let limits = "limits: { flow_table_size: 1024, flows_per_remote: 20 }";
    let limited = RULES.replace("limits: { flow_table_size: 1024 }", limits);
    sg.ok(&["apply", "-f", &sg.rule_file("limited.yaml", &limited)]);
    assert_eq!([limit("tenant1"), limit("eth0")], [20, 20]);
    sg.ok(&["detach", "eth0"]);
    // 64 addresses fill the table, 32 flows each, all of them proven; others still find a place.
    open(&sg, "tenant1", 0..10_000);
    let words = ["explain", "--inbound", "tcp", "192.0.2.7:50000", "80"];
    assert_eq!(sg.json(&words)["reason"], "new");
    let off = RULES.replace(
        "limits: { flow_table_size: 1024 }",
        "limits: { flow_table_size: 1024, flows_per_remote: off }",
    );
    sg.ok(&["apply", "-f", &sg.rule_file("off.yaml", &off)]);
    assert_eq!(sg.json(&words)["reason"], "flow-table-full");
}
