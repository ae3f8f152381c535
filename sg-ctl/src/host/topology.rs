//! Which connections pass an interface: a decision about what the kernel's tables say.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use sg_common::ends::VlanIds;
use sg_common::flow::Direction;

use crate::host::dataplane::routes::{Hop, Neighbour, Route, RouteKind};
use crate::host::dataplane::{Connection, Interface, Lower, Tracked};
use sg_policy::model::Side;

#[cfg(test)]
mod tests;

/// A network namespace, seen from one of its interfaces.
///
/// A connection passes an interface when one of its ends is reached through it, and the other end is
/// this host or is reached another way. Routes of all tables count, for rules choose between tables
/// by marks that nobody remembers; the longest prefix wins, and equally long ones all hold.
#[derive(Clone, Debug)]
pub(super) struct Topology {
    /// The interface.
    index: u32,
    ways: HashMap<u32, Way>,
    routes: Arc<Routes>,
    /// Behind which ports of bridges an address has been seen.
    ports: HashMap<IpAddr, HashSet<u32>>,
}

/// The routes of all tables.
#[derive(Debug, Default)]
struct Routes {
    by_prefix: HashMap<IpNet, Vec<Route>>,
    /// The lengths of their prefixes, from the longest on.
    lengths: Vec<u8>,
}

/// A network namespace, as its tables tell: it is looked at from many interfaces.
#[derive(Debug)]
pub(super) struct Tables {
    routes: Arc<Routes>,
    /// What is made of other interfaces, as VLANs are.
    uppers: Vec<Upper>,
    /// Bridges, bonds and the like.
    controllers: Vec<Controller>,
    /// Neighbours that are behind a port of a bridge, or several.
    behind: Vec<(Neighbour, Vec<u32>)>,
}

#[derive(Debug)]
struct Upper {
    index: u32,
    lower: Lower,
}

#[derive(Debug)]
struct Controller {
    index: u32,
    is_bridge: bool,
    /// In the order of all interfaces.
    ports: Vec<u32>,
}

/// How frames of an interface, itself or one above it, pass the one that is looked at.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    /// The tags that they bear there.
    vlan: VlanIds,
    /// Whether they may also leave by another port of a bridge.
    shared: bool,
}

/// Where an address is.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// Reached through the interface, in frames with these tags.
    here: Option<VlanIds>,
    /// Reached through this or another port of the same bridge.
    perhaps: Option<VlanIds>,
    /// Reached another way.
    elsewhere: bool,
    /// This host's own.
    own: bool,
    /// An address of this very interface.
    own_here: Option<VlanIds>,
    /// That of several hosts.
    group: bool,
    /// The length of the prefix that tells all this.
    prefix: u8,
}

impl Tables {
    /// The namespace that has these interfaces, routes and neighbours. `stations` are the hardware
    /// addresses that bridges have seen, with their ports.
    pub(super) fn new(
        interfaces: &[Interface],
        routes: Vec<Route>,
        neighbours: Vec<Neighbour>,
        stations: &[(Vec<u8>, u32)],
    ) -> Self {
        let uppers = interfaces.iter().filter_map(|each| {
            let (index, lower) = (each.index, each.lower?);
            Some(Upper { index, lower })
        });
        let mut seen: HashMap<&[u8], Vec<u32>> = HashMap::new();
        for (hardware, port) in stations {
            seen.entry(hardware).or_default().push(*port);
        }
        let behind = neighbours.into_iter().filter_map(|neighbour| {
            let ports = seen.get(neighbour.hardware.as_slice())?.clone();
            Some((neighbour, ports))
        });
        Self {
            routes: Arc::new(Routes::new(routes)),
            uppers: uppers.collect(),
            controllers: controllers(interfaces),
            behind: behind.collect(),
        }
    }

