//! Part b: whole packets between two namespaces, without a firewall, with an empty program, with sg
//! and with nftables, under equal rules.
//!
//! The sender's CPU does all the work: a veth hands a packet to the receiving side in the same
//! system call. So the time of a call, median of many batches, least of all rounds, is CPU time that
//! neither other processes nor queues disturb much.

pub mod attack;
mod ends;
pub mod flood;
mod streams;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::{AsRawFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use aya::Ebpf;
use nix::sys::socket::{MsgFlags, send};
use serde::Serialize;
use sg_common::{flow::Direction, reason::Reason};
use sg_ctl::host::dataplane::Dataplane;

use self::ends::{attach_empty, frame, nft, source};
use super::{
    Options,
    report::{median, minimum},
    scenes::{CLOSED, OPEN, admit, list, prefixes},
};
use crate::{
    PATIENCE, eventually, family::Family, netns::Namespace, sg_ctl::SgCtl, wire::raw_socket,
};

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
/// Flows that are established.
const FLOWS: u32 = 1000;
/// Frames whose time is taken together.
const BATCH: usize = 100;
/// CIDRs of the rules.
const CIDRS: u32 = 1000;

/// What stands between the namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Firewall {
    /// Nothing.
    None,
    /// Programs that do nothing, at TC.
    Empty,
    /// sg at the hook that it chooses itself.
    Sg,
    /// sg at native XDP.
    SgXdp,
    /// nftables with connection tracking.
    Nftables,
}

impl Firewall {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::None,
        Self::Empty,
        Self::Sg,
        Self::SgXdp,
        Self::Nftables,
    ];
    /// Those that need no other package.
    pub const OWN: &[Self] = &[Self::None, Self::Empty, Self::Sg, Self::SgXdp];

    /// The name in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "no firewall",
            Self::Empty => "empty programs, TC",
            Self::Sg => "sg, --hook auto",
            Self::SgXdp => "sg, --hook xdp",
            Self::Nftables => "nftables, conntrack",
        }
    }
}

/// What one firewall came to.
#[derive(Clone, Debug, Serialize)]
pub struct VethRow {
    /// Which.
    pub firewall: Firewall,
    /// ns of a packet of an established flow.
    pub established: f64,
    /// ns of a packet that opens a flow.
    pub new: f64,
    /// ns of a packet that is denied.
    pub denied: f64,
    /// TCP connections a second, each opened and reset.
    pub connections: f64,
    /// Gbit/s of one TCP stream; none = not measured.
    pub bulk: Option<f64>,
}

/// Measures every firewall, in turns.
///
/// # Errors
/// When a network cannot be set up, or packets fare otherwise than the rules say.
pub fn measure(options: &Options) -> Result<Vec<VethRow>> {
    let links: Vec<_> = options
        .scale
        .firewalls
        .iter()
        .copied()
        .map(Link::new)
        .collect();
    let guarded: Result<Vec<_>> = links.iter().map(Guarded::new).collect();
    let mut guarded = guarded?;
    let rounds = options.scale.rounds;
    for round in 0..rounds {
        options.progress(&format!(
            "between namespaces, round {} of {rounds}",
            round + 1
        ));
        for link in &mut guarded {
            let name = link.link.firewall.name();
            let measured = link.round(round, options.scale.bulk);
            measured.with_context(|| name.to_owned())?;
        }
    }
    Ok(guarded.iter().map(Guarded::row).collect())
}

/// Two namespaces and a veth between them.
struct Link {
    firewall: Firewall,
    client: Namespace,
    server: Namespace,
}

impl Link {
    fn new(firewall: Firewall) -> Self {
        let (client, server) = (Namespace::new("client"), Namespace::new("server"));
        // The addresses that the harness's frames bear.
        client.ip(&format!(
            "link add eth0 address 02:00:00:00:00:01 type veth peer name eth0 address \
             02:00:00:00:00:02 netns {}\nlink set eth0 up\naddr add {CLIENT}/24 dev eth0\n\
             neigh replace {SERVER} lladdr 02:00:00:00:00:02 dev eth0 nud permanent\n",
            server.name()
        ));
        server.ip(&format!(
            "link set eth0 up\naddr add {SERVER}/24 dev eth0\n\
             neigh replace {CLIENT} lladdr 02:00:00:00:00:01 dev eth0 nud permanent\n\
             route add 198.18.0.0/15 via {CLIENT}\n"
        ));
        for name in ["all", "eth0"] {
            server.set(&format!("net/ipv4/conf/{name}/rp_filter"), "0");
        }
        Self {
            firewall,
            client,
            server,
        }
    }
}

