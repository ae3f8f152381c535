//! Protocol numbers and bits (IANA registries; network-types where it names them).

use network_types::eth::EtherType;
use network_types::ip::IpProto;

/// `EtherType` of IPv4, host order.
pub const ETH_IPV4: u16 = (EtherType::Ipv4 as u16).to_be();
/// `EtherType` of IPv6, host order.
pub const ETH_IPV6: u16 = (EtherType::Ipv6 as u16).to_be();
/// `EtherType` of ARP, host order.
pub const ETH_ARP: u16 = (EtherType::Arp as u16).to_be();
/// `EtherType` of an 802.1Q tag, host order.
pub const ETH_8021Q: u16 = (EtherType::Ieee8021q as u16).to_be();
/// `EtherType` of an 802.1ad tag, host order.
pub const ETH_8021AD: u16 = (EtherType::Ieee8021ad as u16).to_be();

/// IPv6 hop-by-hop options header.
pub const HOP_BY_HOP: u8 = IpProto::HopOpt as u8;
/// ICMP for IPv4.
pub const ICMP: u8 = IpProto::Icmp as u8;
/// Internet group management (RFC 3376).
pub const IGMP: u8 = IpProto::Igmp as u8;
/// TCP.
pub const TCP: u8 = IpProto::Tcp as u8;
/// UDP.
pub const UDP: u8 = IpProto::Udp as u8;
/// IPv6 routing header.
pub const ROUTING: u8 = IpProto::Ipv6Route as u8;
/// IPv6 fragment header.
pub const FRAGMENT: u8 = IpProto::Ipv6Frag as u8;
/// Authentication header (RFC 4302).
pub const AH: u8 = IpProto::Ah as u8;
/// ICMP for IPv6.
pub const ICMPV6: u8 = IpProto::Ipv6Icmp as u8;
/// IPv6 destination options header.
pub const DEST_OPTIONS: u8 = IpProto::Ipv6Opts as u8;
/// Mobility header (RFC 6275).
pub const MOBILITY: u8 = IpProto::MobilityHeader as u8;

/// TCP flag bits as in byte 13 of the header (RFC 9293 §3.1).
pub mod tcp_flags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// The acknowledgement field is significant.
    pub const ACK: u8 = 0x10;
}

/// Whether a protocol number stands for an IPv6 extension header.
#[inline(always)]
pub const fn is_extension(protocol: u8) -> bool {
    matches!(
        protocol,
        HOP_BY_HOP | ROUTING | FRAGMENT | AH | DEST_OPTIONS | MOBILITY
    )
}
