//! The store of a VPC that is this host alone: its state directory.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::claims::Place;
use super::{Kept, Store, StoreError, Swap};
use crate::host::paths::Paths;
use crate::host::state::{FileMark, StateDir};
use crate::host::{Host, HostError};

/// How often it is looked whether the state is another.
const LOOK: Duration = Duration::from_millis(250);

/// This host's state directory as a store. Its revision is the generation of the state.
#[derive(Clone, Debug)]
pub struct LocalStore {
    paths: Paths,
    /// What was read last, and the mark of the file that it was read from.
    last: Arc<Mutex<Option<(FileMark, Kept)>>>,
}

impl LocalStore {
    /// The store of the host that has these paths.
    pub fn new(paths: Paths) -> Self {
        Self {
            paths,
            last: Arc::default(),
        }
    }

    fn load_now(&self) -> Result<Kept, StoreError> {
        let directory = StateDir::new(&self.paths.state);
        let mark = directory.mark();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some((known, kept)), Some(mark)) = (&*last, &mark)
            && known == mark
        {
            return Ok(kept.clone());
        }
        let state = directory.load().map_err(HostError::from)?;
        // Of rules on trial the kernel knows whether they still count.
        let is_on_trial = state.is_on_trial();
        let state = if is_on_trial {
            Host::open(&self.paths)?.state()?
        } else {
            state
        };
        let kept = Kept {
            revision: state.generation,
            document: Arc::new(state.into_document()),
        };
        *last = mark
            .filter(|_| !is_on_trial)
            .map(|mark| (mark, kept.clone()));
        Ok(kept)
    }

    fn swap_now(&self, swap: Swap) -> Result<u64, StoreError> {
        let Swap {
            from,
            document,
            way_in,
        } = swap;
        Ok(Host::open(&self.paths)?.put(from, document, way_in)?)
    }
}

/// Runs what may wait for a file or for the kernel beside the event loop.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(ended) => Err(StoreError::Away(ended.to_string())),
    }
}

impl Store for LocalStore {
    async fn load(&self) -> Result<Kept, StoreError> {
        let store = self.clone();
        blocking(move || store.load_now()).await
    }

    async fn swap(&self, swap: Swap) -> Result<u64, StoreError> {
        let store = self.clone();
        blocking(move || store.swap_now(swap)).await
    }

    async fn behind(&self, _: u64, _: Duration) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    async fn claimed(&self) -> Result<BTreeMap<Place, BTreeSet<IpAddr>>, StoreError> {
        Ok(BTreeMap::new())
    }

    async fn follow(&self, seen: u64, patience: Duration) -> Result<Kept, StoreError> {
        let end = Instant::now() + patience;
        loop {
            let kept = self.load().await?;
            if kept.revision != seen || Instant::now() >= end {
                return Ok(kept);
            }
            sleep(LOOK).await;
        }
    }
}
