//! Who is a member of which group, by what hosts claim and what the rules assign. Pure.
//!
//! A record that is written is the truth; one without interfaces says that its host has left. One that
//! is deleted is *lost*: its lease ran out, and etcd has been known to revoke all of them at once. What
//! is lost counts for a time of grace.
//!
//! Members are a join: an address counts only if the rules assign the group to the interface that
//! claims it, and lies where they say. Of two interfaces that claim one address the later one has it.

mod join;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sg_policy::model::GroupId;

pub use join::{Conflict, Join, Membership, Place, Reason, Refused};

use super::keys::RecordKey;
use super::record::{self, Claimed};

/// Most characters that are kept of why a record was refused.
const MAX_REASON: usize = 160;

/// A record as it came from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its key.
    pub key: RecordKey,
    /// Its bytes.
    pub value: Vec<u8>,
    /// The revision that created the key.
    pub created: u64,
    /// The revision that wrote it last.
    pub modified: u64,
}

/// A record that was understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    #[serde(serialize_with = "write_shared", deserialize_with = "read_shared")]
    claimed: Arc<Claimed>,
    created: u64,
    modified: u64,
}

fn write_shared<S: Serializer>(claimed: &Claimed, serializer: S) -> Result<S::Ok, S::Error> {
    claimed.serialize(serializer)
}

fn read_shared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Claimed>, D::Error> {
    Claimed::deserialize(deserializer).map(Arc::new)
}

impl Record {
    /// Whether it says the same as one that it was cloned from.
    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.claimed, &other.claimed)
            && (self.created, self.modified) == (other.created, other.modified)
    }
}

/// All records of the groups that are followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    records: BTreeMap<RecordKey, Record>,
    /// Records that were not understood, and why.
    bad: BTreeMap<RecordKey, String>,
    /// Records that are lost, and since when, in milliseconds of the caller's clock.
    lost: BTreeMap<RecordKey, u64>,
}

impl Claims {
    /// A record was written. One that is not understood leaves what was there before in force.
    pub fn put(&mut self, found: Found) {
        let Found {
            key,
            value,
            created,
            modified,
        } = found;
        self.lost.remove(&key);
        match record::read(&value) {
            Ok(claimed) if claimed.is_empty() => {
                self.bad.remove(&key);
                self.records.remove(&key);
            }
            Ok(claimed) => {
                self.bad.remove(&key);
                let record = Record {
                    claimed: Arc::new(claimed),
                    created,
                    modified,
                };
                self.records.insert(key, record);
            }
            Err(error) => {
                let reason = error.to_string().chars().take(MAX_REASON).collect();
                self.bad.insert(key, reason);
            }
        }
    }

    /// A record was deleted, at this time.
    pub fn delete(&mut self, key: &RecordKey, now: u64) {
        self.bad.remove(key);
        if self.records.contains_key(key) {
            self.lost.entry(key.clone()).or_insert(now);
        }
    }

    /// These are all records of these groups, at this time. What was known and is not among them was
    /// deleted while nobody looked; other groups are forgotten.
    pub fn resync(&mut self, groups: &BTreeSet<GroupId>, all: Vec<Found>, now: u64) {
        self.records.retain(|key, _| groups.contains(&key.group));
        self.lost.retain(|key, _| groups.contains(&key.group));
        self.bad.retain(|key, _| groups.contains(&key.group));
        let present: BTreeSet<RecordKey> = all.iter().map(|found| found.key.clone()).collect();
        let known = self.records.keys().chain(self.bad.keys());
        let gone: Vec<_> = known
            .filter(|key| !present.contains(key))
            .cloned()
            .collect();
        for key in gone {
            self.delete(&key, now);
        }
        for found in all {
            self.put(found);
        }
    }

    /// Forgets what has been lost for longer than `grace` milliseconds; returns whether anything was.
    pub fn expire(&mut self, now: u64, grace: u64) -> bool {
        let is_over = |since: u64| now.saturating_sub(since) >= grace;
        let before = self.lost.len();
        self.lost.retain(|key, since| {
            if is_over(*since) {
                self.records.remove(key);
            }
            !is_over(*since)
        });
        self.lost.len() != before
    }

    /// When the next record is to be forgotten.
    pub fn next_expiry(&self, grace: u64) -> Option<u64> {
        let first = self.lost.values().min()?;
        Some(first.saturating_add(grace))
    }

    /// How many records are lost.
    pub fn lost(&self) -> usize {
        self.lost.len()
    }

    /// Records that were not understood, and why.
    pub fn bad(&self) -> &BTreeMap<RecordKey, String> {
        &self.bad
    }

    /// Every interface that is claimed: its record, name and claim.
    pub fn all(&self) -> impl Iterator<Item = (&RecordKey, &str, &record::Claim)> {
        self.records.iter().flat_map(|(key, record)| {
            let claimed = record.claimed.iter();
            claimed.map(move |(name, claim)| (key, name.as_str(), claim))
        })
    }

    /// All records, as they are at a revision, to be kept beside the state: what was known is not lost
    /// when the agent begins anew.
    pub fn to_cache(&self, revision: u64) -> Vec<u8> {
        let records: Vec<_> = self
            .records
            .iter()
            .map(|(key, record)| (&key.group, &key.host, key.part, record))
            .collect();
        // Tuples of text, numbers and lists always have a JSON form.
        serde_json::to_vec(&(revision, records)).unwrap_or_default()
    }

    /// Reads what [`to_cache`](Self::to_cache) wrote; nothing, of revision 0, of what is damaged.
    pub fn from_cache(bytes: &[u8]) -> (Self, u64) {
        type Cached = (u64, Vec<(GroupId, String, u8, Record)>);
        let (revision, cached): Cached = serde_json::from_slice(bytes).unwrap_or_default();
        let records = cached
            .into_iter()
            .map(|(group, host, part, record)| (RecordKey { group, host, part }, record));
        let claims = Self {
            records: records.collect(),
            ..Self::default()
        };
        (claims, revision)
    }
}

#[cfg(test)]
mod tests;
