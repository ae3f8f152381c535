//! Puts a rules document in force that was made of the one before.

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
        let before = client.map(|client| (client, state.clone()));
        take_assignments(&mut state, &document);
        let planned = self.plan_rules(&state, document, WayIn::default(), false)?;
        let attachments = &planned.survey.attachments;
        if let Some((client, mut before)) = before
            && let Some(interface) =
                client.shut_out(&planned.next, attachments, &planned.policy.image)?
        {
            let image = compile_policy(&mut before, attachments, None)?;
            if client.shut_out(&before, attachments, &image)?.is_none() {
                let client = client.client.ip();
                return Err(HostError::LocksOut { interface, client });
            }
        }
        self.put_in_force(&lock, &planned, None)?;
        Ok(planned.next.generation)
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

/// Where the document now says what an interface carries, what the command line said counts no more.
fn take_assignments(state: &mut State, document: &Document) {
    for name in document.owners().of_api(Owned::Interface) {
        let (old, new) = (&state.model.interfaces, &document.model().interfaces);
        if old.get(name) != new.get(name)
            && let Some(record) = state.attachments.get_mut(name)
        {
            record.overrides.groups = None;
        }
    }
}
