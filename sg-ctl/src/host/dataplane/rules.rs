//! Counters of rules: made for the rules in force, summed over CPUs and the flow table.

use schemars::JsonSchema;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use aya::maps::MapError;
use aya::util::nr_cpus;
use nix::errno::Errno;
use sg_common::counters::{MAX_RULES, RuleCounters, RuleKey, Tally};
use sg_common::names::MAP_RULES;

use super::error::DataplaneError;
use super::maps::{Maps, map_error, on_every_cpu};

/// What one rule of an interface admitted since it came into force there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleTotals {
    /// Flows that it opened.
    pub flows: u64,
    /// Traffic: that of its flows, which are over or still there, and what it admitted without one.
    pub traffic: Tally,
    /// Jiffies of the latest packet that it decided on, other than one of its flows; 0 = never.
    pub last_hit: u64,
    /// Jiffies at which counting began.
    pub since: u64,
}

/// Rules that are counted, and the memory that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, JsonSchema)]
pub struct RuleCounterInfo {
    /// Rules, once for each interface that has them.
    pub rules: usize,
    /// Rules for which there is room.
    pub room: u32,
    /// Bytes of kernel memory.
    pub bytes: u64,
}

impl RuleCounterInfo {
    /// Describes the map when it counts so many rules.
    pub(super) fn of(rules: usize) -> Result<Self, DataplaneError> {
        /// What there is for every entry that there may be, its bucket, and what one takes beside its
        /// values: head, key and pointers (Linux 6.18, `kernel/bpf/hashtab.c`).
        const BUCKET: u64 = 16;
        const ENTRY: u64 = 96;
        let cpus = nr_cpus()
            .map_err(|(_, error)| MapError::IoError(error))
            .map_err(map_error("measure", MAP_RULES))?;
        let values = cpus as u64 * size_of::<RuleCounters>() as u64;
        Ok(Self {
            rules,
            room: MAX_RULES,
            bytes: u64::from(MAX_RULES) * BUCKET + rules as u64 * (ENTRY + values),
        })
    }
}

/// The rules that are counted.
pub(super) fn counted(maps: &Maps) -> Result<BTreeSet<RuleKey>, DataplaneError> {
    let keys = maps.rules.keys().collect::<Result<_, _>>();
    keys.map_err(map_error("read", MAP_RULES))
}

/// The kernel keeps some memory at hand for entries of the map and fetches more behind our back: so
/// long is waited for it, and as often, before rules go uncounted.
const PATIENCE: Duration = Duration::from_secs(5);
const REFILL: Duration = Duration::from_millis(1);

/// Begins to count rules that are about to come into force, as far as there is room. Those that are
/// counted already go on.
pub(super) fn begin(
    maps: &mut Maps,
    rules: &[RuleKey],
    counted: &BTreeSet<RuleKey>,
    now: u64,
) -> Result<(), DataplaneError> {
    /// `BPF_NOEXIST`: only a new entry.
    const NEW: u64 = 1;
    let zero = RuleCounters {
        since: now,
        ..RuleCounters::default()
    };
    let deadline = Instant::now() + PATIENCE;
    for rule in rules.iter().filter(|rule| !counted.contains(rule)) {
        loop {
            let inserted = on_every_cpu(zero).and_then(|zero| maps.rules.insert(rule, zero, NEW));
            match inserted {
                Err(error) if is(&error, Errno::E2BIG) => return Ok(()),
                Err(error) if is(&error, Errno::ENOMEM) => {
                    if Instant::now() > deadline {
                        return Ok(());
                    }
                    std::thread::sleep(REFILL);
                }
                inserted => {
                    inserted.map_err(map_error("write", MAP_RULES))?;
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Ends counting rules.
pub(super) fn end<'r>(
    maps: &mut Maps,
    rules: impl Iterator<Item = &'r RuleKey>,
) -> Result<(), DataplaneError> {
    for rule in rules {
        match maps.rules.remove(rule) {
            // Somebody else was faster.
            Err(MapError::KeyNotFound) => {}
            Err(error) if is(&error, Errno::ENOENT) => {}
            removed => removed.map_err(map_error("write", MAP_RULES))?,
        }
    }
    Ok(())
}

/// The totals of every rule that is counted. A flow that loses its slot meanwhile may be left out
/// until the next look.
pub(super) fn totals(maps: &Maps) -> Result<BTreeMap<RuleKey, RuleTotals>, DataplaneError> {
    let mut totals = BTreeMap::new();
    for entry in &maps.rules {
        let (key, per_cpu) = entry.map_err(map_error("read", MAP_RULES))?;
        let mut sum = RuleCounters::default();
        for counters in per_cpu.iter() {
            sum.add(counters);
        }
        let total = RuleTotals {
            flows: sum.flows,
            traffic: Tally {
                packets: sum.closed.packets + sum.direct.packets,
                bytes: sum.closed.bytes + sum.direct.bytes,
            },
            last_hit: sum.last_hit,
            since: sum.since,
        };
        totals.insert(key, total);
    }
    let slots = maps.flows()?;
    for index in maps.taken_slots()? {
        let slot = slots.read(index);
        if let Some((key, tally)) = slot.and_then(|slot| slot.uncounted())
            && let Some(total) = totals.get_mut(&key)
        {
            total.traffic.packets += tally.packets;
            total.traffic.bytes += tally.bytes;
        }
    }
    Ok(totals)
}

fn is(error: &MapError, errno: Errno) -> bool {
    match error {
        MapError::SyscallError(error) => error.io_error.raw_os_error() == Some(errno as i32),
        _ => false,
    }
}
