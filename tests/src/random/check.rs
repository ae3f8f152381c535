//! The property: for every packet of a scenario, oracle and subject say the same.

use std::{collections::BTreeMap, fmt::Debug, time::Duration};

use sg_common::{
    counters::ZoneCounters,
    event::{EVENT_AUDITED, Event},
    flow::{Direction, FlowEntry, FlowKey, FlowState},
    reason::{REASON_SLOTS, Reason, Verdict},
    settings::InterfaceSettings,
};

use super::{RuleTallies, Scenario, Step, TICK_MS, direction, rules, spoilt};
use crate::oracle::{
    Detail, FlowId, Host, Judgement, Oracle, Room, RuleName,
    packet::{Content, ICMP, ICMPV6, Packet, TCP, UDP},
};

/// Something that judges frames and is compared with the oracle. It logs everything.
pub trait Subject {
    /// Forgets everything and guards the host's interface as if it were just attached.
    fn start(&mut self, host: &Host);
    /// Puts other rules, groups, members or settings in force.
    fn set_host(&mut self, host: &Host);
    /// Takes all room for new flows away, or gives it back.
    fn set_room(&mut self, room: Room);
    /// Lets time pass.
    fn wait(&mut self, time: Duration);
    /// Whether it can be given the frame at all.
    fn takes(&self, direction: Direction, tc: bool, frame: &[u8]) -> bool;
    /// Judges a frame; `tc` chooses the program if it is received.
    fn judge(&mut self, direction: Direction, tc: bool, frame: &[u8]) -> Verdict;
    /// Takes the events since the last call.
    fn events(&mut self) -> Vec<Event>;
    /// Counters since the start.
    fn counters(&self) -> ZoneCounters;
    /// What each rule in force has admitted: new flows, packets, bytes.
    fn rules(&self) -> RuleTallies;
    /// All entries of the flow table, also those that are over.
    fn flows(&self) -> Vec<(FlowKey, FlowEntry)>;
    /// The settings in force.
    fn settings(&self) -> InterfaceSettings;
    /// Jiffies: now, at the start, per second.
    fn jiffies(&self) -> [u64; 3];
    /// The rule behind a number.
    fn rule(&self, number: u32) -> Option<RuleName>;
}

/// Where a subject differs from the oracle.
#[derive(Debug)]
pub struct Mismatch {
    /// The step, if it is about a packet.
    pub step: Option<usize>,
    /// What the oracle says and what the subject said.
    pub what: String,
}

/// What was judged.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Scenarios.
    pub scenarios: u64,
    /// Policies put in force.
    pub policies: u64,
    /// Live flows that were compared, field by field.
    pub flows: u64,
    /// Packets by reason.
    pub reasons: [u64; REASON_SLOTS],
}

impl Tally {
    /// Nothing.
    pub const ZERO: Self = Self {
        scenarios: 0,
        policies: 0,
        flows: 0,
        reasons: [0; REASON_SLOTS],
    };

    /// Adds another one's numbers.
    pub fn add(&mut self, other: &Self) {
        self.scenarios += other.scenarios;
        self.policies += other.policies;
        self.flows += other.flows;
        for (mine, theirs) in self.reasons.iter_mut().zip(other.reasons) {
            *mine += theirs;
        }
    }

    /// Packets.
    pub fn packets(&self) -> u64 {
        self.reasons.iter().sum()
    }

    /// Packets with a reason to pass.
    pub fn passes(&self) -> u64 {
        let is_pass = |reason: &&Reason| reason.verdict() == Verdict::Pass;
        let passes = Reason::ALL.iter().filter(is_pass);
        passes.map(|reason| self.reasons[*reason as usize]).sum()
    }
}

/// A packet that the subject has judged.
struct Judged {
    step: usize,
    direction: Direction,
    packet: Packet,
    bytes: u32,
    expected: Judgement,
    verdict: Verdict,
}

