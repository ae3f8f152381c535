//! What is in force, interface by interface.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use sg_common::counters::{Tally, ZoneCounters};
use sg_common::reason::{Reason, Verdict};
use sg_common::settings::MODE_AUDIT;

use super::desired::effective;
use super::guard::{Guard, Survey};
use super::suppressed::Suppressed;
use super::{Host, HostError, Occupancy, record_of};
use crate::host::dataplane::{
    Attachment, BUILD, Dataplane, FlowTableInfo, HookKind, ImageInfo, Interface, RuleCounterInfo,
};
use crate::host::state::State;
use sg_policy::model::{Direction, LogMode, Side, is_pattern};

/// How often the status is read again when changes come to their end while it is read. Parts of
/// different states would contradict each other.
const ATTEMPTS: usize = 5;

/// Whether verdicts are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// They are.
    Enforce,
    /// Packets are judged, counted and logged, and all pass.
    Audit,
}

/// When a change on trial is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// After this time.
    In(Duration),
    /// It was not confirmed in time: what was before is in force.
    Passed,
}

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes from the Ethernet header on.
    pub bytes: u64,
}

impl Traffic {
    fn add(&mut self, tally: Tally) {
        self.packets += tally.packets;
        self.bytes += tally.bytes;
    }
}

/// What happened for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReasonCount {
    /// `inbound` or `outbound`.
    pub direction: &'static str,
    /// Name of the reason.
    pub reason: &'static str,
    /// Whether it lets packets pass.
    pub passes: bool,
    /// How much.
    pub traffic: Traffic,
}

/// What an attached interface is called now, when that is another name than the one it was attached
/// by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// Its name.
    pub to: String,
    /// Whether another interface, which is not guarded, has its former name.
    pub is_replaced: bool,
}

/// One interface under guard, or supposed to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceStatus {
    /// Name.
    pub name: String,
    /// What it is called now, when that is not `name`.
    pub renamed: Option<Renamed>,
    /// Interface index, `None` when there is no such interface.
    pub ifindex: Option<u32>,
    /// Whether its packets meet our programs.
    pub guard: Guard,
    /// Its slot in the kernel's tables.
    pub zone: u32,
    /// Whether the state knows it; if not, its groups are lost.
    pub recorded: bool,
    /// The ingress hook, `None` when nothing is attached there.
    pub ingress: Option<HookKind>,
    /// The egress hook, `None` when nothing is attached there.
    pub egress: Option<HookKind>,
    /// Whose programs they are, `None` when that is not known or there are none.
    pub build: Option<String>,
    /// Which side is protected.
    pub side: Side,
    /// Whether verdicts are carried out.
    pub mode: Mode,
    /// When it only audits for want of confirmation.
    pub deadline: Option<Deadline>,
    /// Whether it is cut off, whatever its groups say.
    pub isolated: bool,
    /// Which verdicts are logged.
    pub log: LogMode,
    /// Names of its groups.
    pub groups: Vec<String>,
    /// What passed, inbound and outbound.
    pub passed: [Traffic; 2],
    /// What was dropped, or would have been without audit mode, inbound and outbound.
    pub dropped: [Traffic; 2],
    /// What passed only for audit mode, inbound and outbound.
    pub audited: [Traffic; 2],
    /// Every reason that there was.
    pub reasons: Vec<ReasonCount>,
    /// Flows that the flow table keeps room for, whatever other interfaces hold.
    pub flow_share: u64,
    /// Flows of one remote address beyond which they make room for others; 0: no limit.
    pub flows_per_remote: u64,
    /// Events that found the log full.
    pub events_lost: u64,
    /// Events that were not logged because there were more than the interface may log, by reason.
    pub events_suppressed: Vec<Suppressed>,
}

impl InterfaceStatus {
    /// What was dropped, inbound and outbound, and not only judged so in audit mode.
    pub fn really_dropped(&self) -> [Traffic; 2] {
        // The programs count audited packets by the reason that they would have dropped for.
        [0, 1].map(|side| Traffic {
            packets: self.dropped[side]
                .packets
                .saturating_sub(self.audited[side].packets),
            bytes: self.dropped[side]
                .bytes
                .saturating_sub(self.audited[side].bytes),
        })
    }

