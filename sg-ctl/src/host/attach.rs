//! Puts an interface under guard.

use std::time::{Duration, Instant};

use sg_common::settings::PICKUP_WINDOW_SECONDS;

use super::desired::{check_groups, compile_policy, effective};
use super::detach::check_not_detached;
use super::existing::{Asked, Known, Passing, Surroundings};
use super::guard::{Guard, Survey};
use super::ssh::WayIn;
use super::trial::{Policy, deadline, known_deadline, write_settings};
use super::uppers::stripped_note;
use super::zones::free_zone;
use super::{
    Deadline, Host, HostError, PolicySummary, Shares, flow_table_note, isolate, rule_counters_note,
    settings,
};
use crate::host::dataplane::haste;
use crate::host::dataplane::{
    AttachPlan, Attachment, Dataplane, FlowTableInfo, HookKind, Interface, Seeded,
};
use crate::host::state::{AttachmentRecord, Overrides, State};
use sg_policy::model::{InterfaceSpec, Model, Side};
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub duration: Duration,
}

/// An interface that is to be attached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coming {
    /// Its name.
    pub interface: String,
    /// What the command line says about it.
    pub overrides: Overrides,
    /// Whether nobody asked for it by its name: it is forgotten some time after it is gone.
    pub by_pattern: bool,
}

/// What else changes when interfaces are attached.
#[derive(Clone, Debug, Default)]
struct Along {
    rules: Option<(Model, Origins)>,
    confirm_within: Option<Duration>,
    way_in: WayIn,
    /// Whether nobody asks for it now: what was detached by hand stays so.
    by_itself: bool,
}

/// An interface of which everything is known that attaching takes.
struct Ready {
    name: String,
    spec: InterfaceSpec,
    /// Whether a change of it was undone.
    rolled_back: bool,
    isolated: bool,
    /// What is left of an earlier attachment.
    replaces: Option<u32>,
    passing: Passing,
}

impl Host {
    /// Attaches an interface: gives it its gates, puts its policy in force, makes flows of the
    /// connections that there are, so that they go on, and then enforces the policy.
    ///
    /// # Errors
    /// When the interface cannot be guarded, is attached already, would carry an undefined group,
    /// or the kernel refuses. Nothing has changed then.
    pub fn attach(&mut self, request: AttachRequest) -> Result<AttachSummary, HostError> {
        let coming = Coming {
            interface: request.interface,
            overrides: request.overrides,
            by_pattern: request.by_pattern,
        };
        let along = Along {
            rules: request.rules,
            confirm_within: request.confirm_within,
            way_in: request.way_in,
            by_itself: false,
        };
        let mut summaries = self.attach_together(vec![coming], &along)?;
        Ok(summaries.remove(0))
    }

    /// Attaches interfaces that nobody asks for now, as many as can be at one stroke: what one of them
    /// cannot have keeps no other from it. Returns what became of each, in their order.
    pub fn attach_all(&mut self, coming: Vec<Coming>) -> Vec<Result<AttachSummary, HostError>> {
        let along = Along {
            by_itself: true,
            ..Along::default()
        };
        match self.attach_together(coming.clone(), &along) {
            Ok(summaries) => summaries.into_iter().map(Ok).collect(),
            Err(error) if coming.len() < 2 => vec![Err(error)],
            Err(_) => coming
                .into_iter()
                .map(|one| {
                    let mut summaries = self.attach_together(vec![one], &along)?;
                    Ok(summaries.remove(0))
                })
                .collect(),
        }
    }

