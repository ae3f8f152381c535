//! Random hosts and random traffic, judged by the oracle and by the code under test.
//!
//! A [`Scenario`] is plain data, made from a seed: a host, and steps that follow each other in time.
//! So it can be judged by several subjects, made smaller while it still fails, and kept as a file.

mod change;
mod check;
mod fragments;
mod host;
mod infra;
mod kernel;
mod malformed;
mod memory;
mod packets;
mod policy;
mod rules;
mod run;
mod shrink;
mod strict;
mod traffic;
mod universe;
mod wire;

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use sg_common::flow::Direction;

use crate::oracle::{Host, Room, decode, packet::Packet};
pub use change::Change;
pub(crate) use check::Course;
pub use check::{Mismatch, Subject, Tally, check};
pub use kernel::Kernel;
pub use memory::InMemory;
pub use rules::RuleTallies;
pub use run::{Amount, Plan, replay_all, run, seed};
pub use shrink::shrink;
pub use wire::encode;

use traffic::Traffic;

/// The unit of time: a whole number of jiffies at every HZ that kernels are built with.
pub const TICK_MS: u64 = 20;

/// A host and what happens to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    /// The host at the beginning.
    pub host: Host,
    /// What happens.
    pub steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Time passes: so many times [`TICK_MS`].
    Wait(u64),
    /// The flow table has no room for new flows from now on, or has room again.
    Room(Room),
    /// The host changes.
    Change(Change),
    /// A packet passes the interface.
    Packet {
        /// Whether it goes to the protected side.
        inbound: bool,
        /// Whether TC judges it, if it is received; else XDP does.
        tc: bool,
        /// The packet.
        packet: Packet,
        /// Bits of its frame that are wrong, counted from the first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        flips: Vec<u32>,
    },
}

impl Scenario {
    /// The scenario of a seed, with at least so many packets and some changes of the host.
    pub fn random(seed: u64, packets: usize) -> Self {
        let mut rng = Rng::with_seed(seed);
        let host = host::random(&mut rng);
        let mut now = host.clone();
        let mut traffic = Traffic::new(rng);
        let chapters = 2 + traffic.rng.usize(..5);
        for chapter in 0..chapters {
            if chapter > 0 {
                let change = change::random(&mut traffic.rng, &now);
                change.apply(&mut now);
                traffic.steps.push(Step::Change(change));
            }
            let until = packets * (chapter + 1) / chapters;
            while traffic.packets < until {
                traffic.go_on(&now);
            }
        }
        Self {
            host,
            steps: traffic.steps,
        }
    }

    /// The number of packets.
    pub fn packets(&self) -> usize {
        let is_packet = |step: &&Step| matches!(step, Step::Packet { .. });
        self.steps.iter().filter(is_packet).count()
    }
}

/// The host of a seed.
pub(crate) fn host(seed: u64) -> Host {
    host::random(&mut Rng::with_seed(seed))
}

/// The change of a host that a seed makes.
pub(crate) fn change(seed: u64, host: &Host) -> Change {
    change::random(&mut Rng::with_seed(seed), host)
}

/// Random traffic at a host: at least so many packets, and time.
pub(crate) fn traffic(rng: Rng, host: &Host, packets: usize) -> Vec<Step> {
    let mut traffic = Traffic::new(rng);
    while traffic.packets < packets {
        traffic.go_on(host);
    }
    traffic.steps
}

/// The frame of a packet with some bits wrong, and the packet that it is then.
pub fn spoilt(packet: &Packet, flips: &[u32]) -> (Vec<u8>, Packet) {
    let mut frame = encode(packet);
    if flips.is_empty() {
        return (frame, packet.clone());
    }
    for flip in flips {
        if let Some(byte) = frame.get_mut(*flip as usize / 8) {
            *byte ^= 1 << (flip % 8);
        }
    }
    let packet = decode(&frame);
    (frame, packet)
}

/// The direction of a step's packet.
pub(crate) fn direction(inbound: bool) -> Direction {
    if inbound {
        Direction::Inbound
    } else {
        Direction::Outbound
    }
}
