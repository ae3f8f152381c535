//! One address type for both families, so that nothing below it is written twice.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv6 address, or an IPv4 address in its IPv4-mapped form `::ffff:a.b.c.d` (RFC 4291 §2.5.5.2).
///
/// Sixteen bytes in network order, kept as four words so that copies and comparisons are cheap:
/// each word holds its four bytes as they lie on the wire.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Addr {
    wire: [u32; 4],
}

/// The third word of every IPv4-mapped address: bytes `00 00 ff ff`.
const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

impl Addr {
    /// The unspecified IPv6 address `::`.
    pub const UNSPECIFIED: Self = Self { wire: [0; 4] };

    /// An IPv6 address from four words as read from the wire.
    #[inline(always)]
    pub const fn from_wire_v6(wire: [u32; 4]) -> Self {
        Self { wire }
    }

    /// An IPv4 address from its word as read from the wire.
    #[inline(always)]
    pub const fn from_wire_v4(word: u32) -> Self {
        Self {
            wire: [0, 0, MAPPED, word],
        }
    }

    /// Whether this is an IPv4 address.
    #[inline(always)]
    pub const fn is_ipv4(&self) -> bool {
        self.wire[0] == 0 && self.wire[1] == 0 && self.wire[2] == MAPPED
    }

    /// The address as a number, most significant word first, for comparisons with ranges.
    #[inline(always)]
    pub const fn halves(&self) -> (u64, u64) {
        let [a, b, c, d] = self.wire;
        (
            (u32::from_be(a) as u64) << 32 | u32::from_be(b) as u64,
            (u32::from_be(c) as u64) << 32 | u32::from_be(d) as u64,
        )
    }

    /// The address as one number in the IPv6 address space.
    pub const fn to_u128(self) -> u128 {
        let (high, low) = self.halves();
        (high as u128) << 64 | low as u128
    }

    /// The wire words, for hashing.
    #[inline(always)]
    pub const fn wire(&self) -> [u32; 4] {
        self.wire
    }

    /// Whether this is an IPv6 link-local address (`fe80::/10`).
    #[inline(always)]
    pub const fn is_ipv6_link_local(&self) -> bool {
        u32::from_be(self.wire[0]) & 0xffc0_0000 == 0xfe80_0000
    }

    /// Whether this is an IPv6 multicast address (`ff00::/8`).
    #[inline(always)]
    pub const fn is_ipv6_multicast(&self) -> bool {
        u32::from_be(self.wire[0]) >> 24 == 0xff
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::from_wire_v4(u32::from_ne_bytes(v4.octets())),
            IpAddr::V6(v6) => {
                let o = v6.octets();
                let word = |i: usize| u32::from_ne_bytes([o[i], o[i + 1], o[i + 2], o[i + 3]]);
                Self::from_wire_v6([word(0), word(4), word(8), word(12)])
            }
        }
    }
}

impl From<Addr> for IpAddr {
    fn from(addr: Addr) -> Self {
        if addr.is_ipv4() {
            Self::V4(Ipv4Addr::from(addr.wire[3].to_ne_bytes()))
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
