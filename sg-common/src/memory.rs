//! Tables in user-space memory: the pipeline without a kernel, for tests, fuzzing and explanations.

use std::cell::{Cell as Shared, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use crate::counters::{RuleCounters, ZoneCounters};
use crate::datapath::{Datapath, Flow, Settings};
use crate::event::Event;
use crate::flow::{Direction, FlowEntry, FlowKey, FlowState, FragmentEntry, FragmentKey, Opening};
use crate::limit;
use crate::outcome::Outcome;
use crate::packet::Packet;
use crate::pipeline::{self, Scratch};
use crate::policy::{self, Question};
use crate::reason::{Reason, Verdict};
use crate::settings::InterfaceSettings;
use crate::tcp::{Numbers, Segment, Step};

impl Settings for InterfaceSettings {
    fn timeout(&self, state: FlowState) -> u64 {
        self.timeouts[state.0 as usize % FlowState::SLOTS]
    }

    fn log_reasons(&self) -> u64 {
        self.log_reasons
    }

    fn log_interval(&self) -> u64 {
        self.log_interval
    }

    fn pickup_until(&self) -> u64 {
        self.pickup_until
    }

    fn infra(&self) -> u32 {
        self.infra
    }

    fn ifindex(&self) -> u32 {
        self.ifindex
    }

    fn mode(&self) -> u8 {
        self.mode
    }

    fn related(&self) -> u8 {
        self.related
    }

    fn tcp_pickup(&self) -> u8 {
        self.tcp_pickup
    }
}

/// The tables of one interface, and what came of the frames it judged.
#[derive(Debug)]
pub struct Memory {
    /// Zone of the interface.
    pub zone: u32,
    /// Settings of the interface.
    pub settings: InterfaceSettings,
    /// Jiffies per second.
    pub hz: u64,
    /// Jiffies.
    pub now: u64,
    /// The policy image; empty = none.
    pub image: Vec<u32>,
    /// Flows that there is room for.
    pub flow_limit: usize,
    /// Whether other CPUs take every slot before a new flow does.
    pub contended: bool,
    flows: RefCell<HashMap<FlowKey, Rc<Shared<FlowEntry>>>>,
    fragments: RefCell<HashMap<FragmentKey, FragmentEntry>>,
    counters: RefCell<Box<ZoneCounters>>,
    rules: RefCell<HashMap<u32, RuleCounters>>,
    log_full_at: Shared<u64>,
    events: RefCell<Vec<Event>>,
}

impl Memory {
    /// Empty tables for an interface.
    pub fn new(settings: InterfaceSettings, hz: u64, image: Vec<u32>) -> Self {
        Self {
            zone: 0,
            settings,
            hz,
            now: 1 << 32,
            image,
            flow_limit: usize::MAX,
            contended: false,
            flows: RefCell::default(),
            fragments: RefCell::default(),
            counters: RefCell::new(Box::new(ZoneCounters::ZERO)),
            rules: RefCell::default(),
            log_full_at: Shared::default(),
            events: RefCell::default(),
        }
    }

    /// Judges a frame that goes in `direction`.
    pub fn run<P: Packet>(&self, packet: &P, direction: Direction) -> Verdict {
        let hook = Hook {
            memory: self,
            direction,
        };
        pipeline::run(packet, &hook, &mut Scratch::EMPTY.clone())
    }

    /// The entry of a flow, live or expired.
    pub fn flow(&self, key: &FlowKey) -> Option<FlowEntry> {
        self.flows.borrow().get(key).map(|entry| entry.get())
    }

    /// All flows, live or expired.
    pub fn flows(&self) -> Vec<(FlowKey, FlowEntry)> {
        let flows = self.flows.borrow();
        flows.iter().map(|(key, flow)| (*key, flow.get())).collect()
    }

    /// Drops the flows of which `chosen` says so, live or expired.
    pub fn forget_flows(&self, mut chosen: impl FnMut(&FlowEntry) -> bool) {
        let mut flows = self.flows.borrow_mut();
        flows.retain(|_, flow| {
            let goes = chosen(&flow.get());
            if goes {
                self.count_closed(&flow.get());
            }
            !goes
        });
    }

    fn count_closed(&self, flow: &FlowEntry) {
        let mut rules = self.rules.borrow_mut();
        add_flow(rules.entry(flow.rule).or_default(), flow);
    }

    /// Number of flows, live or expired.
    pub fn flow_count(&self) -> usize {
        self.flows.borrow().len()
    }

    /// The counters.
    pub fn counters(&self) -> ZoneCounters {
        **self.counters.borrow()
    }

    /// The counters of every rule, by number; those of its flows, live or expired, are closed ones.
    pub fn rules(&self) -> HashMap<u32, RuleCounters> {
        let mut rules = self.rules.borrow().clone();
        for (_, flow) in self.flows() {
            add_flow(rules.entry(flow.rule).or_default(), &flow);
        }
        rules
    }

    /// Takes the events reported so far.
    pub fn take_events(&self) -> Vec<Event> {
        self.events.take()
    }
}

/// Adds the packets of a flow to the counters of its rule.
fn add_flow(rule: &mut RuleCounters, flow: &FlowEntry) {
    rule.closed.packets += flow.packets.iter().sum::<u64>();
    rule.closed.bytes += flow.bytes.iter().sum::<u64>();
}

/// One hook of an interface.
struct Hook<'a> {
    memory: &'a Memory,
    direction: Direction,
}