/// Judges a scenario by both. Compares counters and flow tables, too, whenever the host changes and
/// at the end.
///
/// # Errors
/// The first difference.
pub fn check(scenario: &Scenario, subject: &mut impl Subject) -> Result<Tally, Mismatch> {
    let mut host = scenario.host.clone();
    let mut course = Course::start(&host, subject);
    for (index, step) in scenario.steps.iter().enumerate() {
        match step {
            Step::Wait(ticks) => course.wait(*ticks),
            Step::Room(room) => course.set_room(*room),
            Step::Change(change) => {
                change.apply(&mut host);
                course.set_host(&host)?;
            }
            Step::Packet {
                inbound,
                tc,
                packet,
                flips,
            } => {
                let (frame, packet) = spoilt(packet, flips);
                course.judge(index, direction(*inbound), *tc, packet, &frame);
            }
        }
    }
    course.finish()
}

/// A scenario on its way.
pub(crate) struct Course<'a, S> {
    oracle: Oracle,
    pub(crate) subject: &'a mut S,
    /// What the counters should be.
    counters: ZoneCounters,
    /// What the rules had admitted when these came into force.
    rules: RuleTallies,
    /// Packets whose events have not been looked at.
    unsettled: Vec<Judged>,
    tally: Tally,
}

impl<'a, S: Subject> Course<'a, S> {
    /// Has both guard a host.
    pub(crate) fn start(host: &Host, subject: &'a mut S) -> Self {
        subject.start(host);
        Self {
            oracle: Oracle::new(host),
            rules: subject.rules(),
            subject,
            counters: ZoneCounters::ZERO,
            unsettled: Vec::new(),
            tally: Tally {
                scenarios: 1,
                policies: 1,
                ..Tally::ZERO
            },
        }
    }

    /// Lets so many times [`TICK_MS`] pass for both.
    pub(crate) fn wait(&mut self, ticks: u64) {
        let time = Duration::from_millis(ticks * TICK_MS);
        self.oracle.wait(time);
        self.subject.wait(time);
    }

    /// Takes or gives both the room for more flows.
    pub(crate) fn set_room(&mut self, room: Room) {
        self.oracle.set_room(room);
        self.subject.set_room(room);
    }

    /// Compares, and changes the host for both.
    pub(crate) fn set_host(&mut self, host: &Host) -> Result<(), Mismatch> {
        self.settle()?;
        self.oracle.set_host(host);
        self.subject.set_host(host);
        self.rules = self.subject.rules();
        self.tally.policies += 1;
        Ok(())
    }

    /// Compares for the last time.
    pub(crate) fn finish(mut self) -> Result<Tally, Mismatch> {
        self.settle()?;
        Ok(self.tally)
    }
}

impl<S: Subject> Course<'_, S> {
    /// Has a frame judged by both.
    pub(crate) fn judge(
        &mut self,
        step: usize,
        direction: Direction,
        tc: bool,
        packet: Packet,
        frame: &[u8],
    ) {
        if !self.subject.takes(direction, tc, frame) {
            return;
        }
        let bytes = frame.len() as u32;
        let expected = self.oracle.judge(direction, &packet, bytes.into());
        let side = direction as usize;
        self.counters.reasons[side][expected.reason as usize].add(1, bytes);
        if expected.verdict != expected.reason.verdict() {
            self.counters.audited[side].add(1, bytes);
        }
        self.tally.reasons[expected.reason as usize] += 1;
        self.unsettled.push(Judged {
            step,
            direction,
            packet,
            bytes,
            expected,
            verdict: self.subject.judge(direction, tc, frame),
        });
    }

    /// Compares everything.
    fn settle(&mut self) -> Result<(), Mismatch> {
        let judged = std::mem::take(&mut self.unsettled);
        let events = self.subject.events();
        for (judged, event) in judged.iter().zip(&events) {
            judged.compare(event, self.subject)?;
        }
        same(None, "events", &judged.len(), &events.len())?;
        if self.counters != self.subject.counters() {
            return Err(Mismatch {
                step: None,
                what: "the counters differ from the events".to_owned(),
            });
        }
        let said = judged.iter().map(|judged| (&judged.expected, judged.bytes));
        rules::compare(&self.rules, said, &self.subject.rules())?;
        self.tally.flows += compare_flows(&self.oracle, self.subject)?;
        Ok(())
    }
}

pub(super) fn same<T: PartialEq + Debug>(
    step: Option<usize>,
    what: &str,
    expected: &T,
    found: &T,
) -> Result<(), Mismatch> {
    if expected == found {
        return Ok(());
    }
    let what = format!("{what}: the oracle says {expected:?}, the subject {found:?}");
    Err(Mismatch { step, what })
}

