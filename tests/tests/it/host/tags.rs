//! VLAN tags of frames that a live interface receives or sends.

use rstest::rstest;
use sg_tests::{
    family::Family::{self, V4, V6},
    foreign::ForeignXdp,
    netns::Namespace,
    packet::udp,
    sg_ctl::SgCtl,
    topology::Network,
};

use super::attached::{Side, guard};

/// The kernel takes the outer tag of a received frame off and keeps it beside.
#[rstest]
fn a_tag_beside_the_frame_is_the_outer_one(
    #[values(Side::Nic, Side::Workload)] side: Side,
    #[values(V4, V6)] family: Family,
    #[values(0, 1, 2, 3)] tags: usize,
) {
    let network = Network::new(&["server"]);
    let [server] = network.hosts();
    let sources = "[203.0.113.7/32, '2001:db8:cb::7/128']";
    let admitted = format!("[{{ type: DNS (UDP), {{}}: {sources} }}]");
    let rules = format!(
        "security_groups: {{ tested: {{ inbound: {}, outbound: {} }} }}\n",
        admitted.replace("{}", "sources"),
        admitted.replace("{}", "destinations"),
    );
    let sg = guard(&network, server, (side, "tc"), &rules);
    let (namespace, interface, from, to) = match side {
        Side::Nic => (&server.namespace, "eth0", family.remote(), family.local()),
        Side::Workload => (&network.router, "server", family.local(), family.remote()),
    };
    let vlans = &[100, 5, 6][..tags];
    let datagram = vlans
        .iter()
        .fold(udp((from, 40000), (to, 53)), |packet, id| packet.vlan(*id));
    let mut log = sg.start(&["logs", "--follow", "--json"]);
    ForeignXdp::load().inject(namespace, interface, &datagram.bytes());
    let reason = if tags > 2 { "vlan-depth" } else { "new" };
    let line = log.line_with(&[&format!("\"reason\":\"{reason}\"")]);
    let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(
        event["vlan"],
        serde_json::json!(vlans[..tags.min(2)]),
        "{line}"
    );
}

/// And so it leaves it on frames that it forwards.
#[rstest]
fn a_tag_beside_a_frame_that_leaves_is_the_outer_one(
    #[values(V4, V6)] family: Family,
    #[values(0, 1, 2, 3)] tags: usize,
) {
    let namespace = Namespace::new("bridge");
    namespace.ip("link add name between type bridge
         link add name left type veth peer name left-end
         link add name right type veth peer name right-end
         link set dev left master between up
         link set dev right master between up
         link set dev left-end up
         link set dev right-end up
         link set dev between up
        ");
    let sg = SgCtl::new(&namespace);
    let rules = sg.rule_file(
        "rules.yaml",
        "security_groups:
  tested: { inbound: [{ type: DNS (UDP), sources: [203.0.113.7/32, '2001:db8:cb::7/128'] }] }
",
    );
    let place = ["--side", "workload", "--hook", "tc"];
    let policy = ["--group", "tested", "--file", &rules];
    sg.ok(&[&["attach", "right"][..], &place, &policy].concat());
    let vlans = &[100, 5, 6][..tags];
    let datagram = vlans.iter().fold(
        udp((family.remote(), 40000), (family.local(), 53)),
        |packet, id| packet.vlan(*id),
    );
    let mut log = sg.start(&["logs", "--follow", "--json"]);
    ForeignXdp::load().inject(&namespace, "left", &datagram.bytes());
    let reason = if tags > 2 { "vlan-depth" } else { "new" };
    let line = log.line_with(&[&format!("\"reason\":\"{reason}\"")]);
    let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(
        event["vlan"],
        serde_json::json!(vlans[..tags.min(2)]),
        "{line}"
    );
}