impl Datapath for Hook<'_> {
    type Flow = Rc<Shared<FlowEntry>>;
    type Settings = InterfaceSettings;

    fn zone(&self) -> u32 {
        self.memory.zone
    }

    fn direction(&self) -> Direction {
        self.direction
    }

    fn settings(&self) -> &InterfaceSettings {
        &self.memory.settings
    }

    fn now(&self) -> u64 {
        self.memory.now
    }

    fn hz(&self) -> u64 {
        self.memory.hz
    }

    fn ask(&self, question: &Question) -> Outcome {
        policy::answer(self.memory.image.as_slice(), question)
    }

    fn ask_at_once(&self, question: &Question) -> Option<Outcome> {
        policy::answer_at_once(self.memory.image.as_slice(), question)
    }

    fn flow(&self, key: &FlowKey) -> Option<Self::Flow> {
        self.memory.flows.borrow().get(key).cloned()
    }

    fn open_flow(&self, key: &FlowKey, opening: Opening) -> Result<(), Reason> {
        if self.memory.contended {
            return Err(Reason::FlowContended);
        }
        let mut flows = self.memory.flows.borrow_mut();
        if flows.len() >= self.memory.flow_limit && !flows.contains_key(key) {
            return Err(Reason::FlowTableFull);
        }
        let entry = Rc::new(Shared::new(opening.entry(self.memory.now)));
        if let Some(before) = flows.insert(*key, entry) {
            self.memory.count_closed(&before.get());
        }
        Ok(())
    }

    fn fragment(&self, key: &FragmentKey) -> Option<FragmentEntry> {
        self.memory.fragments.borrow().get(key).copied()
    }

    fn remember_fragment(&self, key: &FragmentKey, entry: &FragmentEntry) {
        self.memory.fragments.borrow_mut().insert(*key, *entry);
    }

    fn count(&self, code: u8, audited: bool, packets: u32, bytes: u32) {
        let mut counters = self.memory.counters.borrow_mut();
        let side = self.direction as usize;
        counters.reasons[side][usize::from(code)].add(packets, bytes);
        if audited {
            counters.audited[side].add(packets, bytes);
        }
    }

    fn count_rule(&self, outcome: Outcome, packets: u32, bytes: u32) {
        let mut rules = self.memory.rules.borrow_mut();
        let rule = rules.entry(outcome.rule()).or_default();
        rule.hit(outcome.reason(), self.memory.now, packets, bytes);
    }

    fn may_log(&self, outcome: Outcome) -> bool {
        let memory = self.memory;
        let (interval, full_at) = (memory.settings.log_interval, memory.log_full_at.get());
        let Some(next) = limit::take(full_at, memory.now, interval, memory.hz) else {
            let mut counters = memory.counters.borrow_mut();
            counters.events_suppressed[outcome.code() as usize] += 1;
            return false;
        };
        memory.log_full_at.set(next);
        true
    }

    fn log<P: Packet>(&self, event: &Event, _packet: &P) {
        self.memory.events.borrow_mut().push(*event);
    }
}

impl Flow for Rc<Shared<FlowEntry>> {
    fn last_seen(&self) -> u64 {
        self.get().last_seen
    }

    fn state(&self) -> FlowState {
        FlowState(self.get().state)
    }

    fn flags(&self) -> u8 {
        self.get().flags
    }

    fn rule(&self) -> u32 {
        self.get().rule
    }

    fn account(&self, side: usize, now: u64, packets: u32, bytes: u32) {
        let mut entry = self.get();
        entry.packets[side] += u64::from(packets);
        entry.bytes[side] += u64::from(bytes);
        entry.last_seen = now;
        self.set(entry);
    }

    fn follow(&self, side: usize, segment: &Segment) {
        let mut entry = self.get();
        entry.numbers = entry.numbers.follow(side == 1, segment);
        self.set(entry);
    }

    fn numbers(&self) -> Numbers {
        self.get().numbers
    }

    fn advance(&self, step: Step) {
        let mut entry = self.get();
        entry.state = step.state.0;
        entry.flags = step.flags;
        entry.numbers = step.numbers;
        self.set(entry);
    }
}
