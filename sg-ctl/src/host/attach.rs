//! Puts an interface under guard.

use std::time::{Duration, Instant};

use serde::Serialize;
use sg_common::settings::PICKUP_WINDOW_SECONDS;

use super::apply::milliseconds;
use super::desired::{check_groups, compile_policy, effective};
use super::existing::Passing;
use super::guard::Guard;
use super::ssh::WayIn;
use super::trial::{Policy, deadline, known_deadline, write_settings};
use super::zones::free_zone;
use super::{
    Deadline, Host, HostError, PolicySummary, Shares, flow_table_note, isolate, rule_counters_note,
    settings,
};
use crate::host::dataplane::{
    AttachPlan, Attachment, Dataplane, FlowTableInfo, HookKind, Interface, Seeded,
};
use crate::host::state::{AttachmentRecord, Overrides, State};
use sg_policy::model::{Model, Side};
use sg_policy::rulefile::Origins;

/// What [`Host::attach`] is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttachRequest {
    /// Name of the interface.
    pub interface: String,
    /// What the command line says about it.
    pub overrides: Overrides,
    /// Whether nobody asked for it by its name: it is forgotten some time after it is gone.
    pub by_pattern: bool,
    /// What rule files say now, and which file says it, to put in force at the same stroke; `None`
    /// keeps the rules in force.
    pub rules: Option<(Model, Origins)>,
    /// Time after which the interface only audits, and what was before is in force on every other
    /// one if there are new rules, unless the change is confirmed.
    pub confirm_within: Option<Duration>,
    /// How the user comes in.
    pub way_in: WayIn,
}

/// What [`Host::attach`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttachSummary {
    /// Name of the interface.
    pub interface: String,
    /// Its slot in the kernel's tables.
    pub zone: u32,
    /// Names of the groups that it carries.
    pub groups: Vec<String>,
    /// Whether packets are judged but none is dropped.
    pub audit: bool,
    /// When it only audits for want of confirmation.
    pub deadline: Option<Deadline>,
    /// The ingress hook.
    pub ingress: HookKind,
    /// Why this one, as the end of a sentence: "because …", "as asked for".
    pub reason: String,
    /// The egress hook.
    pub egress: HookKind,
    /// The policy in force.
    pub policy: PolicySummary,
    /// The flow table, shared with every other interface.
    pub flow_table: Option<FlowTableInfo>,
    /// The connections that there were before.
    pub existing: Seeded,
    /// What else the user should know.
    pub notes: Vec<String>,
    /// Time that it took.
    #[serde(rename = "duration_ms", serialize_with = "milliseconds")]
    pub duration: Duration,
}

