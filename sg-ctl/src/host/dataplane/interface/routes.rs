//! Where addresses are, as the kernel's tables say: routes, neighbours, and the ports of bridges.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourHeader, NeighbourMessage,
    NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::super::error::DataplaneError;
use super::super::maps::system_error;
use super::super::netlink::dump;

/// What becomes of packets to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// They leave.
    Unicast,
    /// They are this host's.
    Local,
    /// They are for all, or for those who joined: broadcast and multicast.
    Group,
    /// They are dropped or refused.
    Nowhere,
}

/// One way that a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Index of the interface.
    pub interface: u32,
    /// The router behind it; none when the address itself is there.
    pub gateway: Option<IpAddr>,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The addresses that it is for.
    pub to: IpNet,
    /// The table that it is in.
    pub table: u32,
    /// Of several in one table the one with the least is taken.
    pub metric: u32,
    /// What it says.
    pub kind: RouteKind,
    /// Where it leads.
    pub hops: Vec<Hop>,
}

/// Who has an address on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Index of the interface.
    pub interface: u32,
    /// The address.
    pub address: IpAddr,
    /// Its hardware address.
    pub hardware: Vec<u8>,
}

/// The routes of every table.
///
/// # Errors
/// When the kernel does not answer.
pub fn routes() -> Result<Vec<Route>, DataplaneError> {
    let mut routes = Vec::new();
    // Not of all families at once: MPLS and multicast have routes of other kinds.
    for address_family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let header = RouteHeader {
            address_family,
            ..RouteHeader::default()
        };
        let mut question = RouteMessage::default();
        question.header = header;
        let pick = |answer| match answer {
            // A kernel without IPv6 answers with what it has.
            RouteNetlinkMessage::NewRoute(route)
                if route.header.address_family == address_family =>
            {
                from_message(&route)
            }
            _ => None,
        };
        let answer = dump(RouteNetlinkMessage::GetRoute(question), pick);
        routes.extend(answer.map_err(system_error("list the routes"))?);
    }
    Ok(routes)
}

fn from_message(message: &RouteMessage) -> Option<Route> {
    let header = &message.header;
    let any = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let kind = match header.kind {
        RouteType::Unicast => RouteKind::Unicast,
        RouteType::Local | RouteType::Anycast => RouteKind::Local,
        RouteType::Broadcast | RouteType::Multicast => RouteKind::Group,
        RouteType::BlackHole | RouteType::Unreachable | RouteType::Prohibit => RouteKind::Nowhere,
        // "Throw" says that another table knows; others are not routes of packets.
        _ => return None,
    };
    let (mut to, mut table, mut metric) = (any, u32::from(header.table), 0);
    let (mut interface, mut gateway) = (None, None);
    let mut hops = Vec::new();
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => to = address_of(address)?,
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Priority(number) => metric = *number,
            RouteAttribute::Oif(index) => interface = Some(*index),
            RouteAttribute::MultiPath(several) => {
                hops.extend(several.iter().map(|hop| Hop {
                    interface: hop.interface_index,
                    gateway: hop.attributes.iter().find_map(gateway_of),
                }));
            }
            other => gateway = gateway.or(gateway_of(other)),
        }
    }
    hops.extend(interface.map(|interface| Hop { interface, gateway }));
    Some(Route {
        to: IpNet::new(to, header.destination_prefix_length)
            .ok()?
            .trunc(),
        table,
        metric,
        kind,
        hops,
    })
}

fn gateway_of(attribute: &RouteAttribute) -> Option<IpAddr> {
    match attribute {
        RouteAttribute::Gateway(address) => address_of(address),
        RouteAttribute::Via(RouteVia::Inet(address)) => Some((*address).into()),
        RouteAttribute::Via(RouteVia::Inet6(address)) => Some((*address).into()),
        _ => None,
    }
}

fn address_of(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

/// The neighbours that are known by hardware address.
///
/// # Errors
/// When the kernel does not answer.
pub fn neighbours() -> Result<Vec<Neighbour>, DataplaneError> {
    let mut known = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        known.extend(entries(family, |entry| {
            let address = entry.attributes.iter().find_map(|each| match each {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => Some((*v4).into()),
                NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => Some((*v6).into()),
                _ => None,
            })?;
            Some(Neighbour {
                interface: entry.header.ifindex,
                address,
                hardware: hardware_of(entry)?,
            })
        })?);
    }
    Ok(known)
}

/// The hardware addresses that bridges have seen, each with the index of the port behind which it is.
///
/// # Errors
/// When the kernel does not answer.
pub fn stations() -> Result<Vec<(Vec<u8>, u32)>, DataplaneError> {
    let is_seen = |entry: &NeighbourMessage| {
        let of_bridge =
            |each: &NeighbourAttribute| matches!(each, NeighbourAttribute::Controller(_));
        // The permanent ones are those of the ports themselves.
        entry.attributes.iter().any(of_bridge) && entry.header.state != NeighbourState::Permanent
    };
    entries(AddressFamily::Bridge, |entry| {
        let hardware = hardware_of(entry).filter(|_| is_seen(entry))?;
        Some((hardware, entry.header.ifindex))
    })
}

/// The hardware addresses that interfaces receive frames for beside their own, each with the index of
/// the interface: those of links that are made of it, in whichever namespace these are. Groups are not
/// among them, nor what is a port of a bridge.
///
/// # Errors
/// When the kernel does not answer.
pub fn received() -> Result<Vec<(Vec<u8>, u32)>, DataplaneError> {
    let is_own = |entry: &NeighbourMessage| {
        let of_bridge =
            |each: &NeighbourAttribute| matches!(each, NeighbourAttribute::Controller(_));
        !entry.attributes.iter().any(of_bridge) && entry.header.flags.contains(NeighbourFlags::Own)
    };
    // The lowest bit of the first byte tells groups.
    let is_single = |hardware: &Vec<u8>| hardware.first().is_some_and(|byte| byte & 1 == 0);
    entries(AddressFamily::Bridge, |entry| {
        let hardware = hardware_of(entry).filter(|_| is_own(entry))?;
        is_single(&hardware).then_some((hardware, entry.header.ifindex))
    })
}

/// What `pick` makes of each entry of the neighbour tables.
fn entries<T>(
    family: AddressFamily,
    pick: impl Fn(&NeighbourMessage) -> Option<T>,
) -> Result<Vec<T>, DataplaneError> {
    let mut question = NeighbourMessage::default();
    question.header = NeighbourHeader {
        family,
        ..NeighbourHeader::default()
    };
    let pick = |answer| match answer {
        RouteNetlinkMessage::NewNeighbour(entry) => pick(&entry),
        _ => None,
    };
    dump(RouteNetlinkMessage::GetNeighbour(question), pick)
        .map_err(system_error("list the neighbours"))
}

fn hardware_of(entry: &NeighbourMessage) -> Option<Vec<u8>> {
    entry.attributes.iter().find_map(|each| match each {
        NeighbourAttribute::LinkLayerAddress(bytes) => Some(bytes.clone()),
        _ => None,
    })
}
