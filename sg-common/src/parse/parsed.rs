//! What is known of a frame after parsing.

use crate::addr::Addr;
use crate::ends::{Ports, VlanIds};
use crate::tcp::Segment;
use crate::verifier::opaque;

/// Where a packet stands in its datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fragment {
    /// Not fragmented.
    None,
    /// The first fragment: it has the transport header.
    First,
    /// Any later fragment: it has no ports.
    Later,
}

/// What a frame is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parsed {
    /// Source address.
    pub src: Addr,
    /// Destination address.
    pub dst: Addr,
    /// Source port (upper half) and destination port (TCP, UDP), else 0.
    pub ports: Ports,
    /// VLAN ids.
    pub vlan: VlanIds,
    /// IP protocol number of the innermost header that was reached.
    pub protocol: u8,
    /// Hop limit of IPv6, TTL of IGMP.
    pub hop_limit: u8,
    /// TCP flags, byte 13 of the header.
    pub tcp_flags: u8,
    /// Type of an ICMP or IGMP message.
    pub icmp_type: u8,
    /// ICMP code.
    pub icmp_code: u8,
    /// ICMP identifier, where the type has one.
    pub icmp_id: u16,
    /// Place in the datagram.
    pub fragment: Fragment,
    /// Identification field of a fragment.
    pub fragment_id: u32,
    /// Offset of the transport header from the start of the frame.
    pub transport_offset: u32,
    /// Offset of the end of the IP packet; the frame may go on (Ethernet padding).
    pub end: u32,
    /// Bytes of data that the segment carries (TCP).
    pub data: u32,
    /// Sequence number (TCP).
    pub seq: u32,
    /// Acknowledgement number (TCP).
    pub ack: u32,
}

impl Parsed {
    /// What is known of a frame that is not IP, or malformed.
    pub const NOTHING: Self = Self {
        src: Addr::UNSPECIFIED,
        dst: Addr::UNSPECIFIED,
        ports: Ports::NONE,
        vlan: VlanIds::NONE,
        protocol: 0,
        hop_limit: 0,
        tcp_flags: 0,
        icmp_type: 0,
        icmp_code: 0,
        icmp_id: 0,
        fragment: Fragment::None,
        fragment_id: 0,
        transport_offset: 0,
        end: 0,
        data: 0,
        seq: 0,
        ack: 0,
    };

    /// What a TCP segment says.
    #[inline(always)]
    pub(crate) const fn segment(&self) -> Segment {
        Segment {
            flags: self.tcp_flags,
            seq: self.seq,
            ack: self.ack,
            data: self.data,
        }
    }

    /// Takes back what was known of an earlier frame, as far as anybody may read it before it is
    /// known of this one.
    #[inline(always)]
    pub(super) fn clear(&mut self) {
        // Hidden: LLVM would gather the zeros into calls of memset, which is a loop over bytes.
        let zero = opaque(0);
        self.src = Addr::from_wire_v6([zero; 2]);
        self.dst = Addr::from_wire_v6([zero; 2]);
        self.end = zero as u32;
        self.ports = Ports::from_header(zero as u32);
        self.icmp_id = zero as u16;
        self.protocol = zero as u8;
        self.tcp_flags = zero as u8;
        self.icmp_type = zero as u8;
        self.icmp_code = zero as u8;
        self.fragment = Fragment::None;
    }
}
