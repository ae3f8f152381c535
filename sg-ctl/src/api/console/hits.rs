//! What this host's kernel has counted, joined to rules; what it is asked about packets.

use std::collections::HashMap;
use std::time::Duration;

use sg_policy::model::{GroupId, RuleId};

use crate::host::paths::Paths;
use crate::host::{Host, HostError};

/// What a rule has admitted on all interfaces of this host.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hit {
    pub(super) flows: u64,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) last: Option<Duration>,
}

/// All hits; a rule that is not in it is in force nowhere on this host.
#[derive(Debug, Default)]
pub(super) struct Hits(HashMap<GroupId, HashMap<RuleId, Hit>>);

impl Hits {
    /// Reads the counters.
    pub(super) fn read(paths: &Paths) -> Result<Self, HostError> {
        let host = Host::open(paths)?;
        let state = host.state()?;
        let mut hits = Self::default();
        if state.attachments.is_empty() {
            return Ok(hits);
        }
        for (key, count) in host.rule_counts()? {
            let Some(rule) = state.numbers.rule(key.rule) else {
                continue;
            };
            let group = hits.0.entry(rule.group_id.clone()).or_default();
            let hit = group.entry(rule.rule_id.clone()).or_default();
            hit.flows += count.flows;
            hit.packets += count.packets;
            hit.bytes += count.bytes;
            hit.last = match (hit.last, count.last_hit) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        Ok(hits)
    }

    /// What a rule has admitted; `None` where no interface carries its group.
    pub(super) fn of(&self, group: &GroupId, rule: &RuleId) -> Option<Hit> {
        self.0.get(group)?.get(rule).copied()
    }

    /// When any rule of a group was last hit.
    pub(super) fn last(&self, group: &GroupId) -> Option<Duration> {
        self.0.get(group)?.values().filter_map(|hit| hit.last).min()
    }

    /// Whether any interface of this host carries a group.
    pub(super) fn has(&self, group: &GroupId) -> bool {
        self.0.contains_key(group)
    }
}

/// A time that has passed, in few letters.
pub(super) fn ago(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => "just now".to_owned(),
        1..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// A number of bytes, in few letters.
pub(super) fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = (count.max(1).ilog2() / 10).min(4);
    let (whole, rest) = (count >> (10 * unit), count & ((1 << (10 * unit)) - 1));
    match unit {
        0 => format!("{count} B"),
        _ => format!(
            "{whole}.{} {}",
            (rest * 10) >> (10 * unit),
            units[unit as usize]
        ),
    }
}
