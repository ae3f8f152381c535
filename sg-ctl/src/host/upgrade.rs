//! Puts the programs of this sg-ctl in the place of those that another one has loaded.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;
use sg_common::settings::PICKUP_WINDOW_SECONDS;

use super::desired::{compile_policy, desired};
use super::existing::Passing;
use super::trial::write_settings;
use super::{Host, HostError, record_of};
use crate::host::dataplane::{BUILD, Dataplane, Interface, Relocated, Relocation};
use crate::host::state::State;

/// An interface whose programs an upgrade has looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Upgraded {
    /// Name of the interface.
    pub interface: String,
    /// Whether its programs were replaced; if not, they were those of this sg-ctl.
    pub replaced: bool,
    /// Whose programs it had, null when that is not known.
    pub before: Option<String>,
}

/// The zones that have been moved, each with whose programs it had, if that is known.
type Moved = Vec<(u32, Option<String>)>;

/// What [`Host::upgrade`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeSummary {
    /// Whose programs all interfaces have now.
    pub build: String,
    /// The interfaces that are attached.
    pub interfaces: Vec<Upgraded>,
    /// What became of the flows, when the maps have another layout now.
    pub flows: Option<Relocated>,
    /// What else the user should know.
    pub notes: Vec<String>,
    /// Time that it took.
    pub duration: Duration,
}

impl Host {
    /// Replaces the programs of every attached interface that has others than those of this sg-ctl.
    /// Rules, flows, counters and settings stay; no packet is left unjudged.
    ///
    /// Where the maps have another layout now, what is attached is moved to new ones, and its flows
    /// with it; counters begin anew.
    ///
    /// # Errors
    /// When the kernel refuses the programs, or has maps of another shape: nothing has changed then.
    /// An upgrade that was cut short leaves old programs at some hooks and new ones at others, which
    /// know the same rules and flows; a second one goes on.
    pub fn upgrade(&mut self) -> Result<UpgradeSummary, HostError> {
        let begin = Instant::now();
        let lock = self.directory.lock()?;
        let mut notes = Vec::new();
        let state = self.state()?;
        let (moved, flows) = self.relocate(&state, &mut notes)?;
        drop(lock);
        let (_lock, state) = self.begin()?;
        let attachments = self.dataplane.attachments()?;
        Self::check_all_recorded(&state, &attachments)?;
        let mut interfaces = Vec::new();
        let mut has_old = false;
        for attachment in &attachments {
            // What is gone has no programs, only pins.
            if attachment.interface.is_none() {
                continue;
            }
            let Some((name, _)) = record_of(&state, attachment.zone) else {
                continue;
            };
            let before = self.dataplane.build_of(attachment.zone);
            let is_old = before.as_deref() != Some(BUILD);
            has_old |= is_old;
            let known = moved.iter().find(|(zone, _)| *zone == attachment.zone);
            interfaces.push(Upgraded {
                interface: name.to_owned(),
                replaced: is_old || known.is_some(),
                before: known.map_or(before, |(_, before)| before.clone()),
            });
        }
        if has_old {
            self.dataplane.upgrade()?;
        }
        // Those of an older version lack what came since.
        write_settings(&mut self.dataplane, &state, &attachments)?;
        let survey = self.survey()?;
        notes.extend(
            survey
                .guards(&state)
                .filter_map(|(name, guard)| guard.note(name)),
        );
        Ok(UpgradeSummary {
            build: BUILD.to_owned(),
            interfaces,
            flows,
            notes,
            duration: begin.elapsed(),
        })
    }

    /// Moves what is attached with maps of another layout to those of this one. Returns the zones,
    /// with whose programs they had, and what became of the flows.
    ///
    /// The state is as it was: only maps change, and an operation that was interrupted before is
    /// settled afterwards.
    fn relocate(
        &mut self,
        state: &State,
        notes: &mut Vec<String>,
    ) -> Result<(Moved, Option<Relocated>), HostError> {
        let present = Interface::all()?;
        let others = self.dataplane.other_layouts(|zone| {
            let name = record_of(state, zone).map_or("", |(name, _)| name);
            let found = present.iter().find(|each| each.name == name);
            found.map_or(0, |interface| interface.index)
        })?;
        let (mut moved, mut sum) = (Moved::new(), None::<Relocated>);
        let hz = Dataplane::hz()?;
        let size = state.model.limits.flow_table_size;
        for other in &others {
            let attachments = &other.attachments;
            Self::check_all_recorded(state, attachments)?;
            // Those that an earlier upgrade has moved already are pinned in both.
            let mut all = self.dataplane.attachments()?;
            all.retain(|own| attachments.iter().all(|each| each.zone != own.zone));
            all.extend(attachments.iter().cloned());
            let image = compile_policy(&mut state.clone(), &all, None)?;
            self.dataplane.prepare(size)?;
            let pickup_until = self.dataplane.clock()?.now + PICKUP_WINDOW_SECONDS * hz;
            let (mut zones, mut passing) = (Vec::new(), Vec::new());
            for attachment in attachments {
                let (Some((name, record)), Some(interface)) =
                    (record_of(state, attachment.zone), &attachment.interface)
                else {
                    continue;
                };
                let desired = desired(state, name, record)?;
                let settings = desired.settings(interface.index, hz, pickup_until, 0);
                if !other.carries_flows() && record.isolated.is_none() {
                    let through = Passing::through(interface, record.side)?;
                    passing.push((attachment.zone, through));
                }
                moved.push((attachment.zone, other.build_of(attachment.zone)));
                zones.push(Relocation {
                    attachment,
                    side: record.side,
                    settings,
                });
            }
            if !other.carries_flows() {
                notes.push(format!(
                    "the flow table of {} has another form: connections that this host knows of go \
                     on, other flows are judged anew",
                    other.name()
                ));
            }
            let policy = (size, image.words(), image.rules());
            let flows = self
                .dataplane
                .relocate(other, &zones, policy, |dataplane| {
                    // No earlier: what is opened meanwhile only the old maps know.
                    for (zone, through) in &passing {
                        notes.extend(through.seed(dataplane, *zone)?.1);
                    }
                    Ok(())
                })?;
            let sum = sum.get_or_insert_default();
            sum.kept += flows.kept;
            sum.late += flows.late;
            sum.refused += flows.refused;
        }
        Ok((moved, sum))
    }
}
