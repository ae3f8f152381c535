//! Quotas of the imported rules.

use crate::model::{Direction, Family, Limits, Model};
use crate::text::report::{At, Problems};

/// Raises the quotas that the rules exceed: AWS had raised them too.
pub(super) fn raise(model: &mut Model, problems: &mut Problems<'_>) {
    let mut limits = Limits::default();
    for list in model.prefix_lists.values() {
        let size = list.max_entries.unwrap_or(0).max(list.entries.len() as u32);
        limits.prefix_list_entries = limits.prefix_list_entries.max(size);
    }
    for group in model.groups.values() {
        for direction in Direction::ALL {
            for family in Family::ALL {
                let rules = group.rules(direction).iter();
                let weights = rules.map(|rule| rule.peer.weight(family, &model.prefix_lists));
                limits.rules_per_group = limits.rules_per_group.max(weights.sum());
            }
        }
    }
    let product = limits
        .rules_per_group
        .saturating_mul(limits.groups_per_interface);
    limits.product = limits.product.max(product);
    if limits != Limits::default() {
        let message = format!(
            "AWS's default quotas are exceeded: {} rules in a group, {} entries in a prefix list",
            limits.rules_per_group, limits.prefix_list_entries
        );
        let help = "the section `limits` of the rule file raises them";
        problems.warning(&At::NOWHERE, message, help);
    }
    model.limits = limits;
}
