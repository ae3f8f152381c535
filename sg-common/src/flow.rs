//! Flows: key, entry and the states that set idle timeouts.

mod slot;
mod state;

pub use slot::FlowSlot;
pub use state::{Evidence, FlowState};

use crate::addr::Addr;
use crate::ends::{Ends, Ports, VlanIds};
use crate::tcp::{Numbers, Side};

/// Which way a packet goes, seen from the protected side on every hook.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Direction {
    /// Towards the protected side.
    Inbound = 0,
    /// Away from the protected side.
    Outbound = 1,
}

impl Direction {
    /// Both directions, in the order of their codes.
    pub const ALL: [Self; 2] = [Self::Inbound, Self::Outbound];

    /// The direction of the answer.
    #[must_use]
    #[inline(always)]
    pub const fn reverse(self) -> Self {
        match self {
            Self::Inbound => Self::Outbound,
            Self::Outbound => Self::Inbound,
        }
    }

    /// The direction of a code; anything but 0 is outbound.
    pub const fn from_code(code: u8) -> Self {
        if code == 0 {
            Self::Inbound
        } else {
            Self::Outbound
        }
    }

    /// The name in tables, JSON and rule files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// Identity of a flow, the same for both directions: 48 bytes.
///
/// Local is the protected side. ICMP queries carry the identifier as local port and the type of
/// the *request* as remote port; other protocols without ports carry zeros.
///
/// Ports, VLAN ids, zone and protocol share two words, because a key is written once and read at
/// once by words: a CPU passes a value on from a store to a load only if the store had all of it.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// Address of the protected side.
    pub local: Addr,
    /// Address of the other side.
    pub remote: Addr,
    /// From the lowest 16 bits up: local port, remote port, outer VLAN id, inner VLAN id.
    pub ports_and_vlan: u64,
    /// From the lowest 16 bits up: zone, protocol.
    pub zone_and_protocol: u64,
}

impl FlowKey {
    /// All zero: the key of no flow.
    pub const NONE: Self = Self {
        local: Addr::UNSPECIFIED,
        remote: Addr::UNSPECIFIED,
        ports_and_vlan: 0,
        zone_and_protocol: 0,
    };

    /// The key of a flow between two ends.
    #[inline(always)]
    pub const fn new(zone: u32, vlan: VlanIds, protocol: u8, ends: Ends) -> Self {
        Self {
            local: ends.local,
            remote: ends.remote,
            ports_and_vlan: ends.ports.bits() as u64 | (vlan.bits() as u64) << 32,
            zone_and_protocol: (zone as u16) as u64 | (protocol as u64) << 16,
        }
    }

    /// Port of the protected side.
    pub const fn local_port(&self) -> u16 {
        Ports::from_header(self.ports_and_vlan as u32).lower()
    }

    /// Port of the other side.
    pub const fn remote_port(&self) -> u16 {
        Ports::from_header(self.ports_and_vlan as u32).upper()
    }

    /// Outer and inner VLAN id; 0 = untagged.
    pub const fn vlan(&self) -> [u16; 2] {
        VlanIds::from_bits((self.ports_and_vlan >> 32) as u32).ids()
    }

    /// Zone of the interface.
    #[inline(always)]
    pub const fn zone(&self) -> u16 {
        self.zone_and_protocol as u16
    }

    /// IP protocol number.
    pub const fn protocol(&self) -> u8 {
        (self.zone_and_protocol >> 16) as u8
    }

    /// 64-bit words of a key.
    pub const WORDS: usize = 6;

    /// The key as numbers, for hashing and comparing; each is two words of memory, as they lie.
    #[inline(always)]
    pub const fn words(&self) -> [u64; Self::WORDS] {
        let [l0, l1] = self.local.wire();
        let [r0, r1] = self.remote.wire();
        [l0, l1, r0, r1, self.ports_and_vlan, self.zone_and_protocol]
    }
}

impl core::fmt::Debug for FlowKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("FlowKey")
            .field("local", &(self.local, self.local_port()))
            .field("remote", &(self.remote, self.remote_port()))
            .field("protocol", &self.protocol())
            .field("vlan", &self.vlan())
            .field("zone", &self.zone())
            .finish_non_exhaustive()
    }
}

/// Seconds for which a flow in state [`FlowState::TCP_SEEDED`] is believed without proof.
pub const SEED_SECONDS: u64 = 120;

/// `flags` bit: the flow was opened by the protected side.
pub const FLOW_OPENED_OUTBOUND: u8 = 1 << 0;
/// `flags` bit: the opener has sent FIN.
pub const FLOW_FIN_ORIGINAL: u8 = 1 << 1;
/// `flags` bit: the answering side has sent FIN.
pub const FLOW_FIN_REPLY: u8 = 1 << 2;
/// `flags` bit: the opener has sent data since the last FIN or RST.
pub const FLOW_DATA_ORIGINAL: u8 = 1 << 3;
/// `flags` bit: the answering side has sent data since the last FIN or RST.
pub const FLOW_DATA_REPLY: u8 = 1 << 4;

