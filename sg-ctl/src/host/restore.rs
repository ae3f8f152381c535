//! Brings back what was in force: after a reboot, and when an interface went and came back.

use super::guard::Guard;
use super::{AttachRequest, AttachSummary, Host, HostError, is_among};

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
        let mut summary = RestoreSummary::default();
        for (name, record) in state.attachments {
            let guard = self.survey()?.guard(&name, record.zone);
            let result = match guard {
                Guard::Whole | Guard::Preempted(_) => Restored::Intact(guard),
                Guard::Missing => Restored::Missing,
                _ => self.restore_one(&name).unwrap_or_else(Restored::Failed),
            };
            summary.interfaces.push((name, result));
        }
        Ok(summary)
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

    /// Attaches an interface by its record.
    fn restore_one(&mut self, name: &str) -> Result<Restored, HostError> {
        // Whoever detached it meanwhile wants it so.
        let Some(record) = self.state()?.attachments.remove(name) else {
            return Ok(Restored::Missing);
        };
        let attached = self.attach(AttachRequest {
            interface: name.to_owned(),
            overrides: record.overrides,
            by_pattern: record.by_pattern,
            ..AttachRequest::default()
        })?;
        Ok(Restored::Attached(Box::new(attached)))
    }
}
