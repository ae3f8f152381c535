//! Flows, added up by what they have in common.

use comfy_table::Cell;
use schemars::JsonSchema;
use serde::Serialize;
use sg_ctl::host::Share;
use sg_policy::compile::RuleNumbers;

use crate::verb::flows::FlowGrouping;
use crate::verb::output::names::RuleRef;
use crate::verb::output::table::Table;

/// A sum as it is shown.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ShareView {
    #[serde(flatten)]
    share: Share,
    percent: u64,
}

impl ShareView {
    /// The view of a sum, of so many flows in all.
    pub(crate) fn new(share: Share, total: u64) -> Self {
        Self {
            percent: share.flows * 100 / total.max(1),
            share,
        }
    }
}

/// The head of the first column.
pub(crate) const fn title(by: FlowGrouping) -> &'static str {
    match by {
        FlowGrouping::Remote => "REMOTE",
        FlowGrouping::State => "STATE",
        FlowGrouping::Interface => "INTERFACE",
        FlowGrouping::Rule => "RULE",
    }
}

/// A rule with its group; flows that no rule admitted were there before.
pub(crate) fn rule(number: u32, numbers: &RuleNumbers) -> String {
    match RuleRef::find(number, numbers) {
        None => "-".to_owned(),
        Some(rule) => match &rule.group {
            Some(group) => format!("{} {group}", rule.id_text()),
            None => rule.id_text(),
        },
    }
}

/// The table of sums.
pub(crate) fn table(title: &str, shares: &[ShareView]) -> Table {
    let mut table = Table::new(&[title, ">FLOWS", ">PERCENT", ">PACKETS", ">BYTES"]);
    for ShareView { share, percent } in shares {
        table.push([
            Cell::new(&share.of),
            Cell::new(share.flows),
            Cell::new(percent),
            Cell::new(share.packets),
            Cell::new(share.bytes),
        ]);
    }
    table
}
