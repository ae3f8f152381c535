//! Puts new rules in force.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;

use super::changes::Changes;
use super::desired::{check_groups, compile_policy, effective};
use super::guard::Survey;
use super::ssh::{SshConnection, WayIn};
use super::status::not_attached;
use super::trial::Policy;
use super::{Host, HostError, Shares, flow_table_note, isolate, rule_counters_note};
use crate::host::dataplane::ImageInfo;
use crate::host::state::{Overrides, State, StateLock};
use crate::vpc::Document;
use sg_policy::compile::Image;
use sg_policy::model::{InterfaceSpec, Model};
use sg_policy::rulefile::Origins;

/// The policy that an operation compiled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
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

/// What [`Host::apply`] is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApplyRequest {
    /// What rule files say now; what the API owns stays.
    pub model: Model,
    /// Which file defines what.
    pub origins: Origins,
    /// Time after which the rules before are in force again, unless the change is confirmed.
    pub confirm_within: Option<Duration>,
    /// How the user comes in.
    pub way_in: WayIn,
}

/// What [`Host::apply`] did, or what it would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplySummary {
    /// The policy in force.
    pub policy: PolicySummary,
    /// Whether anything is different from before: the rules, or what the kernel makes of them.
    pub changed: bool,
    /// What the new rules changed.
    pub changes: Changes,
    /// The interfaces that it is in force on.
    pub attached: Vec<String>,
    /// Interfaces that are not attached and that the rules name, or, of those there are, mean by a
    /// pattern.
    pub not_attached: Vec<String>,
    /// What else the user should know.
    pub notes: Vec<String>,
    /// Time from the checked rules to the policy in force.
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
    pub fn apply(&mut self, request: ApplyRequest) -> Result<ApplySummary, HostError> {
        let begin = Instant::now();
        let (lock, state) = self.begin()?;
        let ApplyRequest {
            model,
            origins,
            confirm_within,
            way_in,
        } = request;
        let document = state.document().with_files(model, origins)?;
        let state = without_keeping(state);
        let planned = self.plan_rules(&state, document, way_in, confirm_within.is_some())?;
        self.put_in_force(&lock, &planned, confirm_within)?;
        Ok(planned.summary(begin))
    }

    /// Tells what [`apply`](Self::apply) would do; changes nothing and waits for nobody.
    ///
    /// # Errors
    /// Those of `apply` before it changes anything.
    pub fn plan(&self, request: ApplyRequest) -> Result<ApplySummary, HostError> {
        let begin = Instant::now();
        let ApplyRequest {
            model,
            origins,
            way_in,
            ..
        } = request;
        let state = self.state()?;
        let document = state.document().with_files(model, origins)?;
        let mut planned = self.plan_rules(&without_keeping(state), document, way_in, false)?;
        if self.directory.is_pending() {
            planned.notes.push(
                "another change is under way or was interrupted; it is finished or taken back first"
                    .to_owned(),
            );
        }
        Ok(planned.summary(begin))
    }

    /// Returns to the rules before the last change of rules; a second time, back again. What is
    /// attached stays attached. A change of rules on trial is undone so, too.
    ///
    /// # Errors
    /// [`HostError::NoPrevious`] when the rules have never changed; those of [`apply`](Self::apply).
    pub fn rollback(
        &mut self,
        confirm_within: Option<Duration>,
        ssh: Option<SshConnection>,
    ) -> Result<ApplySummary, HostError> {
        let begin = Instant::now();
        let (lock, state) = self.begin()?;
        let planned = self.plan_rollback(state, confirm_within.is_some(), ssh)?;
        self.put_in_force(&lock, &planned, confirm_within)?;
        Ok(planned.summary(begin))
    }

    /// Tells what [`rollback`](Self::rollback) would do; changes nothing and waits for nobody.
    ///
    /// # Errors
    /// Those of `rollback` before it changes anything.
    pub fn would_roll_back(&self, ssh: Option<SshConnection>) -> Result<ApplySummary, HostError> {
        let begin = Instant::now();
        let planned = self.plan_rollback(self.state()?, false, ssh)?;
        Ok(planned.summary(begin))
    }

    fn plan_rollback(
        &self,
        mut state: State,
        on_trial: bool,
        ssh: Option<SshConnection>,
    ) -> Result<Planned, HostError> {
        let previous = self.directory.previous()?.ok_or(HostError::NoPrevious)?;
        for (name, record) in &mut state.attachments {
            let before = previous.attachments.get(name);
            if let Some(before) = before.filter(|before| before.zone == record.zone)
                && record.isolated.is_none()
            {
                record.keep_ssh = before.keep_ssh;
            }
        }
        let mut document = previous.into_document();
        if state.before.is_some() {
            let settled = state.settled();
            state.attachments = settled.attachments.clone();
            state.before = None;
            document = settled.into_document();
        }
        let way_in = WayIn { ssh, keep: false };
        self.plan_rules(&state, document, way_in, on_trial)
    }

    /// Checks and compiles new rules. Changes nothing.
    pub(super) fn plan_rules(
        &self,
        state: &State,
        document: Document,
        way_in: WayIn,
        on_trial: bool,
    ) -> Result<Planned, HostError> {
        let survey = self.survey()?;
        let attachments = survey.attachments.as_slice();
        Self::check_all_recorded(state, attachments)?;
        let (model, owners) = document.into_parts();
        let changes = Changes::between(&state.model, &model);
        let mut next = State {
            generation: state.generation + 1,
            model,
            owners,
            ..state.clone()
        };
        next.forget_rollback();
        if on_trial {
            next.put_on_trial(state, |_| true);
        }
        let mut notes = check_interfaces(&state.model, &next)?;
        if next.before.is_some() && !on_trial {
            notes.push(
                "an earlier change waits to be confirmed: unless `sg-ctl confirm` is run in time, \
                 this one is undone with it"
                    .to_owned(),
            );
        }
        let image = compile_policy(&mut next, attachments, None)?;
        let (image, note) = way_in.check(&mut next, (attachments, None), image)?;
        notes.extend(note);
        notes.extend(flow_table_note(self.dataplane.flow_table()?, &next.model));
        notes.extend(rule_counters_note(&image));
        let zones = attachments.iter().map(|each| each.zone);
        notes.extend(Shares::of(&self.dataplane, &next, zones)?.note());
        let info = ImageInfo::of_words(image.words())?;
        let mut is_new = !changes.is_empty();
        let mut kernel_bytes = 0;
        // Without programs there are no maps to put an image into.
        if !attachments.is_empty() {
            kernel_bytes = info.bytes;
            let current = self.dataplane.image()?;
            let is_same = current.is_some_and(|current| current.checksum == info.checksum);
            if !is_new && !is_same {
                notes.push(
                    "the rules are the same, but not what they come to: addresses of this host \
                     have changed, or the kernel had another policy"
                        .to_owned(),
                );
            }
            is_new |= !is_same;
        }
        Ok(Planned {
            policy: Policy::new(&next, attachments, None, image)?,
            not_attached: not_attached(&next, &survey.present),
            next,
            survey,
            kernel_bytes,
            is_new,
            changes,
            notes,
        })
    }

    pub(super) fn put_in_force(
        &mut self,
        lock: &StateLock,
        planned: &Planned,
        confirm_within: Option<Duration>,
    ) -> Result<(), HostError> {
        let Planned {
            next,
            survey: Survey { attachments, .. },
            policy,
            changes,
            ..
        } = planned;
        self.transact(lock, next, !changes.is_empty(), |dataplane| {
            policy.put_in_force(dataplane, next, attachments, confirm_within)
        })
    }
}

