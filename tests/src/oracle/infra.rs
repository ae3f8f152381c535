//! Traffic over IP that groups never filter.

use std::net::IpAddr;

use sg_common::{flow::Direction, reason::Reason};
use sg_policy::model::Infrastructure;

use super::{
    OnTheWay,
    frames::Place,
    packet::{ICMPV6, TCP, UDP, Upper},
};

/// Services of EC2: protocol, port, addresses.
const EC2: [(u8, u16, &[&str]); 5] = [
    (UDP, 53, &["169.254.169.253", "fd00:ec2::253"]),
    (TCP, 53, &["169.254.169.253", "fd00:ec2::253"]),
    (
        TCP,
        80,
        &[
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "fd00:ec2::254",
            "fd00:ec2::23",
        ],
    ),
    (UDP, 123, &["169.254.169.123", "fd00:ec2::123"]),
    (
        TCP,
        1688,
        &[
            "169.254.169.250",
            "169.254.169.251",
            "fd00:ec2::250",
            "fd00:ec2::240",
        ],
    ),
];

/// The kind of infrastructure that a packet is, if that kind is switched on.
pub(super) fn kind(packet: &OnTheWay<'_>, on: Infrastructure) -> Option<Reason> {
    if packet.seen.place == Place::Later {
        return None;
    }
    let (local, remote) = (packet.local(), packet.remote());
    match &packet.ip.upper {
        Upper::Icmp {
            protocol: ICMPV6,
            kind,
            ..
        } if remote.is_ipv6() => match (kind, packet.ip.hop_limit) {
            // Messages of routers.
            (130 | 134 | 137, _) if packet.direction == Direction::Outbound => None,
            (133..=137, 255) if on.nd => Some(Reason::InfraNd),
            (130..=132 | 143, 1) if on.mld => Some(Reason::InfraMld),
            _ => None,
        },
        Upper::Igmp { kind } => {
            let sent_here = packet.direction == Direction::Outbound;
            let is_known = match kind {
                0x11 => !sent_here,
                0x12 | 0x16 | 0x17 | 0x22 => true,
                _ => false,
            };
            let to_group = matches!(packet.ip.destination, IpAddr::V4(v4) if v4.is_multicast());
            let is_whole = packet.ip.upper_size() >= 8 && packet.ip.hop_limit == 1;
            (is_known && to_group && is_whole && on.igmp).then_some(Reason::InfraIgmp)
        }
        Upper::Tcp { .. } => {
            let (_, remote_port) = packet.ports()?;
            ec2(on, TCP, remote, remote_port)
        }
        Upper::Udp { .. } => match packet.ports()? {
            (68, 67) if remote.is_ipv4() && on.dhcp4 => Some(Reason::InfraDhcp4),
            (546, 547) if is_link_local(local) && on.dhcp6 => Some(Reason::InfraDhcp6),
            (_, remote_port) => ec2(on, UDP, remote, remote_port),
        },
        _ => None,
    }
}

fn ec2(on: Infrastructure, protocol: u8, remote: IpAddr, port: u16) -> Option<Reason> {
    let is_service = EC2.iter().any(|(its_protocol, its_port, addresses)| {
        let is_address = |text: &&str| text.parse() == Ok(remote);
        *its_protocol == protocol && *its_port == port && addresses.iter().any(is_address)
    });
    (on.ec2 == Some(true) && is_service).then_some(Reason::InfraEc2)
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}
