//! From the bytes of a frame to its description, whatever the bytes are.
//!
//! The description need not give the same bytes back: a frame that is dropped for what it is becomes
//! any frame that is dropped for the same reason.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::packet::{
    Content, Extension, Fragment, ICMP, ICMPV6, IGMP, Ip, IpFault, Packet, Quote, TCP, UDP, Upper,
};

/// `EtherType`s of VLAN tags.
const TAGS: [u16; 2] = [0x8100, 0x88a8];
/// Numbers of extension headers.
const EXTENSIONS: [u8; 6] = [0, 43, 44, 51, 60, 135];
/// The most extension headers that make a difference: one more than may be.
const MOST_EXTENSIONS: usize = 9;

/// Describes a frame.
pub fn decode(frame: &[u8]) -> Packet {
    let mut packet = Packet {
        tags: Vec::new(),
        content: Content::Other(0),
        padding: 0,
        cut: None,
    };
    let Some(mut kind) = be16(frame, 12) else {
        packet.cut = Some(frame.len() as u16);
        return packet;
    };
    let mut rest = &frame[14..];
    while TAGS.contains(&kind) {
        if packet.tags.len() == 2 {
            packet.tags.push(0);
            return packet;
        }
        let (Some(id), Some(inner)) = (be16(rest, 0), be16(rest, 2)) else {
            packet.tags.push(0);
            packet.cut = Some(frame.len() as u16);
            return packet;
        };
        packet.tags.push(id & 0x0fff);
        kind = inner;
        rest = &rest[4..];
    }
    packet.content = match kind {
        0x0806 => Content::Arp,
        0x0800 => Content::Ip(v4(rest)),
        0x86dd => Content::Ip(v6(rest)),
        other => Content::Other(other),
    };
    packet
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([pair[0], pair[1]]))
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    let half = |at| u32::from(be16(bytes, at).unwrap_or(0));
    half(at) << 16 | half(at + 2)
}

/// A packet between two addresses that carries nothing yet.
fn empty(source: IpAddr, destination: IpAddr) -> Ip {
    Ip {
        source,
        destination,
        hop_limit: 0,
        options: 0,
        fragment: None,
        extensions: Vec::new(),
        fault: None,
        upper: Upper::Other(0),
        kept: None,
    }
}

fn faulty(source: IpAddr, destination: IpAddr) -> Ip {
    Ip {
        fault: Some(IpFault::LengthBeyond),
        ..empty(source, destination)
    }
}