/// `flags` bit: the slot counts for the flow's remote end.
pub const FLOW_COUNTED: u8 = 1 << 5;

/// `flags` bit, of a slot without a flow: user space deleted it, and its rule's counters do not have
/// its packets yet.
pub const FLOW_DELETED: u8 = 1 << 7;

/// What is remembered about a flow: 72 bytes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowEntry {
    /// Jiffies of the first packet.
    pub created: u64,
    /// Jiffies of the latest packet.
    pub last_seen: u64,
    /// Packets of the opener and of the answering side.
    pub packets: [u64; 2],
    /// Bytes of the opener and of the answering side.
    pub bytes: [u64; 2],
    /// Number of the rule that admitted the flow.
    pub rule: u32,
    /// [`FlowState`].
    pub state: u8,
    /// `FLOW_…` bits.
    pub flags: u8,
    /// Explicit padding, zero.
    pub pad: [u8; 2],
    /// Sequence numbers (TCP).
    pub numbers: Numbers,
}

/// What opens a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opening {
    /// Number of the rule that admits it.
    pub rule: u32,
    /// First state.
    pub state: FlowState,
    /// `FLOW_…` bits.
    pub flags: u8,
    /// Packets of the first frame.
    pub packets: u32,
    /// Bytes of the first frame.
    pub bytes: u32,
    /// Sequence numbers (TCP).
    pub numbers: Numbers,
}

impl Opening {
    /// The entry of a flow opened at `now`, in jiffies.
    pub const fn entry(self, now: u64) -> FlowEntry {
        FlowEntry {
            created: now,
            last_seen: now,
            packets: [self.packets as u64, 0],
            bytes: [self.bytes as u64, 0],
            rule: self.rule,
            state: self.state.0,
            flags: self.flags,
            pad: [0; 2],
            numbers: self.numbers,
        }
    }
}

/// A flow that existed before its interface was guarded: what `sg_seed` is run with, 56 bytes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowSeed {
    /// Identity of the flow.
    pub key: FlowKey,
    /// [`FlowState`].
    pub state: u32,
    /// `FLOW_…` bits.
    pub flags: u32,
    /// Sequence numbers (TCP), where they are known.
    pub numbers: Numbers,
}

impl FlowSeed {
    /// The bytes of the frame, as they lie in memory.
    pub fn bytes(&self) -> [u8; size_of::<Self>()] {
        let pair = |[low, high]: [u32; 2]| low as u64 | (high as u64) << 32;
        let side = |side: Side| [side.ack, side.end];
        let Numbers { opener, answerer } = self.numbers;
        let rest = [[self.state, self.flags], side(opener), side(answerer)].map(pair);
        let mut bytes = [0; size_of::<Self>()];
        let words = self.key.words().into_iter().chain(rest);
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

impl FlowEntry {
    /// The direction of the flow's first packet.
    pub const fn opened(&self) -> Direction {
        if self.flags & FLOW_OPENED_OUTBOUND == 0 {
            Direction::Inbound
        } else {
            Direction::Outbound
        }
    }
}

/// Identity of a fragmented datagram (RFC 791 §3.2, RFC 8200 §4.5), per direction: 48 bytes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FragmentKey {
    /// Source address.
    pub src: Addr,
    /// Destination address.
    pub dst: Addr,
    /// Identification field.
    pub id: u32,
    /// Zone of the interface.
    pub zone: u16,
    /// Outer and inner VLAN id; 0 = untagged.
    pub vlan: [u16; 2],
    /// IPv4: protocol number. IPv6: 0, for each fragment may name another next header.
    pub protocol: u8,
    /// [`Direction`].
    pub direction: u8,
    /// Explicit padding, zero.
    pub pad: [u8; 4],
}

impl FragmentKey {
    /// All zero: the key of no datagram.
    pub const NONE: Self = Self {
        src: Addr::UNSPECIFIED,
        dst: Addr::UNSPECIFIED,
        id: 0,
        zone: 0,
        vlan: [0; 2],
        protocol: 0,
        direction: 0,
        pad: [0; 4],
    };
}

/// What the first fragment leaves for the later ones: 16 bytes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FragmentEntry {
    /// Jiffies after which the entry counts as absent.
    pub expires: u64,
    /// Number of the rule that admitted the first fragment.
    pub rule: u32,
    /// Explicit padding, zero.
    pub pad: u32,
}

/// Seconds for which later fragments find their first one (RFC 8200 §4.5: reassembly takes 60 s).
pub const FRAGMENT_SECONDS: u64 = 60;

const _: () = {
    assert!(size_of::<FlowKey>() == 48);
    assert!(size_of::<FlowEntry>() == 72);
    assert!(size_of::<FlowSeed>() == 72);
    assert!(size_of::<FragmentKey>() == 48);
    assert!(size_of::<FragmentEntry>() == 16);
};
