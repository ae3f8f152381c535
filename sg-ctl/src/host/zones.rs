//! Zones: the places of interfaces in the kernel's tables, and who gives his back.

use std::collections::BTreeSet;

use sg_common::settings::MAX_ZONES;

use super::desired::compile_policy;
use super::guard::{Guard, Survey};
use super::trial::Policy;
use super::{Coming, Host, HostError, Target};
use crate::host::dataplane::Attachment;
use crate::host::state::{State, StateLock};

impl Host {
    /// Makes sure that there are zones for interfaces that are to be attached. When all are in use
    /// those that are gone give their own back, their former selves first; they stay in the state, and
    /// get others when they return. Returns what is attached then, too.
    ///
    /// # Errors
    /// When state or kernel cannot be read or written.
    pub(super) fn make_room(
        &mut self,
        lock: &StateLock,
        mut state: State,
        coming: &[Coming],
    ) -> Result<(State, Survey), HostError> {
        let mut survey = self.survey()?;
        let used = in_use(&state, &survey.attachments);
        if used.range(..MAX_ZONES).count() + coming.len() <= MAX_ZONES as usize {
            return Ok((state, survey));
        }
        for (number, one) in coming.iter().enumerate() {
            let used = in_use(&state, &survey.attachments);
            let free = (0..MAX_ZONES).filter(|zone| !used.contains(zone));
            if free.take(number + 1).count() > number {
                continue;
            }
            if let Some(taken) = whose_zone_to_take(&state, &survey, &one.interface) {
                state = self.take_zone(lock, state, survey, taken)?;
                survey = self.survey()?;
            }
        }
        Ok((state, survey))
    }

    /// Takes the zone of an interface that is gone.
    fn take_zone(
        &mut self,
        lock: &StateLock,
        state: State,
        survey: Survey,
        (name, zone): (String, u32),
    ) -> Result<State, HostError> {
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
        let policy = Policy::new(&next, &attachments, None, image)?;
        self.transact(lock, &next, false, |dataplane| {
            dataplane.detach(zone)?;
            policy.put_in_force(dataplane, &next, &attachments, None)
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
