//! Random fragments in any order, and ICMP errors about any packet.

use super::{
    Step, TICK_MS,
    host::PROTOCOLS,
    packets::{answer, extension, framed, plain},
    traffic::Traffic,
    universe::{address, one_of, percent},
};
use crate::oracle::{
    Host,
    packet::{Content, Extension, Fragment, ICMP, ICMPV6, Ip, OTHER_DATA, Packet, Quote, Upper},
};

/// Types and codes of ICMP errors.
const ERRORS: [(u8, u8); 8] = [
    (3, 4),
    (3, 4),
    (3, 1),
    (3, 3),
    (11, 0),
    (12, 0),
    (4, 0),
    (5, 1),
];
/// Types and codes of ICMPv6 errors.
const ERRORS_V6: [(u8, u8); 6] = [(2, 0), (2, 0), (1, 4), (3, 0), (4, 1), (127, 0)];

impl Traffic {
    /// Some fragments of a datagram.
    pub(super) fn fragments(&mut self, host: &Host) {
        let (direction, mut packet) = self.fresh(host);
        let rng = &mut self.rng;
        let Content::Ip(ip) = &mut packet.content else {
            return;
        };
        lengthen(&mut ip.upper);
        // Tiny first fragments, too.
        let size = one_of(rng, &[8, 16, 24, 32, 32]);
        let id = rng.u32(..6);
        let trailing = (!ip.source.is_ipv4() && percent(rng, 30)).then(|| extension(rng));
        let mut pieces = Vec::new();
        for index in 0..3 {
            let fragment = Fragment {
                id,
                // In order, or overlapping.
                offset: if percent(rng, 5) {
                    index
                } else {
                    index * size / 8
                },
                more: index < 2,
            };
            pieces.push(piece(ip, fragment, trailing, size));
        }
        if percent(rng, 40) {
            rng.shuffle(&mut pieces);
        }
        if percent(rng, 20) {
            pieces.remove(rng.usize(..pieces.len()));
        }
        if percent(rng, 10) {
            pieces.push(pieces[0].clone());
        }
        // An atomic fragment is a whole packet.
        if percent(rng, 5) {
            let atomic = Fragment {
                id,
                offset: 0,
                more: false,
            };
            pieces.push(piece(ip, atomic, trailing, u16::MAX));
        }
        for mut ip in pieces {
            let rng = &mut self.rng;
            if percent(rng, 6) {
                let ticks = 60_000 / TICK_MS + u64::from(rng.bool());
                self.steps.push(Step::Wait(ticks));
            }
            let rng = &mut self.rng;
            if percent(rng, 4)
                && let Upper::Udp { .. } | Upper::Other(_) = ip.upper
            {
                // What later fragments say of the protocol.
                ip.upper = Upper::Other(one_of(rng, &PROTOCOLS));
            }
            let mut piece = framed(rng, ip);
            piece.tags.clone_from(&packet.tags);
            if percent(rng, 4) {
                self.send(direction.reverse(), answer(piece));
            } else {
                self.send(direction, piece);
            }
        }
    }

    /// An ICMP error that quotes a packet: one that was sent, or one that never was.
    pub(super) fn error(&mut self, host: &Host) {
        let earlier = self.earlier().filter(|_| percent(&mut self.rng, 90));
        let (direction, packet) = earlier.unwrap_or_else(|| self.fresh(host));
        let rng = &mut self.rng;
        let Packet {
            tags,
            content: Content::Ip(mut quoted),
            ..
        } = packet
        else {
            return;
        };
        if let Upper::Icmp { quote, .. } = &mut quoted.upper {
            *quote = None;
        }
        let v4 = quoted.source.is_ipv4();
        let (protocol, errors) = if v4 {
            (ICMP, &ERRORS[..])
        } else {
            (ICMPV6, &ERRORS_V6[..])
        };
        let (kind, code) = one_of(rng, errors);
        let source = if rng.bool() {
            quoted.destination
        } else {
            address(rng, v4)
        };
        let destination = if percent(rng, 90) {
            quoted.source
        } else {
            address(rng, v4)
        };
        let least = quoted.header_size() as u16 + 8;
        let bytes = match rng.u32(..100) {
            0..50 => least,
            50..75 => u16::MAX,
            75..85 => least - 4,
            _ => rng.u16(..=least),
        };
        let upper = Upper::Icmp {
            protocol,
            kind,
            code,
            id: 0,
            quote: Some(Quote {
                packet: Box::new(quoted),
                bytes,
            }),
        };
        let mut ip = plain(source, destination, upper);
        if percent(rng, 8) {
            // The rest of the quote is Ethernet padding.
            ip.kept = Some(8 + rng.u16(..40));
        }
        let mut packet = framed(rng, ip);
        if percent(rng, 95) {
            packet.tags = tags;
        }
        let direction = if percent(rng, 88) {
            direction.reverse()
        } else {
            direction
        };
        self.send(direction, packet);
    }
}

/// Makes it long enough for some fragments.
fn lengthen(upper: &mut Upper) {
    if let Upper::Tcp { data, .. } | Upper::Udp { data, .. } = upper {
        *data = 80;
    }
}

/// A fragment of a packet. What is in a later one looks like the beginning of the packet.
fn piece(ip: &Ip, fragment: Fragment, trailing: Option<Extension>, size: u16) -> Ip {
    let mut piece = ip.clone();
    piece.kept = Some(size.min(piece.upper.size() as u16));
    if ip.source.is_ipv4() {
        piece.fragment = Some(fragment);
        return piece;
    }
    piece.extensions.push(Extension::Fragment(fragment));
    let Some(trailing) = trailing else {
        return piece;
    };
    if fragment.offset == 0 {
        piece.extensions.push(trailing);
    } else {
        // The next header of later fragments names the first header behind the fragment header.
        piece.upper = Upper::Other(trailing.number());
        piece.kept = Some(size.min(OTHER_DATA));
    }
    piece
}
