//! Looks at the flow table now and then: whether it fills up, and whether it has refused flows.

use std::time::Duration;

use tokio::time::Instant;

use super::{Agent, Notice};
use crate::host::paths::Paths;
use crate::host::{Host, HostError};

/// How often it is looked at, and told of.
const INTERVAL: Duration = Duration::from_mins(1);

/// When the table is looked at, and what was seen.
pub(super) struct TableWatch {
    next: Instant,
    /// Packets that it had refused.
    refused: u64,
}

impl TableWatch {
    /// Looks at once, and then every minute.
    pub(super) fn new() -> Self {
        Self {
            next: Instant::now(),
            refused: 0,
        }
    }

    /// What is to be told of a table that is nearly full, or has refused flows since it was looked at
    /// last; nothing before it is time.
    pub(super) fn look(&mut self, paths: &Paths) -> Result<Vec<String>, HostError> {
        if Instant::now() < self.next {
            return Ok(Vec::new());
        }
        self.next = Instant::now() + INTERVAL;
        let table = Host::open(paths)?.status()?.occupancy.unwrap_or_default();
        // Counters begin anew when an interface is attached.
        let refused = table.refused.saturating_sub(self.refused);
        self.refused = table.refused;
        let told = [table.nearly_full(), table.refusals(refused)];
        Ok(told.into_iter().flatten().collect())
    }
}

impl Agent<'_> {
    /// Tells what there is to tell of the flow table.
    pub(super) fn look_at_table(&mut self) {
        match self.table.look(&self.paths) {
            Ok(told) => {
                for text in &told {
                    (self.tell)(&Notice::FlowTable(text));
                }
            }
            Err(error) => self.failed("look at the flow table", &error.into()),
        }
    }
}
