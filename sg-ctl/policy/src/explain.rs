//! Why a packet passes or drops: the steps of the decision, the deciding rule, or the rules that
//! come nearest.
//!
//! The verdict is not derived anew here: a frame is built and judged by the pipeline that the kernel
//! runs, with the compiled image. What is added is the words.

mod hints;
mod near;
mod probe;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;
use sg_common::flow::{Direction, FlowEntry, FlowKey, FlowState};
use sg_common::memory::Memory;
use sg_common::packet::Slice;
use sg_common::parse::{self, Parsed};
use sg_common::proto::{TCP, tcp_flags};
use sg_common::reason::{Reason, Verdict};
use sg_common::settings::InterfaceSettings;
use sg_common::subject::flow_key;
use sg_common::{icmp, tcp};

use crate::compile::{CompileError, RuleNumbers, ZonePolicy, compile};
use crate::model::{Model, SecurityGroup};

pub use near::{NearMiss, Part};
pub use probe::{InvalidProbe, Probe};

/// The interface at which a packet is judged.
#[derive(Debug)]
pub struct Place<'a> {
    /// The rules.
    pub model: &'a Model,
    /// Every interface of the host that is known, which makes its addresses members.
    pub zones: Vec<ZonePolicy>,
    /// The zone of the interface in question: one of `zones`.
    pub zone: u32,
    /// Its settings.
    pub settings: InterfaceSettings,
    /// Jiffies per second.
    pub hz: u64,
    /// Jiffies.
    pub now: u64,
    /// Whether it is cut off, whatever its groups say: it carries none of them then.
    pub isolated: bool,
}

impl<'a> Place<'a> {
    /// An interface with these groups on a host of which nothing else is known: no addresses, so that
    /// only `members` of the rules carry groups.
    pub fn alone(
        model: &'a Model,
        groups: Vec<String>,
        settings: InterfaceSettings,
        hz: u64,
    ) -> Self {
        Self {
            model,
            zones: vec![ZonePolicy {
                zone: 0,
                groups,
                addresses: Vec::new(),
            }],
            zone: 0,
            settings,
            hz,
            // Any time after the window of `tcp_pickup: attach`.
            now: 1 << 32,
            isolated: false,
        }
    }
}

/// The flow table, as it is now.
pub struct LiveFlows<'a> {
    /// Finds the live flow of a key.
    pub flow: &'a dyn Fn(&FlowKey) -> Option<FlowEntry>,
    /// Whether there is a place for the flow of a key.
    pub has_room: &'a dyn Fn(&FlowKey) -> bool,
}

/// One step of the decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Step {
    /// Its name, as ARCHITECTURE.md has it.
    pub step: &'static str,
    /// What it found.
    pub finding: String,
}

/// Why a packet passes or drops.
#[derive(Debug)]
pub struct Explanation<'m> {
    /// What the pipeline decides.
    pub reason: Reason,
    /// Number of the deciding rule; 0 = none.
    pub rule: u32,
    /// The steps, the last one being that which decided.
    pub steps: Vec<Step>,
    /// For a denied packet: the interface's rules, nearest first.
    pub nearest: Vec<NearMiss<'m>>,
    /// For a denied packet: groups that the interface does not carry and that would admit it.
    pub elsewhere: Vec<&'m SecurityGroup>,
    /// For a denied packet: what it may be a part of.
    pub hints: Vec<String>,
}

impl Explanation<'_> {
    /// Whether the packet passes.
    pub fn passes(&self) -> bool {
        self.reason.verdict() == Verdict::Pass
    }
}