impl Host {
    /// Attaches an interface: loads its programs, puts its policy in force, makes flows of the
    /// connections that there are, so that they go on, and then enforces the policy.
    ///
    /// # Errors
    /// When the interface cannot be guarded, is attached already, would carry an undefined group,
    /// or the kernel refuses. Nothing has changed then.
    pub fn attach(&mut self, request: AttachRequest) -> Result<AttachSummary, HostError> {
        let begin = Instant::now();
        let (lock, state) = self.begin()?;
        let state = self.make_room(&lock, state, &request.interface)?;
        let survey = self.survey()?;
        let mut attachments = survey.attachments.clone();
        Self::check_all_recorded(&state, &attachments)?;
        let AttachRequest {
            interface: name,
            overrides,
            by_pattern,
            rules,
            confirm_within,
            way_in,
        } = request;
        // Another zone than that of a record of this name: what a crash leaves is told by zones.
        let zone = free_zone(&state, &attachments)?;
        let document = match rules {
            Some((model, origins)) => state.document().with_files(model, origins)?,
            None => state.document(),
        };
        let rules_change = *document.model() != state.model;
        let (model, owners) = document.into_parts();
        let mut next = State {
            generation: state.generation + 1,
            model,
            owners,
            ..state.clone()
        };
        next.forget_rollback();
        let mut spec = effective(&next.model, &name, &overrides);
        if !overrides.name_no_group() {
            spec = check_groups(&next.model, &name, spec)?;
        }
        if overrides.addresses.is_some() && spec.side == Side::Nic {
            return Err(HostError::StatedAddresses { interface: name });
        }
        let interface = Interface::find(&name)?;
        // A record without programs is from before a reboot; one with programs belongs to an
        // interface of this name that is gone, unless the check below finds it.
        let known = next.attachments.remove(&name);
        // Nor does its return give it back what it was cut off from.
        let isolated = known.as_ref().and_then(|record| record.isolated);
        let keep_ssh = known.as_ref().and_then(|record| record.keep_ssh);
        // What waits for confirmation is not confirmed by attaching it again.
        let unconfirmed = known.as_ref().is_some_and(|record| record.unconfirmed);
        let before = known.as_ref().and_then(|record| record.before.clone());
        let is_undone =
            |record: &AttachmentRecord| record.rolled_back && record.overrides == overrides;
        let rolled_back = state.attachments.get(&name).is_some_and(is_undone);
        spec.audit &= isolated.is_none();
        if let Some(guard @ Guard::Replaced { .. }) = known
            .as_ref()
            .map(|record| survey.guard(&name, record.zone))
        {
            guard.check(&name)?;
        }
        // What is left of an earlier attachment: nothing, or half of it.
        let replaced = known
            .and_then(|record| survey.attachment(record.zone))
            .filter(|replaced| !replaced.is_complete());
        let hz = Dataplane::hz()?;
        let mut plan = AttachPlan {
            zone,
            replaces: replaced.map(|replaced| replaced.zone),
            side: spec.side,
            hook: spec.hook,
            tc: HookKind::tc(),
            flows: next.model.limits.flow_table_size,
            settings: settings::settings(&spec, interface.index, hz, 0),
            interface,
        };
        self.dataplane.check(&plan)?;
        if let Some(replaced) = replaced {
            attachments.retain(|attachment| attachment.zone != replaced.zone);
        }
        let record = AttachmentRecord {
            zone,
            side: spec.side,
            hook: spec.hook,
            overrides,
            by_pattern,
            unconfirmed,
            before,
            rolled_back,
            keep_ssh: keep_ssh.filter(|_| isolated.is_some()),
            isolated,
        };
        next.attachments.insert(name.clone(), record);
        next.detached.remove(&name);
        // New rules on trial are on trial everywhere, also where they are attached meanwhile.
        let everywhere = confirm_within.is_some() && rules_change;
        if confirm_within.is_some() || state.before.is_some() {
            next.put_on_trial(&state, |each| each == name || everywhere);
        }
        let is_on_trial = next.attachments[&name].unconfirmed;
        let coming = Attachment {
            zone,
            interface: Some(plan.interface.clone()),
            ..Attachment::default()
        };
        let shares = Shares::of(&self.dataplane, &next, attachments.iter().chain([&coming]))?;
        shares.give(&next, (zone, &spec), &mut plan.settings);
        let image = compile_policy(&mut next, &attachments, Some(&coming))?;
        let way = (attachments.as_slice(), Some(&coming));
        let (image, note) = way_in.check(&mut next, way, image)?;
        let mut notes: Vec<String> = note.into_iter().collect();
        notes.extend(isolated.map(|_| isolate::note(&name)));
        let policy = Policy::new(&next, &attachments, Some(&coming), image)?;
        let passing = Passing::through(&plan.interface, spec.side)?;
        let (ingress, reason, installed, seeded) =
            self.transact(&lock, &next, rules_change, |dataplane| {
                let (ingress, reason) = dataplane.attach(&plan)?;
                let rollback_at = match confirm_within {
                    Some(within) => Some(deadline(dataplane, within)?),
                    None if is_on_trial => Some(known_deadline(dataplane, &state)?),
                    None => None,
                };
                let deadline = rollback_at.filter(|_| confirm_within.is_some());
                let installed = policy.install(dataplane, &next, &attachments, deadline)?;
                // New rules may have changed the settings of the others.
                write_settings(dataplane, &next, &attachments)?;
                let mut seeded = Seeded::default();
                if isolated.is_none() {
                    let failures;
                    (seeded, failures) = passing.seed(dataplane, zone)?;
                    notes.extend(failures);
                }
                let now = dataplane.clock()?.now;
                let mut settings = plan.settings;
                settings.pickup_until = now + PICKUP_WINDOW_SECONDS * hz;
                settings.rollback_at = rollback_at.unwrap_or(0);
                let (ifindex, until) = (plan.interface.index, settings.pickup_until);
                if let Some(before) = policy.settings_before(&name, ifindex, hz, until)? {
                    dataplane.set_settings_before(zone, &before)?;
                }
                dataplane.enforce(zone, &settings)?;
                if let Some(replaced) = replaced {
                    dataplane.detach(replaced.zone)?;
                }
                Ok((ingress, reason, installed, seeded))
            })?;
        let flow_table = self.dataplane.flow_table()?;
        notes.extend(flow_table_note(flow_table, &next.model));
        notes.extend(rule_counters_note(&policy.image));
        notes.extend(shares.note());
        Ok(AttachSummary {
            interface: name,
            zone,
            groups: spec.groups,
            audit: spec.audit,
            deadline: match confirm_within {
                Some(within) => Some(Deadline::In(within)),
                None => rolled_back.then_some(Deadline::Passed),
            },
            ingress,
            reason,
            egress: plan.tc,
            policy: PolicySummary::new(&next.model, &policy.image, installed.bytes),
            flow_table,
            existing: seeded,
            notes,
            duration: begin.elapsed(),
        })
    }
}
