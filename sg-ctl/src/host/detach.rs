//! Takes interfaces off guard. Works whatever has been lost: state, interface, policy.

use std::collections::BTreeMap;

use super::desired::compile_policy;
use super::trial::Policy;
use super::{Guard, Host, HostError, record_of};
use crate::host::dataplane::{Attachment, Interface};
use crate::host::state::{Detached, State, StateError};

/// What to detach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The interface of this name.
    One(String),
    /// Every interface that is not there.
    Missing,
    /// Everything.
    All,
}

impl Host {
    /// Takes programs off their hooks; traffic passes unfiltered then. Returns the names of the
    /// interfaces.
    ///
    /// # Errors
    /// When the interface is not attached, or pins cannot be removed.
    pub fn detach(&mut self, target: &Target) -> Result<Vec<String>, HostError> {
        match target {
            Target::One(name) => self.detach_one(name).map(|()| vec![name.clone()]),
            Target::Missing => self.detach_missing(),
            Target::All => self.detach_all(),
        }
    }

    /// Tells what [`detach`](Self::detach) would take off; changes nothing.
    ///
    /// # Errors
    /// When the interface is not attached; when state or kernel cannot be read.
    pub fn would_detach(&self, target: &Target) -> Result<Vec<String>, HostError> {
        let state = match self.state() {
            Err(HostError::State(StateError::Damaged { .. })) => State::default(),
            state => state?,
        };
        match target {
            Target::One(name) => {
                if !state.attachments.contains_key(name) {
                    attached_zone(name, &state, &self.dataplane.attachments()?)?;
                }
                Ok(vec![name.clone()])
            }
            Target::Missing => {
                let guards = self.guards()?.into_iter();
                let missing = guards.filter(|(_, guard)| *guard == Guard::Missing);
                Ok(missing.map(|(name, _)| name).collect())
            }
            Target::All => Ok(self.attached_names(&state)),
        }
    }

    fn detach_one(&mut self, name: &str) -> Result<(), HostError> {
        let (lock, state) = match self.begin() {
            Err(HostError::State(StateError::Damaged { .. })) => return self.detach_unknown(name),
            begun => begun?,
        };
        let mut attachments = self.dataplane.attachments()?;
        let zone = match state.attachments.get(name) {
            Some(record) => record.zone,
            None => attached_zone(name, &state, &attachments)?,
        };
        let index = index_of(name, &state, &attachments);
        attachments.retain(|attachment| attachment.zone != zone);
        // One that was renamed is known by its former name.
        let known = record_of(&state, zone).map(|(known, _)| known.to_owned());
        let mut next = State {
            generation: state.generation + 1,
            ..state
        };
        next.attachments.remove(known.as_deref().unwrap_or(name));
        if !next.is_on_trial() {
            next.return_to_rules_before();
        }
        note_detached(&mut next, [(name, index)]);
        // Its addresses are no longer members of its groups. If the rest cannot be compiled, it
        // keeps the image that it has.
        let policy = Self::check_all_recorded(&next, &attachments)
            .and_then(|()| compile_policy(&mut next, &attachments, None))
            .and_then(|image| Policy::new(&next, &attachments, None, image))
            .ok();
        self.transact(&lock, &next, false, |dataplane| {
            dataplane.detach(zone)?;
            match &policy {
                Some(policy) => policy.put_in_force(dataplane, &next, &attachments, None),
                None => Ok(()),
            }
        })
    }

    /// Detaches without a state: what the kernel knows must do.
    fn detach_unknown(&mut self, name: &str) -> Result<(), HostError> {
        let attachments = self.dataplane.attachments()?;
        let zone = attached_zone(name, &State::default(), &attachments)?;
        Ok(self.dataplane.detach(zone)?)
    }

