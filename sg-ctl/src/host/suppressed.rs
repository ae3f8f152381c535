//! Events that were not logged because there were too many.

use schemars::JsonSchema;
use serde::Serialize;
use sg_common::counters::ZoneCounters;
use sg_common::reason::Reason;

/// Events beyond the limit of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Suppressed {
    /// Name of the reason.
    pub reason: &'static str,
    /// How many.
    pub events: u64,
}

impl Suppressed {
    /// Every reason of which there were any.
    pub fn all(counters: &ZoneCounters) -> Vec<Self> {
        let of_reason = |reason: &Reason| Self {
            reason: reason.name(),
            events: counters.events_suppressed[*reason as usize],
        };
        let all = Reason::ALL.iter().map(of_reason);
        all.filter(|suppressed| suppressed.events > 0).collect()
    }
}
