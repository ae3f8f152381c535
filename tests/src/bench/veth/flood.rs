//! Part d: what a flood of new flows does to those that are established.
//!
//! One CPU sends what opens flows, datagrams and SYNs from random sources, as fast as it can; the
//! other meanwhile times packets of established flows. Afterwards every one of these flows must
//! still carry its packets.

use std::{
    collections::BTreeMap,
    io::{Read, Write as _},
    iter::zip,
    net::{IpAddr, Ipv4Addr, TcpListener, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::{
    errno::Errno,
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        socket::{MsgFlags, send},
    },
};
use serde::Serialize;
use sg_common::{counters::ZoneCounters, reason::Reason};
use sg_ctl::host::dataplane::Dataplane;

use super::{BATCH, FLOWS, Firewall, Guarded, Link, OPEN, SERVER, ends::frame, per_frame};
use crate::{
    bench::{Options, pin_to_cpu, pin_to_last_cpu, report::median},
    packet::{tcp, udp},
    prog::shared::flow_table_memory,
    wire::raw_socket,
};

/// How long an established connection may take to carry a byte there and back.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a flood did behind one firewall.
#[derive(Clone, Debug, Serialize)]
pub struct FloodRow {
    /// Which.
    pub firewall: Firewall,
    /// Median ns of a packet of an established flow, before.
    pub before: f64,
    /// Meanwhile.
    pub during: f64,
    /// And after.
    pub after: f64,
    /// Packets of the flood.
    pub flood: u32,
    /// How many of them were sent a second.
    pub rate: f64,
    /// Flows that were established before.
    pub established: u32,
    /// Those of them that carry packets no more.
    pub lost: u32,
    /// What sg tells of it.
    pub told: Option<Told>,
}

/// sg's own account of a flood.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// Bytes of memory of the flow table, before and after.
    pub memory: [u64; 2],
    /// Inbound packets between the two, by reason.
    pub inbound: BTreeMap<&'static str, u64>,
}

/// Floods every firewall, one after the other.
///
/// # Errors
/// When a network cannot be set up.
pub fn measure(options: &Options) -> Result<Vec<FloodRow>> {
    allow_many_sockets()?;
    // Empty programs lose no flow and keep nothing.
    let firewalls = options.scale.firewalls.iter();
    let firewalls = firewalls.filter(|firewall| **firewall != Firewall::Empty);
    firewalls
        .map(|firewall| {
            let name = firewall.name();
            options.progress(&format!("flood, {name}"));
            measure_one(*firewall, options.scale.flood).with_context(|| name.to_owned())
        })
        .collect()
}

fn measure_one(firewall: Firewall, count: u32) -> Result<FloodRow> {
    let link = Link::new(firewall);
    let guarded = Guarded::new(&link)?;
    let connections = Connections::open(&link)?;
    let flows: Vec<_> = (0..FLOWS).map(|number| frame(number, OPEN)).collect();
    let before = guarded.send(&flows, 8, Some(Reason::Established))?;
    let told = guarded.account()?;

    let wire = link.client.enter(raw_socket)?;
    let packets = packets(count);
    let is_over = AtomicBool::new(false);
    let (time, during) = thread::scope(|scope| {
        let flood = scope.spawn(|| {
            pin_to_cpu(0);
            let time = pour_out(&wire, &packets);
            is_over.store(true, Ordering::Release);
            time
        });
        let during = meanwhile(&guarded.wire, &flows, &is_over);
        anyhow::Ok((flood.join().expect("it does not panic")?, during?))
    })?;
    pin_to_last_cpu();
    let told_after = guarded.account()?;

    let delivered = guarded.delivered()?;
    pour_out(&guarded.wire, &flows)?;
    let arrived = guarded.arrived(delivered, u64::from(FLOWS))?;
    let lost = connections.lost() + FLOWS.saturating_sub(arrived as u32);
    let after = if lost == 0 {
        guarded.send(&flows, 8, Some(Reason::Established))?
    } else {
        f64::NAN
    };
    Ok(FloodRow {
        firewall,
        before,
        during: median(&during),
        after,
        flood: count,
        rate: f64::from(count) / time.as_secs_f64(),
        established: 2 * FLOWS,
        lost,
        told: told.zip(told_after).map(|(before, after)| Told {
            memory: [before.1, after.1],
            inbound: between(&before.0, &after.0),
        }),
    })
}