    /// Whether its packets meet our programs at both hooks.
    pub const fn is_guarded(&self) -> bool {
        self.guard.holds()
    }
}

/// What is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Generation of the state.
    pub generation: u64,
    /// What the programs of this sg-ctl are called.
    pub build: String,
    /// The policy image in the kernel.
    pub image: Option<ImageInfo>,
    /// The flow table, which all interfaces share; `None` while nothing is attached.
    pub flow_table: Option<FlowTableInfo>,
    /// How full it is, and with what.
    pub occupancy: Option<Occupancy>,
    /// How many rules are counted; `None` while nothing is attached.
    pub rule_counters: Option<RuleCounterInfo>,
    /// The flow table that the rules ask for.
    pub flow_table_wanted: FlowTableInfo,
    /// Jiffies per second.
    pub hz: u64,
    /// Whether an operation is under way, or was interrupted and waits for the next one.
    pub pending: bool,
    /// Whether it is under way: its process lives.
    pub under_way: bool,
    /// The interfaces, by name.
    pub interfaces: Vec<InterfaceStatus>,
    /// Layouts of maps, other than this sg-ctl's, that have interfaces attached.
    pub other_layouts: Vec<String>,
    /// Interfaces that are not attached and that the rules name, or, of those there are, mean by a
    /// pattern.
    pub not_attached: Vec<String>,
}

impl Host {
    /// What is in force, but for the flows.
    pub(super) fn settled_status(&self) -> Result<Status, HostError> {
        let mut status = self.status_once()?;
        for _ in 0..ATTEMPTS {
            if self.state()?.generation == status.generation {
                return Ok(status);
            }
            status = self.status_once()?;
        }
        (status.pending, status.under_way) = (true, true);
        Ok(status)
    }

    /// What is in force; when a change ends meanwhile, parts may be of the state before it.
    fn status_once(&self) -> Result<Status, HostError> {
        let state = self.state()?;
        let survey = self.survey()?;
        let Survey {
            attachments,
            present,
            ..
        } = &survey;
        let mut interfaces = Vec::new();
        for attachment in attachments {
            let mut status = self.attached(&state, &survey, attachment)?;
            status.renamed = renamed(&status.name, attachment, present);
            interfaces.push(status);
        }
        // Recorded, but not in the kernel: after a reboot, or detached by other means.
        for (name, record) in &state.attachments {
            if attachments.iter().all(|each| each.zone != record.zone) {
                let missing = Attachment {
                    zone: record.zone,
                    ..Attachment::default()
                };
                let guard = survey.guard(name, record.zone);
                interfaces.push(describe(&state, &missing, name, guard));
            }
        }
        // An interface that came back under its name is there, but unguarded.
        for status in interfaces
            .iter_mut()
            .filter(|status| status.ifindex.is_none())
        {
            let same_name = present.iter().find(|each| each.name == status.name);
            status.ifindex = same_name.map(|interface| interface.index);
        }
        interfaces.sort_by(|a, b| a.name.cmp(&b.name));
        let mut status = Status {
            generation: state.generation,
            build: BUILD.to_owned(),
            image: self.dataplane.image()?,
            flow_table: self.dataplane.flow_table()?,
            occupancy: None,
            rule_counters: self.dataplane.rule_counters()?,
            flow_table_wanted: FlowTableInfo::made_for(state.model.limits.flow_table_size),
            hz: Dataplane::hz()?,
            pending: false,
            under_way: false,
            interfaces,
            other_layouts: self.dataplane.others_in_use()?,
            not_attached: not_attached(&state, present),
        };
        // Last: an operation that has changed the kernel so far is pending until the state has it, too.
        status.pending = self.directory.is_pending();
        status.under_way = status.pending && !self.directory.is_interrupted();
        Ok(status)
    }

