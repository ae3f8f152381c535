//! The store of whichever VPC a host belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::claims::Place;
use super::joined::Joined;
use super::local::{LocalStore, blocking};
use super::{EtcdStore, Kept, Store, StoreError, Swap};
use crate::host::Host;
use crate::host::paths::Paths;

/// The store of the VPC that a host belongs to, as long as it belongs to it.
#[derive(Clone, Debug)]
pub struct OwnStore {
    paths: Paths,
    joined: Option<Joined>,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// The host is a VPC of its own.
    Local(LocalStore),
    /// It shares one with others.
    Etcd(EtcdStore),
}

impl OwnStore {
    /// The store of the host that has these paths, and has joined a VPC or not; `None` when that VPC's
    /// name cannot be one.
    pub fn new(paths: Paths, joined: Option<Joined>) -> Option<Self> {
        let kind = match joined.clone() {
            None => Kind::Local(LocalStore::new(paths.clone())),
            Some(joined) => Kind::Etcd(EtcdStore::new(joined)?),
        };
        Some(Self {
            paths,
            joined,
            kind,
        })
    }

    /// The store, unless the host has joined another VPC since, or left this one.
    fn kind(&self) -> Result<&Kind, StoreError> {
        let joined = Joined::load(&self.paths.state);
        let joined = joined.map_err(|error| StoreError::Away(error.to_string()))?;
        if joined == self.joined {
            return Ok(&self.kind);
        }
        let message =
            "this host has joined a VPC, or left one, since this process began: start it again";
        Err(StoreError::Away(message.to_owned()))
    }
}

impl Store for OwnStore {
    async fn load(&self) -> Result<Kept, StoreError> {
        match self.kind()? {
            Kind::Local(store) => store.load().await,
            Kind::Etcd(store) => store.load().await,
        }
    }

    async fn swap(&self, swap: Swap) -> Result<u64, StoreError> {
        match (self.kind()?, &self.joined) {
            (Kind::Etcd(store), Some(joined)) => {
                // This host refuses what would shut out whoever asks it.
                let (paths, way_in) = (self.paths.clone(), swap.way_in);
                let own = swap.document.on_host(&joined.host);
                blocking(move || Ok(Host::open(&paths)?.check(own, way_in)?)).await?;
                store.swap(swap).await
            }
            (Kind::Etcd(store), None) => store.swap(swap).await,
            (Kind::Local(store), _) => store.swap(swap).await,
        }
    }

    async fn behind(&self, revision: u64, patience: Duration) -> Result<Vec<String>, StoreError> {
        match self.kind()? {
            Kind::Local(store) => store.behind(revision, patience).await,
            Kind::Etcd(store) => store.behind(revision, patience).await,
        }
    }

    async fn claimed(&self) -> Result<BTreeMap<Place, BTreeSet<IpAddr>>, StoreError> {
        match self.kind()? {
            Kind::Local(store) => store.claimed().await,
            Kind::Etcd(store) => store.claimed().await,
        }
    }

    async fn follow(&self, seen: u64, patience: Duration) -> Result<Kept, StoreError> {
        match self.kind()? {
            Kind::Local(store) => store.follow(seen, patience).await,
            Kind::Etcd(store) => store.follow(seen, patience).await,
        }
    }
}
