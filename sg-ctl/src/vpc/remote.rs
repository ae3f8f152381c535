//! The store of a VPC of many hosts: etcd.

mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

pub use rules::Confirmed;

use super::claims::{Claims, Conflict, Found, Membership, Place};
use super::etcd::{Etcd, EtcdError};
use super::joined::Joined;
use super::keys::{Key, Keys};
use super::record::Enforced;
use super::{Kept, Store, StoreError, Swap};

/// etcd as a store.
#[derive(Clone, Debug)]
pub struct EtcdStore {
    joined: Arc<Joined>,
    keys: Keys,
    connection: Arc<Mutex<Option<Etcd>>>,
}

/// A host of the VPC, by its own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRow {
    /// Its name.
    pub host: String,
    /// What it says; `None` when that is not understood.
    pub enforced: Option<Enforced>,
}

/// An address that hosts have claimed for a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberRow {
    /// Name of the group.
    pub group: String,
    /// The address.
    pub address: IpAddr,
    /// The interface that has it.
    pub place: Place,
    /// Since when, in seconds since 1970, by its host's clock.
    pub since: u64,
    /// Whether it counts.
    pub counts: bool,
}

impl From<EtcdError> for StoreError {
    fn from(error: EtcdError) -> Self {
        match error.help() {
            Some(help) => Self::Away(format!("{error}\nhelp: {help}")),
            None => Self::Away(error.to_string()),
        }
    }
}

impl EtcdStore {
    /// The store of the VPC that a host has joined; `None` when the VPC's name cannot be one.
    pub fn new(joined: Joined) -> Option<Self> {
        Some(Self {
            keys: Keys::new(&joined.vpc)?,
            joined: Arc::new(joined),
            connection: Arc::default(),
        })
    }

    /// A connection: the one there is, or a new one. It is given back by [`keep`](Self::keep) if it
    /// was of use.
    async fn etcd(&self) -> Result<Etcd, EtcdError> {
        if let Some(etcd) = self.connection.lock().await.take() {
            return Ok(etcd);
        }
        Etcd::connect(&self.joined.etcd, &self.keys.rules(), 0).await
    }

    async fn keep(&self, etcd: Etcd) {
        *self.connection.lock().await = Some(etcd);
    }

    /// Every host that was heard of.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn hosts(&self) -> Result<Vec<HostRow>, StoreError> {
        let mut etcd = self.etcd().await?;
        let (pairs, _) = etcd.all(&self.keys.all_enforced(), None).await?;
        self.keep(etcd).await;
        let rows = pairs
            .into_iter()
            .filter_map(|pair| match self.keys.parse(&pair.key)? {
                Key::Enforced(host) => Some(HostRow {
                    host,
                    enforced: Enforced::read(&pair.value),
                }),
                _ => None,
            });
        Ok(rows.collect())
    }

    /// All records of hosts.
    async fn claims(&self) -> Result<Claims, StoreError> {
        let mut etcd = self.etcd().await?;
        let (pairs, _) = etcd.all(&self.keys.members(), None).await?;
        self.keep(etcd).await;
        let mut claims = Claims::default();
        for pair in pairs {
            if let Some(Key::Record(key)) = self.keys.parse(&pair.key) {
                claims.put(Found {
                    key,
                    value: pair.value,
                    created: pair.created,
                    modified: pair.modified,
                });
            }
        }
        Ok(claims)
    }

    /// Every address that a host has claimed, and the conflicts among them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn members(&self) -> Result<(Vec<MemberRow>, Vec<Conflict>), StoreError> {
        let kept = self.load().await?;
        let model = kept.document.model();
        let claims = self.claims().await?;
        // Nobody's name: seen from nowhere, every host is another.
        let Membership {
            members, conflicts, ..
        } = claims.join(model, "");
        let mut rows = Vec::new();
        for (key, interface, claim) in claims.all() {
            let group = model.group(key.group.as_str());
            let group = group.map_or_else(|| key.group.to_string(), |group| group.name.clone());
            for address in claim.addresses.keys() {
                let place = Place {
                    host: key.host.clone(),
                    interface: interface.to_owned(),
                };
                let is_void = conflicts
                    .iter()
                    .any(|conflict| conflict.address == *address && conflict.void == place);
                let is_member = members.get(&group).is_some_and(|set| set.contains(address));
                rows.push(MemberRow {
                    group: group.clone(),
                    address: *address,
                    place,
                    since: claim.since,
                    counts: is_member && !is_void,
                });
            }
        }
        rows.sort();
        Ok((rows, conflicts))
    }
}

impl Store for EtcdStore {
    async fn load(&self) -> Result<Kept, StoreError> {
        let found = self.found().await?;
        let revision = found.revision();
        let rules = found.rules?;
        Ok(Kept {
            revision,
            document: Arc::new(rules.in_effect(found.has_lapsed).clone()),
        })
    }

    async fn swap(&self, swap: Swap) -> Result<u64, StoreError> {
        self.put(swap.from, swap.document, None).await
    }

    async fn behind(&self, revision: u64, patience: Duration) -> Result<Vec<String>, StoreError> {
        /// The first pause and the longest.
        const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));
        let end = Instant::now() + patience;
        let (mut pause, longest) = PAUSES;
        loop {
            let hosts = self.hosts().await?;
            let is_behind = |row: &HostRow| {
                let enforced = row.enforced.as_ref();
                enforced.is_none_or(|enforced| enforced.rules < revision)
            };
            let behind = hosts.into_iter().filter(is_behind).map(|row| row.host);
            let behind: Vec<_> = behind.collect();
            if behind.is_empty() || Instant::now() >= end {
                return Ok(behind);
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    async fn claimed(&self) -> Result<BTreeMap<Place, BTreeSet<IpAddr>>, StoreError> {
        let claims = self.claims().await?;
        let mut claimed: BTreeMap<Place, BTreeSet<IpAddr>> = BTreeMap::new();
        for (key, interface, claim) in claims.all() {
            let place = Place {
                host: key.host.clone(),
                interface: interface.to_owned(),
            };
            let addresses = claimed.entry(place).or_default();
            addresses.extend(claim.addresses.keys());
        }
        for HostRow { host, enforced } in self.hosts().await? {
            let unassigned = enforced.map(|enforced| enforced.unassigned);
            for (interface, addresses) in unassigned.unwrap_or_default() {
                let host = host.clone();
                let known = claimed.entry(Place { host, interface }).or_default();
                known.extend(addresses);
            }
        }
        Ok(claimed)
    }

    async fn follow(&self, seen: u64, patience: Duration) -> Result<Kept, StoreError> {
        let kept = self.load().await?;
        if kept.revision != seen {
            return Ok(kept);
        }
        let mut etcd = self.etcd().await?;
        let (_, tip) = etcd.get(&self.keys.rules()).await?;
        let keys = [self.keys.rules(), self.keys.trial()];
        let mut stream = etcd.watch(&keys, tip.revision + 1).await?;
        let changed = async {
            loop {
                match stream.message().await {
                    Ok(Some(message)) if message.events().is_empty() && !message.canceled() => {}
                    _ => return,
                }
            }
        };
        // Time that is up is no error.
        let _ = timeout(patience, changed).await;
        self.load().await
    }
}