/// Explains what becomes of a packet. `live` is the flow table, where there is one; `numbers` gives rules the numbers that [`Explanation::rule`] speaks of.
///
/// # Errors
/// When the rules cannot be compiled.
pub fn explain<'m>(
    place: &Place<'m>,
    probe: &Probe,
    numbers: &mut RuleNumbers,
    live: Option<&LiveFlows<'_>>,
) -> Result<Explanation<'m>, CompileError> {
    let frame = probe.frame();
    let mut parsed = Parsed::NOTHING;
    // The frame is one of ours; were it malformed, the pipeline would say so below.
    let _ = parse::frame(&Slice(&frame), &mut parsed);
    let mut steps = Vec::new();
    let mut found = |step, finding: String| steps.push(Step { step, finding });
    found("parse", kind(probe));

    let (reason, rule) = judge(place, probe, &frame, numbers)?;
    if reason.is_infrastructure() {
        found(
            "infrastructure",
            format!("{}: never filtered", reason.name()),
        );
        return Ok(explanation(reason, rule, steps));
    }
    found("infrastructure", "no".to_owned());

    let key = flow_key(place.zone, &parsed, probe.direction);
    match live {
        None => found("flow", "not looked at: no interface is asked".to_owned()),
        Some(live) => match (live.flow)(&key) {
            Some(flow) if !replaces(probe, &flow) => {
                let text = format!("belongs to a live flow ({})", FlowState(flow.state).name());
                found("flow", text);
                return Ok(explanation(Reason::Established, flow.rule, steps));
            }
            Some(_) => found("flow", "its flow is over: it opens another one".to_owned()),
            None => found("flow", "no live flow".to_owned()),
        },
    }
    let [icmp_type, icmp_code] = probe.message;
    if icmp::is_related(place.settings.related, probe.protocol, icmp_type, icmp_code) {
        let text = "an error that quotes a live flow passes; what it quotes is not known here";
        found("related", text.to_owned());
    }

    if place.isolated {
        let text = "the interface is isolated: its groups admit nothing, and no flow goes on";
        found("isolation", text.to_owned());
    }
    let mut result = explanation(reason, rule, Vec::new());
    found("rules", rules(place, probe, rule, numbers));
    let has_room = live.is_none_or(|live| reason != Reason::New || (live.has_room)(&key));
    if result.passes() && !has_room {
        let text = "tracked, but the flow table has no place for another flow (`sg-ctl status`)";
        found("track", text.to_owned());
        result.reason = Reason::FlowTableFull;
    } else if result.passes() {
        found("track", tracking(place, probe, reason));
    } else if !place.isolated {
        result.hints = hints::hints(place, probe, live);
        let carried = carried(place);
        let is_carried = |group: &SecurityGroup| carried.iter().any(|c| c.name == group.name);
        result.nearest = near::nearest(place.model, &place.zones, carried.iter().copied(), probe);
        let others = place
            .model
            .groups
            .values()
            .filter(|group| !is_carried(group));
        result.elsewhere = others
            .filter(|group| {
                let rules = group.rules(probe.direction).len();
                let groups = std::iter::once(*group);
                near::nearest(place.model, &place.zones, groups, probe).len() < rules
            })
            .collect();
    }
    result.steps = steps;
    Ok(result)
}

const fn explanation<'m>(reason: Reason, rule: u32, steps: Vec<Step>) -> Explanation<'m> {
    Explanation {
        reason,
        rule,
        steps,
        nearest: Vec::new(),
        elsewhere: Vec::new(),
        hints: Vec::new(),
    }
}

/// What the pipeline says of the frame, no flow being open.
fn judge(
    place: &Place<'_>,
    probe: &Probe,
    frame: &[u8],
    numbers: &mut RuleNumbers,
) -> Result<(Reason, u32), CompileError> {
    let image = compile(place.model, &place.zones, numbers, 1)?;
    let settings = InterfaceSettings {
        log_reasons: u64::MAX,
        ..place.settings
    };
    let mut memory = Memory::new(settings, place.hz, image.words().to_vec());
    memory.zone = place.zone;
    memory.now = place.now;
    memory.run(&Slice(frame), probe.direction);
    let events = memory.take_events();
    // Everything is logged, so there is one event.
    let outcome = events.first().map(|event| (event.reason, event.rule));
    let (code, rule) = outcome.unwrap_or((Reason::NoPolicy as u8, 0));
    Ok((Reason::from_code(code).unwrap_or(Reason::NoPolicy), rule))
}

