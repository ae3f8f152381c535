//! What the API knows of a prefix list beyond its ranges: versions, descriptions, tags.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sg_policy::model::{self, PrefixList, PrefixListId};

/// Versions before the present one whose entries are kept.
const VERSIONS: usize = 16;

/// The one family whose ranges a list of the API holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    #[serde(rename = "IPv4")]
    V4,
    /// IPv6.
    #[serde(rename = "IPv6")]
    V6,
}

impl From<Family> for model::Family {
    fn from(family: Family) -> Self {
        match family {
            Family::V4 => Self::V4,
            Family::V6 => Self::V6,
        }
    }
}

/// What became of the last change of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListState {
    /// It was made and not changed since.
    CreateComplete,
    /// It was changed.
    ModifyComplete,
    /// It was to go, and something still refers to it.
    DeleteFailed(String),
}

/// Entries with their descriptions, which may be empty.
pub type Entries = BTreeMap<IpNet, String>;

/// A prefix list as the API keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedList {
    /// Random, never given twice.
    pub id: PrefixListId,
    /// Its one family.
    pub family: Family,
    /// How often its entries were set.
    pub version: u64,
    /// What became of the last change.
    pub state: ListState,
    /// Free key-value pairs.
    pub tags: BTreeMap<String, String>,
    /// The entries now.
    pub entries: Entries,
    /// The entries of versions before, the latest few.
    pub earlier: BTreeMap<u64, Entries>,
}

impl ManagedList {
    /// A first version.
    pub fn new(id: PrefixListId, family: Family, entries: Entries) -> Self {
        Self {
            id,
            family,
            version: 1,
            state: ListState::CreateComplete,
            tags: BTreeMap::new(),
            entries,
            earlier: BTreeMap::new(),
        }
    }

    /// Makes another version.
    pub fn set_entries(&mut self, entries: Entries) {
        let before = std::mem::replace(&mut self.entries, entries);
        self.earlier.insert(self.version, before);
        while self.earlier.len() > VERSIONS {
            self.earlier.pop_first();
        }
        self.version += 1;
    }

    /// The entries of a version, if they are kept.
    pub fn entries_of(&self, version: u64) -> Option<&Entries> {
        if version == self.version {
            Some(&self.entries)
        } else {
            self.earlier.get(&version)
        }
    }

    /// The list as rules refer to it.
    pub fn list(&self, max_entries: u32) -> PrefixList {
        PrefixList {
            entries: self.entries.keys().copied().collect(),
            max_entries: Some(max_entries),
        }
    }
}
