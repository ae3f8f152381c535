//! From a frame to the fields that decide: Ethernet, VLAN, IPv4, IPv6, TCP, UDP, ICMP.
//!
//! Every length that a header claims is checked against what is really there, and ports are read
//! only where a transport header is.

mod parsed;

use core::mem::offset_of;

use network_types::eth::EthHdr;
use network_types::ip::{Ipv4Hdr, Ipv6Hdr};
use network_types::tcp::TcpHdr;
use network_types::udp::UdpHdr;

use crate::addr::Addr;
use crate::ends::{Ports, VlanIds};
use crate::packet::{Packet, View};
use crate::proto::{
    AH, ETH_8021AD, ETH_8021Q, ETH_ARP, ETH_IPV4, ETH_IPV6, FRAGMENT, HOP_BY_HOP, ICMP, ICMPV6,
    IGMP, TCP, UDP, is_extension,
};
use crate::reason::Reason;
use crate::verifier::forget;

pub use self::parsed::{Fragment, Parsed};

/// VLAN tags that are followed.
pub const MAX_VLAN_TAGS: usize = 2;
/// IPv6 extension headers that are followed.
pub const MAX_EXTENSION_HEADERS: usize = 8;

/// Bytes of the shortest ICMP, ICMPv6 and IGMP messages (RFC 792, RFC 4443, RFC 3376).
const CONTROL_LEN: usize = 8;

/// Headers that begin beyond this offset are not followed; one less than a power of two.
pub const MAX_HEADER_OFFSET: u32 = 0x3fff;

/// What a frame carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Payload {
    /// An IP packet.
    Ip,
    /// ARP.
    Arp,
    /// Any other protocol below IP.
    NonIp,
}

/// How much of a packet must be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Extent {
    /// All that the length fields claim.
    Whole,
    /// The headers up to the ports: a packet quoted by an ICMP error is cut off after 8 bytes of
    /// transport (RFC 792), or later (RFC 4443).
    Quoted,
}

/// Parses a frame into `parsed`, in place: the kernel's stack has no room for copies.
///
/// # Errors
/// The drop reason of a frame that is cut off or contradicts itself; `parsed` then holds what was
/// read before.
#[inline(always)]
pub fn frame<P: Packet>(packet: &P, parsed: &mut Parsed) -> Result<Payload, Reason> {
    parsed.clear();
    if let Some(protocol) = packet.bare() {
        return network(packet, 0, protocol, parsed);
    }
    // A tag that the hook carries beside the frame is the outermost one.
    let beside = packet.vlan_beside();
    let Some(ethernet) = packet.view::<{ EthHdr::LEN }>(0) else {
        parsed.vlan = VlanIds::new(beside, 0);
        return Err(Reason::MalformedEthernet);
    };
    let mut ether_type = ethernet.be16(offset_of!(EthHdr, ether_type));
    let mut offset = EthHdr::LEN as u32;
    let first = usize::from(beside != 0);
    let mut vlan = u32::from(beside);
    for depth in 0..MAX_VLAN_TAGS {
        if !is_tag(ether_type) || depth + first >= MAX_VLAN_TAGS {
            break;
        }
        let Some(tag) = packet.view::<4>(offset) else {
            parsed.vlan = VlanIds::from_bits(vlan);
            return Err(Reason::MalformedEthernet);
        };
        let id = u32::from(tag.be16(0) & 0x0fff);
        vlan |= id << if depth + first == 0 { 0 } else { 16 };
        ether_type = tag.be16(2);
        offset += 4;
    }
    if is_tag(ether_type) {
        parsed.vlan = VlanIds::from_bits(vlan);
        return Err(Reason::VlanDepth);
    }
    // Tagged or not: one path from here on.
    let offset = bounded(packet, offset);
    parsed.vlan = VlanIds::from_bits(forget(u64::from(vlan), packet.noise()) as u32);
    network(packet, offset, ether_type, parsed)
}

/// Parses what a frame carries, whatever its link.
#[inline(always)]
fn network<P: Packet>(
    packet: &P,
    offset: u32,
    ether_type: u16,
    parsed: &mut Parsed,
) -> Result<Payload, Reason> {
    match ether_type {
        ETH_IPV4 => ipv4(packet, offset, Extent::Whole, parsed)?,
        ETH_IPV6 => ipv6(packet, offset, Extent::Whole, parsed)?,
        ETH_ARP => return Ok(Payload::Arp),
        _ => return Ok(Payload::NonIp),
    }
    transport(packet, Extent::Whole, parsed)?;
    Ok(Payload::Ip)
}

