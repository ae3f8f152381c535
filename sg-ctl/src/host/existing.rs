//! Connections that are older than their guard, and which of them an interface carries.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::error::Error as _;
use std::net::{IpAddr, SocketAddr};
use std::panic::resume_unwind;
use std::thread::{self, JoinHandle};

use sg_common::flow::Direction;

use super::topology::{Tables, Topology};
use super::uppers::Uppers;
use crate::host::dataplane::routes::{self, Neighbour, Route};
use crate::host::dataplane::{
    Connection, Dataplane, DataplaneError, Interface, Namespaces, Seeded, Socket, Tracked, sockets,
    tracked_connections,
};
use sg_policy::model::Side;

/// Which connections pass through an interface.
pub(super) struct Passing {
    /// Which side is protected.
    side: Side,
    /// This host, seen from the interface.
    host: Topology,
    /// The workload's network namespace and its interface in there, if they are known.
    workload: Option<(i32, u32)>,
    /// What is to be said of connections that nobody here knows.
    unknown: Vec<String>,
}

impl Passing {
    /// What passes through `interface`.
    pub(super) fn through(interface: &Interface, side: Side) -> Result<Self, DataplaneError> {
        Ok(Self::among(&Surroundings::read()?, interface, side))
    }

    /// What passes through `interface`, which is in these surroundings.
    pub(super) fn among(surroundings: &Surroundings, interface: &Interface, side: Side) -> Self {
        let workload = interface.peer_namespace.zip(interface.peer);
        let host = surroundings.seen_from(interface.index);
        let unknown = match side {
            Side::Nic => surroundings.uppers().notes(interface, &host),
            Side::Workload => Vec::new(),
        };
        Self {
            side,
            host,
            workload: workload.filter(|_| side == Side::Workload),
            unknown,
        }
    }

    /// Puts the connections that there are now into the flow table of a zone. Returns what became
    /// of them, and what could not be asked.
    pub(super) fn seed(
        &self,
        dataplane: &mut Dataplane,
        zone: u32,
    ) -> Result<(Seeded, Vec<String>), DataplaneError> {
        self.seed_known(dataplane, zone, &Known::read())
    }

    /// Puts the connections that are `known` into the flow table of a zone, and those that its
    /// workload knows.
    pub(super) fn seed_known(
        &self,
        dataplane: &mut Dataplane,
        zone: u32,
        known: &Known,
    ) -> Result<(Seeded, Vec<String>), DataplaneError> {
        let mut failures = [&self.unknown[..], &known.failures].concat();
        let inside = self.workload.and_then(|(namespace, interface)| {
            let look = || Ok((Surroundings::read()?.seen_from(interface), connections()));
            let looked = known.namespaces.enter(namespace, look);
            let (topology, (connections, unasked)) = looked
                .and_then(|looked| looked)
                .map_err(|error| failures.push(failure(&error)))
                .ok()?;
            failures.extend(unasked);
            Some((topology, connections))
        });
        let connections = carried(self.side, (&self.host, &known.connections), inside.as_ref());
        let seeded = dataplane.seed(zone, &connections)?;
        Ok((seeded, failures))
    }
}

/// What the kernel's tables say of the ways to others.
struct Answers {
    routes: Vec<Route>,
    neighbours: Vec<Neighbour>,
    stations: Vec<(Vec<u8>, u32)>,
}

impl Answers {
    fn read() -> Result<Self, DataplaneError> {
        Ok(Self {
            routes: routes::routes()?,
            neighbours: routes::neighbours()?,
            stations: routes::stations()?,
        })
    }
}

/// The tables of this thread's network namespace, being read by a thread of its own: with many interfaces
/// that takes as long as the look at all their hooks.
pub(super) struct Asked(Option<JoinHandle<Result<Answers, DataplaneError>>>);

impl Asked {
    pub(super) fn now() -> Self {
        Self(thread::Builder::new().spawn(Answers::read).ok())
    }

