//! What the rules in force have admitted.

use std::collections::BTreeMap;
use std::time::Duration;

use sg_common::counters::RuleKey;

use super::{Host, HostError};

/// What a rule of an interface has admitted since it came into force there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleCount {
    /// Flows that it opened.
    pub flows: u64,
    /// Packets that it admitted: those of its flows, both directions, and those without a flow.
    pub packets: u64,
    /// Bytes of these packets.
    pub bytes: u64,
    /// Time since it last decided on a packet, as it does on the first one of a flow; `None` when it
    /// never has.
    pub last_hit: Option<Duration>,
    /// Time for which it has been counted.
    pub counted: Duration,
}

impl Host {
    /// What each rule of each attached interface has admitted.
    ///
    /// # Errors
    /// When nothing is attached.
    pub fn rule_counts(&self) -> Result<BTreeMap<RuleKey, RuleCount>, HostError> {
        let totals = self.dataplane.rule_totals()?;
        // Later than any hit.
        let clock = self.dataplane.clock()?;
        let counts = totals.into_iter().map(|(key, totals)| {
            let count = RuleCount {
                flows: totals.flows,
                packets: totals.traffic.packets,
                bytes: totals.traffic.bytes,
                last_hit: (totals.last_hit != 0).then(|| clock.since(totals.last_hit)),
                counted: clock.since(totals.since),
            };
            (key, count)
        });
        Ok(counts.collect())
    }
}
