//! Frames that belong to no flow of their own.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use sg_common::{flow::Direction, proto::TCP, reason::Reason, service, settings::DEFAULT_FLOWS};

use super::{
    CLOSED, FIRST_PORT, OPEN, OURS, Program, Row, Scene, Step, Traffic, Transport, admit,
    conversation, list, request, row, varied,
};
use crate::{
    family::Family,
    packet::{icmp_error, tcp},
};

/// Prefixes spread over an area: of 67 million IPv4 addresses, or of 4 billion IPv6 networks.
pub(crate) fn prefixes(family: Family, count: u32) -> BTreeSet<IpNet> {
    let mut random = fastrand::Rng::with_seed(u64::from(count));
    let mut nets = BTreeSet::new();
    while nets.len() < count as usize {
        let net = match family {
            Family::V4 => {
                let address = DENIED_V4.wrapping_add(random.u32(..DENIED_V4_COUNT));
                let bits = [32, 32, 28, 24, 20][random.usize(..5)];
                IpNet::new(Ipv4Addr::from(address).into(), bits)
            }
            Family::V6 => {
                let network = u128::from(random.u32(..)) << 64 | 0x2001_0db8 << 96;
                let bits = [64, 64, 56, 48][random.usize(..4)];
                IpNet::new(Ipv6Addr::from(network).into(), bits)
            }
        };
        nets.extend(net.map(|net| net.trunc()));
    }
    nets
}

/// Where the IPv4 prefixes lie, and how far they spread.
pub(super) const DENIED_V4: u32 = 20 << 24;
pub(super) const DENIED_V4_COUNT: u32 = 1 << 26;

/// Frames from anywhere in the area of the prefixes, to a port that no rule opens.
pub(super) fn denied(family: Family, count: u32) -> Scene {
    let nets = prefixes(family, count);
    let peers = list(&nets);
    let anywhere = match family {
        Family::V4 => Traffic {
            first_address: DENIED_V4,
            numbers: DENIED_V4_COUNT,
            ports: 1,
            ..varied(family, Direction::Inbound, 0)
        },
        // The second four bytes of the address.
        Family::V6 => Traffic {
            address_at: 26,
            first_address: 0,
            numbers: u32::MAX,
            ports: 1,
            ..varied(family, Direction::Inbound, 0)
        },
    };
    let to = (family.local(), CLOSED);
    let unknown = tcp((family.remote(), FIRST_PORT), to).syn();
    let first = nets.first().map_or(family.remote(), IpNet::network);
    let known = tcp((first, FIRST_PORT), to).syn();
    let name = match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    };
    let random = |what: &str, program| Row {
        traffic: anywhere,
        ..row(
            format!("{name}, random sources, XDP{what}"),
            program,
            &known,
            Reason::NoRule,
        )
    };
    Scene {
        name: format!("denied, {count} CIDRs"),
        table: DEFAULT_FLOWS,
        rules: admit(&peers),
        kernel: Some((
            1024,
            nets.iter()
                .map(|net| (*net, service::key(TCP, OPEN)))
                .collect(),
        )),
        before: Vec::new(),
        rows: vec![
            random("", Program::XDP_VARIED),
            random(", kernel's LRU hash and LPM trie", Program::XDP_KERNEL),
            row(
                format!("{name}, unknown source, XDP"),
                Program::Xdp,
                &unknown,
                Reason::NoRule,
            ),
            row(
                format!("{name}, wrong port, XDP"),
                Program::Xdp,
                &known,
                Reason::NoRule,
            ),
            row(
                format!("{name}, wrong port, TC"),
                Program::TcIngress,
                &known,
                Reason::NoRule,
            ),
        ],
    }
}

