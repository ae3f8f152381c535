//! Brings back what was in force: after a reboot, and when an interface went and came back.

use std::collections::BTreeMap;

use super::guard::Guard;
use super::{AttachSummary, Coming, Host, HostError, is_among};

/// What became of one interface of the state.
#[derive(Debug)]
pub enum Restored {
    /// It would be attached again.
    Due,
    /// It is attached again.
    Attached(Box<AttachSummary>),
    /// It is attached, so.
    Intact(Guard),
    /// There is no such interface (yet).
    Missing,
    /// It could not be attached.
    Failed(HostError),
}

/// What [`Host::restore`] did, by interface.
#[derive(Debug, Default)]
pub struct RestoreSummary {
    /// The interfaces of the state.
    pub interfaces: Vec<(String, Restored)>,
}

/// Interfaces that are attached at one stroke: the first of them waits for the last one until its
/// policy is enforced.
pub const BATCH: usize = 32;

impl Host {
    /// Attaches these interfaces of the state, or all if none is named, again whose programs are gone,
    /// as they were attached. Traffic of an interface that cannot be is not judged; the others are
    /// restored all the same.
    ///
    /// # Errors
    /// When one was not attached; when state or kernel cannot be read.
    pub fn restore(&mut self, only: &[String]) -> Result<RestoreSummary, HostError> {
        HostError::check_attached(only, &self.state()?)?;
        self.detach_unreachable()?;
        let (lock, mut state) = self.begin()?;
        // Each attach takes it again.
        drop(lock);
        state.attachments.retain(|name, _| is_among(name, only));
        let mut interfaces = BTreeMap::new();
        let mut coming = Vec::new();
        let survey = self.survey()?;
        for (name, record) in state.attachments {
            let guard = survey.guard(&name, record.zone);
            let result = match guard {
                Guard::Whole | Guard::Preempted(_) => Restored::Intact(guard),
                Guard::Missing => Restored::Missing,
                _ => {
                    coming.push(Coming {
                        interface: name,
                        overrides: record.overrides,
                        by_pattern: record.by_pattern,
                    });
                    continue;
                }
            };
            interfaces.insert(name, result);
        }
        for batch in coming.chunks(BATCH) {
            self.restore_batch(batch, &mut interfaces)?;
        }
        Ok(RestoreSummary {
            interfaces: interfaces.into_iter().collect(),
        })
    }

    /// Tells what [`restore`](Self::restore) would do; changes nothing.
    ///
    /// # Errors
    /// Those of `restore` before it changes anything.
    pub fn would_restore(&self, only: &[String]) -> Result<RestoreSummary, HostError> {
        let (state, survey) = (self.state()?, self.survey()?);
        HostError::check_attached(only, &state)?;
        let guards = survey
            .guards(&state)
            .filter(|(name, _)| is_among(name, only));
        let restored = guards.map(|(name, guard)| {
            let restored = match guard {
                Guard::Whole | Guard::Preempted(_) => Restored::Intact(guard),
                Guard::Missing => Restored::Missing,
                _ => Restored::Due,
            };
            (name.clone(), restored)
        });
        let interfaces = restored.collect();
        Ok(RestoreSummary { interfaces })
    }

    /// Takes programs off whose maps nobody can reach any more, so that they can be attached anew.
    ///
    /// # Errors
    /// When pins cannot be removed.
    pub fn detach_unreachable(&mut self) -> Result<(), HostError> {
        if !self.dataplane.has_lost_maps()? {
            return Ok(());
        }
        let _lock = self.directory.lock()?;
        for attachment in self.dataplane.attachments()? {
            self.dataplane.detach(attachment.zone)?;
        }
        Ok(())
    }

    /// Attaches interfaces by their records.
    fn restore_batch(
        &mut self,
        batch: &[Coming],
        interfaces: &mut BTreeMap<String, Restored>,
    ) -> Result<(), HostError> {
        let records = self.state()?.attachments;
        // Whoever has detached one meanwhile wants it so.
        let (wanted, gone): (Vec<_>, Vec<_>) = batch
            .iter()
            .cloned()
            .partition(|one| records.contains_key(&one.interface));
        let missing = gone
            .into_iter()
            .map(|one| (one.interface, Restored::Missing));
        interfaces.extend(missing);
        let names: Vec<_> = wanted.iter().map(|one| one.interface.clone()).collect();
        let results = self
            .attach_all(wanted)
            .into_iter()
            .map(|result| match result {
                Ok(summary) => Restored::Attached(Box::new(summary)),
                Err(HostError::DetachedByHand { .. }) => Restored::Missing,
                Err(error) => Restored::Failed(error),
            });
        interfaces.extend(names.into_iter().zip(results));
        Ok(())
    }
}