/// Whether the packet opens a connection in place of one that is over.
fn replaces(probe: &Probe, flow: &FlowEntry) -> bool {
    probe.protocol == TCP && tcp::is_opening(probe.tcp_flags) && tcp::is_over(FlowState(flow.state))
}

/// The packet in words.
fn kind(probe: &Probe) -> String {
    let family = if probe.remote.is_ipv4() {
        "IPv4"
    } else {
        "IPv6"
    };
    let what = match probe.protocol {
        TCP if tcp::is_opening(probe.tcp_flags) => "TCP segment that opens a connection",
        TCP if probe.tcp_flags & tcp_flags::RST != 0 => "TCP segment that resets a connection",
        TCP => "TCP segment within a connection",
        sg_common::proto::UDP => "UDP datagram",
        sg_common::proto::ICMP | sg_common::proto::ICMPV6 => {
            match icmp::query(probe.protocol, probe.message[0]) {
                icmp::Query::Request(_) => "ICMP request",
                icmp::Query::Reply(_) => "ICMP reply",
                icmp::Query::None => "ICMP message",
            }
        }
        _ => "packet of a protocol without ports",
    };
    format!("{family}, {what}")
}

/// The groups that the interface carries.
fn carried<'m>(place: &Place<'m>) -> Vec<&'m SecurityGroup> {
    let zone = place.zones.iter().find(|zone| zone.zone == place.zone);
    zone.into_iter()
        .flat_map(|zone| &zone.groups)
        .filter_map(|name| place.model.group(name))
        .collect()
}

/// What the rules say.
fn rules(place: &Place<'_>, probe: &Probe, rule: u32, numbers: &RuleNumbers) -> String {
    let groups = carried(place);
    if let Some(record) = numbers.rule(rule) {
        let verb = if record.direction == probe.direction.name() {
            "admitted by"
        } else {
            "answers what is admitted by"
        };
        return format!(
            "{verb} {} rule {} of group {}: {} {} {}",
            record.direction,
            record.rule_id,
            record.group,
            record.service,
            if record.direction == "inbound" {
                "from"
            } else {
                "to"
            },
            record.peer
        );
    }
    let direction = probe.direction;
    let count: usize = groups
        .iter()
        .map(|group| group.rules(direction).len())
        .sum();
    let mut text = format!(
        "none of {count} {} rules admits it; groups:",
        direction.name()
    );
    if groups.is_empty() {
        text.push_str(" none");
    }
    for (i, group) in groups.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        // Writing to a string does not fail.
        let _ = write!(text, "{comma} {}", group.name);
    }
    text
}

/// Whether and why a flow is opened for an admitted packet.
fn tracking(place: &Place<'_>, probe: &Probe, reason: Reason) -> String {
    let answers = match probe.direction {
        Direction::Inbound => "outbound",
        Direction::Outbound => "inbound",
    };
    match reason {
        Reason::New => {
            if probe.protocol == TCP && !tcp::is_opening(probe.tcp_flags) {
                return "tracked: opens a flow in the middle of a connection (tcp_pickup)".into();
            }
            let mut text = format!("tracked: opens a flow, answers pass whatever {answers} rules");
            text.push_str(" say, and it survives the removal of the rule");
            text
        }
        Reason::Untracked => format!(
            "untracked: open to all addresses, and the {answers} rules admit every answer; \
             it ends when its rule is removed"
        ),
        Reason::UntrackedReply => "untracked: the connection that it answers is untracked".into(),
        Reason::MidStream if probe.tcp_flags & (tcp_flags::RST | tcp_flags::FIN) != 0 => {
            "untracked: a segment that ends a connection opens no flow".into()
        }
        Reason::MidStream => {
            let pickup = match place.settings.tcp_pickup {
                sg_common::settings::PICKUP_NEVER => "never",
                _ => "attach",
            };
            format!(
                "untracked: no SYN, and connections are not picked up now (tcp_pickup: {pickup})"
            )
        }
        Reason::Stateless => "untracked: a message of this type opens no flow".into(),
        _ => reason.name().to_owned(),
    }
}