    /// Attaches interfaces, all or none.
    fn attach_together(
        &mut self,
        coming: Vec<Coming>,
        along: &Along,
    ) -> Result<Vec<AttachSummary>, HostError> {
        let begin = Instant::now();
        let (lock, state) = self.begin()?;
        let asked = Asked::now();
        state.check_no_vpc_trial(along.confirm_within.is_some())?;
        let (state, survey) = self.make_room(&lock, state, &coming)?;
        Self::check_all_recorded(&state, &survey.attachments)?;
        let document = match along.rules.clone() {
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
        if rules_change {
            next.forget_rollback();
        }
        let surroundings = Surroundings::among(survey.present.clone(), asked)?;
        let (mut all, mut plans) = (Vec::new(), Vec::new());
        for one in coming {
            if along.by_itself {
                check_not_detached(&next, &one.interface, &survey.present)?;
            }
            let (ready, plan) = self.ready(&mut next, &survey, &surroundings, one)?;
            all.push(ready);
            plans.push(plan);
        }
        let replaced: Vec<_> = all.iter().filter_map(|each| each.replaces).collect();
        let mut attachments = survey.attachments;
        attachments.retain(|attachment| !replaced.contains(&attachment.zone));
        // New rules on trial are on trial everywhere, also where they are attached meanwhile.
        let everywhere = along.confirm_within.is_some() && rules_change;
        let is_coming = |name: &str| all.iter().any(|each| each.name == name);
        if along.confirm_within.is_some() {
            next.put_on_trial(&state, |name| everywhere || is_coming(name));
        } else if state.before.is_some() {
            next.join_trial(is_coming);
        }
        let to_come: Vec<_> = plans.iter().map(attachment_of).collect();
        let zones = attachments.iter().chain(&to_come).map(|each| each.zone);
        let shares = Shares::of(&self.dataplane, &next, zones)?;
        for (ready, plan) in all.iter().zip(&mut plans) {
            shares.give(&next, (plan.zone, &ready.spec), &mut plan.settings);
        }
        let image = compile_policy(&mut next, &attachments, &to_come)?;
        let way = (attachments.as_slice(), to_come.first());
        let (image, note) = along.way_in.check(&mut next, way, image)?;
        let mut notes: Vec<String> = note.into_iter().collect();
        let policy = Policy::new(&next, &attachments, &to_come, image)?;
        let (hooks, installed, existing) =
            self.transact(&lock, &next, rules_change, |dataplane| {
                dataplane.prepare(next.model.limits.flow_table_size)?;
                let _haste = haste::hurry();
                let hooks = dataplane.attach_all(&plans)?;
                let is_on_trial = |each: &Ready| next.attachments[&each.name].unconfirmed;
                let rollback_at = match along.confirm_within {
                    Some(within) => Some(deadline(dataplane, within)?),
                    None if all.iter().any(is_on_trial) => Some(known_deadline(dataplane, &state)?),
                    None => None,
                };
                let deadline = rollback_at.filter(|_| along.confirm_within.is_some());
                let installed = policy.install(dataplane, &next, &attachments, deadline)?;
                // New rules, and new shares, may have changed the settings of the others.
                write_settings(dataplane, &next, &attachments)?;
                let known = Known::read();
                let mut existing = Vec::new();
                for (ready, plan) in all.iter().zip(&plans) {
                    let rollback_at = rollback_at.filter(|_| is_on_trial(ready));
                    existing.push(enforce(
                        dataplane,
                        &policy,
                        (ready, plan),
                        &known,
                        rollback_at,
                    )?);
                }
                Ok((hooks, installed, existing))
            })?;
        let flow_table = self.dataplane.flow_table()?;
        notes.extend(flow_table_note(flow_table, &next.model));
        notes.extend(rule_counters_note(&policy.image));
        notes.extend(shares.note());
        let policy = PolicySummary::new(&next.model, &policy.image, installed.bytes);
        let summaries = all.into_iter().zip(plans).zip(hooks).zip(existing);
        Ok(summaries
            .map(
                |(((ready, plan), (ingress, reason)), (existing, failures))| {
                    let mut own = std::mem::take(&mut notes);
                    own.extend(ready.isolated.then(|| isolate::note(&ready.name)));
                    own.extend(stripped_note(&plan, ingress));
                    own.extend(failures);
                    AttachSummary {
                        interface: ready.name,
                        zone: plan.zone,
                        groups: ready.spec.groups,
                        audit: ready.spec.audit,
                        deadline: match along.confirm_within {
                            Some(within) => Some(Deadline::In(within)),
                            None => ready.rolled_back.then_some(Deadline::Passed),
                        },
                        ingress,
                        reason,
                        egress: plan.tc,
                        policy: policy.clone(),
                        flow_table,
                        existing,
                        notes: own,
                        duration: begin.elapsed(),
                    }
                },
            )
            .collect())
    }

    /// Finds out about an interface what attaching it takes, and notes it in the next state.
    fn ready(
        &self,
        next: &mut State,
        survey: &Survey,
        surroundings: &Surroundings,
        coming: Coming,
    ) -> Result<(Ready, AttachPlan), HostError> {
        let Coming {
            interface: name,
            overrides,
            by_pattern,
        } = coming;
        // Another zone than that of a record of this name: what a crash leaves is told by zones.
        let zone = free_zone(next, &survey.attachments)?;
        let mut spec = effective(&next.model, &name, &overrides);
        if !overrides.name_no_group() {
            spec = check_groups(&next.model, &name, spec)?;
        }
        if overrides.addresses.is_some() && spec.side == Side::Nic {
            return Err(HostError::StatedAddresses { interface: name });
        }
        let interface = Interface::named(&name, &survey.present)?;
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
        let rolled_back = known.as_ref().is_some_and(is_undone);
        spec.audit &= isolated.is_none();
        if let Some(guard @ Guard::Replaced { .. }) = known
            .as_ref()
            .map(|record| survey.guard(&name, record.zone))
        {
            guard.check(&name)?;
        }
        // What is left of an earlier attachment: nothing, or half of it.
        let replaces = known
            .and_then(|record| survey.attachment(record.zone))
            .filter(|replaced| !replaced.is_complete())
            .map(|replaced| replaced.zone);
        let hz = Dataplane::hz()?;
        let plan = AttachPlan {
            zone,
            replaces,
            side: spec.side,
            hook: spec.hook,
            tc: HookKind::tc(),
            stripped: interface.stripped_vlan(&survey.present),
            flows: next.model.limits.flow_table_size,
            settings: settings::settings(&spec, interface.index, hz, 0),
            interface,
        };
        self.dataplane.check(&plan, &survey.attachments)?;
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
        next.detached
            .retain(|_, detached| detached.index() != plan.interface.index);
        let ready = Ready {
            name,
            rolled_back,
            isolated: isolated.is_some(),
            replaces,
            passing: Passing::among(surroundings, &plan.interface, spec.side),
            spec,
        };
        Ok((ready, plan))
    }
}

/// What is attached once a plan is carried out.
fn attachment_of(plan: &AttachPlan) -> Attachment {
    Attachment {
        zone: plan.zone,
        interface: Some(plan.interface.clone()),
        ..Attachment::default()
    }
}

/// Makes flows of the connections that an attached interface has, and has verdicts carried out.
fn enforce(
    dataplane: &mut Dataplane,
    policy: &Policy,
    (ready, plan): (&Ready, &AttachPlan),
    known: &Known,
    rollback_at: Option<u64>,
) -> Result<(Seeded, Vec<String>), HostError> {
    let mut seeded = <(Seeded, Vec<String>)>::default();
    if !ready.isolated {
        seeded = ready.passing.seed_known(dataplane, plan.zone, known)?;
    }
    let hz = Dataplane::hz()?;
    let mut settings = plan.settings;
    settings.pickup_until = dataplane.clock()?.now + PICKUP_WINDOW_SECONDS * hz;
    settings.rollback_at = rollback_at.unwrap_or(0);
    let (ifindex, until) = (plan.interface.index, settings.pickup_until);
    if let Some(before) = policy.settings_before(&ready.name, ifindex, hz, until)? {
        dataplane.set_settings_before(plan.zone, &before)?;
    }
    dataplane.enforce(plan.zone, &settings)?;
    if let Some(replaced) = ready.replaces {
        dataplane.detach(replaced)?;
    }
    Ok(seeded)
}
