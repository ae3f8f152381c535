//! IPv4 and IPv6, and the addresses that tests of single frames give both sides.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IP version, for tests that hold for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The address of the protected side.
    pub fn local(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(192, 0, 2, 10).into(),
            Self::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0x10).into(),
        }
    }

    /// The address of the host's second guarded interface.
    pub fn second_local(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(192, 0, 2, 20).into(),
            Self::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0x20).into(),
        }
    }

    /// An address of the other side.
    pub fn remote(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(203, 0, 113, 7).into(),
            Self::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0xcb, 0, 0, 0, 0, 7).into(),
        }
    }

    /// A router on the way to the other side.
    pub fn router(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(198, 51, 100, 1).into(),
            Self::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, 0, 1).into(),
        }
    }

    /// The CIDR of all addresses.
    pub const fn everything(self) -> &'static str {
        match self {
            Self::V4 => "0.0.0.0/0",
            Self::V6 => "::/0",
        }
    }

    /// The protocol of its control messages, as rule files name it.
    pub const fn icmp(self) -> &'static str {
        match self {
            Self::V4 => "icmp",
            Self::V6 => "icmpv6",
        }
    }
}
