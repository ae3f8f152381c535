//! Frames of flows: established ones, and those that open one.

use ipnet::IpNet;
use sg_common::{
    flow::Direction,
    proto::{TCP, UDP},
    reason::Reason,
    service,
    settings::DEFAULT_FLOWS,
};

use super::{
    Between, CLIENTS, KERNELS, KINDS, Kind, OPEN, OURS, PORTS, Program, Row, Scene, Traffic,
    Transport, admit, conversation, in_order, judged::prefixes, list, request, row, varied,
};
use crate::family::Family;

/// What costs without any filter.
pub(super) fn floor() -> Scene {
    let frame = request(Family::V4, Transport::Tcp, OPEN);
    let idle = |name: &str, program: Program, traffic| Row {
        traffic,
        reason: None,
        ..row(name, program, &frame, Reason::New)
    };
    let inbound = varied(Family::V4, Direction::Inbound, 1 << 20);
    Scene {
        name: "without a filter".to_owned(),
        table: DEFAULT_FLOWS,
        rules: admit(""),
        kernel: None,
        before: Vec::new(),
        rows: vec![
            idle("empty program, XDP", Program::XDP_EMPTY, Traffic::NONE),
            idle("empty program, TC", Program::TC_EMPTY, Traffic::NONE),
            idle("another remote end, XDP", Program::XDP_VARY, inbound),
            idle("another remote end, TC", Program::TC_VARY, inbound),
        ],
    }
}

/// One flow of each kind, over and over.
pub(super) fn established() -> Scene {
    let mut before = Vec::new();
    let mut rows = Vec::new();
    for (name, family, transport) in KINDS {
        let frame = request(family, transport, OPEN);
        before.extend(conversation(family, transport, 1, OURS));
        for (at, program, frame) in [
            ("XDP", Program::Xdp, &frame),
            ("TC", Program::TcIngress, &frame),
            ("reply, TC", Program::TcEgress, &frame.reply()),
        ] {
            rows.push(row(
                format!("{name}, {at}"),
                program,
                frame,
                Reason::Established,
            ));
        }
    }
    Scene {
        name: "established, the same flow".to_owned(),
        table: DEFAULT_FLOWS,
        rules: admit(""),
        kernel: None,
        before,
        rows,
    }
}

/// Random ones of many flows.
pub(super) fn among((name, family, transport): Kind, count: u32) -> Scene {
    let frame = request(family, transport, OPEN);
    let protocol = match transport {
        Transport::Tcp => TCP,
        Transport::Udp => UDP,
    };
    let steps = |programs| conversation(family, transport, count, programs);
    let random = varied(family, Direction::Inbound, count);
    let inbound = |name: String, program| Row {
        traffic: random,
        ..row(name, program, &frame, Reason::Established)
    };
    let reply = Row {
        traffic: varied(family, Direction::Outbound, count),
        ..row(
            format!("{name}, reply, TC"),
            Program::EGRESS_VARIED,
            &frame.reply(),
            Reason::Established,
        )
    };
    let admitted = CLIENTS.replace(['\'', ' '], "");
    let peers = admitted.split(',').filter_map(|net| net.parse().ok());
    let peers = peers.map(|net: IpNet| (net, service::key(protocol, OPEN)));
    Scene {
        name: format!("established, random of {count} flows"),
        table: count.max(DEFAULT_FLOWS),
        rules: admit(""),
        // The kernel's table evicts flows when it is nearly full, and some before.
        kernel: Some((count + count / 4 + 1024, peers.collect())),
        before: [steps(OURS), steps(KERNELS)].concat(),
        rows: vec![
            inbound(format!("{name}, XDP"), Program::XDP_VARIED),
            inbound(
                format!("{name}, XDP, kernel's LRU hash"),
                Program::XDP_KERNEL,
            ),
            reply,
        ],
    }
}

/// Packets each of which opens a flow.
pub(super) fn new_flows(count: u32) -> Scene {
    let new = |name: &str, program, family, transport, between| {
        let frame = match transport {
            Transport::Tcp => request(family, transport, OPEN).payload(0).syn(),
            Transport::Udp => request(family, transport, OPEN),
        };
        Row {
            traffic: in_order(varied(family, Direction::Inbound, count)),
            between,
            ..row(name, program, &frame, Reason::New)
        }
    };
    let ours = Program::XDP_VARIED;
    let mut rows: Vec<_> = KINDS
        .into_iter()
        .map(|(name, family, transport)| {
            new(
                &format!("{name}, XDP"),
                ours,
                family,
                transport,
                Between::Emptied,
            )
        })
        .collect();
    let (v4, tcp) = (Family::V4, Transport::Tcp);
    rows.push(new(
        "IPv4 TCP, over expired flows, XDP",
        ours,
        v4,
        tcp,
        Between::Expired,
    ));
    rows.push(Row {
        // The table is full after so many: each flow from then on takes the place of another.
        traffic: in_order(varied(v4, Direction::Inbound, NEVER_AGAIN)),
        ..new(
            "IPv4 TCP, XDP, kernel's LRU hash and LPM trie",
            Program::XDP_KERNEL,
            v4,
            tcp,
            Between::Nothing,
        )
    });
    let peers = prefixes(v4, 1000);
    let text = list(&peers);
    let clients: [IpNet; 1] = ["198.18.0.0/15".parse().expect("a network")];
    let peers = peers.into_iter().chain(clients);
    Scene {
        name: "new allowed flow, 1000 CIDRs".to_owned(),
        table: DEFAULT_FLOWS,
        rules: admit(&text),
        kernel: Some((
            DEFAULT_FLOWS,
            peers.map(|net| (net, service::key(TCP, OPEN))).collect(),
        )),
        before: Vec::new(),
        rows,
    }
}

/// Tuples that no benchmark uses up: all ports of the 131 072 addresses in the clients' network.
pub(super) const NEVER_AGAIN: u32 = (1 << 17) * (PORTS - 1);