/// The IPv4 header at the start of some bytes, with the header length and the total length.
/// Nothing if it is cut off or contradicts itself.
fn v4_header(bytes: &[u8]) -> Option<(Ip, usize, usize)> {
    let header = bytes.get(..20)?;
    let header_len = usize::from(header[0] & 15) * 4;
    let total = usize::from(be16(header, 2)?);
    if header[0] >> 4 != 4 || header_len < 20 || total < header_len {
        return None;
    }
    let address = |at: usize| {
        let [a, b, c, d] = [header[at], header[at + 1], header[at + 2], header[at + 3]];
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    let position = be16(header, 6)?;
    let ip = Ip {
        hop_limit: header[8],
        options: (header_len / 4 - 5) as u8,
        fragment: Some(Fragment {
            id: be16(header, 4)?.into(),
            offset: position & 0x1fff,
            more: position & 0x2000 != 0,
        }),
        upper: Upper::Other(header[9]),
        ..empty(address(12), address(16))
    };
    Some((ip, header_len, total))
}

fn v4(bytes: &[u8]) -> Ip {
    let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let Some((mut ip, header_len, total)) = v4_header(bytes) else {
        return faulty(nowhere, nowhere);
    };
    let Some(carried) = bytes.get(header_len..total) else {
        return faulty(nowhere, nowhere);
    };
    if ip.fragment.is_none_or(|fragment| fragment.offset == 0) {
        (ip.upper, ip.kept) = upper(ip.upper.protocol(), carried);
    }
    ip
}

/// The IPv6 header at the start of some bytes, with its next header and its payload length.
fn v6_header(bytes: &[u8]) -> Option<(Ip, u8, usize)> {
    let header = bytes.get(..40)?;
    let address = |at: usize| {
        let octets: Option<[u8; 16]> = header[at..at + 16].try_into().ok();
        octets.map(|octets| IpAddr::V6(Ipv6Addr::from(octets)))
    };
    let ip = Ip {
        hop_limit: header[7],
        ..empty(address(8)?, address(24)?)
    };
    (header[0] >> 4 == 6).then_some((ip, header[6], be16(header, 4)?.into()))
}

fn v6(bytes: &[u8]) -> Ip {
    let nowhere = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let Some((mut ip, next, length)) = v6_header(bytes) else {
        return faulty(nowhere, nowhere);
    };
    let Some(payload) = bytes.get(40..40 + length) else {
        return faulty(nowhere, nowhere);
    };
    match extensions(&mut ip, next, payload) {
        Chain::Ends(protocol, carried) => (ip.upper, ip.kept) = upper(protocol, carried),
        Chain::Later(protocol) => ip.upper = Upper::Other(protocol),
        Chain::Breaks => ip.fault = Some(IpFault::ExtensionBeyond),
        Chain::TooLong => {}
    }
    ip
}

/// How a chain of extension headers goes out.
enum Chain<'a> {
    /// With a protocol and what it carries.
    Ends(u8, &'a [u8]),
    /// With the fragment header of a later fragment, which names this.
    Later(u8),
    /// With one that goes on beyond the bytes.
    Breaks,
    /// Not within the bound.
    TooLong,
}

/// Follows extension headers and adds them to the packet.
fn extensions<'a>(ip: &mut Ip, mut next: u8, mut bytes: &'a [u8]) -> Chain<'a> {
    while EXTENSIONS.contains(&next) {
        let units = bytes.get(1).map_or(0, |units| u16::from(*units));
        let size = match next {
            44 => 8,
            51 => (units + 2) * 4,
            _ => (units + 1) * 8,
        };
        ip.extensions.push(Extension::Sized(next, size));
        if ip.extensions.len() == MOST_EXTENSIONS {
            return Chain::TooLong;
        }
        let Some(extension) = bytes.get(..size.into()) else {
            return Chain::Breaks;
        };
        bytes = &bytes[size.into()..];
        let header = next;
        next = extension[0];
        if header == 44 {
            let word = |at| be16(extension, at).map_or(0, u32::from);
            let fragment = Fragment {
                id: word(4) << 16 | word(6),
                offset: (word(2) >> 3) as u16,
                more: word(2) & 1 != 0,
            };
            ip.extensions.pop();
            ip.extensions.push(Extension::Fragment(fragment));
            if fragment.offset != 0 {
                return Chain::Later(next);
            }
        }
    }
    Chain::Ends(next, bytes)
}

/// What some bytes are under a protocol, and how many of them there are if that is too few.
fn upper(protocol: u8, bytes: &[u8]) -> (Upper, Option<u16>) {
    let there = bytes.len() as u16;
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let word = |at: usize| be16(bytes, at).unwrap_or(0);
    let too_few = |needed: u16| (there < needed).then_some(there);
    match protocol {
        TCP => {
            let segment = Upper::Tcp {
                source: word(0),
                destination: word(2),
                flags: byte(13),
                seq: be32(bytes, 4),
                ack: be32(bytes, 8),
                offset: byte(12) >> 4,
                data: there.saturating_sub(20),
            };
            (segment, too_few(20))
        }
        UDP => {
            let datagram = Upper::Udp {
                source: word(0),
                destination: word(2),
                length: Some(word(4)),
                data: there.saturating_sub(8),
            };
            (datagram, too_few(8))
        }
        ICMP | ICMPV6 => {
            let message = Upper::Icmp {
                protocol,
                kind: byte(0),
                code: byte(1),
                id: word(4),
                quote: bytes.get(8..).and_then(|bytes| quote(protocol, bytes)),
            };
            (message, too_few(8))
        }
        IGMP => (Upper::Igmp { kind: byte(0) }, too_few(8)),
        other => (Upper::Other(other), None),
    }
}

/// The packet that an ICMP message of a protocol quotes, if its headers can be read.
fn quote(protocol: u8, bytes: &[u8]) -> Option<Quote> {
    let (mut ip, protocol, carried) = if protocol == ICMP {
        let (ip, header_len, _) = v4_header(bytes)?;
        let protocol = ip.upper.protocol();
        (ip, protocol, bytes.get(header_len..)?)
    } else {
        let (mut ip, next, _) = v6_header(bytes)?;
        match extensions(&mut ip, next, &bytes[40..]) {
            Chain::Ends(protocol, carried) => (ip, protocol, carried),
            Chain::Later(_) | Chain::Breaks | Chain::TooLong => return None,
        }
    };
    // What an error quotes is read no further than to its ports or its own ICMP header.
    let most = carried.len().min(8);
    (ip.upper, _) = upper(protocol, &carried[..most]);
    Some(Quote {
        packet: Box::new(ip),
        bytes: bytes.len() as u16,
    })
}
