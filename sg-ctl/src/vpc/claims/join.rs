//! The join of what hosts claim with what the rules assign.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sg_policy::model::{Addresses, Assignments, Model};

use super::{Claims, Record};
use crate::vpc::keys::RecordKey;

/// How many conflicts and refusals are kept, of each.
const MOST: usize = 100;
/// Addresses of one record that count: more than hosts have, and so few that the claims of a captured
/// one leave room for others.
const MOST_OF_RECORD: usize = 8192;

/// An interface of a host.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
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
    /// The host's record has too many addresses.
    TooMany,
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
    pub members: BTreeMap<String, Addresses>,
    /// The first conflicts.
    pub conflicts: Vec<Conflict>,
    /// How many there are.
    pub conflict_count: usize,
    /// The first claims that do not count.
    pub refused: Vec<Refused>,
    /// How many there are.
    pub refused_count: usize,
}

/// Whose claim it is, and for what.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Claimant {
    place: Place,
    /// The name of the group.
    group: String,
    /// The part of the host's record: nothing keeps a host from naming an interface in several.
    part: u8,
}

/// A claim of one address that the rules allow. Of one address the first has it, in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    address: IpAddr,
    /// What decides between two: when it was claimed, then when the record was made.
    order: Reverse<(u64, u64)>,
    by: Arc<Claimant>,
}

/// What the rules make of one record.
#[derive(Debug, Default)]
struct Judged {
    allowed: Vec<Candidate>,
    /// The first claims that do not count.
    refused: Vec<Refused>,
    refused_count: usize,
}

/// The join of claims with rules, which goes along with the claims: what has not changed costs nothing.
#[derive(Debug, Default)]
pub struct Join {
    /// The records that it is made of.
    records: BTreeMap<RecordKey, Record>,
    candidates: BTreeSet<Candidate>,
    members: BTreeMap<String, Addresses>,
    /// Of each address that several interfaces claim.
    conflicts: BTreeMap<IpAddr, Vec<Conflict>>,
    /// Of each record that has claims which do not count: the first ones, and how many there are.
    refused: BTreeMap<RecordKey, (Vec<Refused>, usize)>,
}

impl Claims {
    /// Who is a member of which group by these rules, seen from a host, whose own interfaces are
    /// members by themselves.
    pub fn join(&self, model: &Model, own: &str) -> Membership {
        Join::default().follow(self, model, own)
    }
}

impl Join {
    /// Who is a member of which group by now. The host is that of the last time, and the rules
    /// [assign as](Model::assigns_as) those did; for others a new join is made.
    pub fn follow(&mut self, claims: &Claims, model: &Model, own: &str) -> Membership {
        let is_new = |(key, record): &(&RecordKey, &Record)| {
            let old = self.records.get(*key);
            old.is_none_or(|old| !old.is_same(record))
        };
        let written = claims.records.iter().filter(is_new).map(|(key, _)| key);
        let is_gone = |key: &&RecordKey| !claims.records.contains_key(*key);
        let changed = written.chain(self.records.keys().filter(is_gone));
        let changed: Vec<RecordKey> = changed.cloned().collect();
        if changed.is_empty() {
            return self.membership();
        }
        // Sets are built of them all: one that grows by each record costs its size each time.
        let (mut gone, mut come) = (Vec::new(), Vec::new());
        let judge = Judge::new(model);
        for key in changed {
            if let Some(old) = self.records.remove(&key) {
                gone.extend(judge.judge(&key, &old).allowed);
                self.refused.remove(&key);
            }
            let Some(record) = claims.records.get(&key) else {
                continue;
            };
            let judged = judge.judge(&key, record);
            come.extend(judged.allowed);
            if judged.refused_count > 0 {
                let refused = (judged.refused, judged.refused_count);
                self.refused.insert(key.clone(), refused);
            }
            self.records.insert(key, record.clone());
        }
        self.exchange(&gone.into_iter().collect(), come.into_iter().collect(), own);
        self.membership()
    }

    /// Takes candidates out and others in; decides anew about their addresses.
    fn exchange(&mut self, gone: &BTreeSet<Candidate>, come: BTreeSet<Candidate>, own: &str) {
        let changed: BTreeSet<IpAddr> = gone
            .symmetric_difference(&come)
            .map(|candidate| candidate.address)
            .collect();
        // Of each group: who goes, and who comes.
        let mut members: BTreeMap<String, [BTreeSet<IpAddr>; 2]> = BTreeMap::new();
        let mut note = |decided: &Decided, address: IpAddr, comes: bool| {
            for group in decided.groups(own) {
                if !members.contains_key(group) {
                    members.insert(group.to_owned(), Default::default());
                }
                if let Some(both) = members.get_mut(group) {
                    both[usize::from(comes)].insert(address);
                }
            }
        };
        for address in &changed {
            note(&self.decide(*address), *address, false);
        }
        for candidate in gone {
            self.candidates.remove(candidate);
        }
        // Most at once, when there are none: a set is then built of what is sorted already.
        if self.candidates.is_empty() {
            self.candidates = come;
        } else {
            self.candidates.extend(come);
        }
        for address in &changed {
            let decided = self.decide(*address);
            note(&decided, *address, true);
            if decided.conflicts.is_empty() {
                self.conflicts.remove(address);
            } else {
                self.conflicts.insert(*address, decided.conflicts);
            }
        }
        for (group, [gone, come]) in members {
            self.members
                .entry(group)
                .or_default()
                .exchange(&gone, &come);
        }
        self.members.retain(|_, members| !members.is_empty());
    }