/// A link with its firewall, sockets and figures.
struct Guarded<'a> {
    link: &'a Link,
    sg_ctl: Option<SgCtl<'a>>,
    /// Holds the empty programs.
    _empty: Option<Ebpf>,
    wire: OwnedFd,
    /// At the open and at the closed port, so that both deliver where nothing filters.
    sockets: [UdpSocket; 2],
    established: Vec<f64>,
    new: Vec<f64>,
    denied: Vec<f64>,
    connections: Vec<f64>,
    bulk: Vec<f64>,
}

impl<'a> Guarded<'a> {
    fn new(link: &'a Link) -> Result<Self> {
        let nets = prefixes(Family::V4, CIDRS);
        let peers = format!("{}'10.99.0.0/24'", list(&nets));
        let (mut sg_ctl, mut empty) = (None, None);
        match link.firewall {
            Firewall::None => {}
            Firewall::Empty => empty = Some(link.server.enter(attach_empty)?),
            Firewall::Sg | Firewall::SgXdp => {
                let sg = SgCtl::new(&link.server);
                let file = sg.whole_rule_file("rules.yaml", &admit(&peers));
                let hook = if link.firewall == Firewall::Sg {
                    "auto"
                } else {
                    "xdp"
                };
                sg.ok(&["attach", "eth0", "--hook", hook, "-f", &file]);
                sg_ctl = Some(sg);
            }
            Firewall::Nftables => nft(&link.server, &peers.replace('\'', ""))?,
        }
        let socket = |port| -> Result<UdpSocket> {
            let socket = link.server.enter(|| UdpSocket::bind((SERVER, port)))?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let guarded = Self {
            link,
            sg_ctl,
            _empty: empty,
            wire: link.client.enter(raw_socket)?,
            sockets: [socket(OPEN)?, socket(CLOSED)?],
            established: Vec::new(),
            new: Vec::new(),
            denied: Vec::new(),
            connections: Vec::new(),
            bulk: Vec::new(),
        };
        guarded.establish()?;
        Ok(guarded)
    }

    /// Opens the flows: two datagrams each way.
    fn establish(&self) -> Result<()> {
        let [open, _] = &self.sockets;
        let mut buffer = [0; 64];
        let mut exchange = |number| -> Result<()> {
            let (request, from) = (frame(number, OPEN), SocketAddr::from(source(number)));
            send(self.wire.as_raw_fd(), &request, MsgFlags::empty())?;
            let mut has_come = || loop {
                let (_, sender) = open.recv_from(&mut buffer).ok()?;
                // Others may be those that were thought lost.
                if sender == from {
                    return Some(());
                }
            };
            // A link that has just come up drops what it is given until its queue is there.
            eventually("an admitted datagram arrives", || {
                has_come().or_else(|| {
                    send(self.wire.as_raw_fd(), &request, MsgFlags::empty()).ok();
                    None
                })
            });
            open.send_to(&[0; 18], from)
                .context("an answer does not leave")?;
            Ok(())
        };
        for _ in 0..2 {
            (0..FLOWS).try_for_each(&mut exchange)?;
        }
        Ok(())
    }

    fn round(&mut self, round: u32, bulk: Duration) -> Result<()> {
        let flows: Vec<_> = (0..FLOWS).map(|number| frame(number, OPEN)).collect();
        let strangers = (FLOWS * (round + 1) * 8..).take(flows.len() * 8);
        let strangers: Vec<_> = strangers.map(|number| frame(number, OPEN)).collect();
        let denied: Vec<_> = (0..FLOWS).map(|number| frame(number, CLOSED)).collect();
        let time = self.send(&flows, 8, Some(Reason::Established))?;
        self.established.push(time);
        let time = self.send(&strangers, 1, Some(Reason::New))?;
        self.new.push(time);
        let filters = !matches!(self.link.firewall, Firewall::None | Firewall::Empty);
        let time = self.send(&denied, 8, (!filters).then_some(Reason::New))?;
        self.denied.push(time);
        self.connections.push(self.connect()?);
        if !bulk.is_zero() {
            self.bulk.push(self.pour(bulk)?);
        }
        Ok(())
    }

    /// Sends frames several times over; returns the median ns of one. They must all be delivered,
    /// or none when no reason to pass is given.
    fn send(&self, frames: &[Vec<u8>], times: usize, passes: Option<Reason>) -> Result<f64> {
        let delivered = self.delivered()?;
        let counted = self.counted(passes);
        let mut batches = Vec::new();
        for _ in 0..times {
            for batch in frames.chunks(BATCH) {
                let started = Instant::now();
                for frame in batch {
                    send(self.wire.as_raw_fd(), frame, MsgFlags::empty())?;
                }
                batches.push(per_frame(started.elapsed(), batch));
            }
        }
        let sent = (frames.len() * times) as u64;
        let expected = if passes.is_some() { sent } else { 0 };
        let delivered = self.arrived(delivered, expected)?;
        ensure!(
            delivered == expected,
            "{delivered} of {sent} packets were delivered, not {expected}"
        );
        if self.sg_ctl.is_some() {
            let counted = reached(sent, || Ok(self.counted(passes) - counted))?;
            ensure!(
                counted == sent,
                "{counted} of {sent} packets took the path that is measured"
            );
        }
        Ok(median(&batches))
    }

    /// Waits until so many datagrams more have reached a socket than `before`, or no more can be
    /// expected; returns how many have.
    fn arrived(&self, before: u64, expected: u64) -> Result<u64> {
        reached(expected, || Ok(self.delivered()? - before))
    }

    /// Datagrams that reached a socket, be it with room in its buffer or without.
    fn delivered(&self) -> Result<u64> {
        let text = self
            .link
            .server
            .enter(|| fs::read_to_string("/proc/thread-self/net/snmp"))?;
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
        let (names, values) = lines.next().zip(lines.next()).context("no UDP counters")?;
        let pairs = names.split(' ').zip(values.split(' '));
        let ours = pairs.filter(|(name, _)| ["InDatagrams", "RcvbufErrors"].contains(name));
        // Those without room are counted when they come, the others when they are read: all are.
        let waiting = self.read_all();
        Ok(ours
            .filter_map(|(_, value)| value.parse::<u64>().ok())
            .sum::<u64>()
            + waiting)
    }

    fn read_all(&self) -> u64 {
        let mut buffer = [0; 64];
        let mut count = 0;
        for socket in &self.sockets {
            while socket.recv_from(&mut buffer).is_ok() {
                count += 1;
            }
        }
        count
    }

    /// Packets that sg has counted for a reason.
    fn counted(&self, passes: Option<Reason>) -> u64 {
        let Some(sg) = &self.sg_ctl else {
            return 0;
        };
        let dataplane = Dataplane::open(sg.pins()).expect("the pins are in order");
        let counters = dataplane.counters(0).expect("it is attached");
        let reason = passes.unwrap_or(Reason::NoRule);
        counters.reasons[Direction::Inbound as usize][reason as usize].packets
    }

    fn row(&self) -> VethRow {
        let maximum = |figures: &[f64]| figures.iter().copied().fold(0.0, f64::max);
        VethRow {
            firewall: self.link.firewall,
            established: minimum(&self.established),
            new: minimum(&self.new),
            denied: minimum(&self.denied),
            connections: maximum(&self.connections),
            bulk: (!self.bulk.is_empty()).then(|| maximum(&self.bulk)),
        }
    }
}

/// Nanoseconds of each frame.
fn per_frame(time: Duration, frames: &[Vec<u8>]) -> f64 {
    time.as_secs_f64() * 1e9 / f64::from(frames.len() as u32)
}

/// Waits until a count is what is expected, or nothing more can be; returns it. A busy kernel delivers and
/// counts after the call that sends.
fn reached(expected: u64, count: impl Fn() -> Result<u64>) -> Result<u64> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let counted = count()?;
        if counted >= expected || Instant::now() > deadline {
            return Ok(counted);
        }
        thread::sleep(Duration::from_millis(5));
    }
}
