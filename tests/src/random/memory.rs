//! The pipeline on tables in memory, as a subject.

use std::time::Duration;

use sg_common::{
    counters::{RuleCounters, ZoneCounters},
    event::Event,
    flow::{Direction, Evidence, FlowEntry, FlowKey, FlowState},
    memory::Memory,
    reason::Verdict,
    settings::InterfaceSettings,
};
use sg_policy::model::InterfaceSpec;

use super::{RuleTallies, Subject, policy::Policy, strict::Strict};
use crate::{
    oracle::{Host, Room, RuleName},
    prog::{ZONE, settings},
};

/// Jiffies per second; nothing depends on it.
const HZ: u64 = 250;

/// The pipeline on tables in memory. Frames are strict about how they are read.
pub struct InMemory {
    /// The VLAN id that the hook has beside the next frames, 0 for none.
    pub(crate) vlan_beside: u16,
    memory: Memory,
    start: u64,
    policy: Policy,
    /// Numbers of the rules of the interface.
    in_force: Vec<u32>,
}

impl Default for InMemory {
    fn default() -> Self {
        let nothing = settings(&InterfaceSpec::default(), 0, HZ);
        let memory = Memory::new(nothing, HZ, Vec::new());
        Self {
            vlan_beside: 0,
            start: memory.now,
            memory,
            policy: Policy::default(),
            in_force: Vec::new(),
        }
    }
}

impl Subject for InMemory {
    fn start(&mut self, host: &Host) {
        *self = Self::default();
        self.memory.zone = ZONE;
        self.set_host(host);
    }

    fn set_host(&mut self, host: &Host) {
        let before = self.memory.settings;
        let now = self.memory.now;
        self.memory.forget_flows(|entry| !before.keeps(entry, now));
        self.memory.settings = settings(&host.interface, self.start, HZ);
        let image = self.policy.compile(host);
        self.memory.image = image.words().to_vec();
        let rules = image.rules().iter().filter(|key| key.zone == ZONE);
        self.in_force = rules.map(|key| key.rule).collect();
    }

    fn wait(&mut self, time: Duration) {
        self.memory.now += time.as_millis() as u64 * HZ / 1000;
    }

    fn set_room(&mut self, room: Room) {
        self.memory.flow_limit = if room == Room::Taken { 0 } else { usize::MAX };
    }

    fn takes(&self, _direction: Direction, _tc: bool, _frame: &[u8]) -> bool {
        true
    }

    fn judge(&mut self, direction: Direction, _tc: bool, frame: &[u8]) -> Verdict {
        if self.memory.flow_limit == 0 {
            let (now, settings) = (self.memory.now, self.memory.settings);
            self.memory.forget_flows(|entry| {
                FlowState(entry.state).evidence() < Evidence::Proven || !settings.keeps(entry, now)
            });
        }
        let frame = Strict::new(frame, self.vlan_beside);
        self.memory.run(&&frame, direction)
    }

    fn events(&mut self) -> Vec<Event> {
        self.memory.take_events()
    }

    fn counters(&self) -> ZoneCounters {
        self.memory.counters()
    }

    fn rules(&self) -> RuleTallies {
        let counted = self.memory.rules();
        let tally = |rule: &u32| {
            let counters = counted.get(rule).copied().unwrap_or_default();
            let RuleCounters { closed, direct, .. } = counters;
            let packets = closed.packets + direct.packets;
            let tally = [counters.flows, packets, closed.bytes + direct.bytes];
            Some((self.policy.rule(*rule)?, tally))
        };
        self.in_force.iter().filter_map(tally).collect()
    }

    fn flows(&self) -> Vec<(FlowKey, FlowEntry)> {
        self.memory.flows()
    }

    fn settings(&self) -> InterfaceSettings {
        self.memory.settings
    }

    fn jiffies(&self) -> [u64; 3] {
        [self.memory.now, self.start, HZ]
    }

    fn rule(&self, number: u32) -> Option<RuleName> {
        self.policy.rule(number)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::random::{Amount, Plan, replay_all, run, seed};

    #[test]
    fn oracle_and_pipeline_agree() {
        let amount = Amount::wanted();
        let plan = Plan {
            seed: seed(),
            scenarios: amount.of(400),
            packets: 500,
            threads: 2,
        };
        let tally = run("pipeline", plan, InMemory::default);
        assert!(tally.packets() >= amount.of(200_000));
    }

    #[test]
    fn what_failed_once_is_as_the_oracle_says() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/seeds");
        assert!(replay_all(&directory, &mut InMemory::default()) > 0);
    }
}