/// Parses the packet that an ICMP error quotes, up to its ports, into `parsed`.
///
/// `error` is the error itself; the quote starts 8 bytes into its ICMP header.
///
/// # Errors
/// The reason why the quote cannot be read.
#[inline(always)]
pub fn quoted<P: Packet>(packet: &P, error: &Parsed, parsed: &mut Parsed) -> Result<(), Reason> {
    parsed.clear();
    let offset = error.transport_offset + 8;
    if offset > MAX_HEADER_OFFSET {
        return Err(Reason::MalformedIcmp);
    }
    parsed.vlan = error.vlan;
    if error.protocol == ICMP {
        ipv4(packet, offset, Extent::Quoted, parsed)?;
    } else {
        ipv6(packet, offset, Extent::Quoted, parsed)?;
    }
    transport(packet, Extent::Quoted, parsed)?;
    let read = match parsed.protocol {
        TCP | UDP => 4,
        ICMP | ICMPV6 => 8,
        _ => 0,
    };
    // What follows the error's own packet (Ethernet padding) is no part of the quote.
    if parsed.transport_offset + read > error.end {
        return Err(Reason::MalformedIcmp);
    }
    Ok(())
}

/// Returns an offset that is at most [`MAX_HEADER_OFFSET`], and for the verifier nothing more
/// precise: else every way through the headers before it would be followed apart to the end.
#[inline(always)]
fn bounded<P: Packet>(packet: &P, offset: u32) -> u32 {
    forget(u64::from(offset), packet.noise()) as u32 & MAX_HEADER_OFFSET
}

#[inline(always)]
const fn is_tag(ether_type: u16) -> bool {
    matches!(ether_type, ETH_8021Q | ETH_8021AD)
}

/// RFC 791 §3.1.
#[inline(always)]
fn ipv4<P: Packet>(
    packet: &P,
    offset: u32,
    extent: Extent,
    parsed: &mut Parsed,
) -> Result<(), Reason> {
    const FAULT: Reason = Reason::MalformedIpv4;
    let header = packet.view::<{ Ipv4Hdr::LEN }>(offset).ok_or(FAULT)?;
    let version_ihl = header.u8(offset_of!(Ipv4Hdr, vihl));
    let header_len = u32::from(version_ihl & 0x0f) * 4;
    if version_ihl >> 4 != 4 || header_len < Ipv4Hdr::LEN as u32 {
        return Err(FAULT);
    }
    let mut total_len = u32::from(header.be16(offset_of!(Ipv4Hdr, tot_len)));
    if total_len == 0 && packet.is_segmented() {
        total_len = packet.len().wrapping_sub(offset);
    }
    if total_len < header_len || (extent == Extent::Whole && !packet.has(offset + total_len)) {
        return Err(FAULT);
    }
    let frags = header.be16(offset_of!(Ipv4Hdr, frags));
    if frags & 0x3fff != 0 {
        parsed.fragment = match frags & 0x1fff {
            0 => Fragment::First,
            _ => Fragment::Later,
        };
        parsed.fragment_id = u32::from(header.be16(offset_of!(Ipv4Hdr, id)));
    }
    parsed.src = Addr::from_wire_v4(header.wire32(offset_of!(Ipv4Hdr, src_addr)));
    parsed.dst = Addr::from_wire_v4(header.wire32(offset_of!(Ipv4Hdr, dst_addr)));
    parsed.protocol = header.u8(offset_of!(Ipv4Hdr, proto));
    if parsed.protocol == IGMP {
        parsed.hop_limit = header.u8(offset_of!(Ipv4Hdr, ttl));
    }
    parsed.transport_offset = bounded(packet, offset + header_len);
    parsed.end = offset + total_len;
    Ok(())
}

