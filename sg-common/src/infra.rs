//! The infrastructure set: what keeps a network running below and beside security groups.

use crate::addr::Addr;
use crate::ends::{Ends, Ports};
use crate::flow::Direction;
use crate::icmp;
use crate::parse::Parsed;
use crate::proto::{ICMPV6, IGMP, TCP, UDP};
use crate::reason::Reason;
use crate::settings::{INFRA_DHCP4, INFRA_DHCP6, INFRA_EC2, INFRA_IGMP, INFRA_MLD, INFRA_ND};

/// Traffic that security groups never filter (AWS: ARP, DHCP, the link-local services; ND, MLD and
/// IGMP beside them), as far as it is switched on.
///
/// The protected side is a client of its networks: what routers and servers say is for the rules to
/// judge when it is the protected side that says it.
#[inline(always)]
pub fn infrastructure(infra: u32, parsed: &Parsed, direction: Direction) -> Option<Reason> {
    match parsed.protocol {
        ICMPV6 if !parsed.dst.is_ipv4() => {
            if direction == Direction::Outbound && icmp::is_of_routers(parsed.icmp_type) {
                return None;
            }
            if infra & INFRA_ND != 0
                && parsed.hop_limit == 255
                && icmp::is_neighbour_discovery(parsed.icmp_type)
            {
                return Some(Reason::InfraNd);
            }
            if infra & INFRA_MLD != 0
                && parsed.hop_limit == 1
                && icmp::is_listener_discovery(parsed.icmp_type)
            {
                return Some(Reason::InfraMld);
            }
            None
        }
        UDP | TCP => {
            let ends = Ends::of(parsed, direction);
            if parsed.protocol == UDP
                && let Some(reason) = dhcp_client(infra, &ends)
            {
                return Some(reason);
            }
            (infra & INFRA_EC2 != 0
                && is_ec2_service(&ends.remote, parsed.protocol, ends.remote_port()))
            .then_some(Reason::InfraEc2)
        }
        IGMP => (infra & INFRA_IGMP != 0 && is_membership(parsed, direction))
            .then_some(Reason::InfraIgmp),
        _ => None,
    }
}

/// Multicast membership of this link (RFC 3376, RFC 2236): reports and leaves, and the queries of
/// routers.
#[inline(always)]
fn is_membership(parsed: &Parsed, direction: Direction) -> bool {
    parsed.hop_limit == 1
        && parsed.dst.is_ipv4_multicast()
        && match parsed.icmp_type {
            0x11 => direction == Direction::Inbound,
            0x12 | 0x16 | 0x17 | 0x22 => true,
            _ => false,
        }
}

#[inline(always)]
fn dhcp_client(infra: u32, ends: &Ends) -> Option<Reason> {
    /// Ports of server and client.
    const DHCP4: Ports = Ports::new(67, 68);
    const DHCP6: Ports = Ports::new(547, 546);
    match ends.ports {
        DHCP4 if infra & INFRA_DHCP4 != 0 && ends.remote.is_ipv4() => Some(Reason::InfraDhcp4),
        // The client's address keeps it on the link, whatever the server's is (RFC 8415 names none).
        DHCP6 if infra & INFRA_DHCP6 != 0 && ends.local.is_ipv6_link_local() => {
            Some(Reason::InfraDhcp6)
        }
        _ => None,
    }
}

/// The link-local services of EC2, in 169.254.0.0/16 and `fd00:ec2::/112`.
#[inline(always)]
fn is_ec2_service(remote: &Addr, protocol: u8, port: u16) -> bool {
    let (high, low) = remote.halves();
    let ipv4 = high == 0 && low >> 16 == 0xffff_a9fe; // 169.254.0.0/16
    let ipv6 = high == 0xfd00_0ec2_0000_0000 && low >> 16 == 0; // fd00:ec2::/112
    if !ipv4 && !ipv6 {
        return false;
    }
    let host = low as u16;
    match (protocol, port) {
        // Resolver.
        (UDP | TCP, 53) => host == if ipv4 { 0xa9fd } else { 0x0253 },
        // Instance metadata; ECS task metadata and EKS pod identity.
        (TCP, 80) if ipv4 => matches!(host, 0xa9fe | 0xaa02 | 0xaa17),
        (TCP, 80) => matches!(host, 0x0254 | 0x0023),
        // Time.
        (UDP, 123) => host == if ipv4 { 0xa97b } else { 0x0123 },
        // Windows licence activation.
        (TCP, 1688) if ipv4 => matches!(host, 0xa9fa | 0xa9fb),
        (TCP, 1688) => matches!(host, 0x0250 | 0x0240),
        _ => false,
    }
}
