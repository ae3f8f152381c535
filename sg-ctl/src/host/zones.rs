//! Zones: the places of interfaces in the kernel's tables, and who gives his back.

use std::collections::BTreeSet;

use sg_common::settings::MAX_ZONES;

use super::guard::{Guard, Survey};
use super::{Host, HostError, Target, compile_policy, write_settings};
use crate::host::dataplane::Attachment;
use crate::host::state::{State, StateLock};

impl Host {
    /// Makes sure that there is a zone for an interface that is to be attached. When all are in use
    /// one that is gone gives its own back, its former self first; it stays in the state, and gets
    /// another when it returns.
    ///
    /// # Errors
    /// When there is none, or state or kernel cannot be written.
    pub(super) fn make_room(
        &mut self,
        lock: &StateLock,
        state: State,
        name: &str,
    ) -> Result<State, HostError> {
        let survey = self.survey()?;
        if free_zone(&state, &survey.attachments).is_ok() {
            return Ok(state);
        }
        let Some((name, zone)) = whose_zone_to_take(&state, &survey, name) else {
            return Ok(state);
        };
        let mut next = State {
            generation: state.generation + 1,
            ..state
        };
        let beyond = lowest_free(MAX_ZONES.., &in_use(&next, &survey.attachments));
        if let (Some(record), Some(beyond)) = (next.attachments.get_mut(&name), beyond) {
            record.zone = beyond;
        }
        let mut attachments = survey.attachments;
        attachments.retain(|each| each.zone != zone);
        let image = compile_policy(&mut next, &attachments, None)?;
        self.transact(lock, &next, false, |dataplane| {
            dataplane.detach(zone)?;
            if !attachments.is_empty() {
                dataplane.install(image.words(), image.rules())?;
                write_settings(dataplane, &next, &attachments)?;
            }
            Ok(())
        })?;
        Ok(next)
    }

    /// Forgets every interface that is not there.
    ///
    /// # Errors
    /// When state or kernel cannot be read or written.
    pub(super) fn detach_missing(&mut self) -> Result<Vec<String>, HostError> {
        let mut names = Vec::new();
        for (name, guard) in self.guards()? {
            if guard == Guard::Missing {
                names.extend(self.detach(&Target::One(name))?);
            }
        }
        Ok(names)
    }
}

/// The interface, and its zone, that needs it least: one that is not there.
fn whose_zone_to_take(state: &State, survey: &Survey, coming: &str) -> Option<(String, u32)> {
    let is_gone = |name: &str, zone: u32| {
        let guard = survey.guard(name, zone);
        let has_programs = survey
            .attachment(zone)
            .is_some_and(|each| each.interface.is_some());
        zone < MAX_ZONES && !has_programs && (name == coming || guard == Guard::Missing)
    };
    let gone = state
        .attachments
        .iter()
        .filter(|(name, record)| is_gone(name, record.zone));
    gone.min_by_key(|(name, record)| (*name != coming, !record.by_pattern))
        .map(|(name, record)| (name.clone(), record.zone))
}

/// The lowest zone that neither kernel nor state has in use.
pub(super) fn free_zone(state: &State, attachments: &[Attachment]) -> Result<u32, HostError> {
    lowest_free(0..MAX_ZONES, &in_use(state, attachments))
        .ok_or(HostError::NoZone { limit: MAX_ZONES })
}

fn in_use(state: &State, attachments: &[Attachment]) -> BTreeSet<u32> {
    let recorded = state.attachments.values().map(|record| record.zone);
    recorded
        .chain(attachments.iter().map(|each| each.zone))
        .collect()
}

fn lowest_free(mut among: impl Iterator<Item = u32>, in_use: &BTreeSet<u32>) -> Option<u32> {
    among.find(|zone| !in_use.contains(zone))
}
