//! Changes on trial: a deadline in the kernel, past which what was before is in force again.

use std::time::Duration;

use sg_common::settings::{InterfaceSettings, PICKUP_WINDOW_SECONDS};

use super::desired::{compile_policy, desired};
use super::existing::Passing;
use super::ssh::{SshConnection, WayIn};
use super::{Host, HostError, Shares, by_zone, is_among};
use crate::host::dataplane::{Attachment, Dataplane, ImageInfo};
use crate::host::state::{State, StateLock};
use sg_policy::compile::Image;

impl Host {
    /// Ends the trial of these interfaces, or of every one if none is named: what is in force stays.
    /// Returns the names of the interfaces that were on trial, and which of them are not guarded now.
    ///
    /// # Errors
    /// [`HostError::TooLate`] when the deadline has passed, [`HostError::RulesOnTrial`] when only some
    /// of those that new rules are on trial on are named, [`HostError::VpcOnTrial`] when they are those
    /// of the VPC; when one is not attached; when state or
    /// kernel cannot be read or written.
    pub fn confirm(&mut self, only: &[String]) -> Result<(Vec<String>, Vec<String>), HostError> {
        let (lock, mut next) = self.begin()?;
        HostError::check_attached(only, &next)?;
        next.check_no_vpc_trial(true)?;
        let rules_on_trial = next.before.is_some();
        let names = next.keep(|name| is_among(name, only));
        if rules_on_trial && next.before.is_some() && !names.is_empty() {
            return Err(HostError::RulesOnTrial);
        }
        if names.is_empty() {
            let undone = next
                .attachments
                .iter()
                .filter(|(name, record)| record.rolled_back && is_among(name, only));
            let interfaces: Vec<_> = undone.map(|(name, _)| name.clone()).collect();
            if !interfaces.is_empty() {
                return Err(HostError::TooLate { interfaces });
            }
            let survey = self.survey()?;
            let notes = survey.guards(&next);
            let notes = notes.filter_map(|(name, guard)| guard.note(name)).collect();
            return Ok((names, notes));
        }
        let survey = self.survey()?;
        let attachments = survey.attachments.as_slice();
        self.transact(&lock, &next, false, |dataplane| {
            write_settings(dataplane, &next, attachments)?;
            if !next.is_on_trial() {
                dataplane.forget_previous()?;
            }
            Ok(())
        })?;
        let guards = survey.guards(&next);
        let notes = guards
            .filter(|(name, _)| names.contains(name))
            .filter_map(|(name, guard)| guard.note(name));
        let notes = notes.collect();
        Ok((names, notes))
    }

    /// Makes an attached interface audit, or carry verdicts out; connections that it let pass go on.
    /// Returns what the user should know: that his own SSH client could not come again, that other
    /// programs come first.
    ///
    /// # Errors
    /// When the interface is not attached; when state or kernel cannot be read or written.
    pub fn set_mode(
        &mut self,
        interface: &str,
        audit: bool,
        confirm_within: Option<Duration>,
        ssh: Option<SshConnection>,
    ) -> Result<Vec<String>, HostError> {
        let (lock, state) = self.begin()?;
        state.check_no_vpc_trial(confirm_within.is_some())?;
        let mut next = State {
            generation: state.generation + 1,
            ..state.clone()
        };
        next.forget_rollback();
        let not_attached = HostError::not_attached(interface, &next);
        let survey = self.survey()?;
        let attachments = survey.attachments.as_slice();
        let record = next.attachments.get_mut(interface).ok_or(not_attached)?;
        let guard = survey.guard(interface, record.zone);
        guard.check(interface)?;
        if record.isolated.is_some() {
            return Err(HostError::Isolated {
                interface: interface.to_owned(),
            });
        }
        record.overrides.audit = Some(audit);
        if record.overrides.name_no_group() {
            // Those that the rules give it, if they do.
            record.overrides.groups = None;
        }
        let (zone, side) = (record.zone, record.side);
        if confirm_within.is_some() {
            next.put_on_trial(&state, |name| name == interface);
        }
        let image = compile_policy(&mut next, attachments, None)?;
        let this = survey.attachment(zone);
        let mut notes: Vec<_> = guard.note(interface).into_iter().collect();
        if !audit && ssh.is_some() {
            // Only to ask it: nobody is let in.
            let way_in = WayIn { ssh, keep: false };
            let this: Vec<_> = this.into_iter().cloned().collect();
            let (_, note) = way_in.check(&mut next.clone(), (&this, None), image.clone())?;
            notes.extend(note);
        }
        let present = this.and_then(|each| each.interface.as_ref());
        let passing = present
            .map(|interface| Passing::through(interface, side))
            .transpose()?;
        let policy = Policy::new(&next, attachments, None, image)?;
        self.transact(&lock, &next, false, |dataplane| {
            if let (false, Some(passing)) = (audit, &passing) {
                notes.extend(passing.seed(dataplane, zone)?.1);
            }
            policy.put_in_force(dataplane, &next, attachments, confirm_within)
        })?;
        Ok(notes)
    }

