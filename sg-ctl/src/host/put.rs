//! Puts a rules document in force that was made of the one before.

use super::apply::Planned;
use super::desired::compile_policy;
use super::ssh::SshConnection;
use super::{Host, HostError, WayIn};
use crate::host::state::State;
use crate::vpc::{Document, Owned};

impl Host {
    /// Puts a document in force, in place of that of the generation `from`. Returns the new generation.
    ///
    /// A change that would shut `client` out, who comes in now, is refused.
    ///
    /// # Errors
    /// [`HostError::Conflict`] when the state is of another generation,
    /// [`HostError::LocksOut`]; those of [`apply`](Self::apply). Nothing has changed then.
    pub fn put(
        &mut self,
        from: u64,
        document: Document,
        client: Option<SshConnection>,
    ) -> Result<u64, HostError> {
        document.check()?;
        let (lock, mut state) = self.begin()?;
        if state.generation != from {
            return Err(HostError::Conflict {
                found: state.generation,
            });
        }
        let before = state.clone();
        take_assignments(&mut state, &document);
        let planned = self.plan_rules(&state, document, WayIn::default(), false)?;
        refuse_to_shut_out(client, before, &planned)?;
        self.put_in_force(&lock, &planned, None)?;
        Ok(planned.next.generation)
    }

    /// Looks whether this host could enforce a document of its VPC, and would let `client` in again.
    ///
    /// # Errors
    /// Those of [`put`](Self::put); nothing is changed.
    pub fn check(
        &mut self,
        document: Document,
        client: Option<SshConnection>,
    ) -> Result<(), HostError> {
        let (_lock, mut state) = self.begin()?;
        let (mut model, owners) = document.into_parts();
        // Who is a member elsewhere does not change with the rules.
        for (group, addresses) in &state.model.members {
            if model.groups.contains_key(group) {
                model
                    .members
                    .entry(group.clone())
                    .or_default()
                    .join(addresses);
            }
        }
        let document = Document::new(model, owners);
        let before = state.clone();
        take_assignments(&mut state, &document);
        let planned = self.plan_rules(&state, document, WayIn::default(), false)?;
        refuse_to_shut_out(client, before, &planned)
    }

    /// Hands what the API owns over to rule files. Changes nothing that is enforced.
    ///
    /// # Errors
    /// When the API does not own all of it; when the state cannot be written.
    pub fn adopt(&mut self, names: &[(Owned, String)]) -> Result<(), HostError> {
        let (lock, state) = self.begin()?;
        let mut document = state.document();
        for (what, name) in names {
            document.adopt(*what, name)?;
        }
        let planned = self.plan_rules(&state, document, WayIn::default(), false)?;
        self.put_in_force(&lock, &planned, None)
    }
}

/// Refuses what would shut a client out who comes in now.
fn refuse_to_shut_out(
    client: Option<SshConnection>,
    mut before: State,
    planned: &Planned,
) -> Result<(), HostError> {
    let Some(client) = client else {
        return Ok(());
    };
    let attachments = &planned.survey.attachments;
    let shut = client.shut_out(&planned.next, attachments, &planned.policy.image)?;
    let Some(interface) = shut else {
        return Ok(());
    };
    let image = compile_policy(&mut before, attachments, None)?;
    if client.shut_out(&before, attachments, &image)?.is_some() {
        return Ok(());
    }
    let client = client.client.ip();
    Err(HostError::LocksOut { interface, client })
}

/// Where the document now says what an interface carries, what the command line said counts no more.
pub(super) fn take_assignments(state: &mut State, document: &Document) {
    for name in document.owners().of_api(Owned::Interface) {
        let (old, new) = (&state.model.interfaces, &document.model().interfaces);
        if old.get(name) != new.get(name)
            && let Some(record) = state.attachments.get_mut(name)
        {
            record.overrides.groups = None;
        }
    }
}
