//! Where a VPC's rules document is kept: this host's state directory, or etcd.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::claims::Place;
use super::{Document, DocumentError};
use crate::host::{HostError, SshConnection};

/// A document, and the revision that it is.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Counts changes; never given twice.
    pub revision: u64,
    /// The document.
    pub document: Arc<Document>,
}

/// A change of the document.
#[derive(Clone, Debug)]
pub struct Swap {
    /// The revision that the change was made of.
    pub from: u64,
    /// What it comes to.
    pub document: Document,
    /// The connection over which it is asked for: a change that would shut it out is refused.
    pub way_in: Option<SshConnection>,
}

/// Why a store does not do what it is asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another change came before: load again, and decide again.
    #[error("the rules have changed meanwhile: they are at revision {found}")]
    Conflict {
        /// The revision now.
        found: u64,
    },
    /// The document is wrong.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// This host does not do it.
    #[error(transparent)]
    Host(HostError),
    /// The store cannot be reached; nothing has changed, and the last policy stays in force.
    #[error("the store cannot be reached: {0}")]
    Away(String),
}

impl From<HostError> for StoreError {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Conflict { found } => Self::Conflict { found },
            HostError::Document(error) => Self::Document(error),
            error => Self::Host(error),
        }
    }
}

/// Where a VPC's rules document is kept.
pub trait Store: Clone + Send + Sync + 'static {
    /// The document now.
    fn load(&self) -> impl Future<Output = Result<Kept, StoreError>> + Send;

    /// Puts a document in the place of the one that it was made of, if nobody was faster. Returns the
    /// new revision. Where the store is this host, its kernel enforces it by then; the hosts of a VPC
    /// follow: [`behind`](Self::behind) waits for them.
    fn swap(&self, swap: Swap) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Waits until every host enforces a revision of the rules, or time is up; returns the names of those
    /// that do not, by what they have said.
    fn behind(
        &self,
        revision: u64,
        patience: Duration,
    ) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;

    /// The guarded interfaces of all hosts, with their addresses, by the hosts' word. Those of a host that
    /// has no store but itself are known without it: then there are none.
    fn claimed(
        &self,
    ) -> impl Future<Output = Result<BTreeMap<Place, BTreeSet<IpAddr>>, StoreError>> + Send;

    /// Waits until the document is another than that of the revision `seen`, or time is up; returns the
    /// document in either case.
    fn follow(
        &self,
        seen: u64,
        patience: Duration,
    ) -> impl Future<Output = Result<Kept, StoreError>> + Send;
}
