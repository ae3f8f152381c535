//! The store of a VPC of many hosts: etcd.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::claims::{Claims, Conflict, Found, Membership, Place};
use super::etcd::{Etcd, EtcdError, Pair};
use super::joined::Joined;
use super::keys::{Key, Keys};
use super::record::Enforced;
use super::{Document, Kept, Store, StoreError, Swap, wire};

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

    async fn rules(&self) -> Result<(Kept, Option<Pair>), StoreError> {
        let mut etcd = self.etcd().await?;
        let (pair, tip) = etcd.get(&self.keys.rules()).await?;
        self.keep(etcd).await;
        if tip.cluster != self.joined.cluster {
            return Err(StoreError::Away(
                "this is another etcd than the VPC's\nhelp: if it is meant, join again".to_owned(),
            ));
        }
        let kept = match &pair {
            None => Kept {
                revision: 0,
                document: Arc::new(Document::new(
                    sg_policy::model::Model::new(),
                    super::Owners::default(),
                )),
            },
            Some(pair) => Kept {
                revision: pair.modified,
                document: Arc::new(read(&pair.value)?),
            },
        };
        Ok((kept, pair))
    }

    /// The document before the last change; `None` when there was none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn previous(&self) -> Result<Option<Document>, StoreError> {
        let mut etcd = self.etcd().await?;
        let (pair, _) = etcd.get(&self.keys.previous()).await?;
        self.keep(etcd).await;
        pair.map(|pair| read(&pair.value)).transpose()
    }

    /// Replaces the document whatever it is, even if it is damaged.
    ///
    /// # Errors
    /// When it cannot be written.
    async fn put(&self, document: &Document, from: Option<u64>) -> Result<u64, StoreError> {
        let bytes = wire::write(document).map_err(|error| wire_error(&error))?;
        let mut etcd = self.etcd().await?;
        let (pair, _) = etcd.get(&self.keys.rules()).await?;
        let found = pair.as_ref().map_or(0, |pair| pair.modified);
        if from.is_some_and(|from| from != found) {
            return Err(StoreError::Conflict { found });
        }
        let (rules, previous) = (self.keys.rules(), self.keys.previous());
        let old = pair.map(|pair| pair.value);
        let swapped = etcd.swap((&rules, bytes), (&previous, old), found).await?;
        self.keep(etcd).await;
        swapped.map_err(|found| StoreError::Conflict { found })
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
        let (kept, _) = self.rules().await?;
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

    /// Puts a document in place of whatever there is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn replace(&self, document: &Document) -> Result<u64, StoreError> {
        self.put(document, None).await
    }
}

fn read(value: &[u8]) -> Result<Document, StoreError> {
    wire::read(value).map_err(|error| wire_error(&error))
}

fn wire_error(error: &wire::WireError) -> StoreError {
    StoreError::Away(format!("{error}\nhelp: {}", error.help()))
}

impl Store for EtcdStore {
    async fn load(&self) -> Result<Kept, StoreError> {
        Ok(self.rules().await?.0)
    }

    async fn swap(&self, swap: Swap) -> Result<u64, StoreError> {
        swap.document.check()?;
        self.put(&swap.document, Some(swap.from)).await
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
        let mut stream = etcd.watch(&[self.keys.rules()], tip.revision + 1).await?;
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