    fn detach_all(&mut self) -> Result<Vec<String>, HostError> {
        let lock = match self.directory.lock() {
            Err(error @ StateError::Locked { .. }) => return Err(error.into()),
            // Without a directory that can be locked there is no state to keep in step.
            Err(error) => {
                self.dataplane.detach_all()?;
                return Err(HostError::OnlyOpen { source: error });
            }
            Ok(lock) => lock,
        };
        let state = match self.directory.load() {
            Err(StateError::Damaged { .. }) => {
                let names = self.attached_names(&State::default());
                self.dataplane.detach_all()?;
                lock.discard()?;
                lock.put_aside()?;
                return Ok(names);
            }
            Err(error) => {
                self.dataplane.detach_all()?;
                return Err(HostError::OnlyOpen { source: error });
            }
            Ok(state) => state,
        };
        let names = self.attached_names(&state);
        let attachments = self.dataplane.attachments().unwrap_or_default();
        let indexes: Vec<_> = (names.iter())
            .map(|name| index_of(name, &state, &attachments))
            .collect();
        let mut state = state;
        state.return_to_rules_before();
        let mut next = State {
            generation: state.generation + 1,
            attachments: BTreeMap::new(),
            ..state
        };
        note_detached(&mut next, names.iter().map(String::as_str).zip(indexes));
        // A full disk must not keep anybody out, nor bring back at the next boot what is detached.
        let prepared = lock.prepare(&next);
        self.dataplane.detach_all()?;
        prepared
            .and_then(|()| lock.commit(false))
            .or_else(|_| lock.overwrite(&next))
            .map_err(|source| HostError::OnlyOpen { source })?;
        Ok(names)
    }

    /// Names of everything that state or kernel know to be attached.
    fn attached_names(&self, state: &State) -> Vec<String> {
        let mut names: Vec<_> = state.attachments.keys().cloned().collect();
        // What cannot be listed is detached all the same.
        for attachment in self.dataplane.attachments().unwrap_or_default() {
            if record_of(state, attachment.zone).is_none()
                && let Some(interface) = attachment.interface
            {
                names.push(interface.name);
            }
        }
        names
    }
}

/// The index of the interface that is guarded as `name`, whatever it is called now, or else has that name.
fn index_of(name: &str, state: &State, attachments: &[Attachment]) -> Option<u32> {
    let record = state.attachments.get(name);
    let guarded = attachments.iter().find_map(|each| {
        let interface = each.interface.as_ref()?;
        let is_it = match record {
            Some(record) => each.zone == record.zone,
            None => interface.name == name,
        };
        is_it.then_some(interface.index)
    });
    guarded.or_else(|| {
        let present = Interface::all().unwrap_or_default();
        let named = present.into_iter().find(|each| each.name == name)?;
        Some(named.index)
    })
}

/// Notes that interfaces, given with their indexes, are not to be attached again by themselves.
fn note_detached<'n>(
    next: &mut State,
    interfaces: impl IntoIterator<Item = (&'n str, Option<u32>)>,
) {
    // Without the list they are detached all the same.
    let present = Interface::all().unwrap_or_default();
    let is_there = |index: u32| present.iter().any(|interface| interface.index == index);
    next.detached
        .retain(|_, detached| is_there(detached.index()));
    for (name, index) in interfaces {
        if let Some(index) = index.filter(|index| is_there(*index)) {
            next.detached.insert(name.to_owned(), Detached::now(index));
        }
    }
}

/// Refuses an interface that was detached by hand and is still the same one, among those `present`.
pub(super) fn check_not_detached(
    state: &State,
    name: &str,
    present: &[Interface],
) -> Result<(), HostError> {
    let is_it = |each: &Interface| each.name == name && state.was_detached(each.index);
    if present.iter().any(is_it) {
        return Err(HostError::DetachedByHand {
            interface: name.to_owned(),
        });
    }
    Ok(())
}

/// The zone of an interface that the state does not know.
fn attached_zone(name: &str, state: &State, attachments: &[Attachment]) -> Result<u32, HostError> {
    attachments
        .iter()
        .find(|attachment| {
            let interface = attachment.interface.as_ref();
            interface.is_some_and(|interface| interface.name == name)
        })
        .map(|attachment| attachment.zone)
        .ok_or_else(|| HostError::not_attached(name, state))
}
