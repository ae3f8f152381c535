//! How a VPC is, as one of its hosts sees it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::unix_seconds;
use crate::vpc::claims::{Conflict, Membership, Refused};
use crate::vpc::etcd::EtcdError;
use crate::vpc::joined::Joined;

/// Bad records that are named.
const MOST_BAD: usize = 20;

/// How the trial of rules stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrialState {
    /// They wait to be confirmed.
    Running,
    /// They were not confirmed in time: the rules before count.
    Lapsed,
}

/// How a VPC is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Health {
    /// The VPC.
    pub vpc: String,
    /// This host's name in it.
    pub host: String,
    /// Whether etcd is followed now.
    pub connected: bool,
    /// Since when it is, or is not, in seconds since 1970; 0 when that is not known.
    pub since: u64,
    /// The node that is spoken to.
    pub endpoint: String,
    /// Why it is not followed.
    pub error: Option<String>,
    /// What to do about that.
    pub help: Option<String>,
    /// The newest revision of the store.
    pub revision: u64,
    /// The revision of the newest rules.
    pub rules_wanted: u64,
    /// The revision of the rules in force.
    pub rules_enforced: u64,
    /// Why the newest rules are not in force, if they were refused.
    pub rules_refused: Option<String>,
    /// How the trial of the newest rules stands; null when they are on none.
    pub trial: Option<TrialState>,
    /// Why this host's addresses could not be written, if they could not.
    pub unwritten: Option<String>,
    /// Addresses that two interfaces claim, the first of them.
    pub conflicts: Vec<Conflict>,
    /// How many there are.
    pub conflict_count: usize,
    /// Claims that do not count, the first of them.
    pub refused: Vec<Refused>,
    /// How many there are.
    pub refused_count: usize,
    /// Records that were not understood, the first of them.
    pub damaged: Vec<String>,
    /// Records that are gone without a farewell, and count for the time of grace.
    pub lost: usize,
    /// Hosts that were heard of.
    pub hosts: usize,
    /// Those of them that do not enforce the newest rules.
    pub behind: Vec<String>,
}

impl Health {
    /// What is known before anything is.
    pub(super) fn new(joined: &Joined) -> Self {
        Self {
            vpc: joined.vpc.clone(),
            host: joined.host.clone(),
            since: unix_seconds(),
            ..Self::default()
        }
    }

    /// What is not as it should be, and this host's own: it does not follow, does not enforce, or cannot
    /// say which addresses it has.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        let why = self
            .error
            .as_deref()
            .unwrap_or("no agent has followed it yet");
        let away = (!self.connected).then_some(("the VPC is not followed", why));
        let refused = self.rules_refused.as_deref();
        let refused = refused.map(|why| ("the VPC's rules are not in force here", why));
        let unwritten = self.unwritten.as_deref();
        let unwritten = unwritten.map(|why| ("this host's addresses are not written", why));
        let all = [away, refused, unwritten].into_iter().flatten();
        all.map(|(what, why)| format!("{what}: {}", why.lines().next().unwrap_or_default()))
    }

    /// etcd is not followed, because of this.
    pub fn away(&mut self, error: &EtcdError) {
        if self.connected || self.error.is_none() {
            self.since = unix_seconds();
        }
        self.connected = false;
        self.error = Some(error.to_string());
        self.help = error.help().map(str::to_owned);
    }

    /// etcd is followed.
    pub(super) fn here(&mut self, endpoint: &str) {
        if !self.connected {
            self.since = unix_seconds();
        }
        self.connected = true;
        endpoint.clone_into(&mut self.endpoint);
        self.error = None;
        self.help = None;
    }

    /// What the join found.
    pub(super) fn joined(&mut self, found: Membership, lost: usize, mut damaged: Vec<String>) {
        damaged.truncate(MOST_BAD);
        self.conflicts = found.conflicts;
        self.conflict_count = found.conflict_count;
        self.refused = found.refused;
        self.refused_count = found.refused_count;
        self.damaged = damaged;
        self.lost = lost;
    }
}
