//! Changes on trial: a deadline in the kernel past which an interface only audits, and its end.

use std::time::Duration;

use super::existing::Passing;
use super::ssh::{SshConnection, WayIn};
use super::{Host, HostError, compile_policy, is_among, record_of, write_settings};
use crate::host::dataplane::{Attachment, Dataplane};

impl Host {
    /// Ends the trial of these interfaces, or of every one if none is named: its verdicts are carried out from now on, also those that
    /// only audit since their deadline; connections that these let pass meanwhile go on. Returns the
    /// names of the interfaces that were on trial, and which of them are not guarded now.
    ///
    /// # Errors
    /// When one is not attached; when state or kernel cannot be read or written.
    pub fn confirm(&mut self, only: &[String]) -> Result<(Vec<String>, Vec<String>), HostError> {
        let (lock, mut next) = self.begin()?;
        HostError::check_attached(only, &next)?;
        let on_trial = next
            .attachments
            .iter_mut()
            .filter(|(name, record)| record.unconfirmed && is_among(name, only));
        let mut names = Vec::new();
        for (name, record) in on_trial {
            record.unconfirmed = false;
            names.push(name.clone());
        }
        if names.is_empty() {
            return Ok((names, Vec::new()));
        }
        let survey = self.survey()?;
        let attachments = survey.attachments.as_slice();
        let mut passing = Vec::new();
        for attachment in attachments {
            let Some((_, record)) = record_of(&next, attachment.zone) else {
                continue;
            };
            let deadline = self.dataplane.settings(attachment.zone)?.audit_after;
            let has_passed = deadline != 0 && self.dataplane.clock()?.now > deadline;
            if let (true, Some(interface)) = (has_passed, &attachment.interface) {
                let through = Passing::through(interface, record.side)?;
                passing.push((attachment.zone, through));
            }
        }
        self.transact(&lock, &next, false, |dataplane| {
            for (zone, through) in &passing {
                through.seed(dataplane, *zone)?;
            }
            write_settings(dataplane, &next, attachments)
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
        rollback_after: Option<Duration>,
        ssh: Option<SshConnection>,
    ) -> Result<Vec<String>, HostError> {
        let (lock, state) = self.begin()?;
        let mut next = state;
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
        record.unconfirmed |= rollback_after.is_some();
        let (zone, side) = (record.zone, record.side);
        let this: Vec<_> = attachments
            .iter()
            .filter(|attachment| attachment.zone == zone)
            .cloned()
            .collect();
        let mut notes: Vec<_> = guard.note(interface).into_iter().collect();
        if !audit && ssh.is_some() {
            // Only to ask it: the policy in force stays.
            let mut asked = next.clone();
            let image = compile_policy(&mut asked, attachments, None)?;
            let way_in = WayIn { ssh, keep: false };
            let (_, note) = way_in.check(&mut asked, (&this, None), image)?;
            notes.extend(note);
        }
        let present = this.first().and_then(|each| each.interface.as_ref());
        let passing = present
            .map(|interface| Passing::through(interface, side))
            .transpose()?;
        self.transact(&lock, &next, false, |dataplane| {
            set_deadlines(dataplane, &this, rollback_after)?;
            if let (false, Some(passing)) = (audit, &passing) {
                passing.seed(dataplane, zone)?;
            }
            write_settings(dataplane, &next, &this)
        })?;
        Ok(notes)
    }
}

/// Gives attached interfaces a deadline, if there is to be one.
pub(super) fn set_deadlines(
    dataplane: &mut Dataplane,
    attachments: &[Attachment],
    rollback_after: Option<Duration>,
) -> Result<(), HostError> {
    let Some(rollback_after) = rollback_after else {
        return Ok(());
    };
    let audit_after = deadline(dataplane, rollback_after)?;
    for attachment in attachments {
        let mut settings = dataplane.settings(attachment.zone)?;
        settings.audit_after = audit_after;
        dataplane.set_settings(attachment.zone, &settings)?;
    }
    Ok(())
}

/// The deadline of a trial that begins now, in jiffies.
pub(super) fn deadline(dataplane: &Dataplane, after: Duration) -> Result<u64, HostError> {
    let clock = dataplane.clock()?;
    let jiffies = after.as_millis() as u64 * clock.hz / 1000;
    Ok(clock.now + jiffies)
}

/// The deadline that an interface is to have, by what the state says of it and the kernel has.
///
/// An interface on trial of whose deadline nothing is known (any more) is past it: a reboot or a
/// crash must not make unconfirmed rules permanent.
pub(super) fn kept_deadline(unconfirmed: bool, known: u64) -> u64 {
    match (unconfirmed, known) {
        (false, _) => 0,
        (true, 0) => 1,
        (true, known) => known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_got_lost_has_passed() {
        assert_eq!(kept_deadline(false, 77), 0);
        assert_eq!(kept_deadline(true, 77), 77);
        assert_eq!(kept_deadline(true, 0), 1);
    }
}
