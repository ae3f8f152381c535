//! The small world that addresses, nets and ports are drawn from, so that hits are common.

use std::{net::IpAddr, sync::LazyLock};

use fastrand::Rng;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Addresses of the protected side: two of each family.
pub(super) const LOCAL: [&str; 4] = ["10.0.0.1", "10.0.0.2", "2001:db8::1", "fe80::1"];

/// Addresses of the host's other interfaces.
pub(super) const OTHERS: [[&str; 2]; 2] = [
    ["10.0.1.1", "2001:db8:0:1::1"],
    ["192.0.2.9", "2001:db8:1::1"],
];

/// Addresses by family, many of them at borders of [`NETS`].
static ADDRESSES: LazyLock<[Vec<IpAddr>; 2]> = LazyLock::new(|| {
    let v4 = [
        "10.0.0.2",
        "10.0.0.3",
        "10.0.0.4",
        "10.0.0.7",
        "10.0.0.8",
        "10.0.0.255",
        "10.0.1.0",
        "10.0.1.1",
        "10.128.0.1",
        "11.0.0.0",
        "192.0.2.9",
        "192.0.2.127",
        "192.0.2.128",
        "198.51.100.1",
        "127.255.255.255",
        "128.0.0.0",
        "169.254.169.254",
        "224.0.0.251",
        "0.0.0.0",
        "255.255.255.255",
    ];
    let v6 = [
        "2001:db8::2",
        "2001:db8::3",
        "2001:db8::4",
        "2001:db8::ffff:ffff:ffff:ffff",
        "2001:db8:0:1::",
        "2001:db8:0:1::1",
        "2001:db8:1::1",
        "2001:db9::",
        "fe80::2",
        "fd00:ec2::254",
        "ff02::1",
        "::",
        "::1",
        // The neighbours of the IPv4-mapped addresses.
        "::fffe:ffff:ffff",
        "::1:0:0:0",
        "7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "8000::",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ];
    let parse = |text: &&str| text.parse().expect("an address");
    [
        v4.iter().map(parse).collect(),
        v6.iter().map(parse).collect(),
    ]
});

/// Nets of both families that overlap each other.
static NETS: LazyLock<Vec<IpNet>> = LazyLock::new(|| {
    [
        "0.0.0.0/1",
        "128.0.0.0/1",
        "10.0.0.0/8",
        "10.0.0.0/24",
        "10.0.0.0/29",
        "10.0.0.0/30",
        "10.0.0.3/32",
        "192.0.2.0/24",
        "192.0.2.128/25",
        "198.51.100.1/32",
        "255.255.255.255/32",
        "0.0.0.0/32",
        "::/1",
        "8000::/1",
        "2001:db8::/32",
        "2001:db8::/64",
        "2001:db8::2/127",
        "2001:db8::3/128",
        "2001:db8:1::/48",
        "::/64",
        "::ffff:0:0/96",
        "::/128",
        "fe80::/10",
        "ff00::/8",
    ]
    .iter()
    .map(|text| text.parse().expect("a net"))
    .collect()
});

/// Ports, many of them at borders of what rules and infrastructure name.
const PORTS: [u16; 16] = [
    0, 21, 22, 23, 53, 67, 68, 80, 123, 443, 546, 547, 1688, 8080, 40000, 65535,
];

/// One of some things.
pub(super) fn one_of<T: Copy>(rng: &mut Rng, things: &[T]) -> T {
    things[rng.usize(..things.len())]
}

/// Whether something happens that does so in so many percent of all cases.
pub(super) fn percent(rng: &mut Rng, chance: u32) -> bool {
    rng.u32(..100) < chance
}

/// An address of a family.
pub(super) fn address(rng: &mut Rng, v4: bool) -> IpAddr {
    one_of(rng, &ADDRESSES[usize::from(!v4)])
}

/// An address of the protected side; rarely any other.
pub(super) fn local(rng: &mut Rng, v4: bool) -> IpAddr {
    if percent(rng, 4) {
        return address(rng, v4);
    }
    let first = if v4 { 0 } else { 2 };
    let text = LOCAL[first + usize::from(percent(rng, 25))];
    text.parse().expect("an address")
}

/// An address in one of some nets, from this world if it has one there.
pub(super) fn address_in(rng: &mut Rng, nets: &[IpNet]) -> Option<IpAddr> {
    if nets.is_empty() {
        return None;
    }
    let net = one_of(rng, nets);
    let known: Vec<_> = ADDRESSES
        .iter()
        .flatten()
        .copied()
        .filter(|address| net.contains(address))
        .collect();
    if known.is_empty() {
        let (first, last) = (net.network(), net.broadcast());
        return Some(one_of(
            rng,
            &[first, last, beside(first, false), beside(last, true)],
        ));
    }
    Some(one_of(rng, &known))
}

/// The next address, up or down.
fn beside(address: IpAddr, up: bool) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let bits = v4.to_bits();
            let next = if up {
                bits.wrapping_add(1)
            } else {
                bits.wrapping_sub(1)
            };
            IpAddr::V4(next.into())
        }
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            let next = if up {
                bits.wrapping_add(1)
            } else {
                bits.wrapping_sub(1)
            };
            IpAddr::V6(next.into())
        }
    }
}

/// Any net, short ones as often as long ones.
pub(super) fn any_net(rng: &mut Rng) -> IpNet {
    let net = if rng.bool() {
        Ipv4Net::new(rng.u32(..).into(), rng.u8(1..=32)).map(IpNet::V4)
    } else {
        Ipv6Net::new(rng.u128(..).into(), rng.u8(1..=128)).map(IpNet::V6)
    };
    net.expect("a length of the family").trunc()
}

/// A net; often everything of a family.
pub(super) fn net(rng: &mut Rng) -> IpNet {
    match rng.u32(..100) {
        0..20 => "0.0.0.0/0".parse().expect("a net"),
        20..35 => "::/0".parse().expect("a net"),
        _ => one_of(rng, &NETS),
    }
}

/// A port.
pub(super) fn port(rng: &mut Rng) -> u16 {
    one_of(rng, &PORTS)
}

/// The port of a side that asks for something.
pub(super) fn client_port(rng: &mut Rng) -> u16 {
    if percent(rng, 10) {
        return port(rng);
    }
    40000 + rng.u16(..6)
}
