//! The service key: one number space for everything a rule can name besides the peer.
//!
//! A rule admits a contiguous range of keys, so protocol, ports and ICMP type and code need one
//! lookup and no cases:
//!
//! ```text
//!  bit 24        bits 23–16   bits 15–0
//!  without ports protocol     destination port (TCP, UDP) | type << 8 | code (ICMP) | 0 (others)
//! ```
//!
//! Keys with bit 24 stand for packets whose ports are not known (later fragments). Only rules that
//! admit a whole protocol cover them, each the one whose lower bits are 0.

/// Set in the keys of packets whose ports are not known.
pub const WITHOUT_PORTS: u32 = 1 << 24;

/// The key of a packet of which not even the protocol is known (later fragments of IPv6 that begin
/// with an extension header). Only rules that admit everything cover it.
pub const UNKNOWN: u32 = WITHOUT_PORTS | 1;

/// The number of keys: every key is below it.
pub const KEYS: u32 = 1 << 25;

/// The key of a packet to destination port `port` (0 for protocols without ports).
#[inline(always)]
pub const fn key(protocol: u8, port: u16) -> u32 {
    (protocol as u32) << 16 | port as u32
}

/// The key of an ICMP or ICMPv6 message.
#[inline(always)]
pub const fn icmp_key(protocol: u8, icmp_type: u8, icmp_code: u8) -> u32 {
    key(protocol, (icmp_type as u16) << 8 | icmp_code as u16)
}

/// The key of a packet of `protocol` whose ports are not known.
#[inline(always)]
pub const fn key_without_ports(protocol: u8) -> u32 {
    WITHOUT_PORTS | key(protocol, 0)
}
