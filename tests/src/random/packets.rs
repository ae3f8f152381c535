//! Random packets, one by one.

use std::net::IpAddr;

use fastrand::Rng;
use sg_policy::model::{IcmpMessage, Peer, Service};

use super::{
    host::{ICMP_TYPES, PROTOCOLS},
    universe::{address, address_in, client_port, one_of, percent, port},
};
use crate::{
    oracle::{
        Host,
        packet::{Content, Extension, ICMP, ICMPV6, Ip, Packet, TCP, UDP, Upper},
    },
    packet::{
        Frame,
        flags::{ACK, FIN, PSH, RST, SYN},
    },
};

const SYN_ACK: u8 = SYN | ACK;
const FIN_ACK: u8 = FIN | ACK;

/// Flags of any segment.
pub(super) fn segment(rng: &mut Rng) -> u8 {
    match rng.u32(..100) {
        0..35 => SYN,
        35..55 => ACK,
        55..70 => SYN_ACK,
        70..78 => PSH | ACK,
        78..84 => FIN_ACK,
        84..88 => RST,
        88..90 => RST | ACK,
        _ => rng.u8(..),
    }
}

/// An address that a rule's peer stands for.
pub(super) fn peer(rng: &mut Rng, host: &Host, peer: &Peer) -> Option<IpAddr> {
    match peer {
        Peer::Cidr(net) => address_in(rng, &[*net]),
        Peer::PrefixList(name) => {
            let entries = &host.model.prefix_lists.get(name)?.entries;
            let nets: Vec<_> = entries.iter().copied().collect();
            address_in(rng, &nets)
        }
        Peer::Group(name) => {
            let elsewhere = host.model.members.get(name).into_iter().flatten();
            let carries = |(groups, _): &&(Vec<String>, Vec<IpAddr>)| groups.contains(name);
            let here = host.others.iter().filter(carries);
            let all: Vec<_> = elsewhere
                .chain(here.flat_map(|(_, addresses)| addresses))
                .copied()
                .collect();
            (!all.is_empty()).then(|| one_of(rng, &all))
        }
    }
}

/// What a rule's service, or nobody, had in mind.
pub(super) fn upper(rng: &mut Rng, service: Option<Service>, v4: bool) -> Upper {
    let own_icmp = if v4 { ICMP } else { ICMPV6 };
    let (protocol, wanted_port, message) = match service {
        Some(Service::Ports { protocol, from, to }) => {
            let near = [from, to, from.saturating_sub(1), to.saturating_add(1)];
            (protocol.number(), one_of(rng, &near), None)
        }
        Some(Service::Icmp { protocol, message }) => {
            let message = match message {
                IcmpMessage::Any => None,
                IcmpMessage::Type(kind) => Some((kind, one_of(rng, &[0, 1, 254, 255]))),
                IcmpMessage::TypeAndCode(kind, code) => Some((kind, code ^ rng.u8(..2))),
            };
            (protocol.number(), 0, message)
        }
        // In IPv6 it would be an extension header.
        Some(Service::Protocol(0 | 44 | 60)) if !v4 => (59, 0, None),
        Some(Service::Protocol(number)) => (number, 0, None),
        Some(Service::All) | None => {
            let any = [TCP, TCP, TCP, UDP, UDP, own_icmp, one_of(rng, &PROTOCOLS)];
            (one_of(rng, &any), port(rng), None)
        }
    };
    let data = if percent(rng, 60) { 0 } else { rng.u16(..40) };
    match protocol {
        TCP => Upper::Tcp {
            source: client_port(rng),
            destination: wanted_port,
            flags: segment(rng),
            seq: 0,
            ack: 0,
            offset: 5,
            data,
        },
        UDP => Upper::Udp {
            source: client_port(rng),
            destination: wanted_port,
            length: None,
            data,
        },
        ICMP | ICMPV6 => {
            let request = if protocol == ICMP { 8 } else { 128 };
            let any = (one_of(rng, &ICMP_TYPES), rng.u8(..3));
            let usual = if percent(rng, 60) { (request, 0) } else { any };
            let (kind, code) = message.unwrap_or(usual);
            Upper::Icmp {
                protocol,
                kind,
                code,
                id: rng.u16(..4),
                quote: None,
            }
        }
        other => Upper::Other(other),
    }
}

/// A packet without anything special.
pub(super) fn plain(source: IpAddr, destination: IpAddr, upper: Upper) -> Ip {
    Ip {
        source,
        destination,
        hop_limit: 64,
        options: 0,
        fragment: None,
        extensions: Vec::new(),
        fault: None,
        upper,
        kept: None,
    }
}