    fn answers(self) -> Result<Answers, DataplaneError> {
        match self.0 {
            Some(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            // There was no room for a thread.
            None => Answers::read(),
        }
    }
}

/// What there is in this thread's network namespace.
pub(super) struct Surroundings {
    interfaces: Vec<Interface>,
    tables: Tables,
    uppers: OnceCell<Uppers>,
}

impl Surroundings {
    pub(super) fn read() -> Result<Self, DataplaneError> {
        Ok(Self::new(Interface::all()?, Answers::read()?))
    }

    /// What there is beside these interfaces, which are all that there are.
    pub(super) fn among(interfaces: Vec<Interface>, asked: Asked) -> Result<Self, DataplaneError> {
        Ok(Self::new(interfaces, asked.answers()?))
    }

    fn new(interfaces: Vec<Interface>, answers: Answers) -> Self {
        let Answers {
            routes,
            neighbours,
            stations,
        } = answers;
        Self {
            tables: Tables::new(&interfaces, routes, neighbours, &stations),
            interfaces,
            uppers: OnceCell::new(),
        }
    }

    /// The links of others that are made of interfaces here, looked for once.
    fn uppers(&self) -> &Uppers {
        self.uppers.get_or_init(|| Uppers::read(&self.interfaces))
    }

    /// All of it, seen from an interface.
    pub(super) fn seen_from(&self, index: u32) -> Topology {
        self.tables.seen_from(index)
    }
}

/// The connections that this thread's network namespace knows, what could not be asked, and the way to
/// workloads that may know more.
pub(super) struct Known {
    pub(super) connections: Vec<Tracked>,
    failures: Vec<String>,
    namespaces: Namespaces,
}

impl Known {
    pub(super) fn read() -> Self {
        let (connections, failures) = connections();
        Self {
            connections,
            failures,
            namespaces: Namespaces::default(),
        }
    }
}

/// The connections that this thread's network namespace knows, and what could not be asked.
fn connections() -> (Vec<Tracked>, Vec<String>) {
    let mut failures = Vec::new();
    let tracked = tracked_connections().unwrap_or_else(|error| {
        failures.push(failure(&error));
        Vec::new()
    });
    let sockets = sockets().unwrap_or_else(|error| {
        failures.push(failure(&error));
        Vec::new()
    });
    (joined(&sockets, &tracked), failures)
}

/// The connections of sockets, and those that are tracked.
fn joined(sockets: &[Socket], tracked: &[Tracked]) -> Vec<Tracked> {
    // A socket knows its addresses as they are before translation, or after.
    let is_translated = |each: &&Tracked| each.original != turned(each.reply);
    let translated: HashSet<_> = tracked
        .iter()
        .filter(is_translated)
        .flat_map(|each| [each.original, turned(each.reply)].map(|ends| (each.protocol, ends)))
        .collect();
    // Sockets come first, for they know better how far a connection is.
    let own = sockets.iter().map(|socket| {
        let out = (socket.local, socket.remote);
        let original = match socket.opened {
            Direction::Outbound => out,
            Direction::Inbound => turned(out),
        };
        Tracked {
            protocol: socket.protocol,
            original,
            reply: turned(original),
            state: socket.state,
        }
    });
    own.filter(|each| !translated.contains(&(each.protocol, each.original)))
        .chain(tracked.iter().copied())
        .collect()
}

fn turned((from, to): (SocketAddr, SocketAddr)) -> (SocketAddr, SocketAddr) {
    (to, from)
}

/// What an interface carries of the connections that its host knows, and its workload.
fn carried(
    side: Side,
    (host, known): (&Topology, &[Tracked]),
    inside: Option<&(Topology, Vec<Tracked>)>,
) -> Vec<Connection> {
    // The workload's own interface sees what this one does, and is the side that is protected. What
    // it says of its own address holds unless the host knows better.
    let within = inside.iter().flat_map(|(workload, known)| {
        let seen = known
            .iter()
            .flat_map(|each| workload.seen(Side::Nic, each, |_| false));
        seen.filter(|each| !host.refutes(each.local.ip()))
    });
    let proven = |address: IpAddr| inside.is_some_and(|(workload, _)| workload.owns(address));
    let without = known.iter().flat_map(|each| host.seen(side, each, proven));
    let mut taken = HashSet::new();
    let is_new =
        |each: &Connection| taken.insert((each.vlan, each.protocol, each.local, each.remote));
    within.chain(without).filter(is_new).collect()
}

/// What an unanswered question means.
fn failure(error: &DataplaneError) -> String {
    let cause = error.source().map(|cause| format!(": {cause}"));
    format!(
        "{error}{}; older connections go on only where a rule admits them",
        cause.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use sg_common::flow::FlowState;
    use sg_common::proto::UDP;

    use super::*;
    use crate::host::dataplane::routes::{Hop, Route, RouteKind};

    /// A host of one interface, number 2, whose routes lead to `(prefix, interface)`; 0: its own.
    fn host(routes: &[(&str, u32)]) -> Topology {
        let route = |(to, interface): &(&str, u32)| Route {
            to: to.parse().unwrap(),
            table: 254,
            metric: 0,
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
        let routes = routes.iter().map(route).collect();
        Tables::new(&[], routes, Vec::new(), &[]).seen_from(2)
    }

    fn ends(from: &str, to: &str) -> (SocketAddr, SocketAddr) {
        (from.parse().unwrap(), to.parse().unwrap())
    }

    fn tracked(original: (&str, &str), reply: (&str, &str)) -> Tracked {
        Tracked {
            protocol: UDP,
            original: ends(original.0, original.1),
            reply: ends(reply.0, reply.1),
            state: FlowState::UDP_STREAM,
        }
    }

    #[test]
    fn a_workload_speaks_for_itself_and_for_nobody_else() {
        let inside = |own: &str| {
            let workload = host(&[(own, 0), ("0.0.0.0/0", 2)]);
            let address = own.trim_end_matches("/32");
            let (near, far) = (format!("{address}:7000"), "198.51.100.1:9090");
            (workload, vec![tracked((&near, far), (far, &near))])
        };
        let routes = [
            ("172.31.1.0/24", 2),
            ("172.30.0.0/24", 3),
            ("0.0.0.0/0", 4),
            ("172.31.1.1/32", 0),
        ];
        let carried = |own: &str| {
            let inside = inside(own);
            carried(Side::Workload, (&host(&routes), &[]), Some(&inside)).len()
        };
        assert_eq!(carried("172.31.1.2/32"), 1);
        // Behind a bridge, of which the host is no part.
        assert_eq!(carried("10.9.9.9/32"), 1);
        // Another workload's address, and the host's.
        assert_eq!(carried("172.30.0.2/32"), 0);
        assert_eq!(carried("172.31.1.1/32"), 0);
    }

    #[test]
    fn a_translated_socket_is_known_by_what_leaves() {
        let (near, service, server) = ("192.0.2.1:40000", "10.96.0.1:53", "198.51.100.1:5353");
        let (local, remote) = ends(near, service);
        let socket = Socket {
            protocol: UDP,
            local,
            remote,
            state: FlowState::UDP_STREAM,
            opened: Direction::Outbound,
            inode: 1,
        };
        let entry = tracked((near, service), (server, near));
        let known = joined(&[socket], &[entry]);
        let this = host(&[("192.0.2.1/32", 0), ("0.0.0.0/0", 2)]);
        let carried = carried(Side::Nic, (&this, &known), None);
        let seen: Vec<_> = carried
            .iter()
            .map(|each| (each.local, each.remote))
            .collect();
        assert_eq!(seen, [ends(near, server)]);
        assert_eq!(joined(&[socket], &[]).len(), 1);
    }
}
