//! One address type for both families, so that nothing below it is written twice.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv6 address, or an IPv4 address in its IPv4-mapped form `::ffff:a.b.c.d` (RFC 4291 §2.5.5.2).
///
/// Sixteen bytes in network order, kept as two words so that copies and comparisons are cheap:
/// each word holds its eight bytes as they lie on the wire. (Not an array: a pair goes in registers.)
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Addr {
    first: u64,
    second: u64,
}

/// The lower half of the second word of every IPv4-mapped address: bytes `00 00 ff ff`.
const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

impl Addr {
    /// The unspecified IPv6 address `::`.
    pub const UNSPECIFIED: Self = Self {
        first: 0,
        second: 0,
    };

    /// An IPv6 address from two words as read from the wire.
    #[inline(always)]
    pub const fn from_wire_v6([first, second]: [u64; 2]) -> Self {
        Self { first, second }
    }

    /// An IPv4 address from its word as read from the wire.
    #[inline(always)]
    pub const fn from_wire_v4(word: u32) -> Self {
        Self {
            first: 0,
            second: MAPPED as u64 | (word as u64) << 32,
        }
    }

    /// Whether this is an IPv4 address.
    #[inline(always)]
    pub const fn is_ipv4(&self) -> bool {
        self.first == 0 && self.second as u32 == MAPPED
    }

    /// The address as a number, most significant word first, for comparisons with ranges.
    #[inline(always)]
    pub const fn halves(&self) -> (u64, u64) {
        (u64::from_be(self.first), u64::from_be(self.second))
    }

    /// The address as one number in the IPv6 address space.
    pub const fn to_u128(self) -> u128 {
        let (high, low) = self.halves();
        (high as u128) << 64 | low as u128
    }

    /// The wire words, for hashing.
    #[inline(always)]
    pub const fn wire(&self) -> [u64; 2] {
        [self.first, self.second]
    }

    /// Whether this is an IPv6 link-local address (`fe80::/10`).
    #[inline(always)]
    pub const fn is_ipv6_link_local(&self) -> bool {
        u64::from_be(self.first) >> 54 == 0xfe80 >> 6
    }

    /// Whether this is an IPv4 multicast address (`224.0.0.0/4`).
    #[inline(always)]
    pub const fn is_ipv4_multicast(&self) -> bool {
        self.is_ipv4() && self.halves().1 as u32 >> 28 == 0xe
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::from_wire_v4(u32::from_ne_bytes(v4.octets())),
            IpAddr::V6(v6) => {
                let number = u128::from(v6);
                Self::from_wire_v6([((number >> 64) as u64).to_be(), (number as u64).to_be()])
            }
        }
    }
}

impl From<Addr> for IpAddr {
    fn from(addr: Addr) -> Self {
        if addr.is_ipv4() {
            Self::V4(Ipv4Addr::from(addr.halves().1 as u32))
        } else {
            Self::V6(Ipv6Addr::from(addr.to_u128()))
        }
    }
}

impl core::fmt::Debug for Addr {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        IpAddr::from(*self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_survive_the_round_trip() {
        for text in [
            "10.0.1.5",
            "0.0.0.0",
            "255.255.255.255",
            "2001:db8::1",
            "::",
            "fe80::1",
        ] {
            let ip: IpAddr = text.parse().expect("address");
            assert_eq!(IpAddr::from(Addr::from(ip)), ip);
        }
    }

    #[test]
    fn numbers_order_as_addresses_do() {
        let n = |t: &str| Addr::from(t.parse::<IpAddr>().expect("address")).to_u128();
        assert!(n("10.0.0.1") < n("10.0.1.0"));
        assert_eq!(n("0.0.0.0"), 0xffff_0000_0000);
        assert!(n("2001:db8::1") < n("2001:db8::2"));
    }
}
