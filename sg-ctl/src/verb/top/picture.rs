//! What `top` shows: one picture of the host, as text, JSON, or on the screen.

mod draw;
mod screen;
mod sheets;

use std::cmp::Ordering;
use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use sg_ctl::host::{
    InterfaceRates, InterfaceStatus, LiveFlow, Occupancy, Rate, Rates, Snapshot, Traffic,
};
use sg_policy::model::LogMode;

pub(crate) use draw::draw;
pub(crate) use screen::{Pressed, Screen};

use crate::verb::output::counted;
use crate::verb::output::event::EventView;
use crate::verb::output::flow::FlowView;
use crate::verb::output::problem::{Problem, problems};
use crate::verb::output::state::State;
use crate::verb::output::time::milliseconds;

/// What is wanted of a picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// Only this interface.
    pub(crate) interface: Option<&'a str>,
    /// At most so many flows.
    pub(crate) flows: usize,
    /// Which flows come first.
    pub(crate) order: FlowsBy,
}

/// Which flows come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FlowsBy {
    /// Those with the most bits per second.
    #[default]
    Bits,
    /// Those with the most packets per second.
    Packets,
}

/// One picture.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Picture<'a> {
    time: String,
    /// Time that rates are of; null in the first picture, which has none.
    interval_ms: Option<u64>,
    policy: Option<u64>,
    flow_table: Option<&'a Occupancy>,
    events_lost: u64,
    events_suppressed: u64,
    problems: Vec<Problem<'a>>,
    interfaces: Vec<InterfacePart<'a>>,
    flows: Vec<FlowPart>,
    /// Null while no agent runs.
    drops: Option<Vec<EventView>>,
    /// Events that came faster than they were read.
    #[serde(skip)]
    missed: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct InterfacePart<'a> {
    name: &'a str,
    state: State,
    log: LogMode,
    events_lost: u64,
    events_suppressed: u64,
    inbound: DirectionPart,
    outbound: DirectionPart,
    reasons: Vec<ReasonPart>,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
struct DirectionPart {
    passed: Amount,
    dropped: Amount,
    audited: Amount,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
struct ReasonPart {
    #[schemars(extend("enum" = ["inbound", "outbound"]))]
    direction: &'static str,
    #[schemars(extend("enum" = ["allow", "deny"]))]
    verdict: &'static str,
    reason: &'static str,
    #[serde(flatten)]
    amount: Amount,
}

/// How much, and how fast it grows; there are no rates before the second look.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
struct Amount {
    #[serde(flatten)]
    total: Traffic,
    #[serde(flatten)]
    rate: Option<Rate>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct FlowPart {
    #[serde(flatten)]
    view: FlowView,
    #[serde(rename = "in")]
    inbound: Option<Rate>,
    #[serde(rename = "out")]
    outbound: Option<Rate>,
    #[serde(skip)]
    bytes: u64,
}

impl<'a> Picture<'a> {
    /// The picture of a moment, with rates since an earlier one; `drops` are the latest first, with
    /// the number of events that came too fast, and none without an agent.
    pub(crate) fn new(
        time: String,
        now: &'a Snapshot,
        rates: Option<&Rates>,
        drops: Option<(Vec<EventView>, u64)>,
        wanted: &Wanted<'_>,
    ) -> Self {
        let is_wanted = |name: &str| wanted.interface.is_none_or(|wanted| wanted == name);
        let interfaces: Vec<_> = now
            .status
            .interfaces
            .iter()
            .enumerate()
            .filter(|(_, status)| is_wanted(&status.name))
            .map(|(index, status)| {
                InterfacePart::new(status, rates.map(|rates| &rates.interfaces[index]))
            })
            .collect();
        let mut problems = problems(&now.status);
        problems.retain(|problem| problem.interface.is_none_or(is_wanted));
        Self {
            time,
            interval_ms: rates.map(|rates| milliseconds(Duration::from_secs_f64(rates.seconds))),
            policy: now.status.image.as_ref().map(|image| image.generation),
            flow_table: now.status.occupancy.as_ref(),
            events_lost: interfaces.iter().map(|part| part.events_lost).sum(),
            events_suppressed: interfaces.iter().map(|part| part.events_suppressed).sum(),
            problems,
            interfaces,
            flows: flows(now, rates, wanted),
            missed: drops.as_ref().map_or(0, |(_, missed)| *missed),
            drops: drops.map(|(drops, _)| drops),
        }
    }

    /// Whether there is nothing to show.
    pub(crate) const fn is_empty(&self) -> bool {
        self.interfaces.is_empty()
    }

