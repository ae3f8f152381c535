//! Random infrastructure, and what nearly looks like it.

use std::net::IpAddr;

use sg_common::flow::Direction;

use super::{
    packets::{framed, plain},
    traffic::Traffic,
    universe::{address, local, one_of, percent},
};
use crate::oracle::{
    Host,
    packet::{Content, ICMPV6, Packet, Upper},
};

/// Link-local services of EC2, and neighbours of theirs.
const EC2: [&str; 18] = [
    "169.254.169.253",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "169.254.169.123",
    "169.254.169.250",
    "169.254.169.251",
    "169.254.169.252",
    "169.253.169.254",
    "fd00:ec2::253",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd00:ec2::123",
    "fd00:ec2::250",
    "fd00:ec2::240",
    "fd00:ec2::251",
    "fd00:ec2:0:1::254",
    "fd00:ec2::1:254",
];

impl Traffic {
    /// A frame that infrastructure switches are about, or nearly.
    pub(super) fn infrastructure(&mut self, _: &Host) {
        let rng = &mut self.rng;
        let direction = one_of(rng, &Direction::ALL);
        let content = match rng.u32(..100) {
            0..12 => Content::Arp,
            12..24 => Content::Other(one_of(rng, &[0x88cc, 0x0027, 0x8847, 0x0842])),
            24..46 => {
                let (kind, hop_limit) = if percent(rng, 60) {
                    (rng.u8(132..=138), one_of(rng, &[255, 255, 254, 1]))
                } else {
                    (
                        one_of(rng, &[129, 130, 131, 132, 143, 144]),
                        one_of(rng, &[1, 1, 2, 255]),
                    )
                };
                let message = Upper::Icmp {
                    protocol: ICMPV6,
                    kind,
                    code: 0,
                    id: 0,
                    quote: None,
                };
                // ICMPv6 in IPv4 is no neighbour discovery.
                let v4 = percent(rng, 5);
                let (source, destination) = (address(rng, v4), local(rng, v4));
                let mut ip = plain(source, destination, message);
                ip.hop_limit = hop_limit;
                Content::Ip(ip)
            }
            46..54 => {
                let kinds = [0x11, 0x11, 0x12, 0x16, 0x17, 0x22, 0x13, 0x30];
                let kind = one_of(rng, &kinds);
                // Protocol 2 in IPv6 is no group management.
                let v4 = percent(rng, 95);
                let group = if v4 {
                    one_of(rng, &["224.0.0.1", "239.1.1.1", "240.0.0.1"])
                } else {
                    "ff02::1"
                };
                let group = group.parse().expect("an address");
                let mut ip = plain(address(rng, v4), group, Upper::Igmp { kind });
                ip.hop_limit = one_of(rng, &[1, 1, 1, 2, 255]);
                if percent(rng, 10) {
                    ip.kept = Some(rng.u16(..8));
                }
                Content::Ip(ip)
            }
            54..70 => {
                let v4 = percent(rng, 90);
                let server = address(rng, v4);
                datagram(
                    direction,
                    (local(rng, v4), 68),
                    (server, one_of(rng, &[67, 67, 68])),
                )
            }
            70..82 => {
                let own = ["fe80::1", "fe80::1", "2001:db8::1", "febf::1", "fec0::1"];
                let servers = ["fe80::2", "ff02::1:2", "2001:db8::2"];
                let own = one_of(rng, &own).parse().expect("an address");
                let server = one_of(rng, &servers).parse().expect("an address");
                let port = one_of(rng, &[546, 546, 547]);
                datagram(direction, (own, port), (server, 547))
            }
            _ => {
                let remote: IpAddr = one_of(rng, &EC2).parse().expect("an address");
                let port = one_of(rng, &[53, 80, 123, 1688, 443]);
                let near = local(rng, remote.is_ipv4());
                let mut content = datagram(direction, (near, 40000), (remote, port));
                if let Content::Ip(ip) = &mut content
                    && let Upper::Udp {
                        source,
                        destination,
                        ..
                    } = ip.upper
                    && rng.bool()
                {
                    ip.upper = Upper::Tcp {
                        source,
                        destination,
                        flags: 2,
                        seq: 0,
                        ack: 0,
                        offset: 5,
                        data: 0,
                    };
                }
                content
            }
        };
        let packet = match content {
            Content::Ip(ip) => framed(rng, ip),
            content => Packet {
                tags: if percent(rng, 10) {
                    vec![5]
                } else {
                    Vec::new()
                },
                content,
                padding: 0,
                cut: None,
            },
        };
        self.send(direction, packet);
    }
}

/// A datagram between a local and a remote end.
fn datagram(direction: Direction, near: (IpAddr, u16), far: (IpAddr, u16)) -> Content {
    let (from, to) = match direction {
        Direction::Inbound => (far, near),
        Direction::Outbound => (near, far),
    };
    let upper = Upper::Udp {
        source: from.1,
        destination: to.1,
        length: None,
        data: 8,
    };
    Content::Ip(plain(from.0, to.0, upper))
}