impl Guarded<'_> {
    /// Counters of the interface and memory of the flow table, where sg is.
    fn account(&self) -> Result<Option<(ZoneCounters, u64)>> {
        let Some(sg) = &self.sg_ctl else {
            return Ok(None);
        };
        let dataplane = Dataplane::open(sg.pins())?;
        Ok(Some((
            dataplane.counters(0)?,
            flow_table_memory(dataplane.pins()),
        )))
    }
}

/// Packets that came inbound meanwhile, by reason.
fn between(before: &ZoneCounters, after: &ZoneCounters) -> BTreeMap<&'static str, u64> {
    let [before, after] = [before, after].map(|counters| &counters.reasons[0]);
    let count =
        |reason: &Reason| after[*reason as usize].packets - before[*reason as usize].packets;
    let counts = Reason::ALL
        .iter()
        .map(|reason| (reason.name(), count(reason)));
    counts.filter(|(_, count)| *count > 0).collect()
}

/// Times packets of established flows until the flood is over, at least all flows once.
fn meanwhile(wire: &OwnedFd, flows: &[Vec<u8>], is_over: &AtomicBool) -> Result<Vec<f64>> {
    let mut batches = Vec::new();
    while batches.is_empty() || !is_over.load(Ordering::Acquire) {
        for batch in flows.chunks(BATCH) {
            let started = Instant::now();
            pour_out(wire, batch)?;
            batches.push(per_frame(started.elapsed(), batch));
        }
    }
    Ok(batches)
}

/// Sends frames as fast as may be; returns how long it took.
fn pour_out(wire: &OwnedFd, frames: &[Vec<u8>]) -> Result<Duration> {
    let started = Instant::now();
    for frame in frames {
        // The queue between both ends is full now and then where the far one is slower: again then.
        while let Err(error) = send(wire.as_raw_fd(), frame, MsgFlags::empty()) {
            let is_full = error == Errno::ENOBUFS && started.elapsed() < PATIENCE * 20;
            ensure!(is_full, "a frame cannot be sent: {error}");
        }
    }
    Ok(started.elapsed())
}

/// What opens flows: by turns a datagram and a SYN, each from a random source.
fn packets(count: u32) -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(1);
    // Established flows come from the other half of 198.18.0.0/15.
    let stranger = |random: &mut fastrand::Rng| {
        let address = Ipv4Addr::new(198, 19, random.u8(..), random.u8(..));
        (IpAddr::from(address), random.u16(1024..))
    };
    let server = (IpAddr::from(SERVER), OPEN);
    (0..count)
        .map(|number| match number % 2 {
            0 => udp(stranger(&mut random), server).payload(18).bytes(),
            _ => tcp(stranger(&mut random), server).syn().bytes(),
        })
        .collect()
}

/// TCP connections that are open, both ends.
struct Connections {
    near: Vec<TcpStream>,
    far: Vec<TcpStream>,
    /// Takes the SYNs of the flood.
    _listener: TcpListener,
}

impl Connections {
    fn open(link: &Link) -> Result<Self> {
        let server = &link.server;
        let listener = server.enter(|| TcpListener::bind((SERVER, OPEN)))?;
        let pairs = link.client.enter(|| -> Result<Vec<_>> {
            let pair = || Ok((TcpStream::connect((SERVER, OPEN))?, listener.accept()?.0));
            (0..FLOWS).map(|_| pair()).collect()
        })?;
        let (near, far) = pairs.into_iter().unzip();
        let connections = Self {
            near,
            far,
            _listener: listener,
        };
        let lost = connections.lost();
        ensure!(lost == 0, "{lost} connections carry nothing from the start");
        Ok(connections)
    }

    /// How many do not carry a byte there and back.
    fn lost(&self) -> u32 {
        let carry = |mut from: &TcpStream, mut to: &TcpStream| {
            from.write_all(b"x")?;
            to.set_read_timeout(Some(PATIENCE))?;
            to.read_exact(&mut [0])
        };
        let pairs = zip(&self.near, &self.far);
        let lost =
            pairs.filter(|(near, far)| carry(near, far).and_then(|()| carry(far, near)).is_err());
        lost.count() as u32
    }
}

/// Two sockets for each connection are more than a process has by default.
fn allow_many_sockets() -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("cannot open enough sockets")
}
