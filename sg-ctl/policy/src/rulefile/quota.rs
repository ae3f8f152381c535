//! Quotas (aws-semantics §5).

use super::decode::Located;
use super::error::Problems;
use super::groups::Groups;
use super::lists::Lists;
use super::scalar::FlowShare;
use super::syntax;
use crate::model::{Direction, Family, Limits};

/// The quotas to keep: AWS's, with those that the files state in their place.
pub(super) fn limits(
    written: Option<&Located<syntax::Limits>>,
    problems: &mut Problems<'_>,
) -> Limits {
    let defaults = Limits::default();
    let Some(Located { value: keys, at }) = written else {
        return defaults;
    };
    let limits = Limits {
        rules_per_group: keys.rules_per_group.count_or(defaults.rules_per_group),
        groups_per_interface: keys
            .groups_per_interface
            .count_or(defaults.groups_per_interface),
        product: keys.product.count_or(defaults.product),
        prefix_list_entries: keys
            .prefix_list_entries
            .count_or(defaults.prefix_list_entries),
        flow_table_size: keys
            .flow_table_size
            .given()
            .map_or(defaults.flow_table_size, |size| size.0),
        flows_per_remote: keys.flows_per_remote.given().map(|limit| limit.0),
    };
    let product = u64::from(limits.rules_per_group) * u64::from(limits.groups_per_interface);
    if product > u64::from(limits.product) {
        let place = keys.product.given().or(keys.rules_per_group.given());
        let place = place
            .or(keys.groups_per_interface.given())
            .map_or(at, |key| &key.at);
        let message = format!(
            "{} rules per group × {} groups per interface = {product}, more than the product {}",
            limits.rules_per_group, limits.groups_per_interface, limits.product,
        );
        let help = format!("lower one of them, or set `product: {product}` (AWS allows 1000)");
        problems.error(place, message, help);
    }
    limits
}

/// The share of the flow table that an interface asks for.
pub(super) fn flow_share(
    written: Option<&Located<FlowShare>>,
    limits: &Limits,
    problems: &mut Problems<'_>,
) -> Option<u32> {
    let Located { value, at } = written?;
    let FlowShare(share) = *value;
    let room = limits.flow_table_size;
    if share > room {
        let message = format!("a share of {share} flows is more than the flow table, {room}");
        let help = "lower it, or raise `limits: {flow_table_size: …}`";
        problems.error(at, message, help);
    }
    Some(share)
}

/// Reports the first rule of each group, direction and family that exceeds the quota.
pub(super) fn check_rules(
    groups: &Groups,
    lists: &Lists,
    limits: &Limits,
    problems: &mut Problems<'_>,
) {
    let limit = limits.rules_per_group;
    for group in groups.by_name.values() {
        for direction in Direction::ALL {
            for family in Family::ALL {
                let mut used: u32 = 0;
                let exceeding = group.rules(direction).iter().find(|rule| {
                    used = used.saturating_add(rule.peer.weight(family, &lists.0));
                    used > limit
                });
                let Some(at) = exceeding.and_then(|rule| groups.peer_places.get(&rule.id)) else {
                    continue;
                };
                let total: u32 = group
                    .rules(direction)
                    .iter()
                    .map(|rule| rule.peer.weight(family, &lists.0))
                    .fold(0, u32::saturating_add);
                let message = format!(
                    "the group has {total} {} {family} rules, more than the limit of \
                     {limit}; prefix lists count as their size",
                    direction.name(),
                );
                let help = "merge ranges or ports, split the group, or raise `limits: \
                            {rules_per_group: …}`";
                problems.error(at, message, help);
            }
        }
    }
}
