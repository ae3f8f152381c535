//! The join of what hosts claim with what the rules assign.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sg_policy::model::{HostInterfaces, Model};

use super::Claims;

/// How many conflicts and refusals are kept, of each.
const MOST: usize = 100;

/// An interface of a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// The host.
    pub host: String,
    /// The interface.
    pub interface: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.interface)
    }
}

/// An address that two interfaces claim.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Conflict {
    /// The address.
    pub address: IpAddr,
    /// The interface that has it: it claimed it last.
    pub holder: Place,
    /// The interface whose claim is void meanwhile.
    pub void: Place,
}

/// Why a claim does not count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The rules do not assign the group to the interface.
    NotAssigned,
    /// The address lies outside the interface's `addresses`.
    Outside(IpAddr),
}

/// A claim that does not count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    /// The name of the group.
    pub group: String,
    /// The interface.
    pub place: Place,
    /// Why.
    pub reason: Reason,
}

/// Who is a member of which group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Addresses on other hosts, by the name of the group.
    pub members: BTreeMap<String, BTreeSet<IpAddr>>,
    /// The first conflicts.
    pub conflicts: Vec<Conflict>,
    /// How many there are.
    pub conflict_count: usize,
    /// The first claims that do not count.
    pub refused: Vec<Refused>,
    /// How many there are.
    pub refused_count: usize,
}

/// A claim of one address that the rules allow.
struct Candidate<'a> {
    address: IpAddr,
    /// What decides between two: when it was claimed, then when the record was made.
    order: (u64, u64),
    host: &'a str,
    interface: &'a str,
    group: &'a str,
}

impl Candidate<'_> {
    fn place(&self) -> Place {
        Place {
            host: self.host.to_owned(),
            interface: self.interface.to_owned(),
        }
    }
}

impl Claims {
    /// Who is a member of which group by these rules, seen from a host, whose own interfaces are
    /// members by themselves.
    pub fn join(&self, model: &Model, own: &str) -> Membership {
        let mut found = Membership::default();
        let mut candidates = self.candidates(model, &mut found);
        candidates.sort_unstable_by_key(|candidate| {
            let Candidate { address, order, .. } = candidate;
            (
                *address,
                Reverse(*order),
                candidate.host,
                candidate.interface,
            )
        });
        for same in candidates.chunk_by(|one, other| one.address == other.address) {
            let holder = &same[0];
            let mut void = BTreeSet::new();
            for candidate in same {
                let is_holder =
                    (candidate.host, candidate.interface) == (holder.host, holder.interface);
                if !is_holder {
                    void.insert(candidate.place());
                } else if candidate.host != own {
                    let members = found.members.entry(candidate.group.to_owned());
                    members.or_default().insert(candidate.address);
                }
            }
            found.conflict_count += void.len();
            let room = MOST - found.conflicts.len();
            let conflicts = void.into_iter().take(room).map(|void| Conflict {
                address: holder.address,
                holder: holder.place(),
                void,
            });
            found.conflicts.extend(conflicts);
        }
        found
    }

    fn candidates<'a>(&'a self, model: &'a Model, found: &mut Membership) -> Vec<Candidate<'a>> {
        let names: BTreeMap<&str, &str> = model
            .groups
            .values()
            .map(|group| (group.id.as_str(), group.name.as_str()))
            .collect();
        let assignments = model.assignments();
        let mut hosts: BTreeMap<&str, HostInterfaces<'_>> = BTreeMap::new();
        let mut candidates = Vec::new();
        for (key, record) in &self.records {
            // What nobody defines nobody refers to.
            let Some(group) = names.get(key.group.as_str()).copied() else {
                continue;
            };
            let host = key.host.as_str();
            let interfaces = hosts.entry(host).or_insert_with(|| assignments.of(host));
            for (interface, claim) in &record.claimed {
                let spec = interfaces.interface(interface);
                let spec = spec.filter(|spec| carries(model, &spec.groups, group));
                let mut refuse = |reason| {
                    found.refused_count += 1;
                    if found.refused.len() < MOST {
                        let (host, interface) = (host.to_owned(), interface.clone());
                        found.refused.push(Refused {
                            group: group.to_owned(),
                            place: Place { host, interface },
                            reason,
                        });
                    }
                };
                let Some(spec) = spec else {
                    refuse(Reason::NotAssigned);
                    continue;
                };
                for (address, at) in &claim.addresses {
                    if !spec.counts(*address) {
                        refuse(Reason::Outside(*address));
                        continue;
                    }
                    candidates.push(Candidate {
                        address: *address,
                        // Nobody can have claimed anything after the revision that says so.
                        order: ((*at).min(record.modified), record.created),
                        host,
                        interface,
                        group,
                    });
                }
            }
        }
        candidates
    }
}

/// Whether groups, given by name or id, have one of this name among them.
fn carries(model: &Model, groups: &[String], name: &str) -> bool {
    groups
        .iter()
        .any(|given| given == name || model.group(given).is_some_and(|group| group.name == name))
}
