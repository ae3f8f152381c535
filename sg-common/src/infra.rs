//! The infrastructure set: what keeps a network running below and beside security groups.

use crate::addr::Addr;
use crate::ends::{Ends, Ports};
use crate::flow::Direction;
use crate::icmp;
use crate::parse::Parsed;
use crate::proto::{ICMPV6, TCP, UDP};
use crate::reason::Reason;
use crate::settings::{INFRA_DHCP4, INFRA_DHCP6, INFRA_EC2, INFRA_MLD, INFRA_ND};

/// Traffic that security groups never filter (AWS: ARP, DHCP, the link-local services; ND and MLD
/// as their IPv6 counterparts), as far as it is switched on.
#[inline(always)]
pub fn infrastructure(infra: u32, parsed: &Parsed, direction: Direction) -> Option<Reason> {
    match parsed.protocol {
        ICMPV6 if !parsed.dst.is_ipv4() => {
            if infra & INFRA_ND != 0
                && parsed.hop_limit == 255
                && icmp::is_neighbour_discovery(ICMPV6, parsed.icmp_type)
            {
                return Some(Reason::InfraNd);
            }
            if infra & INFRA_MLD != 0
                && parsed.hop_limit == 1
                && icmp::is_listener_discovery(ICMPV6, parsed.icmp_type)
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
        _ => None,
    }
}

#[inline(always)]
fn dhcp_client(infra: u32, ends: &Ends) -> Option<Reason> {
    /// Ports of server and client.
    const DHCP4: Ports = Ports::new(67, 68);
    const DHCP6: Ports = Ports::new(547, 546);
    match ends.ports {
        DHCP4 if infra & INFRA_DHCP4 != 0 && ends.remote.is_ipv4() => Some(Reason::InfraDhcp4),
        DHCP6
            if infra & INFRA_DHCP6 != 0
                && ends.local.is_ipv6_link_local()
                && (ends.remote.is_ipv6_link_local() || ends.remote.is_ipv6_multicast()) =>
        {
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