    /// Undoes a change whose deadline has passed: the kernel has done so already, and the state
    /// follows. Returns the state.
    pub(super) fn undo_unconfirmed(
        &mut self,
        lock: &StateLock,
        state: State,
    ) -> Result<State, HostError> {
        if !is_past_deadline(&self.dataplane, &state)? {
            return Ok(state);
        }
        let mut next = State {
            generation: state.generation + 1,
            ..state.settled()
        };
        let attachments = self.dataplane.attachments()?;
        Self::check_all_recorded(&next, &attachments)?;
        let image = compile_policy(&mut next, &attachments, None)?;
        let policy = Policy::new(&next, &attachments, None, image)?;
        // What was undone is nothing that a rollback may return to.
        self.transact(lock, &next, false, |dataplane| {
            policy.put_in_force(dataplane, &next, &attachments, None)
        })?;
        Ok(next)
    }
}

impl State {
    /// Refuses a trial of this host's own, to be begun or ended, while the VPC's rules are on one: an
    /// interface has one deadline.
    pub(super) fn check_no_vpc_trial(&self, of_its_own: bool) -> Result<(), HostError> {
        if of_its_own && self.running_vpc_trial().is_some() {
            return Err(HostError::VpcOnTrial);
        }
        Ok(())
    }
}

