//! Changes of a host between packets: what `apply`, `attach` and `detach` do.

use std::{collections::BTreeSet, net::IpAddr};

use fastrand::Rng;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sg_policy::model::{Direction, GroupId, InterfaceSpec, Rule, RuleId};

use super::{
    host::{self, GROUPS, LISTS},
    universe::{address, net, one_of, percent},
};
use crate::oracle::Host;

/// A change of a host. What it names may be gone: then it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A group gets a rule, before all others or behind them.
    AddRule {
        /// The group's name.
        group: String,
        /// Whether it is an inbound rule.
        inbound: bool,
        /// The rule.
        rule: Rule,
        /// Whether it becomes the first.
        first: bool,
    },
    /// A group loses a rule.
    RemoveRule {
        /// The group's name.
        group: String,
        /// The rule's id.
        id: RuleId,
    },
    /// A group loses all its rules.
    RemoveRules(String),
    /// The interface gets other groups.
    Groups(Vec<String>),
    /// Another interface gets other groups.
    OtherGroups(usize, Vec<String>),
    /// A group gets a member elsewhere, or loses it if it has it.
    Member(String, IpAddr),
    /// A prefix list gets an entry, or loses it if it has it.
    Entry(String, IpNet),
    /// The interface's policy is gone, or back.
    Policy(bool),
    /// The interface gets other settings; groups and side stay.
    Settings(Box<InterfaceSpec>),
}

/// A change.
pub(super) fn random(rng: &mut Rng, host: &Host) -> Change {
    if !host.has_policy {
        return Change::Policy(true);
    }
    let carried = one_of(rng, &GROUPS).to_owned();
    let group = if percent(rng, 70) {
        let index = rng.usize(..host.interface.groups.len());
        host.interface.groups[index].clone()
    } else {
        carried
    };
    match rng.u32(..100) {
        0..35 => {
            let rules = host.model.groups.get(&group);
            let ids: Vec<_> = rules
                .iter()
                .flat_map(|group| group.inbound.iter().chain(&group.outbound))
                .map(|rule| rule.id.clone())
                .collect();
            if ids.is_empty() {
                return Change::Groups(host::groups(rng));
            }
            let id = ids[rng.usize(..ids.len())].clone();
            Change::RemoveRule { group, id }
        }
        35..50 => {
            let inbound = rng.bool();
            let direction = if inbound {
                Direction::Inbound
            } else {
                Direction::Outbound
            };
            Change::AddRule {
                rule: host::rule(rng, &GroupId::derived(&group), direction),
                group,
                inbound,
                first: rng.bool(),
            }
        }
        50..58 => Change::RemoveRules(group),
        58..70 => Change::Groups(host::groups(rng)),
        70..75 => Change::OtherGroups(rng.usize(..2), host::groups(rng)),
        75..84 => {
            let v4 = percent(rng, 60);
            Change::Member(group, address(rng, v4))
        }
        84..92 => Change::Entry(one_of(rng, &LISTS).to_owned(), net(rng)),
        92..95 => Change::Policy(false),
        _ => Change::Settings(Box::new(host::interface(rng))),
    }
}

impl Change {
    /// Makes the change.
    pub fn apply(&self, host: &mut Host) {
        match self {
            Self::AddRule {
                group,
                inbound,
                rule,
                first,
            } => {
                let Some(group) = host.model.groups.get_mut(group) else {
                    return;
                };
                let rules = if *inbound {
                    &mut group.inbound
                } else {
                    &mut group.outbound
                };
                if rules.iter().all(|other| other.id != rule.id) {
                    let at = if *first { 0 } else { rules.len() };
                    rules.insert(at, rule.clone());
                }
            }
            Self::RemoveRule { group, id } => {
                if let Some(group) = host.model.groups.get_mut(group) {
                    group.inbound.retain(|rule| rule.id != *id);
                    group.outbound.retain(|rule| rule.id != *id);
                }
            }
            Self::RemoveRules(name) => {
                if let Some(group) = host.model.groups.get_mut(name) {
                    group.inbound.clear();
                    group.outbound.clear();
                }
            }
            Self::Groups(groups) => host.interface.groups.clone_from(groups),
            Self::OtherGroups(index, groups) => {
                if let Some((theirs, _)) = host.others.get_mut(*index) {
                    theirs.clone_from(groups);
                }
            }
            Self::Member(name, address) => {
                let members = host.model.members.entry(name.clone()).or_default();
                let (has, one) = (members.contains(address), BTreeSet::from([*address]));
                let (gone, come) = if has {
                    (one, BTreeSet::new())
                } else {
                    (BTreeSet::new(), one)
                };
                members.exchange(&gone, &come);
            }
            Self::Entry(name, net) => {
                if let Some(list) = host.model.prefix_lists.get_mut(name)
                    && !list.entries.remove(net)
                {
                    list.entries.insert(*net);
                }
            }
            Self::Policy(has_policy) => host.has_policy = *has_policy,
            Self::Settings(settings) => {
                host.interface = InterfaceSpec {
                    groups: std::mem::take(&mut host.interface.groups),
                    side: host.interface.side,
                    ..(**settings).clone()
                };
            }
        }
    }
}