/// A state in which nobody's way in is kept open: what the rules say counts again.
fn without_keeping(mut state: State) -> State {
    for record in state.attachments.values_mut() {
        match &mut record.isolated {
            None => record.keep_ssh = None,
            // What keeps a way in through an isolation ends with it.
            Some(isolation) => isolation.keep_ssh = None,
        }
    }
    state
}

/// New rules, checked and compiled.
pub(super) struct Planned {
    pub(super) next: State,
    pub(super) survey: Survey,
    pub(super) policy: Policy,
    kernel_bytes: usize,
    is_new: bool,
    changes: Changes,
    not_attached: Vec<String>,
    notes: Vec<String>,
}

impl Planned {
    /// Whether it is another than what is in force.
    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    /// The policy that it is.
    pub(super) fn policy(&self) -> PolicySummary {
        PolicySummary::new(&self.next.model, &self.policy.image, self.kernel_bytes)
    }

    fn summary(self, begin: Instant) -> ApplySummary {
        let Self { next, .. } = self;
        let mut notes = self.notes;
        let mut attached = Vec::new();
        for (name, guard) in self.survey.guards(&next) {
            notes.extend(guard.note(name));
            if guard.holds() {
                attached.push(name.clone());
            }
        }
        ApplySummary {
            policy: PolicySummary::new(&next.model, &self.policy.image, self.kernel_bytes),
            changed: self.is_new,
            changes: self.changes,
            attached,
            not_attached: self.not_attached,
            notes,
            duration: begin.elapsed(),
        }
    }
}

/// The keys of an interface that rules change and a command line keeps from counting. Groups go by name or
/// by id on both sides.
fn hidden(old: &Model, new: &Model, name: &str, overrides: &Overrides) -> Vec<&'static str> {
    let named = |groups: &[String]| -> Vec<String> {
        let name = |group: &String| match new.group(group) {
            Some(found) => found.name.clone(),
            None => group.clone(),
        };
        groups.iter().map(name).collect()
    };
    let spec = |model: &Model| {
        let spec = model.interface(name).cloned().unwrap_or_default();
        InterfaceSpec {
            groups: named(&spec.groups),
            ..spec
        }
    };
    let said = Overrides {
        groups: overrides.groups.as_deref().map(named),
        ..overrides.clone()
    };
    said.hidden(&spec(old), &spec(new))
}

/// Checks what the new rules say about recorded interfaces; returns what cannot be done now.
fn check_interfaces(before: &Model, next: &State) -> Result<Vec<String>, HostError> {
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
        if !record.overrides.name_no_group() {
            check_groups(&next.model, name, spec)?;
        }
        if record.isolated.is_some() {
            notes.push(isolate::note(name));
        }
        // A way out of an isolation must not be named here.
        let hidden = hidden(before, &next.model, name, &record.overrides);
        if !hidden.is_empty() && record.isolated.is_none() {
            notes.push(format!(
                "{name}: {} stay as the command line said, not as these rules say: `sg-ctl detach {name}`, \
                 then `sg-ctl attach {name}`, has the rules decide; its packets pass meanwhile",
                hidden.join(", ")
            ));
        }
    }
    Ok(notes)
}