/// Whether the deadline of what is on trial has passed. One of which the kernel knows nothing (any
/// more) has: a reboot or a crash must not make unconfirmed rules permanent.
pub(super) fn is_past_deadline(dataplane: &Dataplane, state: &State) -> Result<bool, HostError> {
    let mut on_trial = state
        .attachments
        .values()
        .filter(|record| record.unconfirmed)
        .peekable();
    if on_trial.peek().is_none() {
        return Ok(false);
    }
    if !dataplane.is_prepared() {
        return Ok(true);
    }
    let now = dataplane.clock()?.now;
    for record in on_trial {
        // The programs compare so, too.
        if now <= dataplane.settings(record.zone)?.rollback_at {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The policy that a state comes to, and the one that it returns to if it is not confirmed.
pub(super) struct Policy {
    pub(super) image: Image,
    previous: Option<(State, Image)>,
}

impl Policy {
    /// Compiles what a state that was compiled to `image` returns to.
    ///
    /// # Errors
    /// When that does not fit (any more).
    pub(super) fn new<'a>(
        state: &State,
        attachments: &'a [Attachment],
        coming: impl IntoIterator<Item = &'a Attachment>,
        image: Image,
    ) -> Result<Self, HostError> {
        let previous = state.is_on_trial().then(|| state.settled());
        let previous = previous.map(|mut state| {
            let image = compile_policy(&mut state, attachments, coming)?;
            Ok::<_, HostError>((state, image))
        });
        Ok(Self {
            image,
            previous: previous.transpose()?,
        })
    }

    /// Puts both images and the settings of everything attached in force. What is on trial gets the
    /// deadline before the new image: whoever dies in between must not leave it without one.
    pub(super) fn put_in_force(
        &self,
        dataplane: &mut Dataplane,
        state: &State,
        attachments: &[Attachment],
        confirm_within: Option<Duration>,
    ) -> Result<(), HostError> {
        if attachments.is_empty() {
            return Ok(());
        }
        let rollback_at = confirm_within
            .map(|within| deadline(dataplane, within))
            .transpose()?;
        self.install(dataplane, state, attachments, rollback_at)?;
        write_settings(dataplane, state, attachments)?;
        if self.previous.is_none() {
            dataplane.forget_previous()?;
        }
        Ok(())
    }

    /// Puts both images in force, and before the new one the settings to return to and a deadline.
    pub(super) fn install(
        &self,
        dataplane: &mut Dataplane,
        state: &State,
        attachments: &[Attachment],
        rollback_at: Option<u64>,
    ) -> Result<ImageInfo, HostError> {
        let mut rules = self.image.rules().to_vec();
        if let Some((before, previous)) = &self.previous {
            dataplane.install_previous(previous.words(), previous.rules())?;
            write_settings_before(dataplane, before, attachments)?;
            rules.extend(previous.rules());
            rules.sort_unstable();
            rules.dedup();
        }
        if let Some(rollback_at) = rollback_at {
            let records = by_zone(state);
            let is_on_trial = |zone| {
                records
                    .get(zone)
                    .is_some_and(|(_, record)| record.unconfirmed)
            };
            for attachment in attachments {
                if is_on_trial(&attachment.zone) {
                    let settings = InterfaceSettings {
                        rollback_at,
                        ..dataplane.settings(attachment.zone)?
                    };
                    dataplane.set_settings(attachment.zone, &settings)?;
                }
            }
        }
        Ok(dataplane.install(self.image.words(), &rules)?)
    }

    /// The settings that an interface returns to, as those of its zone before the change.
    pub(super) fn settings_before(
        &self,
        name: &str,
        ifindex: u32,
        hz: u64,
        pickup_until: u64,
    ) -> Result<Option<InterfaceSettings>, HostError> {
        let Some((before, _)) = &self.previous else {
            return Ok(None);
        };
        let Some(record) = before.attachments.get(name) else {
            return Ok(None);
        };
        let settings = desired(before, name, record)?.settings(ifindex, hz, pickup_until, 0);
        Ok(Some(settings))
    }
}

/// The deadline of a trial that begins now, in jiffies.
pub(super) fn deadline(dataplane: &Dataplane, within: Duration) -> Result<u64, HostError> {
    let clock = dataplane.clock()?;
    let jiffies = within.as_millis() as u64 * clock.hz / 1000;
    Ok(clock.now + jiffies)
}

/// The deadline of what is on trial already, in jiffies.
pub(super) fn known_deadline(dataplane: &Dataplane, state: &State) -> Result<u64, HostError> {
    // One that got lost has passed.
    let mut latest = 1;
    for record in state.attachments.values() {
        if record.unconfirmed {
            latest = latest.max(dataplane.settings(record.zone)?.rollback_at);
        }
    }
    Ok(latest)
}

/// Gives the programs of everything attached the settings that the state wants.
pub(super) fn write_settings(
    dataplane: &mut Dataplane,
    state: &State,
    attachments: &[Attachment],
) -> Result<(), HostError> {
    let hz = Dataplane::hz()?;
    // One that comes or goes changes the shares of all.
    let shares = Shares::of(dataplane, state, dataplane.zones()?)?;
    let records = by_zone(state);
    for attachment in attachments {
        if let Some((name, record)) = records.get(&attachment.zone).copied() {
            let known = dataplane.settings(attachment.zone)?;
            let pickup_until = pickup_until(dataplane, &known, hz)?;
            let rollback_at = if record.unconfirmed {
                known.rollback_at.max(1)
            } else {
                0
            };
            let desired = desired(state, name, record)?;
            let mut settings = desired.settings(known.ifindex, hz, pickup_until, rollback_at);
            shares.give(state, (attachment.zone, &desired.spec), &mut settings);
            // Of a thousand interfaces beside one that comes few have others.
            if settings != known {
                dataplane.set_settings(attachment.zone, &settings)?;
            }
        }
    }
    Ok(())
}

/// Gives the programs the settings that they return to when the deadline passes.
fn write_settings_before(
    dataplane: &mut Dataplane,
    before: &State,
    attachments: &[Attachment],
) -> Result<(), HostError> {
    let hz = Dataplane::hz()?;
    let records = by_zone(before);
    for attachment in attachments {
        if let Some((name, record)) = records.get(&attachment.zone).copied() {
            let known = dataplane.settings(attachment.zone)?;
            let pickup_until = pickup_until(dataplane, &known, hz)?;
            let settings = desired(before, name, record)?;
            let settings = settings.settings(known.ifindex, hz, pickup_until, 0);
            dataplane.set_settings_before(attachment.zone, &settings)?;
        }
    }
    Ok(())
}

/// Until when segments without an entry open flows. A zone that was never enforced has no window
/// yet: its attach was cut short.
fn pickup_until(
    dataplane: &Dataplane,
    known: &InterfaceSettings,
    hz: u64,
) -> Result<u64, HostError> {
    Ok(match known.pickup_until {
        0 => dataplane.clock()?.now + PICKUP_WINDOW_SECONDS * hz,
        known => known,
    })
}
