//! Puts the rule files in force.

use sd_notify::NotifyState;
use tokio::time::Instant;

use super::files::Reading;
use super::interfaces::is_busy;
use super::wake::systemd;
use super::{Agent, AgentError, BUSY, Notice};
use crate::host::ApplyRequest;

impl Agent<'_> {
    /// Reads the rule files and puts them in force, if they have changed.
    pub(super) fn reload(&mut self) {
        self.reload_at = None;
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            systemd(&[NotifyState::Reloading, now]);
        }
        match self.apply() {
            Ok(()) => {
                self.refusal = None;
                self.follow();
            }
            Err(error) if self.is_put_off(&error) => {}
            Err(error) => self.refused(&error),
        }
        systemd(&[NotifyState::Ready]);
    }

    /// The rule files are not in force. Where it is not for what they say, they are tried again with
    /// every recheck, and the reason is told once.
    pub(super) fn refused(&mut self, error: &AgentError) {
        if matches!(error, AgentError::Host(_)) {
            self.files.forget();
        }
        let text = error.to_string();
        if self.refusal.replace(text.clone()) != Some(text) {
            self.tallies.apply_errors += 1;
            (self.tell)(&Notice::Refused(error));
        }
    }

    /// Puts the rule files in force again when they were undone with a change that nobody confirmed.
    /// What somebody rolled back stays as he left it.
    pub(super) fn look_at_trial(&mut self) {
        if !self.files.may_be_undone {
            return;
        }
        // Unreadable, it is looked at again.
        let Ok(state) = self.host().and_then(|host| Ok(host.state()?)) else {
            return;
        };
        self.files.may_be_undone = state.before.is_some();
        if state.attachments.values().any(|record| record.rolled_back) {
            self.files.forget();
            self.reload();
        }
    }

    /// Whether another sg-ctl is in the way: then the files are read again soon.
    pub(super) fn is_put_off(&mut self, error: &AgentError) -> bool {
        let is_busy = matches!(error, AgentError::Host(error) if is_busy(error));
        if is_busy {
            self.files.forget();
            self.reload_at = Some(Instant::now() + BUSY);
        }
        is_busy
    }

    /// Puts the rule files in force, where they are what rules.
    ///
    /// # Errors
    /// When they are wrong, once for the same text; when the host cannot have them.
    pub(super) fn apply(&mut self) -> Result<(), AgentError> {
        // The rules are those of the VPC then.
        if self.files.is_empty() || self.vpc.may_be_joined {
            let host = self.host()?;
            return self.interfaces.retry(&host);
        }
        let were_away = self.files.is_unreadable;
        let reading = self.files.read()?;
        let Reading::New(parsed) = reading else {
            if were_away {
                let text = "the rule files can be read again, and are as they were";
                (self.tell)(&Notice::Note(text));
            }
            return Ok(());
        };
        if self.refusal.is_none() && !parsed.warnings.diagnostics.is_empty() {
            (self.tell)(&Notice::Warnings(&parsed.warnings));
        }
        let mut host = self.host()?;
        let members = host.local_members()?;
        let summary = host.apply(ApplyRequest {
            model: parsed.model,
            origins: parsed.origins,
            ..ApplyRequest::default()
        })?;
        // What only says again what somebody tries falls with it.
        self.files.may_be_undone |= !summary.changes.is_empty();
        self.interfaces.note_members(members);
        self.tallies.applies += 1;
        for note in &summary.notes {
            (self.tell)(&Notice::Note(note));
        }
        (self.tell)(&Notice::Applied {
            generation: summary.policy.generation,
            groups: summary.policy.groups,
            rules: summary.policy.rules,
        });
        // What could not be attached may be able to carry its groups now.
        if let Err(error) = self.interfaces.retry(&host) {
            self.failed("look at the interfaces", &error);
        }
        Ok(())
    }
}