/// Gives some packets options or extension headers.
pub(super) fn decorated(rng: &mut Rng, mut ip: Ip) -> Ip {
    if ip.source.is_ipv4() {
        if percent(rng, 5) {
            ip.options = 1 + rng.u8(..10);
        }
    } else if percent(rng, 15) {
        if percent(rng, 30) {
            ip.extensions.push(Extension::HopByHop);
        }
        for _ in 0..rng.usize(..3) {
            ip.extensions.push(extension(rng));
        }
    }
    ip
}

/// An extension header that may stand anywhere and is no fragment's.
pub(super) fn extension(rng: &mut Rng) -> Extension {
    let units = 1 + rng.u8(..3);
    one_of(
        rng,
        &[
            Extension::Destination(units),
            Extension::Routing,
            Extension::Mobility,
            Extension::Authentication,
        ],
    )
}

/// Gives a segment numbers: mostly those of a connection on which nothing has been sent, which each
/// side begins at a number of its own, some before zero; else others that are near to fit.
pub(super) fn number(rng: &mut Rng, upper: &mut Upper) {
    let Upper::Tcp {
        source,
        destination,
        flags,
        seq,
        ack,
        ..
    } = upper
    else {
        return;
    };
    let begin = |port: u16| 3_u32.wrapping_sub(u32::from(port % 8));
    let (own, others) = Frame::numbers_of(*flags);
    *seq = begin(*source).wrapping_add(own);
    *ack = begin(*destination).wrapping_add(others);
    for number in [seq, ack] {
        if percent(rng, 12) {
            let near = [1_u32, 2, 7, 9, 16, 65_535, 65_536, 65_537, 1 << 24, 1 << 30];
            let by = one_of(rng, &near).wrapping_add(rng.u32(..2));
            *number = match rng.u32(..10) {
                0..6 => number.wrapping_add(by),
                6..9 => number.wrapping_sub(by),
                _ => rng.u32(..),
            };
        }
    }
}

/// Puts a packet into a frame, some with tags and padding.
pub(super) fn framed(rng: &mut Rng, mut ip: Ip) -> Packet {
    number(rng, &mut ip.upper);
    Packet {
        tags: if percent(rng, 6) {
            tags(rng)
        } else {
            Vec::new()
        },
        content: Content::Ip(ip),
        padding: if percent(rng, 8) { rng.u16(..20) } else { 0 },
        cut: None,
    }
}

pub(super) fn tags(rng: &mut Rng) -> Vec<u16> {
    (0..rng.usize(..3))
        .map(|_| one_of(rng, &[0, 5, 4095]))
        .collect()
}

/// The packet that goes the other way: ends exchanged, a request made its answer.
pub(super) fn answer(mut packet: Packet) -> Packet {
    let Content::Ip(ip) = &mut packet.content else {
        return packet;
    };
    std::mem::swap(&mut ip.source, &mut ip.destination);
    match &mut ip.upper {
        Upper::Tcp {
            source,
            destination,
            flags,
            ..
        } => {
            std::mem::swap(source, destination);
            if *flags == SYN {
                *flags = SYN_ACK;
            }
        }
        Upper::Udp {
            source,
            destination,
            ..
        } => std::mem::swap(source, destination),
        Upper::Icmp { kind, .. } => {
            *kind = match *kind {
                8 => 0,
                13 | 15 | 17 | 128 => *kind + 1,
                other => other,
            }
        }
        Upper::Igmp { .. } | Upper::Other(_) => {}
    }
    packet
}

/// What else a side of a flow sends.
pub(super) fn continue_flow(rng: &mut Rng, upper: &mut Upper, answers: bool) {
    if let Upper::Tcp { flags, data, .. } = upper
        && !percent(rng, if answers { 60 } else { 30 })
    {
        *flags = one_of(
            rng,
            &[SYN, ACK, ACK, ACK, PSH | ACK, FIN_ACK, RST, RST | ACK],
        );
        *data = one_of(rng, &[0, 0, 7]);
    }
}

/// Makes it another flow's packet.
pub(super) fn deviate(rng: &mut Rng, ip: &mut Ip) {
    match &mut ip.upper {
        Upper::Tcp {
            source,
            destination,
            ..
        }
        | Upper::Udp {
            source,
            destination,
            ..
        } => {
            let end = if rng.bool() { source } else { destination };
            *end = end.wrapping_add(1);
        }
        Upper::Icmp { id, kind, .. } => {
            if rng.bool() {
                *id ^= 1;
            } else {
                *kind = one_of(rng, &ICMP_TYPES);
            }
        }
        Upper::Igmp { .. } | Upper::Other(_) => ip.source = address(rng, ip.source.is_ipv4()),
    }
}
