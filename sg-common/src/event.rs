//! The record of one verdict, as the programs put it into the ring buffer.

use crate::addr::Addr;

/// `flags` bit: the verdict was not carried out because the interface only audits.
pub const EVENT_AUDITED: u8 = 1 << 0;
/// `flags` bit: the frame has no header of its link, and begins with the IP header.
pub const EVENT_BARE: u8 = 1 << 1;

/// One verdict: 72 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// `CLOCK_MONOTONIC` nanoseconds.
    pub time_ns: u64,
    /// Address of the protected side.
    pub local: Addr,
    /// Address of the other side.
    pub remote: Addr,
    /// Number of the deciding rule; 0 when no rule decided.
    pub rule: u32,
    /// Frame length in bytes.
    pub length: u32,
    /// Interface index.
    pub ifindex: u32,
    /// Zone of the interface.
    pub zone: u16,
    /// Port of the protected side; for ICMP queries and their answers the identifier.
    pub local_port: u16,
    /// Port of the other side.
    pub remote_port: u16,
    /// Outer and inner VLAN id; 0 = untagged.
    pub vlan: [u16; 2],
    /// IP protocol number.
    pub protocol: u8,
    /// [`Direction`](crate::flow::Direction).
    pub direction: u8,
    /// [`Reason`](crate::reason::Reason) code.
    pub reason: u8,
    /// `EVENT_…` bits.
    pub flags: u8,
    /// TCP flags (byte 13 of the header).
    pub tcp_flags: u8,
    /// ICMP type.
    pub icmp_type: u8,
    /// ICMP code.
    pub icmp_code: u8,
    /// Explicit padding, zero.
    pub pad: [u8; 3],
}

/// Bytes of the beginning of a frame that are reported with its verdict: the headers of almost all.
pub const SNAP: usize = 128;

/// What the programs put into the ring buffer: 208 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The verdict.
    pub event: Event,
    /// Bytes of the frame that there are.
    pub captured: u32,
    /// Explicit padding, zero.
    pub pad: u32,
    /// The first of them are the frame's; the rest means nothing.
    pub bytes: [u8; SNAP],
}

impl Record {
    /// The beginning of the frame, from the header of its link on, if it has one; a VLAN tag that the hook had beside
    /// it is not in it.
    pub fn frame(&self) -> &[u8] {
        &self.bytes[..SNAP.min(self.captured as usize)]
    }
}