    /// All of it, seen from an interface.
    pub(super) fn seen_from(&self, index: u32) -> Topology {
        let ways = self.ways(index);
        let mut known: HashMap<IpAddr, HashSet<u32>> = HashMap::new();
        for (neighbour, ports) in &self.behind {
            if ways.contains_key(&neighbour.interface) {
                known.entry(neighbour.address).or_default().extend(ports);
            }
        }
        Topology {
            index,
            ways,
            routes: Arc::clone(&self.routes),
            ports: known,
        }
    }

    /// The interfaces whose frames pass the interface `index`: itself, the bridge or bond that it is a
    /// port of, and what is made of these, as VLANs are.
    fn ways(&self, index: u32) -> HashMap<u32, Way> {
        let mut ways = HashMap::from([(index, Way::default())]);
        loop {
            let found = self.uppers.iter().find_map(|upper| {
                let way = ways.get(&upper.lower.index)?.tagged(upper.lower.vlan);
                (!ways.contains_key(&upper.index)).then_some((upper.index, way?))
            });
            let found = found.or_else(|| {
                self.controllers.iter().find_map(|controller| {
                    if ways.contains_key(&controller.index) {
                        return None;
                    }
                    let way = controller.ports.iter().find_map(|port| ways.get(port))?;
                    let shared = way.shared || controller.is_bridge;
                    Some((controller.index, Way { shared, ..*way }))
                })
            });
            match found {
                Some((index, way)) => ways.insert(index, way),
                None => return ways,
            };
        }
    }
}

/// Bridges, bonds and the like, with their ports.
fn controllers(interfaces: &[Interface]) -> Vec<Controller> {
    let mut ports: HashMap<u32, Vec<u32>> = HashMap::new();
    for port in interfaces {
        if let Some(controller) = port.controller {
            ports.entry(controller).or_default().push(port.index);
        }
    }
    let controller = |each: &Interface| {
        let is_bridge = match each.kind.as_deref() {
            // One of several tables, not a link.
            Some("vrf") => return None,
            kind => matches!(kind, Some("bridge" | "openvswitch")),
        };
        Some(Controller {
            index: each.index,
            is_bridge,
            ports: ports.remove(&each.index)?,
        })
    };
    interfaces.iter().filter_map(controller).collect()
}

impl Routes {
    fn new(all: Vec<Route>) -> Self {
        let mut routes = Self::default();
        for route in all {
            routes.by_prefix.entry(route.to).or_default().push(route);
        }
        let lengths: HashSet<u8> = routes.by_prefix.keys().map(IpNet::prefix_len).collect();
        routes.lengths = lengths.into_iter().collect();
        routes.lengths.sort_unstable_by(|a, b| b.cmp(a));
        routes
    }

    /// Those of the longest prefix of an address.
    fn to(&self, address: IpAddr) -> Option<&Vec<Route>> {
        self.lengths.iter().find_map(|length| {
            let net = IpNet::new(address, *length).ok()?.trunc();
            self.by_prefix.get(&net)
        })
    }
}

impl Topology {
    /// What the interface sees of a connection, from the protected side: nothing, or one form, or
    /// two where it comes back the way that it went. Of some addresses it is `proven` that they are
    /// behind the interface.
    pub(super) fn seen(
        &self,
        side: Side,
        tracked: &Tracked,
        proven: impl Fn(IpAddr) -> bool,
    ) -> Vec<Connection> {
        let (opener, asked) = tracked.original;
        let (answering, asking) = tracked.reply;
        // Towards either end packets are as that end knows them: translation happens in between.
        let faces = [
            (opener, asked, Direction::Inbound),
            (answering, asking, Direction::Outbound),
        ];
        let form = |(near, far, way): (SocketAddr, SocketAddr, Direction)| {
            let vlan = self.passes(side, near.ip(), far.ip(), &proven)?;
            let (local, remote, by) = match side {
                Side::Nic => (far, near, way),
                Side::Workload => (near, far, way.reverse()),
            };
            Some(Connection {
                vlan,
                protocol: tracked.protocol,
                local,
                remote,
                state: tracked.state,
                opened: by,
            })
        };
        faces.into_iter().filter_map(form).collect()
    }

