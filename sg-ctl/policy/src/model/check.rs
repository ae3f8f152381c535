//! What must hold of every model, whoever made it.
//!
//! The reader of rule files reports the same with places and all at once; this is for models that come
//! from elsewhere, or that were put together from several sources.

use std::fmt;

use foldhash::{HashMap, HashSet};

use super::{Direction, Family, InterfaceSpec, Model, Peer, SecurityGroup};

/// What is wrong with a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Names differ in more than case.
    #[error("the groups `{0}` and `{1}` have one name")]
    SameName(String, String),
    /// Groups have ids of their own.
    #[error("the groups `{0}` and `{1}` have the same id")]
    SameGroupId(String, String),
    /// Rules have ids of their own.
    #[error("the id {0} is that of two rules")]
    SameRuleId(String),
    /// A rule is stated once.
    #[error("the group `{group}` allows {rule} twice")]
    SameRule {
        /// Name of the group.
        group: String,
        /// Service and peer.
        rule: String,
    },
    /// Something refers to a group that is not there.
    #[error("{by} refers to the group `{name}`, which does not exist")]
    NoGroup {
        /// What refers to it.
        by: String,
        /// Its name.
        name: String,
    },
    /// A rule refers to a prefix list that is not there.
    #[error("{by} refers to the prefix list `{name}`, which does not exist")]
    NoPrefixList {
        /// What refers to it.
        by: String,
        /// Its name.
        name: String,
    },
    /// A group has more rules than the quota allows.
    #[error(
        "the group `{group}` has {count} {} {family} rules, more than the limit of {limit}; prefix \
         lists count as their size", .direction.name()
    )]
    TooManyRules {
        /// Name of the group.
        group: String,
        /// Which of its rules.
        direction: Direction,
        /// The family that they are counted for.
        family: Family,
        /// How many there are.
        count: u32,
        /// How many there may be.
        limit: u32,
    },
    /// An interface carries more groups than the quota allows, or none.
    #[error("{interface} would carry {count} groups; 1 to {limit} are allowed")]
    GroupsOfInterface {
        /// Name of the interface.
        interface: String,
        /// How many it would carry.
        count: usize,
        /// How many it may.
        limit: u32,
    },
    /// A prefix list is larger than the quota or its own size allow.
    #[error("the prefix list `{name}` has {count} entries; {limit} are allowed")]
    EntriesOfList {
        /// Name of the list.
        name: String,
        /// How many it has.
        count: u32,
        /// How many it may.
        limit: u32,
    },
}

impl Model {
    /// Whether everything holds that a rule file is checked for.
    ///
    /// # Errors
    /// The first thing that does not.
    pub fn check(&self) -> Result<(), Fault> {
        self.check_identities()?;
        for group in self.groups.values() {
            self.check_references(group)?;
            self.check_quota(group)?;
        }
        self.check_interfaces()?;
        for name in self.members.keys() {
            self.check_group(name, || "a list of members".to_owned())?;
        }
        self.check_lists()
    }

    fn check_identities(&self) -> Result<(), Fault> {
        let (mut names, mut ids) = (HashMap::default(), HashMap::default());
        let mut rule_ids = HashSet::default();
        for (name, group) in &self.groups {
            if let Some(other) = names.insert(name.to_lowercase(), name) {
                return Err(Fault::SameName(other.clone(), name.clone()));
            }
            if let Some(other) = ids.insert(&group.id, name) {
                return Err(Fault::SameGroupId(other.clone(), name.clone()));
            }
            for direction in Direction::ALL {
                let mut stated = HashSet::default();
                for rule in group.rules(direction) {
                    if !rule_ids.insert(&rule.id) {
                        return Err(Fault::SameRuleId(rule.id.to_string()));
                    }
                    if !stated.insert((rule.service, &rule.peer)) {
                        let rule = format!("{} {}", rule.service, rule.peer);
                        let group = name.clone();
                        return Err(Fault::SameRule { group, rule });
                    }
                }
            }
        }
        Ok(())
    }

    fn check_group(&self, name: &str, by: impl FnOnce() -> String) -> Result<(), Fault> {
        if self.groups.contains_key(name) {
            return Ok(());
        }
        Err(Fault::NoGroup {
            by: by(),
            name: name.to_owned(),
        })
    }

    fn check_references(&self, group: &SecurityGroup) -> Result<(), Fault> {
        let by = || format!("a rule of the group `{}`", group.name);
        for rule in group.inbound.iter().chain(&group.outbound) {
            match &rule.peer {
                Peer::Group(name) => self.check_group(name, by)?,
                Peer::PrefixList(name) if !self.prefix_lists.contains_key(name) => {
                    return Err(Fault::NoPrefixList {
                        by: by(),
                        name: name.clone(),
                    });
                }
                Peer::PrefixList(_) | Peer::Cidr(_) => {}
            }
        }
        Ok(())
    }

    /// Whether a group keeps the quota of rules.
    ///
    /// # Errors
    /// [`Fault::TooManyRules`] when it does not.
    pub fn check_quota(&self, group: &SecurityGroup) -> Result<(), Fault> {
        let limit = self.limits.rules_per_group;
        for direction in Direction::ALL {
            for family in Family::ALL {
                let weights = group.rules(direction).iter();
                let count = weights
                    .map(|rule| rule.peer.weight(family, &self.prefix_lists))
                    .fold(0, u32::saturating_add);
                if count > limit {
                    return Err(Fault::TooManyRules {
                        group: group.name.clone(),
                        direction,
                        family,
                        count,
                        limit,
                    });
                }
            }
        }
        Ok(())
    }

    fn check_interfaces(&self) -> Result<(), Fault> {
        for (name, spec) in &self.interfaces {
            self.check_interface(name, spec)?;
        }
        for (pattern, spec) in &self.hosts {
            self.check_interface(pattern, spec)?;
        }
        Ok(())
    }

    fn check_interface(
        &self,
        interface: &dyn fmt::Display,
        spec: &InterfaceSpec,
    ) -> Result<(), Fault> {
        let (count, limit) = (spec.groups.len(), self.limits.groups_per_interface);
        if count == 0 || count > limit as usize {
            return Err(Fault::GroupsOfInterface {
                interface: interface.to_string(),
                count,
                limit,
            });
        }
        for name in &spec.groups {
            self.check_group(name, || format!("the interface {interface}"))?;
        }
        Ok(())
    }

    fn check_lists(&self) -> Result<(), Fault> {
        for (name, list) in &self.prefix_lists {
            let count = list.entries.len() as u32;
            let quota = self.limits.prefix_list_entries;
            let size = list.max_entries.unwrap_or(count);
            if count > size || size > quota {
                return Err(Fault::EntriesOfList {
                    name: name.clone(),
                    count: count.max(size),
                    limit: size.min(quota),
                });
            }
        }
        Ok(())
    }
}