impl Judged {
    fn compare<S: Subject>(&self, event: &Event, subject: &S) -> Result<(), Mismatch> {
        let Judgement {
            verdict,
            reason,
            rule,
        } = &self.expected;
        let step = Some(self.step);
        let found = Reason::from_code(event.reason);
        same(step, "reason", &Some(*reason), &found)?;
        same(step, "verdict", verdict, &self.verdict)?;
        same(step, "rule", rule, &subject.rule(event.rule))?;
        let audited = *verdict != reason.verdict();
        same(step, "audited", &audited, &(event.flags == EVENT_AUDITED))?;
        let direction = Direction::from_code(event.direction);
        same(step, "direction", &self.direction, &direction)?;
        same(step, "length", &self.bytes, &event.length)?;
        let Content::Ip(ip) = &self.packet.content else {
            return Ok(());
        };
        if MALFORMED.contains(reason) {
            return Ok(());
        }
        let (local, remote) = match self.direction {
            Direction::Inbound => (ip.destination, ip.source),
            Direction::Outbound => (ip.source, ip.destination),
        };
        let ends = (event.local.into(), event.remote.into());
        same(step, "ends", &(local, remote), &ends)?;
        let tag = |depth: usize| self.packet.tags.get(depth).copied().unwrap_or(0);
        same(step, "VLAN ids", &[tag(0), tag(1)], &event.vlan)
    }
}

/// Reasons of frames that could not be read to the end.
const MALFORMED: [Reason; 8] = [
    Reason::MalformedEthernet,
    Reason::VlanDepth,
    Reason::MalformedIpv4,
    Reason::MalformedIpv6,
    Reason::Ipv6ExtensionChain,
    Reason::MalformedTcp,
    Reason::MalformedUdp,
    Reason::MalformedIcmp,
];

/// What both sides know of a flow.
#[derive(Clone, Debug, PartialEq)]
struct View {
    opened: Direction,
    state: &'static str,
    rule: Option<RuleName>,
    last_seen: u64,
    packets: [u64; 2],
    bytes: [u64; 2],
}

/// Compares all live flows. Returns how many there are.
fn compare_flows<S: Subject>(oracle: &Oracle, subject: &S) -> Result<u64, Mismatch> {
    let [now, start, hz] = subject.jiffies();
    let by_name = |id: &FlowId| format!("{id:?}");
    let expected: BTreeMap<String, View> = oracle
        .flows()
        .map(|(id, flow)| {
            let view = View {
                opened: flow.opened,
                state: flow.state.name(),
                rule: Some(flow.rule.clone()),
                last_seen: start + flow.seen.as_millis() as u64 * hz / 1000,
                packets: flow.packets,
                bytes: flow.bytes,
            };
            (by_name(id), view)
        })
        .collect();
    let settings = subject.settings();
    let is_alive = |entry: &FlowEntry| settings.keeps(entry, now);
    let found: BTreeMap<String, View> = subject
        .flows()
        .into_iter()
        .filter(|(_, entry)| is_alive(entry))
        .map(|(key, entry)| {
            let view = View {
                opened: entry.opened(),
                state: FlowState(entry.state).name(),
                rule: subject.rule(entry.rule),
                last_seen: entry.last_seen,
                packets: entry.packets,
                bytes: entry.bytes,
            };
            (by_name(&id(&key)), view)
        })
        .collect();
    for (name, view) in &expected {
        same(None, &format!("flow {name}"), &Some(view), &found.get(name))?;
    }
    for (name, view) in &found {
        same(
            None,
            &format!("flow {name}"),
            &expected.get(name),
            &Some(view),
        )?;
    }
    Ok(expected.len() as u64)
}

/// A key of the flow table as the oracle names flows.
fn id(key: &FlowKey) -> FlowId {
    let detail = match key.protocol() {
        TCP | UDP => Detail::Ports(key.local_port(), key.remote_port()),
        ICMP | ICMPV6 => {
            let opener = Direction::from_code((key.remote_port() >> 8) as u8);
            Detail::Query(opener, key.local_port(), key.remote_port() as u8)
        }
        _ => Detail::Nothing,
    };
    FlowId {
        vlan: key.vlan(),
        local: key.local.into(),
        remote: key.remote.into(),
        protocol: key.protocol(),
        detail,
    }
}
