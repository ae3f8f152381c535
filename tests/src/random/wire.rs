//! From a described packet to its bytes.

use crate::{
    oracle::packet::{Content, Extension, IGMP, Ip, IpFault, OTHER_DATA, Packet, Quote, Upper},
    packet::{self, End, Frame, arp_request, ethernet},
};

/// A byte of data that means nothing.
const FILL: u8 = 0x5a;

/// The frame of a packet.
pub fn encode(packet: &Packet) -> Vec<u8> {
    let mut frame = match &packet.content {
        Content::Arp => arp_request([10, 0, 0, 3], [10, 0, 0, 1]),
        Content::Other(ether_type) => ethernet(*ether_type, &[FILL; 46]),
        Content::Ip(ip) => {
            let ether_type = if ip.source.is_ipv4() { 0x0800 } else { 0x86dd };
            let (bytes, mut rest) = encode_ip(ip);
            let padding = usize::from(packet.padding);
            rest.resize(padding, FILL);
            ethernet(ether_type, &[bytes, rest].concat())
        }
    };
    let tags = packet.tags.iter().enumerate().flat_map(|(depth, id)| {
        let outer = depth == 0 && packet.tags.len() > 1;
        let kind: u16 = if outer { 0x88a8 } else { 0x8100 };
        [kind.to_be_bytes(), id.to_be_bytes()].concat()
    });
    let tags: Vec<u8> = tags.collect();
    frame.splice(12..12, tags);
    if let Some(cut) = packet.cut {
        frame.truncate(cut.into());
    }
    frame
}

/// An IP packet, and what [`Ip::kept`] leaves out of it.
fn encode_ip(ip: &Ip) -> (Vec<u8>, Vec<u8>) {
    let mut bytes = whole(ip).packet();
    let header = ip.header_size() as usize;
    match ip.upper {
        Upper::Tcp { offset, .. } => bytes[header + 12] = offset << 4,
        Upper::Udp {
            length: Some(length),
            ..
        } => put(&mut bytes, header + 4, length),
        _ => {}
    }
    let rest = bytes.split_off(ip.size() as usize);
    let length = bytes.len() as u16;
    if ip.source.is_ipv4() {
        put(&mut bytes, 2, length);
        if let Some(fragment) = ip.fragment {
            put(&mut bytes, 4, fragment.id as u16);
            put(
                &mut bytes,
                6,
                u16::from(fragment.more) << 13 | fragment.offset,
            );
        }
    } else {
        put(&mut bytes, 4, length - 40);
    }
    if let Some(fault) = ip.fault {
        spoil(&mut bytes, ip, fault);
    }
    (bytes, rest)
}

