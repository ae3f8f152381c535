//! Pairs of small numbers that travel as one word: ports, VLAN ids; and the two ends of a packet.
//!
//! What is stored as a whole can be loaded as a whole at once: a CPU passes a value on from a store
//! to a load only if that one store had all of it, and else waits until the stores are done.

use crate::addr::Addr;

/// Two ports in one word.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Ports(u32);

impl Ports {
    /// What has no ports.
    pub const NONE: Self = Self(0);

    /// Two ports: the upper and the lower half of the word.
    #[inline(always)]
    pub const fn new(upper: u16, lower: u16) -> Self {
        Self((upper as u32) << 16 | lower as u32)
    }

    /// The first four bytes of a TCP or UDP header, in host order: source port, destination port.
    #[inline(always)]
    pub const fn from_header(word: u32) -> Self {
        Self(word)
    }

    /// The port in the upper half.
    #[inline(always)]
    pub const fn upper(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The port in the lower half.
    #[inline(always)]
    pub const fn lower(self) -> u16 {
        self.0 as u16
    }

    /// The halves in each other's place.
    #[must_use]
    #[inline(always)]
    pub const fn swapped(self) -> Self {
        Self(self.0.rotate_left(16))
    }

    /// The word.
    #[inline(always)]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

/// The outer and the inner VLAN id of a frame in one word; 0 = untagged.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct VlanIds(u32);

impl VlanIds {
    /// Untagged.
    pub const NONE: Self = Self(0);

    /// Two ids: the lower and the upper half of the word.
    #[inline(always)]
    pub const fn new(outer: u16, inner: u16) -> Self {
        Self(outer as u32 | (inner as u32) << 16)
    }

    /// The ids of a word.
    #[inline(always)]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The word.
    #[inline(always)]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Outer and inner id.
    #[inline(always)]
    pub const fn ids(self) -> [u16; 2] {
        [self.0 as u16, (self.0 >> 16) as u16]
    }
}

/// The two ends of a packet as the protected side sees them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ends {
    /// Address of the protected side.
    pub local: Addr,
    /// Address of the other side.
    pub remote: Addr,
    /// Remote port (upper half) and local port (lower half).
    pub ports: Ports,
}

impl Ends {
    /// The protected side and the other side.
    pub const fn new(local: (Addr, u16), remote: (Addr, u16)) -> Self {
        Self {
            local: local.0,
            remote: remote.0,
            ports: Ports::new(remote.1, local.1),
        }
    }

    /// Port of the protected side.
    #[inline(always)]
    pub const fn local_port(&self) -> u16 {
        self.ports.lower()
    }

    /// Port of the other side.
    #[inline(always)]
    pub const fn remote_port(&self) -> u16 {
        self.ports.upper()
    }
}