/// RFC 8200 §3 and §4, a bounded chain of extension headers.
#[inline(always)]
fn ipv6<P: Packet>(
    packet: &P,
    offset: u32,
    extent: Extent,
    parsed: &mut Parsed,
) -> Result<(), Reason> {
    const FAULT: Reason = Reason::MalformedIpv6;
    let header = packet.view::<{ Ipv6Hdr::LEN }>(offset).ok_or(FAULT)?;
    if header.u8(offset_of!(Ipv6Hdr, vcf)) >> 4 != 6 {
        return Err(FAULT);
    }
    let address = |at: usize| Addr::from_wire_v6([header.wire64(at), header.wire64(at + 8)]);
    parsed.src = address(offset_of!(Ipv6Hdr, src_addr));
    parsed.dst = address(offset_of!(Ipv6Hdr, dst_addr));
    // On the wire an IPv4-mapped address is forged (RFC 4942 §2.2): it must not pass for IPv4.
    if parsed.src.is_ipv4() || parsed.dst.is_ipv4() {
        return Err(FAULT);
    }
    parsed.hop_limit = header.u8(offset_of!(Ipv6Hdr, hop_limit));
    let mut protocol = header.u8(offset_of!(Ipv6Hdr, next_hdr));
    let mut transport = offset + Ipv6Hdr::LEN as u32;
    let mut fragment = Fragment::None;
    let mut payload_len = u32::from(header.be16(offset_of!(Ipv6Hdr, payload_len)));
    if payload_len == 0 && packet.is_segmented() {
        payload_len = packet.len().wrapping_sub(transport);
    }
    let end = transport + payload_len;
    if extent == Extent::Whole && !packet.has(end) {
        return Err(FAULT);
    }
    parsed.end = end;
    let arrive = |parsed: &mut Parsed, protocol, transport, fragment| {
        parsed.protocol = protocol;
        parsed.transport_offset = bounded(packet, transport);
        parsed.fragment = fragment;
    };
    // Counted from a constant to a constant, and left both inside and behind: so LLVM closes the
    // loop with a branch. Linux 6.1 refuses loops that close by falling through.
    for _ in 0..MAX_EXTENSION_HEADERS {
        if !is_extension(protocol) || fragment == Fragment::Later {
            arrive(parsed, protocol, transport, fragment);
            return Ok(());
        }
        let extension = packet.view::<8>(transport).ok_or(FAULT)?;
        let length = match protocol {
            FRAGMENT => {
                let frags = extension.be16(2);
                parsed.fragment_id = extension.wire32(4);
                fragment = match (frags >> 3, frags & 1) {
                    // An atomic fragment is a whole packet (RFC 6946).
                    (0, 0) => Fragment::None,
                    (0, _) => Fragment::First,
                    _ => Fragment::Later,
                };
                8
            }
            AH => (u32::from(extension.u8(1)) + 2) * 4,
            _ => (u32::from(extension.u8(1)) + 1) * 8,
        };
        protocol = extension.u8(0);
        let next = transport + length;
        if next > MAX_HEADER_OFFSET {
            return Err(Reason::Ipv6ExtensionChain);
        }
        if next > end && extent == Extent::Whole {
            return Err(FAULT);
        }
        transport = bounded(packet, next);
        // Hop-by-hop options may only follow the IPv6 header itself (RFC 8200 §4.1).
        if protocol == HOP_BY_HOP && fragment != Fragment::Later {
            return Err(FAULT);
        }
    }
    if is_extension(protocol) && fragment != Fragment::Later {
        return Err(Reason::Ipv6ExtensionChain);
    }
    arrive(parsed, protocol, transport, fragment);
    Ok(())
}

/// Reads what the transport header says about the flow.
#[inline(always)]
fn transport<P: Packet>(packet: &P, extent: Extent, parsed: &mut Parsed) -> Result<(), Reason> {
    if parsed.fragment == Fragment::Later {
        return Ok(());
    }
    let offset = parsed.transport_offset;
    let length = parsed.end.wrapping_sub(offset);
    let whole = extent == Extent::Whole;
    match parsed.protocol {
        TCP if whole => {
            const FAULT: Reason = Reason::MalformedTcp;
            if length < TcpHdr::LEN as u32 {
                return Err(FAULT);
            }
            let header = packet.view::<{ TcpHdr::LEN }>(offset).ok_or(FAULT)?;
            let header_len = u32::from(header.u8(12) >> 4) * 4;
            if header_len < TcpHdr::LEN as u32 || header_len > length {
                return Err(FAULT);
            }
            parsed.ports = ports(header);
            parsed.tcp_flags = header.u8(13);
            parsed.data = length - header_len;
            parsed.seq = u32::from_be(header.wire32(offset_of!(TcpHdr, seq)));
            parsed.ack = u32::from_be(header.wire32(offset_of!(TcpHdr, ack_seq)));
        }
        UDP if whole => {
            const FAULT: Reason = Reason::MalformedUdp;
            if length < UdpHdr::LEN as u32 {
                return Err(FAULT);
            }
            let header = packet.view::<{ UdpHdr::LEN }>(offset).ok_or(FAULT)?;
            let claimed = u32::from(header.be16(offset_of!(UdpHdr, len)));
            // A first fragment holds less than the datagram claims.
            let room = parsed.fragment == Fragment::First || claimed <= length;
            if claimed < UdpHdr::LEN as u32 || !room {
                return Err(FAULT);
            }
            parsed.ports = ports(header);
        }
        TCP | UDP => {
            let header = packet.view::<4>(offset).ok_or(Reason::MalformedTcp)?;
            parsed.ports = ports(header);
        }
        protocol @ (ICMP | ICMPV6 | IGMP) => {
            // What is no IGMP message is a packet of that protocol like others.
            let cut_off = match protocol {
                IGMP => Ok(()),
                _ => Err(Reason::MalformedIcmp),
            };
            if whole && length < CONTROL_LEN as u32 {
                return cut_off;
            }
            let Some(header) = packet.view::<CONTROL_LEN>(offset) else {
                return cut_off;
            };
            parsed.icmp_type = header.u8(0);
            parsed.icmp_code = header.u8(1);
            parsed.icmp_id = header.be16(4);
        }
        _ => {}
    }
    Ok(())
}

/// The ports of a TCP or UDP header, with which both begin: one load.
#[inline(always)]
fn ports<V: View>(header: V) -> Ports {
    Ports::from_header(u32::from_be(header.wire32(0)))
}

#[cfg(test)]
mod tests;