fn spoil(bytes: &mut [u8], ip: &Ip, fault: IpFault) {
    let length = bytes.len() as u16;
    match fault {
        IpFault::Version(version) => bytes[0] = version << 4 | bytes[0] & 15,
        IpFault::HeaderShort(words) => bytes[0] = 0x40 | words,
        IpFault::HeaderBeyond => {
            bytes[0] = 0x4f;
            put(bytes, 2, length.min(59));
        }
        IpFault::LengthShort(total) => put(bytes, 2, total.into()),
        IpFault::LengthBeyond if ip.source.is_ipv4() => put(bytes, 2, u16::MAX),
        IpFault::LengthBeyond => put(bytes, 4, u16::MAX),
        IpFault::ExtensionBeyond => {
            let last = ip.extensions.last().map_or(0, |last| last.size());
            bytes[(ip.header_size() - last) as usize + 1] = u8::MAX;
        }
    }
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// The packet without faults, fragment and cuts.
fn whole(ip: &Ip) -> Frame {
    let ((from, to), upper, data) = match &ip.upper {
        Upper::Tcp {
            source,
            destination,
            flags,
            data,
            ..
        } => (
            (*source, *destination),
            packet::Upper::Tcp(*flags, 0),
            vec![FILL; (*data).into()],
        ),
        Upper::Udp {
            source,
            destination,
            data,
            ..
        } => (
            (*source, *destination),
            packet::Upper::Udp,
            vec![FILL; (*data).into()],
        ),
        Upper::Icmp {
            protocol,
            kind,
            code,
            id,
            quote,
        } => {
            // As data, for it may be ICMPv6 in IPv4.
            let [high, low] = id.to_be_bytes();
            let mut message = vec![*kind, *code, 0, 0, high, low, 0, 0];
            message.extend(quote.iter().flat_map(encode_quote));
            ((0, 0), packet::Upper::Raw(*protocol), message)
        }
        Upper::Igmp { kind } => (
            (0, 0),
            packet::Upper::Raw(IGMP),
            vec![*kind, 0, 0, 0, 0, 0, 0, 0],
        ),
        Upper::Other(protocol) => (
            (0, 0),
            packet::Upper::Raw(*protocol),
            vec![FILL; OTHER_DATA.into()],
        ),
    };
    let numbers = match ip.upper {
        Upper::Tcp { seq, ack, .. } => Some((seq, ack)),
        _ => None,
    };
    let end = |address, port| End { address, port };
    Frame {
        from: end(ip.source, from),
        to: end(ip.destination, to),
        tags: Vec::new(),
        hop_limit: ip.hop_limit,
        options: vec![1; 4 * usize::from(ip.options)],
        extensions: ip.extensions.iter().copied().map(extension).collect(),
        upper,
        numbers,
        data,
    }
}

fn extension(extension: Extension) -> packet::Extension {
    match extension {
        Extension::Authentication => packet::Extension::authentication(),
        Extension::Fragment(fragment) => {
            packet::Extension::fragment(fragment.id, fragment.offset, fragment.more)
        }
        other => packet::Extension::padding(other.number(), other.size() as usize / 8),
    }
}

fn encode_quote(quote: &Quote) -> Vec<u8> {
    let (mut bytes, _) = encode_ip(&quote.packet);
    bytes.truncate(quote.bytes.into());
    bytes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        oracle::{Oracle, decode},
        random::{Scenario, Step, TICK_MS, direction},
    };

    #[test]
    fn frames_are_as_long_as_their_description() {
        for seed in 0..50 {
            for step in Scenario::random(seed, 200).steps {
                let Step::Packet { packet, .. } = step else {
                    continue;
                };
                let Content::Ip(ip) = &packet.content else {
                    continue;
                };
                let tags = 4 * packet.tags.len();
                let whole = 14 + tags + ip.size() as usize + usize::from(packet.padding);
                let cut = packet.cut.map_or(usize::MAX, usize::from);
                assert_eq!(encode(&packet).len(), whole.min(cut), "{packet:?}");
            }
        }
    }

    #[test]
    fn a_frame_is_judged_as_its_description() {
        for seed in 0..100 {
            let scenario = Scenario::random(seed, 500);
            let mut host = scenario.host.clone();
            let (mut described, mut decoded) = (Oracle::new(&host), Oracle::new(&host));
            for step in &scenario.steps {
                match step {
                    Step::Wait(ticks) => {
                        let time = Duration::from_millis(ticks * TICK_MS);
                        described.wait(time);
                        decoded.wait(time);
                    }
                    Step::Room(room) => {
                        described.set_room(*room);
                        decoded.set_room(*room);
                    }
                    Step::Change(change) => {
                        change.apply(&mut host);
                        described.set_host(&host);
                        decoded.set_host(&host);
                    }
                    Step::Packet {
                        inbound, packet, ..
                    } => {
                        let direction = direction(*inbound);
                        let again = decode(&encode(packet));
                        assert_eq!(
                            described.judge(direction, packet, 0),
                            decoded.judge(direction, &again, 0),
                            "seed {seed}: {packet:#?} is read as {again:#?}"
                        );
                    }
                }
            }
        }
    }
}