    /// Who has an address.
    fn decide(&self, address: IpAddr) -> Decided {
        let first = Candidate {
            address,
            order: Reverse((u64::MAX, u64::MAX)),
            by: Arc::default(),
        };
        let all = self.candidates.range(first..);
        let mut all = all.take_while(|candidate| candidate.address == address);
        let Some(holder) = all.next().map(|candidate| &candidate.by) else {
            return Decided::default();
        };
        let mut decided = Decided {
            held: vec![Arc::clone(holder)],
            conflicts: Vec::new(),
        };
        let mut void = BTreeSet::new();
        for Candidate { by, .. } in all {
            if by.place == holder.place {
                decided.held.push(Arc::clone(by));
            } else {
                void.insert(&by.place);
            }
        }
        let conflicts = void.into_iter().map(|void| Conflict {
            address,
            holder: holder.place.clone(),
            void: void.clone(),
        });
        decided.conflicts = conflicts.collect();
        decided
    }

    fn membership(&self) -> Membership {
        let conflicts = self.conflicts.values().flatten();
        let refused = self.refused.values();
        Membership {
            members: self.members.clone(),
            conflicts: conflicts.clone().take(MOST).cloned().collect(),
            conflict_count: conflicts.count(),
            refused: refused
                .clone()
                .flat_map(|(first, _)| first)
                .take(MOST)
                .cloned()
                .collect(),
            refused_count: refused.map(|(_, count)| count).sum(),
        }
    }
}

/// Who has an address.
#[derive(Debug, Default)]
struct Decided {
    /// The interface that has it, for each of its groups.
    held: Vec<Arc<Claimant>>,
    conflicts: Vec<Conflict>,
}

impl Decided {
    /// The groups that it is a member of, unless a host has it itself.
    fn groups(&self, own: &str) -> impl Iterator<Item = &str> {
        let held = self.held.iter();
        held.filter(move |by| by.place.host != own)
            .map(|by| by.group.as_str())
    }
}

/// What the rules say of records.
struct Judge<'m> {
    model: &'m Model,
    /// The names of groups, by their ids.
    names: BTreeMap<&'m str, &'m str>,
    assignments: Assignments<'m>,
}

impl<'m> Judge<'m> {
    fn new(model: &'m Model) -> Self {
        let groups = model.groups.values();
        Self {
            model,
            names: groups
                .map(|group| (group.id.as_str(), group.name.as_str()))
                .collect(),
            assignments: model.assignments(),
        }
    }

    fn judge(&self, key: &RecordKey, record: &Record) -> Judged {
        let mut judged = Judged::default();
        // What nobody defines nobody refers to.
        let Some(group) = self.names.get(key.group.as_str()).copied() else {
            return judged;
        };
        let interfaces = self.assignments.of(&key.host);
        for (interface, claim) in record.claimed.iter() {
            let by = Arc::new(Claimant {
                place: Place {
                    host: key.host.clone(),
                    interface: interface.clone(),
                },
                group: group.to_owned(),
                part: key.part,
            });
            let spec = interfaces.interface(interface);
            let Some(spec) = spec.filter(|spec| carries(self.model, &spec.groups, group)) else {
                judged.refuse(&by, Reason::NotAssigned);
                continue;
            };
            for (address, at) in &claim.addresses {
                if !spec.counts(*address) {
                    judged.refuse(&by, Reason::Outside(*address));
                    continue;
                }
                if judged.allowed.len() == MOST_OF_RECORD {
                    judged.refuse(&by, Reason::TooMany);
                    break;
                }
                judged.allowed.push(Candidate {
                    address: *address,
                    // Nobody can have claimed anything after the revision that says so.
                    order: Reverse(((*at).min(record.modified), record.created)),
                    by: Arc::clone(&by),
                });
            }
        }
        judged
    }
}

impl Judged {
    fn refuse(&mut self, by: &Claimant, reason: Reason) {
        self.refused_count += 1;
        if self.refused.len() < MOST {
            self.refused.push(Refused {
                group: by.group.clone(),
                place: by.place.clone(),
                reason,
            });
        }
    }
}

/// Whether groups, given by name or id, have one of this name among them.
fn carries(model: &Model, groups: &[String], name: &str) -> bool {
    groups
        .iter()
        .any(|given| given == name || model.group(given).is_some_and(|group| group.name == name))
}
