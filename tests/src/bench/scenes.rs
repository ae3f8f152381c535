//! What is measured, as data: rules, live flows, and frames with the reason that they must come to.

mod flows;
mod judged;

pub(crate) use judged::prefixes;

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use sg_common::{flow::Direction, reason::Reason};

use super::{Scale, stage::Program, traffic::Traffic};
use crate::{
    family::Family,
    packet::{End, Frame, tcp, udp},
};

/// Port that the rules admit.
pub(crate) const OPEN: u16 = 443;
/// Port that they do not.
pub(crate) const CLOSED: u16 = 444;
/// Ports of each remote address, a power of two.
const PORTS: u32 = 1 << 14;
/// First of these ports.
const FIRST_PORT: u16 = 1024;

/// Measurements that share rules and flows.
#[derive(Debug)]
pub(crate) struct Scene {
    /// What the rows have in common.
    pub(crate) name: String,
    /// Flows that the table is made for.
    pub(crate) table: u32,
    /// The rule file.
    pub(crate) rules: String,
    /// Room in the kernel's tables, where rows use them, and the peers in its trie.
    pub(crate) kernel: Option<(u32, Vec<(IpNet, u32)>)>,
    /// What happens before.
    pub(crate) before: Vec<Step>,
    /// What is measured.
    pub(crate) rows: Vec<Row>,
}

/// Frames that make flows, or traces of fragments.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Who judges them.
    pub(crate) program: Program,
    /// One of them.
    pub(crate) frame: Vec<u8>,
    /// What makes them differ.
    pub(crate) traffic: Traffic,
}

/// One measurement.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What it is about.
    pub(crate) name: String,
    /// Who judges.
    pub(crate) program: Program,
    /// The frame.
    pub(crate) frame: Vec<u8>,
    /// What makes its copies differ.
    pub(crate) traffic: Traffic,
    /// What every copy must come to; none for programs that do not judge.
    pub(crate) reason: Option<Reason>,
    /// What is done between runs.
    pub(crate) between: Between,
}

/// What is done with the flow table before each run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Between {
    /// Nothing: the frames open no flows.
    Nothing,
    /// It is emptied.
    Emptied,
    /// Its flows are deleted, but stay in their slots as expired ones do.
    Expired,
}

/// A remote end that varies: which four bytes of its address, and from where on.
fn varied(family: Family, direction: Direction, numbers: u32) -> Traffic {
    let outbound = u32::from(direction == Direction::Outbound);
    let (address_at, port_at) = match family {
        Family::V4 => (26 + 4 * outbound, 34 + 2 * outbound),
        // The last four bytes of the address.
        Family::V6 => (34 + 16 * outbound, 54 + 2 * outbound),
    };
    Traffic {
        numbers,
        address_at,
        first_address: first_address(family),
        ports: PORTS,
        port_at,
        first_port: u32::from(FIRST_PORT),
        ..Traffic::NONE
    }
}

fn in_order(traffic: Traffic) -> Traffic {
    Traffic {
        state: 0,
        in_order: 1,
        ..traffic
    }
}

/// The last four bytes of the first remote address of flows.
fn first_address(family: Family) -> u32 {
    match family {
        Family::V4 => u32::from(Ipv4Addr::new(198, 18, 0, 1)),
        Family::V6 => 1,
    }
}

/// The first remote end of flows.
fn client(family: Family) -> End {
    let address: IpAddr = match family {
        Family::V4 => Ipv4Addr::from(first_address(family)).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1).into(),
    };
    End::from((address, FIRST_PORT))
}

/// The networks of all remote ends of flows.
const CLIENTS: &str = "198.18.0.0/15, '2001:db8:1::/64'";

/// A transport protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
}

/// Every kind of flow, with its name.
const KINDS: [Kind; 4] = [
    ("IPv4 TCP", Family::V4, Transport::Tcp),
    ("IPv4 UDP", Family::V4, Transport::Udp),
    ("IPv6 TCP", Family::V6, Transport::Tcp),
    ("IPv6 UDP", Family::V6, Transport::Udp),
];