    /// Whether packets between two addresses pass, `near` being the end behind the interface, and
    /// in frames with which tags.
    fn passes(
        &self,
        side: Side,
        near: IpAddr,
        far: IpAddr,
        proven: impl Fn(IpAddr) -> bool,
    ) -> Option<VlanIds> {
        let (this, that) = (self.place(near), self.place(far));
        if near.is_loopback() || far.is_loopback() || this.own {
            return None;
        }
        // Which port it is does not matter so much where the host is an end itself.
        let is_likely = |_: &_| proven(near) || (side == Side::Nic && that.own);
        let reached = this.here.or(this.perhaps.filter(is_likely));
        if this.group || that.group || is_link_local(near) || is_link_local(far) {
            // Such addresses are on every link; one that is not tells which.
            let is_single = !this.group && !is_link_local(near);
            return match that.own_here {
                Some(vlan) => (this.group || reached.is_some()).then_some(vlan),
                None => reached.filter(|_| that.group && is_single),
            };
        }
        let is_known = that.own || that.elsewhere || that.perhaps.or(that.here).is_some();
        reached.filter(|_| is_known && that.here != reached)
    }

    /// Whether frames of another interface, by its index, pass the interface.
    pub(super) fn carries(&self, index: u32) -> bool {
        self.ways.contains_key(&index)
    }

    /// Whether an address is one of this host.
    pub(super) fn owns(&self, address: IpAddr) -> bool {
        self.place(address).own
    }

    /// Whether an address is one of this host, or surely behind another interface.
    pub(super) fn refutes(&self, address: IpAddr) -> bool {
        let place = self.place(address);
        let is_here = place.here.or(place.perhaps).is_some();
        place.own || (place.elsewhere && !is_here && place.prefix > 0)
    }

    fn place(&self, address: IpAddr) -> Place {
        let mut place = Place {
            group: address.is_multicast() || address == Ipv4Addr::BROADCAST,
            ..Place::default()
        };
        let Some(routes) = self.routes.to(address) else {
            return place;
        };
        for route in routes {
            let is_better =
                |other: &Route| other.table == route.table && other.metric < route.metric;
            if !routes.iter().any(is_better) {
                place.prefix = route.to.prefix_len();
                self.follow(address, route, &mut place);
            }
        }
        place
    }

    fn follow(&self, address: IpAddr, route: &Route, place: &mut Place) {
        // A route that makes all addresses the host's own (transparent proxies) says nothing.
        place.own |= route.kind == RouteKind::Local && place.prefix > 0;
        place.group |= route.kind == RouteKind::Group;
        for hop in &route.hops {
            let way = self.ways.get(&hop.interface);
            match (route.kind, way) {
                (RouteKind::Local, Some(way)) => place.own_here = Some(way.vlan),
                (RouteKind::Unicast, Some(way)) => self.take(*way, hop, address, place),
                (RouteKind::Unicast, None) => place.elsewhere = true,
                _ => {}
            }
        }
    }

    fn take(&self, way: Way, hop: &Hop, address: IpAddr, place: &mut Place) {
        let ports = self.ports.get(&hop.gateway.unwrap_or(address));
        match ports.filter(|_| way.shared) {
            None if way.shared => place.perhaps = Some(way.vlan),
            Some(ports) if !ports.contains(&self.index) => place.elsewhere = true,
            _ => place.here = Some(way.vlan),
        }
    }
}

impl Way {
    /// The way of frames that get one more tag; `None` when that is one too many.
    fn tagged(self, tag: Option<u16>) -> Option<Self> {
        let vlan = match (self.vlan.ids(), tag) {
            (_, None) => self.vlan,
            ([0, _], Some(id)) => VlanIds::new(id, 0),
            ([outer, 0], Some(id)) => VlanIds::new(outer, id),
            _ => return None,
        };
        Some(Self { vlan, ..self })
    }
}

/// Whether an address can be on every link. Those of IPv4 are routed like others.
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
