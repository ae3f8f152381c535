//! The benchmark, `cargo xtask bench`: what the filter costs, beside the same work without it.
//!
//! | part | measures |
//! |---|---|
//! | [`cost`] | the programs alone, per frame |
//! | [`veth`] | packets, connections and streams between namespaces, beside nftables |
//! | [`veth::flood`] | established flows in a flood of new ones |
//! | [`veth::attack`] | everybody else while the flow table is attacked, beside nftables |
//! | [`control`] | changes of rules from file to enforced, lists of flows, memory, many interfaces |
//!
//! Nothing here asserts a time. What is asserted is the path: every measured frame must come to the
//! verdict and the reason that its row claims, else there is no figure.

pub mod control;
pub mod cost;
pub mod report;
mod scenes;
mod stage;
pub mod targets;
mod traffic;
pub mod veth;

use std::time::Duration;

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use control::Amount;
use sg_common::settings::{DEFAULT_FLOWS, MAX_FLOWS};
use veth::{Firewall, attack::AttackScale};

/// What to measure, and how thoroughly.
#[derive(Clone, Debug)]
pub struct Options {
    /// Amounts.
    pub scale: Scale,
    /// Measure only scenes whose name contains one of these; empty = all.
    pub only: Vec<String>,
}

/// Amounts of everything.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Runs of each row.
    pub runs: u32,
    /// Frames of each run.
    pub packets: u32,
    /// Numbers of live flows.
    pub flows: &'static [u32],
    /// Whether every kind of flow is measured at every number of them.
    pub all_kinds: bool,
    /// Numbers of CIDRs.
    pub cidrs: &'static [u32],
    /// Numbers of members of a group.
    pub members: &'static [u32],
    /// Whether rows whose frames are not logged are measured with the log on, too.
    pub log_of_unlogged: bool,
    /// Flows that are opened between two moments when the table is emptied.
    pub new_flows: u32,
    /// What is measured between namespaces.
    pub firewalls: &'static [Firewall],
    /// How many times.
    pub rounds: u32,
    /// For how long a stream runs; zero = none.
    pub bulk: Duration,
    /// Packets of a flood.
    pub flood: u32,
    /// Attacks on the flow table.
    pub attack: AttackScale,
    /// What is measured of changes.
    pub control: ControlScale,
}

/// Amounts of the control path.
#[derive(Clone, Copy, Debug)]
pub struct ControlScale {
    /// Runs of each row.
    pub rounds: u32,
    /// Rules and members.
    pub amounts: &'static [Amount],
    /// Numbers of flows that are listed.
    pub flows: &'static [u32],
    /// Flows that tables are made for.
    pub tables: &'static [u32],
    /// Interfaces that are attached.
    pub interfaces: u32,
}

const fn amount(policies: u32, rules: u32, members: u32) -> Amount {
    Amount {
        policies,
        rules,
        members,
    }
}

/// One interface each, and a thousand; the last one takes 20 seconds a round.
const AMOUNTS: &[Amount] = &[
    amount(1, 1_000, 0),
    amount(1, 10_000, 0),
    amount(1, 0, 1_000),
    amount(1, 0, 100_000),
    amount(1, 0, 1_000_000),
    amount(1, 10_000, 100_000),
    amount(1_000, 10, 0),
    amount(1_000, 1_000, 0),
];

/// As published.
pub const FULL: Scale = Scale {
    runs: 9,
    packets: 1_000_000,
    flows: &[1_000, 100_000, 1_000_000],
    all_kinds: true,
    cidrs: &[10, 1_000, 10_000, 100_000],
    members: &[1_000, 100_000, 1_000_000],
    log_of_unlogged: true,
    new_flows: 200_000,
    firewalls: Firewall::ALL,
    rounds: 9,
    bulk: Duration::from_secs(3),
    flood: 1_000_000,
    attack: AttackScale {
        time: Duration::from_secs(10),
        watch: Duration::from_secs(30),
        idle: Duration::from_secs(14),
        table: DEFAULT_FLOWS,
        live: 100,
    },
    control: ControlScale {
        rounds: 5,
        amounts: AMOUNTS,
        flows: &[10_000, 1_000_000],
        tables: &[DEFAULT_FLOWS, MAX_FLOWS],
        interfaces: 1_000,
    },
};

/// Within two minutes.
pub const QUICK: Scale = Scale {
    runs: 5,
    packets: 100_000,
    flows: &[1_000, 1_000_000],
    all_kinds: false,
    cidrs: &[10, 1_000, 100_000],
    members: &[1_000, 100_000],
    log_of_unlogged: false,
    new_flows: 100_000,
    firewalls: Firewall::ALL,
    rounds: 3,
    bulk: Duration::from_secs(1),
    flood: 200_000,
    attack: AttackScale {
        time: Duration::from_secs(3),
        watch: Duration::from_secs(5),
        idle: Duration::from_secs(12),
        // Three seconds of frames are several times as many.
        table: 16_384,
        live: 20,
    },
    control: ControlScale {
        rounds: 1,
        amounts: AMOUNTS.split_at(AMOUNTS.len() - 1).0,
        flows: &[1_000_000],
        tables: &[DEFAULT_FLOWS, MAX_FLOWS],
        interfaces: 200,
    },
};

/// Every kind of row, a few frames each: for the tests of the benchmark itself.
pub const TINY: Scale = Scale {
    runs: 1,
    packets: 100,
    flows: &[16],
    all_kinds: true,
    cidrs: &[10],
    members: &[20],
    log_of_unlogged: true,
    new_flows: 50,
    firewalls: Firewall::OWN,
    rounds: 1,
    bulk: Duration::ZERO,
    flood: 1000,
    attack: AttackScale {
        time: Duration::ZERO,
        watch: Duration::ZERO,
        idle: Duration::ZERO,
        table: 1024,
        live: 3,
    },
    control: ControlScale {
        rounds: 1,
        amounts: &[amount(1, 10, 3), amount(3, 10, 0)],
        flows: &[500],
        tables: &[1024],
        interfaces: 3,
    },
};

impl Options {
    /// Whether a scene is chosen.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| name.contains(word))
    }

    /// Tells who waits what is being measured.
    fn progress(&self, what: &str) {
        // Tests are quiet.
        if self.scale.packets > TINY.packets {
            eprintln!("measuring: {what}");
        }
    }
}

/// Keeps this thread on the last CPU: away from the first, which has most interrupts.
pub fn pin_to_last_cpu() {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    pin_to_cpu(cpus - 1);
}

fn pin_to_cpu(cpu: usize) {
    let mut set = CpuSet::new();
    // A container may not let us choose: then figures are noisier, not wrong.
    if set.set(cpu).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}
