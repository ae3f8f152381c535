//! Random networks, by what the kernel of their router says of them.

use std::net::Ipv6Addr;

use proptest::prelude::*;

use super::*;
use crate::host::dataplane::Lower;

/// A link of the host, and how it comes to other hosts there.
#[derive(Clone, Debug)]
pub(super) enum Link {
    /// An interface of its own; behind the first host there may be another network.
    Plain { hosts: u8, nested: bool },
    /// A bridge with a host behind each port.
    Bridge { ports: u8 },
    /// A VLAN on top of the plain link or bridge of this number.
    Vlan { below: u8, hosts: u8 },
}

/// What the host does to addresses.
#[derive(Clone, Copy, Debug)]
pub(super) enum Translation {
    None,
    Source,
    Destination,
}

pub(super) fn link() -> impl Strategy<Value = Link> {
    prop_oneof![
        (1..4u8, any::<bool>()).prop_map(|(hosts, nested)| Link::Plain { hosts, nested }),
        (1..4u8).prop_map(|ports| Link::Bridge { ports }),
        (any::<u8>(), 1..3u8).prop_map(|(below, hosts)| Link::Vlan { below, hosts }),
    ]
}

pub(super) fn translation() -> impl Strategy<Value = Translation> {
    prop_oneof![
        Just(Translation::None),
        Just(Translation::Source),
        Just(Translation::Destination),
    ]
}

/// Somebody who sends and receives.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) address: IpAddr,
    /// The interfaces that frames to and from it pass, and their tag there; none = this host.
    pub(super) wires: Vec<(u32, u16)>,
    /// The address that this host has on its link.
    pub(super) gateway: IpAddr,
}

#[derive(Default)]
pub(super) struct Net {
    pub(super) interfaces: Vec<Interface>,
    pub(super) routes: Vec<Route>,
    neighbours: Vec<Neighbour>,
    pub(super) stations: Vec<(Vec<u8>, u32)>,
    pub(super) nodes: Vec<Node>,
}

fn address(is_v6: bool, net: u16, host: u8) -> IpAddr {
    if is_v6 {
        Ipv6Addr::new(0xfd00, net, 0, 0, 0, 0, 0, host.into()).into()
    } else {
        Ipv4Addr::new(10, (net >> 8) as u8, net as u8, host).into()
    }
}

fn subnet(is_v6: bool, net: u16) -> IpNet {
    let length = if is_v6 { 64 } else { 24 };
    IpNet::new(address(is_v6, net, 0), length).unwrap()
}

fn everything(is_v6: bool) -> IpNet {
    if is_v6 { "::/0" } else { "0.0.0.0/0" }.parse().unwrap()
}

impl Net {
    pub(super) fn add(
        &mut self,
        kind: Option<&str>,
        controller: Option<u32>,
        lower: Option<Lower>,
    ) -> u32 {
        let index = self.interfaces.len() as u32 + 2;
        self.interfaces.push(Interface {
            index,
            name: format!("if{index}"),
            kind: kind.map(str::to_owned),
            bus: None,
            link: crate::host::dataplane::Link::Ethernet,
            loopback: false,
            controller,
            lower,
            peer: None,
            peer_namespace: None,
            hardware: Vec::new(),
            lower_elsewhere: None,
            xdp: None,
        });
        index
    }

    fn route(&mut self, to: IpNet, kind: RouteKind, interface: u32, gateway: Option<IpAddr>) {
        self.routes.push(Route {
            to,
            table: if kind == RouteKind::Local { 255 } else { 254 },
            metric: 0,
            kind,
            hops: vec![Hop { interface, gateway }],
        });
    }

    /// Gives this host its address on a link, and the link its network.
    fn configure(&mut self, is_v6: bool, net: u16, index: u32) {
        let gateway = address(is_v6, net, 1);
        self.route(subnet(is_v6, net), RouteKind::Unicast, index, None);
        self.route(gateway.into(), RouteKind::Local, index, None);
        self.nodes.push(Node {
            address: gateway,
            wires: Vec::new(),
            gateway,
        });
    }

    /// A host on a link, of which the interface of addresses is `index`.
    fn host(&mut self, address: IpAddr, gateway: IpAddr, index: u32, wires: &[(u32, u16)]) {
        let hardware = vec![2, 0, 0, 0, 0, self.nodes.len() as u8];
        self.stations.push((hardware.clone(), wires[0].0));
        self.neighbours.push(Neighbour {
            interface: index,
            address,
            hardware,
        });
        self.nodes.push(Node {
            address,
            wires: wires.to_vec(),
            gateway,
        });
    }

    pub(super) fn new(is_v6: bool, links: &[Link]) -> Self {
        let mut network = Self::default();
        // What VLANs can be made of, with the ports of bridges.
        let mut bases: Vec<(u32, Vec<u32>)> = Vec::new();
        for (number, link) in (1..).zip(links) {
            let net = number * 2;
            let gateway = address(is_v6, net, 1);
            match link {
                Link::Plain { hosts, nested } => {
                    let index = network.add(None, None, None);
                    network.configure(is_v6, net, index);
                    for host in 0..*hosts {
                        let host = address(is_v6, net, 10 + host);
                        network.host(host, gateway, index, &[(index, 0)]);
                    }
                    if *nested {
                        let router = address(is_v6, net, 10);
                        network.route(
                            subnet(is_v6, net + 1),
                            RouteKind::Unicast,
                            index,
                            Some(router),
                        );
                        network.nodes.push(Node {
                            address: address(is_v6, net + 1, 5),
                            wires: vec![(index, 0)],
                            gateway,
                        });
                    }
                    bases.push((index, vec![index]));
                }
                Link::Bridge { ports } => {
                    let bridge = network.add(Some("bridge"), None, None);
                    network.configure(is_v6, net, bridge);
                    let mut all = Vec::new();
                    for port in 0..*ports {
                        let index = network.add(Some("veth"), Some(bridge), None);
                        let host = address(is_v6, net, 10 + port);
                        network.host(host, gateway, bridge, &[(index, 0), (bridge, 0)]);
                        all.push(index);
                    }
                    bases.push((bridge, all));
                }
                Link::Vlan { below, hosts } => {
                    let Some((index, wires)) = bases.get(usize::from(*below) % bases.len().max(1))
                    else {
                        continue;
                    };
                    let (lower, wires) = (*index, wires.clone());
                    let vlan = Some(number);
                    let index = network.add(Some("vlan"), None, Some(Lower { index: lower, vlan }));
                    network.configure(is_v6, net, index);
                    for host in 0..*hosts {
                        let wire = wires[usize::from(host) % wires.len()];
                        let mut wires = vec![(wire, number), (lower, number), (index, 0)];
                        wires.dedup();
                        let host = address(is_v6, net, 10 + host);
                        network.host(host, gateway, index, &wires);
                    }
                }
            }
        }
        // The world is behind the first host of the first link, if that is not a VLAN.
        if let Some(router) = network.nodes.get(1).cloned() {
            let index = network.neighbours[0].interface;
            network.route(
                everything(is_v6),
                RouteKind::Unicast,
                index,
                Some(router.address),
            );
            for host in 1..3 {
                network.nodes.push(Node {
                    address: address(is_v6, 0x6400, host),
                    ..router.clone()
                });
            }
        }
        network
    }

    pub(super) fn topology(&self, index: u32) -> Topology {
        let (routes, neighbours) = (self.routes.clone(), self.neighbours.clone());
        Tables::new(&self.interfaces, routes, neighbours, &self.stations).seen_from(index)
    }
}
