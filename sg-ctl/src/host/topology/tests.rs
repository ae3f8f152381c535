//! A packet's way is followed from link to link in random networks, beside the decision.

mod network;

use std::collections::HashSet;

use proptest::prelude::*;
use sg_common::flow::FlowState;
use sg_common::proto::TCP;

use self::network::{Link, Net, Node, Translation, link, translation};
use super::*;

/// What is seen of a connection at an interface: tag, local, remote, who opened it.
type Seen = (u16, SocketAddr, SocketAddr, Direction);

/// Follows the opener's packet from link to link. Returns what connection tracking says of it, and
/// what each interface sees that it passes, which is the one of a host.
fn walk(from: &Node, to: &Node, translation: Translation) -> (Tracked, Vec<(u32, Seen)>) {
    let opener = SocketAddr::new(from.address, 40_000);
    let answering = SocketAddr::new(to.address, 80);
    let (mut asked, mut asking) = (answering, opener);
    // Who the ends are to each other, as they know it.
    let (mut far, mut back) = (to.wires.as_slice(), from.wires.as_slice());
    match translation {
        Translation::Destination if !from.wires.is_empty() => {
            (asked, far) = (SocketAddr::new(from.gateway, 8080), &[]);
        }
        Translation::Source if !to.wires.is_empty() => {
            (asking, back) = (SocketAddr::new(to.gateway, 50_000), &[]);
        }
        _ => {}
    }
    let tracked = Tracked {
        protocol: TCP,
        original: (opener, asked),
        reply: (answering, asking),
        state: FlowState::TCP_ESTABLISHED,
    };
    // What comes back the way that it went is judged anew.
    let (arrives, leaves) = (
        from.wires.iter().filter(|wire| !far.contains(wire)),
        to.wires.iter().filter(|wire| !back.contains(wire)),
    );
    let seen = arrives
        .map(|(wire, tag)| (*wire, (*tag, asked, opener, Direction::Inbound)))
        .chain(leaves.map(|(wire, tag)| (*wire, (*tag, asking, answering, Direction::Outbound))));
    (tracked, seen.collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn an_interface_carries_what_passes_it_and_nothing_else(
        is_v6 in any::<bool>(),
        links in prop::collection::vec(link(), 1..6),
        pairs in prop::collection::vec((any::<u16>(), any::<u16>(), translation()), 1..24),
    ) {
        let net = Net::new(is_v6, &links);
        prop_assume!(net.nodes.len() > 1);
        let node = |number: u16| &net.nodes[usize::from(number) % net.nodes.len()];
        for index in net.interfaces.iter().map(|interface| interface.index) {
            let topology = net.topology(index);
            for (from, to, translation) in &pairs {
                let (from, to) = (node(*from), node(*to));
                let (tracked, ways) = walk(from, to, *translation);
                for side in [Side::Nic, Side::Workload] {
                    let expected: HashSet<Seen> = ways
                        .iter()
                        .filter(|(wire, _)| *wire == index)
                        .map(|(_, (tag, local, remote, opened))| match side {
                            Side::Nic => (*tag, *local, *remote, *opened),
                            Side::Workload => (*tag, *remote, *local, opened.reverse()),
                        })
                        .collect();
                    let found: HashSet<Seen> = topology
                        .seen(side, &tracked, |_| false)
                        .into_iter()
                        .map(|each| (each.vlan.ids()[0], each.local, each.remote, each.opened))
                        .collect();
                    prop_assert_eq!(
                        found, expected,
                        "{:?} at {} of {:#?}", (&tracked, side), index, net.interfaces
                    );
                }
            }
        }
    }
}

/// `(prefix, table, metric, interface)` of routes that lead somewhere; interface 0: this host's own
/// address, which is on interface 2.
fn routed(index: u32, routes: &[(&str, u32, u32, u32)]) -> Topology {
    let route = |(to, table, metric, interface): &(&str, u32, u32, u32)| Route {
        to: to.parse().unwrap(),
        table: *table,
        metric: *metric,
        kind: if *interface == 0 {
            RouteKind::Local
        } else {
            RouteKind::Unicast
        },
        hops: vec![Hop {
            interface: (*interface).max(2),
            gateway: None,
        }],
    };
    let mut net = Net::default();
    for _ in 0..3 {
        net.add(None, None, None);
    }
    net.routes = routes.iter().map(route).collect();
    net.topology(index)
}

fn passes(topology: &Topology, near: &str, far: &str) -> bool {
    let [near, far] = [near, far].map(|text| text.parse().unwrap());
    let vlan = topology.passes(Side::Nic, near, far, |_| false);
    vlan.is_some()
}

#[test]
fn each_of_several_uplinks_carries_what_any_table_sends_there() {
    let routes = [
        ("0.0.0.0/0", 254, 0, 2),
        ("0.0.0.0/0", 100, 0, 3),
        ("10.0.0.0/24", 254, 0, 4),
    ];
    for uplink in [2, 3] {
        let topology = routed(uplink, &routes);
        assert!(passes(&topology, "203.0.113.1", "10.0.0.2"));
        assert!(!passes(&topology, "203.0.113.1", "203.0.113.2"));
        assert!(!passes(&topology, "10.0.0.2", "203.0.113.1"));
    }
}

#[test]
fn a_worse_route_carries_nothing() {
    let routes = [
        ("192.0.2.1/32", 255, 0, 0),
        ("0.0.0.0/0", 254, 100, 2),
        ("0.0.0.0/0", 254, 600, 3),
    ];
    assert!(passes(&routed(2, &routes), "203.0.113.1", "192.0.2.1"));
    assert!(!passes(&routed(3, &routes), "203.0.113.1", "192.0.2.1"));
}

#[test]
fn what_is_on_every_link_belongs_where_the_hosts_own_end_is() {
    let routes = [
        ("fe80::/64", 254, 0, 2),
        ("fe80::/64", 254, 0, 3),
        ("fe80::1/128", 255, 0, 0),
        ("10.0.0.0/24", 254, 0, 2),
        ("10.0.0.1/32", 255, 0, 0),
    ];
    let (own, other) = (routed(2, &routes), routed(3, &routes));
    for (near, far) in [
        ("fe80::2", "fe80::1"),
        ("224.0.0.251", "10.0.0.1"),
        ("10.0.0.2", "224.0.0.251"),
        ("10.0.0.2", "255.255.255.255"),
    ] {
        assert!(passes(&own, near, far), "{near} {far}");
        assert!(!passes(&other, near, far), "{near} {far}");
    }
    assert!(!passes(&own, "fe80::2", "fe80::3"));
    assert!(!passes(&own, "fe80::2", "ff02::fb"));
    assert!(!passes(&own, "127.0.0.1", "127.0.0.1"));
}

#[test]
fn of_a_silent_neighbour_behind_a_bridge_only_the_hosts_own_connections_pass() {
    let mut net = Net::new(
        false,
        &[
            Link::Bridge { ports: 2 },
            Link::Plain {
                hosts: 1,
                nested: false,
            },
        ],
    );
    // Bridges forget who has been silent for five minutes.
    net.stations.clear();
    let topology = net.topology(3);
    let see = |side, proven| {
        let [near, far, own] =
            ["10.0.2.10", "10.0.4.10", "10.0.2.1"].map(|text| text.parse().unwrap());
        [far, own].map(|far| topology.passes(side, near, far, |_| proven).is_some())
    };
    assert_eq!(see(Side::Nic, false), [false, true]);
    assert_eq!(see(Side::Workload, false), [false, false]);
    assert_eq!(see(Side::Workload, true), [true, true]);
}