    fn attached(
        &self,
        state: &State,
        survey: &Survey,
        attachment: &Attachment,
    ) -> Result<InterfaceStatus, HostError> {
        let recorded = record_of(state, attachment.zone).map(|(name, _)| name);
        let present = attachment.interface.as_ref();
        let name = recorded.or(present.map(|interface| interface.name.as_str()));
        let name = name.unwrap_or("unknown");
        let guard = survey.guard(name, attachment.zone);
        let mut status = describe(state, attachment, name, guard);
        status.build = self.dataplane.build_of(attachment.zone);
        if survey.has_lost_maps {
            return Ok(status);
        }
        let settings = self.dataplane.settings_in_force(attachment.zone)?;
        if settings.mode == MODE_AUDIT {
            status.mode = Mode::Audit;
        }
        let record = record_of(state, attachment.zone).map(|(_, record)| record);
        status.deadline = match record {
            Some(record) if record.rolled_back => Some(Deadline::Passed),
            Some(record) if record.unconfirmed => {
                let clock = self.dataplane.clock()?;
                Some(Deadline::In(clock.until(settings.rollback_at)))
            }
            _ => None,
        };
        let held_to = self.dataplane.settings(attachment.zone)?;
        status.flow_share = held_to.flow_share;
        status.flows_per_remote = held_to.flows_per_remote;
        count(&mut status, &self.dataplane.counters(attachment.zone)?);
        Ok(status)
    }
}

/// The new name of an attached interface that was attached as `name`.
fn renamed(name: &str, attachment: &Attachment, present: &[Interface]) -> Option<Renamed> {
    let now = &attachment.interface.as_ref()?.name;
    (now != name).then(|| Renamed {
        to: now.clone(),
        is_replaced: present.iter().any(|interface| interface.name == name),
    })
}

/// Interfaces that are to be guarded and are not: those that the rules name, whether they are there
/// or not, and those of `present` that a pattern matches.
pub(super) fn not_attached(state: &State, present: &[Interface]) -> Vec<String> {
    let model = &state.model;
    let named = model.interfaces.keys().filter(|name| !is_pattern(name));
    let there = present
        .iter()
        .filter(|interface| model.wants(&interface.name, interface.loopback))
        .map(|interface| &interface.name);
    let wanted: BTreeSet<_> = named.chain(there).collect();
    wanted
        .into_iter()
        .filter(|name| !state.attachments.contains_key(*name))
        .cloned()
        .collect()
}

/// What is known without asking the programs.
pub(super) fn describe(
    state: &State,
    attachment: &Attachment,
    name: &str,
    guard: Guard,
) -> InterfaceStatus {
    let record = record_of(state, attachment.zone).map(|(_, record)| record);
    let overrides = record
        .map(|record| record.overrides.clone())
        .unwrap_or_default();
    let spec = effective(&state.model, name, &overrides);
    InterfaceStatus {
        name: name.to_owned(),
        renamed: None,
        ifindex: attachment
            .interface
            .as_ref()
            .map(|interface| interface.index),
        guard,
        zone: attachment.zone,
        recorded: record.is_some(),
        ingress: attachment.ingress.map(|hook| hook.kind),
        egress: attachment.egress.map(|hook| hook.kind),
        build: None,
        side: record.map_or(spec.side, |record| record.side),
        mode: Mode::Enforce,
        deadline: None,
        isolated: record.is_some_and(|record| record.isolated.is_some()),
        log: spec.log,
        groups: if record.is_some() {
            spec.groups
        } else {
            Vec::new()
        },
        passed: <[Traffic; 2]>::default(),
        dropped: <[Traffic; 2]>::default(),
        audited: <[Traffic; 2]>::default(),
        reasons: Vec::new(),
        flow_share: 0,
        flows_per_remote: 0,
        events_lost: 0,
        events_suppressed: Vec::new(),
    }
}

/// Adds up the counters by verdict.
fn count(status: &mut InterfaceStatus, counters: &ZoneCounters) {
    for direction in Direction::ALL {
        let side = direction as usize;
        status.audited[side].add(counters.audited[side]);
        for reason in Reason::ALL {
            let tally = counters.reasons[side][*reason as usize];
            if tally == Tally::default() {
                continue;
            }
            let passes = reason.verdict() == Verdict::Pass;
            let total = if passes {
                &mut status.passed
            } else {
                &mut status.dropped
            };
            total[side].add(tally);
            let mut traffic = Traffic::default();
            traffic.add(tally);
            status.reasons.push(ReasonCount {
                direction: direction.name(),
                reason: reason.name(),
                passes,
                traffic,
            });
        }
    }
    status.events_lost = counters.events_lost;
    status.events_suppressed = Suppressed::all(counters);
}
