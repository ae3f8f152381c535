//! Several calls as one transaction: all of them are in force together, or none.

use std::sync::Arc;

use crate::api::actions::Action;
use crate::api::audit::Entry;
use crate::api::form::Form;
use crate::api::keys::Role;
use crate::api::refusal::Refusal;
use crate::api::world::World;
use crate::api::{ATTEMPTS, Api, Caller, bits, request_id, way_in};
use crate::vpc::{Document, Store, StoreError, Swap};

use super::plan::Pairs;

/// A copy of the rules that is being changed.
pub(super) struct Draft<'a, S> {
    api: &'a Api<S>,
    caller: &'a Caller,
    world: Arc<World>,
    /// As it is so far.
    pub(super) document: Document,
}

impl<S: Store> Draft<'_, S> {
    /// Carries out one call on the copy.
    pub(super) fn call(&mut self, pairs: Pairs) -> Result<(), Refusal> {
        let form = Form::of(pairs)?;
        let action = Action::find(form.need("Action")?)?;
        form.get("Version");
        let (_, document) =
            self.api
                .act(self.caller, action, &form, (&self.document, &self.world))?;
        if let Some(document) = document {
            self.document = document;
        }
        Ok(())
    }
}

/// Carries out what `plan` does to a copy, as one transaction, which the audit log knows as `told`.
/// Returns the hosts that do not enforce it yet.
pub(super) async fn transact<S: Store>(
    api: &Api<S>,
    caller: &Caller,
    told: Pairs,
    plan: impl Fn(&mut Draft<'_, S>) -> Result<(), Refusal>,
) -> Result<Vec<String>, Refusal> {
    let told = Form::of(told)?;
    let request = request_id(bits::<16>()?);
    let mut entry = Entry::new(caller, &told, &request);
    let answer = if caller.role == Role::Read {
        entry.leave_out_parameters();
        Err(Refusal::unauthorized(
            told.get("Action").unwrap_or_default(),
        ))
    } else {
        attempt(api, caller, &mut entry, plan).await
    };
    entry.result(&answer.clone().map(|()| crate::api::xml::Node::done()));
    api.audit.write(&entry);
    answer?;
    Ok(match entry.after {
        Some(revision) => api.pending(revision).await,
        None => Vec::new(),
    })
}

async fn attempt<S: Store>(
    api: &Api<S>,
    caller: &Caller,
    entry: &mut Entry,
    plan: impl Fn(&mut Draft<'_, S>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let _turn = api.turn.lock().await;
    for _ in 0..ATTEMPTS {
        let kept = api.rules().await?;
        let mut draft = Draft {
            api,
            caller,
            world: api.world(&kept).await?,
            document: (*kept.document).clone(),
        };
        plan(&mut draft)?;
        if draft.document == *kept.document {
            return Ok(());
        }
        entry.change(kept.revision, &kept.document, &draft.document);
        let swap = Swap {
            from: kept.revision,
            document: draft.document,
            way_in: way_in(caller),
        };
        match api.store.swap(swap).await {
            Ok(revision) => {
                entry.done(revision);
                return Ok(());
            }
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Refusal::unavailable(
        "Others change the rules all the time; try again",
    ))
}
