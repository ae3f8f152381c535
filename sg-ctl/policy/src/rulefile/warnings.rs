//! What is allowed but probably not meant.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sg_common::proto::is_extension;

use super::error::{At, Problems};
use crate::model::{Family, Icmp, Model, Peer, Rule, RuleId, SecurityGroup, Service};

/// Reports what will have no effect.
///
/// Files without interfaces are libraries of groups: nothing in them needs to be in use.
pub(super) fn report(
    model: &Model,
    places: &BTreeMap<String, At>,
    peer_places: &HashMap<RuleId, At>,
    problems: &mut Problems<'_>,
) {
    let carried: BTreeSet<&str> = model
        .interfaces
        .values()
        .chain(model.hosts.values())
        .flat_map(|spec| &spec.groups)
        .map(String::as_str)
        .collect();
    for group in model.groups.values() {
        for rule in rules(group) {
            let Some(at) = peer_places.get(&rule.id) else {
                continue;
            };
            for (message, help) in [family_mismatch(rule), extension_header(rule)]
                .into_iter()
                .flatten()
            {
                problems.warning(at, message, help);
            }
            if let Peer::Group(name) = &rule.peer
                && carried.contains(group.name.as_str())
                && !carried.contains(name.as_str())
                && model
                    .members
                    .get(name)
                    .is_none_or(|addresses| addresses.is_empty())
            {
                let message = format!("nobody carries the group `{name}`: the rule allows nothing");
                let help =
                    format!("list the addresses that carry it under `members: {{{name}: […]}}`");
                problems.warning(at, message, help);
            }
        }
    }
    if carried.is_empty() {
        return;
    }
    let referenced: BTreeSet<&str> = model
        .groups
        .values()
        .flat_map(rules)
        .filter_map(|rule| match &rule.peer {
            Peer::Group(name) => Some(name.as_str()),
            Peer::Cidr(_) | Peer::PrefixList(_) => None,
        })
        .collect();
    for (name, at) in places {
        if !carried.contains(name.as_str()) && !referenced.contains(name.as_str()) {
            let help = "put it on an interface, refer to it by `sg:NAME`, or remove it";
            problems.warning(at, format!("nothing uses the group `{name}`"), help);
        }
    }
}

fn rules(group: &SecurityGroup) -> impl Iterator<Item = &Rule> {
    group.inbound.iter().chain(&group.outbound)
}

/// A rule about control messages of the other family than its range.
fn family_mismatch(rule: &Rule) -> Option<(String, &'static str)> {
    let Peer::Cidr(net) = &rule.peer else {
        return None;
    };
    let Service::Icmp { protocol, .. } = rule.service else {
        return None;
    };
    let help = match (protocol, Family::of(net)) {
        (Icmp::V4, Family::V6) => "write `protocol: icmpv6`, or an IPv4 range",
        (Icmp::V6, Family::V4) => "write `protocol: icmp`, or an IPv6 range",
        (Icmp::V4, Family::V4) | (Icmp::V6, Family::V6) => return None,
    };
    let family = Family::of(net);
    Some((
        format!("{family} hosts do not speak {protocol}: the rule allows nothing"),
        help,
    ))
}

/// A rule about the number of an extension header for IPv6 hosts: their packets go by what follows.
fn extension_header(rule: &Rule) -> Option<(String, &'static str)> {
    let (Peer::Cidr(net), Service::Protocol(number)) = (&rule.peer, rule.service) else {
        return None;
    };
    (Family::of(net) == Family::V6 && is_extension(number)).then(|| {
        let what = format!("{number} is an extension header in IPv6: the rule allows nothing");
        (
            what,
            "name the protocol that follows the header, or an IPv4 range",
        )
    })
}
