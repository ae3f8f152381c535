//! What rules have admitted.

use std::collections::BTreeMap;

use sg_ctl::host::dataplane::RuleTotals;

use super::Filter;

impl Filter {
    /// What the rules of the interface have admitted, by description.
    pub fn rule_totals(&self) -> BTreeMap<String, RuleTotals> {
        let mut by_name = BTreeMap::<String, RuleTotals>::new();
        for (number, totals) in self.loaded().rule_totals() {
            let rule = self.rule(number).expect("only rules in force are counted");
            let sum = by_name.entry(rule.description.clone()).or_default();
            sum.flows += totals.flows;
            sum.traffic.packets += totals.traffic.packets;
            sum.traffic.bytes += totals.traffic.bytes;
            sum.last_hit = sum.last_hit.max(totals.last_hit);
            sum.since = sum.since.max(totals.since);
        }
        by_name
    }
}
