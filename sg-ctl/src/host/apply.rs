//! Puts new rules in force.

use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

use super::changes::Changes;
use super::{Host, HostError, check_groups, compile_policy, effective, write_settings};
use crate::compile::Image;
use crate::model::Model;
use crate::state::State;

/// The policy that an operation compiled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicySummary {
    /// Generation number.
    pub generation: u64,
    /// Security groups.
    pub groups: usize,
    /// Rules of all groups.
    pub rules: usize,
    /// Prefix lists.
    pub prefix_lists: usize,
    /// Classes of addresses that the rules tell apart.
    pub classes: u32,
    /// Ranges of addresses that make up the classes.
    pub ranges: u32,
    /// Bytes of the image.
    pub bytes: usize,
    /// Bytes of kernel memory that the image takes; 0 while nothing is attached.
    pub kernel_bytes: usize,
}

impl PolicySummary {
    pub(super) fn new(model: &Model, image: &Image, kernel_bytes: usize) -> Self {
        let groups = model.groups.values();
        Self {
            generation: image.generation(),
            groups: model.groups.len(),
            rules: groups
                .map(|group| group.inbound.len() + group.outbound.len())
                .sum(),
            prefix_lists: model.prefix_lists.len(),
            classes: image.classes(),
            ranges: image.ranges(),
            bytes: size_of_val(image.words()),
            kernel_bytes,
        }
    }
}

/// What [`Host::apply`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApplySummary {
    /// The policy in force.
    pub policy: PolicySummary,
    /// What the new rules changed.
    pub changes: Changes,
    /// The interfaces that it is in force on.
    pub attached: Vec<String>,
    /// Interfaces that the rules name and that are not attached.
    pub not_attached: Vec<String>,
    /// What else the user should know.
    pub notes: Vec<String>,
    /// Time from the checked rules to the policy in force.
    #[serde(rename = "duration_ms", serialize_with = "milliseconds")]
    pub duration: Duration,
}

impl Host {
    /// Puts new rules in force on everything attached.
    ///
    /// Tracked flows stay: as on AWS, a rule that is gone ends no connection.
    ///
    /// # Errors
    /// When an attached interface would carry an undefined group, or the rules do not fit; nothing
    /// has changed then. After the swap of the image only settings are left to write; should that
    /// fail, the next operation repeats it.
    pub fn apply(&mut self, model: Model) -> Result<ApplySummary, HostError> {
        let begin = Instant::now();
        let (lock, state) = self.begin()?;
        let attachments = self.dataplane.attachments()?;
        Self::check_all_recorded(&state, &attachments)?;
        let changes = Changes::between(&state.model, &model);
        let mut next = State {
            generation: state.generation + 1,
            model,
            ..state
        };
        let notes = check_interfaces(&next)?;
        let image = compile_policy(&mut next, &attachments, None)?;
        let kernel_bytes = self.transact(&lock, &next, |dataplane| {
            // Without programs there are no maps to put it into.
            if attachments.is_empty() {
                return Ok(0);
            }
            let installed = dataplane.install(image.words())?;
            write_settings(dataplane, &next, &attachments)?;
            Ok(installed.bytes)
        })?;
        Ok(ApplySummary {
            policy: PolicySummary::new(&next.model, &image, kernel_bytes),
            changes,
            attached: next.attachments.keys().cloned().collect(),
            not_attached: next
                .model
                .interfaces
                .keys()
                .filter(|name| !next.attachments.contains_key(*name))
                .cloned()
                .collect(),
            notes,
            duration: begin.elapsed(),
        })
    }
}

/// Writes a time as a number of milliseconds.
pub(super) fn milliseconds<S: Serializer>(
    time: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64() * 1000.0)
}

/// Checks what the new rules say about recorded interfaces; returns what cannot be done now.
fn check_interfaces(next: &State) -> Result<Vec<String>, HostError> {
    let mut notes = Vec::new();
    for (name, record) in &next.attachments {
        let spec = effective(&next.model, name, &record.overrides);
        if spec.side != record.side {
            return Err(HostError::SideChanged {
                interface: name.clone(),
                attached: record.side,
                wanted: spec.side,
            });
        }
        if spec.hook != record.hook {
            notes.push(format!(
                "{name}: the hook changes when it is attached again"
            ));
        }
        check_groups(&next.model, name, spec)?;
    }
    Ok(notes)
}