    /// One line about everything.
    pub(crate) fn summary(&self) -> String {
        let policy = match self.policy {
            Some(generation) => format!("policy {generation}"),
            None => "no policy".to_owned(),
        };
        let flows = self
            .flow_table
            .as_ref()
            .map_or_else(String::new, |table| format!(", flows: {}", table.brief()));
        format!(
            "{}  {policy}{flows}, events lost: {}, suppressed: {}",
            self.time, self.events_lost, self.events_suppressed
        )
    }

    /// What one must know to read the rest, a line each.
    pub(crate) fn notes(&self) -> Vec<String> {
        let problem = |problem: &Problem<'_>| match problem.interface {
            Some(interface) => format!("{interface}: {}", problem.text),
            None => problem.text.clone(),
        };
        let mut notes: Vec<_> = self.problems.iter().map(problem).collect();
        for part in &self.interfaces {
            if matches!(part.log, LogMode::Off | LogMode::Allowed) {
                notes.push(format!(
                    "{}: drops are counted and not listed: its log leaves them out",
                    part.name
                ));
            }
        }
        if self.drops.is_none() {
            let why = "drops are counted and not listed: no agent runs here (`sg-ctl agent`)";
            notes.push(why.to_owned());
        }
        if self.missed > 0 {
            let missed = counted(self.missed, "event");
            notes.push(format!("{missed} came too fast to be listed"));
        }
        notes
    }
}

impl<'a> InterfacePart<'a> {
    fn new(status: &'a InterfaceStatus, rates: Option<&InterfaceRates>) -> Self {
        let dropped = status.really_dropped();
        let direction = |side: usize| DirectionPart {
            passed: Amount {
                total: status.passed[side],
                rate: rates.map(|rates| rates.passed[side]),
            },
            dropped: Amount {
                total: dropped[side],
                rate: rates.map(|rates| rates.dropped[side]),
            },
            audited: Amount {
                total: status.audited[side],
                rate: rates.map(|rates| rates.audited[side]),
            },
        };
        let reasons = status.reasons.iter().enumerate();
        Self {
            name: &status.name,
            state: State::of(status),
            log: status.log,
            events_lost: status.events_lost,
            events_suppressed: status
                .events_suppressed
                .iter()
                .map(|part| part.events)
                .sum(),
            inbound: direction(0),
            outbound: direction(1),
            reasons: reasons
                .map(|(index, count)| ReasonPart {
                    direction: count.direction,
                    verdict: if count.passes { "allow" } else { "deny" },
                    reason: count.reason,
                    amount: Amount {
                        total: count.traffic,
                        rate: rates.map(|rates| rates.reasons[index]),
                    },
                })
                .collect(),
        }
    }
}

/// The flows that are wanted, in order.
fn flows(now: &Snapshot, rates: Option<&Rates>, wanted: &Wanted<'_>) -> Vec<FlowPart> {
    let rate = |index: usize| rates.map(|rates| rates.flows[index]);
    let speed = |index: usize| {
        let [inbound, outbound] = rate(index).unwrap_or_default();
        let both = inbound.plus(outbound);
        match wanted.order {
            FlowsBy::Bits => both.bits_per_second,
            FlowsBy::Packets => both.packets_per_second,
        }
    };
    let bytes = |flow: &LiveFlow| flow.traffic().map(|part| part.bytes).iter().sum::<u64>();
    let ends = |flow: &LiveFlow| {
        let key = &flow.key;
        let ports = (key.remote_port(), key.local_port());
        (IpAddr::from(key.remote), IpAddr::from(key.local), ports)
    };
    let compare = |a: &usize, b: &usize| -> Ordering {
        let (one, other) = (&now.flows[*a], &now.flows[*b]);
        speed(*b)
            .total_cmp(&speed(*a))
            .then_with(|| bytes(other).cmp(&bytes(one)))
            .then_with(|| ends(one).cmp(&ends(other)))
    };
    let is_wanted = |index: &usize| {
        let flow = &now.flows[*index];
        wanted.interface.is_none_or(|name| *flow.interface == *name)
    };
    let mut order: Vec<usize> = (0..now.flows.len()).filter(is_wanted).collect();
    if order.len() > wanted.flows {
        // Of a million flows only the first need be in order.
        order.select_nth_unstable_by(wanted.flows, compare);
        order.truncate(wanted.flows);
    }
    order.sort_unstable_by(compare);
    order
        .into_iter()
        .map(|index| {
            let flow = &now.flows[index];
            FlowPart {
                view: FlowView::new(flow, &now.state.numbers),
                inbound: rate(index).map(|[inbound, _]| inbound),
                outbound: rate(index).map(|[_, outbound]| outbound),
                bytes: bytes(flow),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
