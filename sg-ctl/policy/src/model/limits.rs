//! Quotas, by default AWS's, and the size of the flow table.

use serde::{Deserialize, Serialize};
use sg_common::settings::DEFAULT_FLOWS;

use super::Side;

/// Quotas that a model must keep, and what the kernel must have room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Rules per group, for each direction and family apart; a prefix list counts as its size.
    pub rules_per_group: u32,
    /// Groups per interface.
    pub groups_per_interface: u32,
    /// Bound on `rules_per_group` × `groups_per_interface` (AWS's hard limit).
    pub product: u32,
    /// Entries per prefix list.
    pub prefix_list_entries: u32,
    /// Live flows that fit the flow table, which all interfaces share.
    pub flow_table_size: u32,
    /// Flows of one remote address at an interface beyond which they make room for others; 0: no
    /// limit. `None`: by the interface's side.
    pub flows_per_remote: Option<u32>,
}

/// One remote address holds no more than this part of the flow table at a workload's interface,
/// unless told otherwise.
const REMOTE_PART: u32 = 16;

impl Limits {
    /// Flows that one remote address may hold at an interface of this side, of a table for `room`
    /// flows; 0: any number.
    pub fn flows_per_remote(&self, side: Side, room: u32) -> u32 {
        self.flows_per_remote.unwrap_or(match side {
            Side::Nic => 0,
            Side::Workload => (room / REMOTE_PART).max(1),
        })
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rules_per_group: 60,
            groups_per_interface: 5,
            product: 1000,
            prefix_list_entries: 1000,
            flow_table_size: DEFAULT_FLOWS,
            flows_per_remote: None,
        }
    }
}
