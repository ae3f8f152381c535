//! The rules in etcd: found, changed, tried out, confirmed.

use std::time::Duration;

use sg_policy::model::Model;

use super::EtcdStore;
use crate::vpc::etcd::{Change, Pair};
use crate::vpc::trial::{Rules, Trial};
use crate::vpc::{Document, Owners, StoreError, wire};

/// The rules as they were found.
#[derive(Debug)]
pub(super) struct Found {
    /// Their revision, and what they are written as; `None` when there are none yet.
    pair: Option<Pair>,
    /// What they say.
    pub(super) rules: Result<Rules, StoreError>,
    /// Whether they were on trial, and not confirmed in time.
    pub(super) has_lapsed: bool,
}

impl Found {
    pub(super) fn revision(&self) -> u64 {
        self.pair.as_ref().map_or(0, |pair| pair.modified)
    }
}

/// What came of an attempt to confirm rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// They stay; they are of this revision now.
    Kept(u64),
    /// It was too late.
    TooLate,
    /// None wait for it.
    Nothing,
}

impl EtcdStore {
    /// The rules now.
    pub(super) async fn found(&self) -> Result<Found, StoreError> {
        let mut etcd = self.etcd().await?;
        let (pair, tip) = etcd.get(&self.keys.rules()).await?;
        if tip.cluster != self.joined.cluster {
            self.keep(etcd).await;
            return Err(StoreError::Away(
                "this is another etcd than the VPC's\nhelp: if it is meant, join again".to_owned(),
            ));
        }
        let rules = pair.as_ref().map(|pair| read(&pair.value));
        let rules = rules.unwrap_or_else(|| {
            let none = Document::new(Model::new(), Owners::default());
            Ok(Rules::kept(none))
        });
        let mut has_lapsed = false;
        if let Ok(rules) = &rules
            && rules.trial.is_some()
        {
            let (key, _) = etcd.get(&self.keys.trial()).await?;
            has_lapsed = rules.has_lapsed(key.as_ref().map(|pair| &pair.value[..]));
        }
        self.keep(etcd).await;
        Ok(Found {
            pair,
            rules,
            has_lapsed,
        })
    }

    /// The document that a rollback returns to: that before the last change, or before the trial that
    /// runs; `None` when there was none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn previous(&self) -> Result<Option<Document>, StoreError> {
        let found = self.found().await?;
        if let Ok(Rules {
            trial: Some(trial), ..
        }) = found.rules
            && !found.has_lapsed
        {
            return Ok(Some(trial.before));
        }
        let mut etcd = self.etcd().await?;
        let (pair, _) = etcd.get(&self.keys.previous()).await?;
        self.keep(etcd).await;
        pair.map(|pair| Ok(read(&pair.value)?.document)).transpose()
    }

    /// Writes rules in the place of those that were found.
    async fn write(
        &self,
        found: Option<&Pair>,
        rules: &Rules,
        (keep, holds): (bool, Option<Vec<u8>>),
    ) -> Result<u64, StoreError> {
        let bytes = wire::write(rules).map_err(|error| wire_error(&error))?;
        let (key, previous, trial) = (self.keys.rules(), self.keys.previous(), self.keys.trial());
        let old = found.filter(|_| keep);
        // A trial that begins has a lease of its own; one that goes on has its key already.
        let begins = rules.trial.as_ref().filter(|_| holds.is_none());
        let change = Change {
            write: (&key, bytes),
            from: found.map_or(0, |pair| pair.modified),
            keep: old.map(|old| (&previous[..], old.value.clone())),
            holds: holds.map(|mark| (&trial[..], mark)),
            lasts: begins.map(|begins| (&trial[..], begins.mark(), begins.id)),
        };
        let mut etcd = self.etcd().await?;
        let swapped = etcd.swap(change).await?;
        self.keep(etcd).await;
        swapped.map_err(|found| StoreError::Conflict { found })
    }

    /// Puts a document in the place of that of the revision `from`; on trial where a time is given, and
    /// where one runs already.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another change came before; when it cannot be written.
    pub async fn put(
        &self,
        from: u64,
        document: Document,
        confirm_within: Option<Duration>,
    ) -> Result<u64, StoreError> {
        document.check()?;
        let found = self.found().await?;
        if found.revision() != from {
            let found = found.revision();
            return Err(StoreError::Conflict { found });
        }
        let Found {
            pair,
            rules,
            has_lapsed,
        } = found;
        let rules = rules?;
        if has_lapsed {
            // The change may be made of rules that do not count any more: it is decided anew. Those are
            // nothing that a rollback may return to.
            let before = Rules::kept(rules.in_effect(true).clone());
            let revision = self.write(pair.as_ref(), &before, (false, None)).await?;
            return Err(StoreError::Conflict { found: revision });
        }
        let running = rules.trial.clone();
        let (trial, holds) = match confirm_within {
            None => {
                let mark = running.as_ref().map(Trial::mark);
                (running, mark)
            }
            Some(within) => {
                let before = running.map_or_else(|| rules.document.clone(), |trial| trial.before);
                (Some(self.begin(within, before).await?), None)
            }
        };
        let next = Rules { document, trial };
        self.write(pair.as_ref(), &next, (true, holds)).await
    }

    /// A trial that begins now.
    async fn begin(&self, within: Duration, before: Document) -> Result<Trial, StoreError> {
        let mut etcd = self.etcd().await?;
        let id = etcd.grant(within).await?;
        self.keep(etcd).await;
        Ok(Trial {
            id,
            within_ms: within.as_millis() as u64,
            before,
        })
    }

    /// Ends the trial of the rules: they stay.
    ///
    /// # Errors
    /// When etcd cannot be reached, or this host may not.
    pub async fn confirm(&self) -> Result<Confirmed, StoreError> {
        loop {
            let found = self.found().await?;
            let (Ok(rules), false) = (&found.rules, found.has_lapsed) else {
                return found.rules.map(|_| Confirmed::TooLate);
            };
            let Some(trial) = &rules.trial else {
                return Ok(Confirmed::Nothing);
            };
            let kept = Rules::kept(rules.document.clone());
            // What was before is kept already, from when the trial began.
            let mark = Some(trial.mark());
            match self.write(found.pair.as_ref(), &kept, (false, mark)).await {
                Ok(revision) => return Ok(Confirmed::Kept(revision)),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Puts a document in place of whatever there is, even if that is damaged; on trial where a time is
    /// given.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn replace(
        &self,
        document: Document,
        confirm_within: Option<Duration>,
    ) -> Result<u64, StoreError> {
        let found = self.found().await?;
        let trial = match (confirm_within, &found.rules) {
            (None, _) => None,
            (Some(within), Ok(rules)) => {
                let before = rules.in_effect(found.has_lapsed).clone();
                Some(self.begin(within, before).await?)
            }
            (Some(_), Err(_)) => {
                return Err(StoreError::Away(
                    "the rules are damaged: there is nothing to return to\nhelp: leave out \
                     --confirm-within"
                        .to_owned(),
                ));
            }
        };
        let rules = Rules { document, trial };
        self.write(found.pair.as_ref(), &rules, (true, None)).await
    }
}

fn read(value: &[u8]) -> Result<Rules, StoreError> {
    wire::read(value).map_err(|error| wire_error(&error))
}

fn wire_error(error: &wire::WireError) -> StoreError {
    StoreError::Away(format!("{error}\nhelp: {}", error.help()))
}