/// Frames of random members of a group, to a port that the group may not reach.
pub(super) fn members(count: u32) -> Scene {
    const FIRST: u32 = 10 << 24;
    const STEP: u32 = 7;
    let mut members = String::new();
    for number in 0..count {
        let _ = write!(members, "{}, ", Ipv4Addr::from(FIRST + number * STEP));
    }
    let rules = format!(
        "security_groups:\n  peer: {{}}\n  tested:\n    inbound: [{{ protocol: tcp, ports: {OPEN}, \
         source: 'sg:peer' }}]\n    outbound: []\n\
         members: {{ peer: [{members}] }}\n\
         interfaces: {{ eth0: {{ groups: [tested] }} }}\n"
    );
    let frame = |port| {
        tcp(
            (IpAddr::from(Ipv4Addr::from(FIRST)), FIRST_PORT),
            (Family::V4.local(), port),
        )
        .syn()
    };
    let anyone = Traffic {
        first_address: FIRST,
        address_step: STEP,
        numbers: count,
        ports: 1,
        ..varied(Family::V4, Direction::Inbound, 0)
    };
    Scene {
        name: format!("group as source, {count} members"),
        table: DEFAULT_FLOWS,
        rules,
        kernel: None,
        before: Vec::new(),
        rows: vec![
            Row {
                traffic: anyone,
                ..row(
                    "wrong port, random members, XDP",
                    Program::XDP_VARIED,
                    &frame(CLOSED),
                    Reason::NoRule,
                )
            },
            row(
                "wrong port, one member, XDP",
                Program::Xdp,
                &frame(CLOSED),
                Reason::NoRule,
            ),
        ],
    }
}

/// What takes other ways through the pipeline.
pub(super) fn other() -> Scene {
    let mut before = Vec::new();
    let mut rows = Vec::new();
    for (name, family) in [("IPv4", Family::V4), ("IPv6", Family::V6)] {
        let datagram = request(family, Transport::Udp, OPEN).payload(40);
        before.extend(conversation(family, Transport::Udp, 1, OURS));
        let fragments = datagram.fragments(1, 16);
        let (first, later) = (fragments[0].clone(), fragments[1].clone());
        before.push(Step {
            program: Program::Xdp,
            frame: first.clone(),
            traffic: Traffic::NONE,
        });
        let too_big = match family {
            Family::V4 => (3, 4),
            Family::V6 => (2, 0),
        };
        let error = icmp_error(family.router(), &datagram.reply(), too_big, 64);
        let fragment = |name: String, frame, reason| Row {
            frame,
            ..row(name, Program::Xdp, &datagram, reason)
        };
        rows.extend([
            fragment(
                format!("{name} first fragment, XDP"),
                first,
                Reason::Established,
            ),
            fragment(
                format!("{name} later fragment, XDP"),
                later,
                Reason::Fragment,
            ),
            row(
                format!("{name} ICMP error about a flow, XDP"),
                Program::Xdp,
                &error,
                Reason::Related,
            ),
        ]);
    }
    Scene {
        name: "fragments and ICMP errors".to_owned(),
        table: DEFAULT_FLOWS,
        rules: admit(""),
        kernel: None,
        before,
        rows,
    }
}

/// Packets that open no flow because none is needed.
pub(super) fn untracked() -> Scene {
    let rules = format!(
        "security_groups:\n  tested:\n    inbound:\n    \
         - {{ protocol: tcp, ports: {OPEN}, sources: [anywhere-ipv4, anywhere-ipv6] }}\n\
         interfaces: {{ eth0: {{ groups: [tested] }} }}\n"
    );
    let mut rows = Vec::new();
    for (name, family) in [("IPv4", Family::V4), ("IPv6", Family::V6)] {
        let frame = request(family, Transport::Tcp, OPEN);
        rows.extend([
            row(
                format!("{name} TCP, XDP"),
                Program::Xdp,
                &frame,
                Reason::Untracked,
            ),
            row(
                format!("{name} TCP, reply, TC"),
                Program::TcEgress,
                &frame.reply(),
                Reason::UntrackedReply,
            ),
        ]);
    }
    Scene {
        name: "untracked".to_owned(),
        table: DEFAULT_FLOWS,
        rules,
        kernel: None,
        before: Vec::new(),
        rows,
    }
}
