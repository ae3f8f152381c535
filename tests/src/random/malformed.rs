//! Random frames that contradict themselves.

use std::net::IpAddr;

use fastrand::Rng;

use super::{
    packets::extension,
    traffic::Traffic,
    universe::{one_of, percent},
};
use crate::oracle::{
    Host,
    packet::{Content, Extension, Ip, IpFault, Packet, Upper},
};

impl Traffic {
    /// A frame with one thing wrong; rarely, by chance, with none.
    pub(super) fn malformed(&mut self, host: &Host) {
        let earlier = self.earlier().filter(|_| percent(&mut self.rng, 40));
        let (direction, mut packet) = earlier.unwrap_or_else(|| self.fresh(host));
        spoil(&mut self.rng, &mut packet);
        self.send(direction, packet);
    }
}

fn spoil(rng: &mut Rng, packet: &mut Packet) {
    let frame = 14 + 4 * packet.tags.len() as u16;
    let Content::Ip(ip) = &mut packet.content else {
        return;
    };
    match rng.u32(..100) {
        0..8 => packet.tags = vec![5, 6, rng.u16(..4096)],
        8..14 => {
            packet.tags = vec![5; 1 + rng.usize(..3)];
            packet.cut = Some(14 + rng.u16(..9));
        }
        14..30 => packet.cut = Some(14 + rng.u16(..frame + ip.size() as u16)),
        30..60 => spoil_header(rng, ip),
        _ => spoil_upper(rng, ip),
    }
}

fn spoil_header(rng: &mut Rng, ip: &mut Ip) {
    if ip.source.is_ipv4() {
        ip.fault = Some(match rng.u32(..5) {
            0 => IpFault::Version(one_of(rng, &[0, 5, 6, 15])),
            1 => IpFault::HeaderShort(rng.u8(..5)),
            2 => IpFault::HeaderBeyond,
            3 => IpFault::LengthShort(rng.u8(..20)),
            _ => IpFault::LengthBeyond,
        });
        return;
    }
    match rng.u32(..6) {
        0 => ip.fault = Some(IpFault::Version(one_of(rng, &[0, 4, 15]))),
        1 => ip.fault = Some(IpFault::LengthBeyond),
        2 => {
            let mapped: IpAddr = "::ffff:10.0.0.3".parse().expect("an address");
            let end = if rng.bool() {
                &mut ip.source
            } else {
                &mut ip.destination
            };
            *end = mapped;
        }
        3 => {
            ip.extensions.push(Extension::Destination(1));
            ip.fault = Some(IpFault::ExtensionBeyond);
        }
        4 => {
            if let Upper::Other(protocol) = &mut ip.upper {
                // A later fragment may have named an extension header here.
                *protocol = 59;
            }
            let count = rng.usize(7..=10);
            ip.extensions = (0..count).map(|_| extension(rng)).collect();
        }
        _ => {
            let at = rng.usize(..=ip.extensions.len());
            ip.extensions.insert(at, extension(rng));
            ip.extensions.push(Extension::HopByHop);
        }
    }
}

fn spoil_upper(rng: &mut Rng, ip: &mut Ip) {
    let whole = ip.upper.size() as u16;
    match &mut ip.upper {
        Upper::Tcp { offset, data, .. } => match rng.u32(..3) {
            0 => ip.kept = Some(rng.u16(..22)),
            1 => *offset = rng.u8(..6),
            _ => {
                *offset = rng.u8(5..16);
                *data = rng.u16(..40);
            }
        },
        Upper::Udp { length, .. } => match rng.u32(..3) {
            0 => ip.kept = Some(rng.u16(..10)),
            1 => *length = Some(rng.u16(..10)),
            _ => *length = Some(whole.saturating_add(rng.u16(..3)).saturating_sub(1)),
        },
        Upper::Icmp { .. } | Upper::Igmp { .. } => ip.kept = Some(rng.u16(..10)),
        Upper::Other(_) => ip.kept = Some(rng.u16(..4)),
    }
}
