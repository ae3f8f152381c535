//! What can be read of a frame, and what is wrong with it.

use std::net::IpAddr;

use sg_common::reason::Reason;

use super::packet::{Content, Extension, Fragment, Ip, IpFault, Packet, Quote, Upper};

/// Extension headers that are followed.
const MOST_EXTENSIONS: usize = 8;

/// Where a packet stands in its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Whole,
    First,
    Later,
}

/// What the headers of an IP packet come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) protocol: u8,
    pub(super) place: Place,
    /// Identification of a fragment.
    pub(super) id: u32,
}

const NOTHING: Seen = Seen {
    protocol: 0,
    place: Place::Whole,
    id: 0,
};

/// Reads a frame; the error is why it is dropped.
pub(super) fn read(packet: &Packet) -> Result<Seen, Reason> {
    let ends = packet.cut.map_or(u32::MAX, u32::from);
    let followed = packet.tags.len().min(2) as u32;
    if ends < 14 + 4 * followed {
        return Err(Reason::MalformedEthernet);
    }
    if packet.tags.len() > 2 {
        return Err(Reason::VlanDepth);
    }
    let Content::Ip(ip) = &packet.content else {
        return Ok(NOTHING);
    };
    if ends < 14 + 4 * followed + ip.size() {
        return Err(malformed(ip));
    }
    let seen = headers(ip)?;
    if seen.place != Place::Later {
        upper(ip, seen.place)?;
    }
    Ok(seen)
}

/// Reads the headers of a packet that an ICMP error quotes, of which `available` bytes are there.
pub(super) fn read_quote(quote: &Quote, available: u32) -> Option<Seen> {
    let ip = &quote.packet;
    let mut headers_only = ip.clone();
    if ip.fault == Some(IpFault::LengthBeyond) {
        headers_only.fault = None;
    }
    let seen = headers(&headers_only).ok()?;
    let needed = match ip.upper {
        Upper::Tcp { .. } | Upper::Udp { .. } => 4,
        Upper::Icmp { .. } => 8,
        Upper::Igmp { .. } | Upper::Other(_) => 0,
    };
    (ip.header_size() + needed <= available).then_some(seen)
}

fn malformed(ip: &Ip) -> Reason {
    match ip.source {
        IpAddr::V4(_) => Reason::MalformedIpv4,
        IpAddr::V6(_) => Reason::MalformedIpv6,
    }
}

fn headers(ip: &Ip) -> Result<Seen, Reason> {
    let mut seen = Seen {
        protocol: ip.upper.protocol(),
        ..NOTHING
    };
    let is_mapped = |address| matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    match ip.fault {
        None | Some(IpFault::ExtensionBeyond) => {}
        Some(_) => return Err(malformed(ip)),
    }
    if is_mapped(ip.source) || is_mapped(ip.destination) {
        return Err(Reason::MalformedIpv6);
    }
    if let Some(fragment) = ip.fragment {
        seen.place = place(fragment);
        seen.id = fragment.id;
    }
    for (depth, extension) in ip.extensions.iter().enumerate() {
        if seen.place == Place::Later {
            seen.protocol = extension.number();
            break;
        }
        if extension.number() == Extension::HopByHop.number() && depth > 0 {
            return Err(Reason::MalformedIpv6);
        }
        if depth >= MOST_EXTENSIONS {
            return Err(Reason::Ipv6ExtensionChain);
        }
        let is_last = depth + 1 == ip.extensions.len();
        if is_last && ip.fault == Some(IpFault::ExtensionBeyond) {
            return Err(Reason::MalformedIpv6);
        }
        if let Extension::Fragment(fragment) = extension {
            seen.place = place(*fragment);
            seen.id = fragment.id;
        }
    }
    Ok(seen)
}

fn place(fragment: Fragment) -> Place {
    match (fragment.offset, fragment.more) {
        (0, false) => Place::Whole,
        (0, true) => Place::First,
        _ => Place::Later,
    }
}

/// Checks the header of what the packet carries.
fn upper(ip: &Ip, place: Place) -> Result<(), Reason> {
    let there = ip.upper_size();
    match ip.upper {
        Upper::Tcp { offset, .. } => {
            let header = 4 * u32::from(offset);
            if there < 20 || header < 20 || header > there {
                return Err(Reason::MalformedTcp);
            }
        }
        Upper::Udp { length, data, .. } => {
            let length = length.map_or(8 + u32::from(data), u32::from);
            if there < 8 || length < 8 || (length > there && place != Place::First) {
                return Err(Reason::MalformedUdp);
            }
        }
        Upper::Icmp { .. } => {
            if there < 8 {
                return Err(Reason::MalformedIcmp);
            }
        }
        Upper::Igmp { .. } | Upper::Other(_) => {}
    }
    Ok(())
}
