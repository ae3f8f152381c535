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
use super::maps::{Maps, map_error, system_error};

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

/// What is tried when the counters cannot be read.
const READ: &str = "read the counters of rules";

/// The rules that are counted.
pub(super) fn counted(maps: &Maps) -> Result<BTreeSet<RuleKey>, DataplaneError> {
    let mut counted = BTreeSet::new();
    let read = maps.rules.each(|key, _| {
        counted.insert(key);
    });
    read.map_err(system_error(READ))?;
    Ok(counted)
}

/// The kernel keeps some memory at hand for entries of the map and fetches more behind our back: so
/// long is waited for it, and as often, before rules go uncounted.
const PATIENCE: Duration = Duration::from_secs(5);
const REFILL: Duration = Duration::from_millis(1);

/// Begins to count rules that are about to come into force, as far as there is room. Those that are
/// counted already go on.
pub(super) fn begin(
    maps: &Maps,
    rules: &[RuleKey],
    counted: &BTreeSet<RuleKey>,
    now: u64,
) -> Result<(), DataplaneError> {
    let zero = RuleCounters {
        since: now,
        ..RuleCounters::default()
    };
    let deadline = Instant::now() + PATIENCE;
    for rule in rules.iter().filter(|rule| !counted.contains(rule)) {
        while let Err(error) = maps.rules.insert(rule, zero) {
            match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::E2BIG) => return Ok(()),
                Some(Errno::ENOMEM) if Instant::now() > deadline => return Ok(()),
                Some(Errno::ENOMEM) => std::thread::sleep(REFILL),
                _ => return Err(system_error("begin to count a rule")(error)),
            }
        }
    }
    Ok(())
}

/// Ends counting rules.
pub(super) fn end<'r>(
    maps: &Maps,
    rules: impl Iterator<Item = &'r RuleKey>,
) -> Result<(), DataplaneError> {
    let rules: Vec<_> = rules.copied().collect();
    let ended = maps.rules.delete(&rules);
    ended.map_err(system_error("end counting rules"))?;
    Ok(())
}

/// The totals of every rule that is counted. A flow that loses its slot meanwhile may be left out
/// until the next look.
pub(super) fn totals(maps: &Maps) -> Result<BTreeMap<RuleKey, RuleTotals>, DataplaneError> {
    let mut totals = BTreeMap::new();
    let total = |key: RuleKey, per_cpu: &[RuleCounters]| {
        let mut sum = RuleCounters::default();
        for counters in per_cpu {
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
    };
    maps.rules.each(total).map_err(system_error(READ))?;
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