/// A kind of flow: name, family, protocol.
type Kind = (&'static str, Family, Transport);

/// A packet from the first client to a port.
fn request(family: Family, transport: Transport, port: u16) -> Frame {
    let (from, to) = (client(family), (family.local(), port));
    match transport {
        Transport::Tcp => tcp(from, to).ack().payload(16),
        Transport::Udp => udp(from, to).payload(16),
    }
}

/// The packets after which a flow is established, first those of all flows.
fn conversation(
    family: Family,
    transport: Transport,
    count: u32,
    programs: [Program; 2],
) -> Vec<Step> {
    let frame = request(family, transport, OPEN);
    let frames = match transport {
        Transport::Tcp => [
            frame.clone().payload(0).syn(),
            frame.reply().payload(0).syn_ack(),
            frame.clone(),
            frame.reply(),
        ],
        Transport::Udp => [frame.clone(), frame.reply(), frame.clone(), frame.reply()],
    };
    let step = |(index, frame): (usize, Frame)| {
        let direction = Direction::ALL[index % 2];
        Step {
            program: programs[index % 2],
            frame: frame.bytes(),
            traffic: in_order(varied(family, direction, count)),
        }
    };
    frames.into_iter().enumerate().map(step).collect()
}

/// Networks as a rule file lists them.
pub(crate) fn list<'a>(nets: impl IntoIterator<Item = &'a IpNet>) -> String {
    nets.into_iter().fold(String::new(), |mut text, net| {
        let _ = write!(text, "'{net}', ");
        text
    })
}

/// The programs of both directions whose frames vary.
const OURS: [Program; 2] = [Program::XDP_VARIED, Program::EGRESS_VARIED];
/// The same on the kernel's tables.
const KERNELS: [Program; 2] = [Program::XDP_KERNEL, Program::EGRESS_KERNEL];

/// A rule file that admits TCP and UDP to [`OPEN`] from networks, tracked, and nothing else.
pub(crate) fn admit(peers: &str) -> String {
    format!(
        "limits: {{ rules_per_group: 2000000, groups_per_interface: 1, product: 2000000, \
         prefix_list_entries: 2000000 }}\n\
         prefix_lists:\n  clients: [{CLIENTS}]\n  peers: [{peers}]\n\
         security_groups:\n  tested:\n    inbound:\n    \
         - {{ protocol: tcp, ports: {OPEN}, sources: ['pl:clients', 'pl:peers'] }}\n    \
         - {{ protocol: udp, ports: {OPEN}, sources: ['pl:clients', 'pl:peers'] }}\n    \
         outbound: []\n\
         interfaces: {{ eth0: {{ groups: [tested], log: 'off' }} }}\n"
    )
}

fn row(name: impl Into<String>, program: Program, frame: &Frame, reason: Reason) -> Row {
    Row {
        name: name.into(),
        program,
        frame: frame.bytes(),
        traffic: Traffic::NONE,
        reason: Some(reason),
        between: Between::Nothing,
    }
}

/// All scenes, in the order of the report.
pub(crate) fn scenes(scale: &Scale) -> Vec<Scene> {
    let mut scenes = vec![flows::floor(), flows::established()];
    for count in scale.flows {
        let kinds = &KINDS[..if scale.all_kinds { KINDS.len() } else { 1 }];
        scenes.extend(kinds.iter().map(|kind| flows::among(*kind, *count)));
    }
    for count in scale.cidrs {
        scenes.extend(Family::BOTH.map(|family| judged::denied(family, *count)));
    }
    scenes.extend(scale.members.iter().map(|count| judged::members(*count)));
    scenes.extend([
        judged::other(),
        judged::untracked(),
        flows::new_flows(scale.new_flows),
    ]);
    scenes
}
