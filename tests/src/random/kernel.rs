//! The kernel programs as a subject.

use std::time::Duration;

use sg_common::{
    counters::ZoneCounters,
    event::Event,
    flow::{Direction, FlowEntry, FlowKey},
    reason::Verdict,
    settings::InterfaceSettings,
};
use sg_ctl::host::dataplane::RuleTotals;
use sg_policy::model::Side;

use super::{RuleTallies, Subject, policy::Policy};
use crate::{
    oracle::{Host, Room, RuleName},
    prog::{self, Hook, Loaded, Place},
};

/// The kernel programs, one set for each side of an interface.
#[derive(Default)]
pub struct Kernel {
    nic: Option<Loaded>,
    workload: Option<Loaded>,
    side: Side,
    start: u64,
    policy: Policy,
}

impl Kernel {
    fn loaded(&self) -> &Loaded {
        match self.side {
            Side::Nic => self.nic.as_ref(),
            Side::Workload => self.workload.as_ref(),
        }
        .expect("since the start")
    }

    /// The direction of what the interface receives.
    fn receives(&self) -> Direction {
        match self.side {
            Side::Nic => Direction::Inbound,
            Side::Workload => Direction::Outbound,
        }
    }

    fn loaded_mut(&mut self) -> &mut Loaded {
        let (slot, side) = match self.side {
            Side::Nic => (&mut self.nic, Side::Nic),
            Side::Workload => (&mut self.workload, Side::Workload),
        };
        slot.get_or_insert_with(|| Loaded::take(side))
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let loaded = [self.nic.take(), self.workload.take()];
            loaded.into_iter().flatten().for_each(Loaded::give_back);
        }
    }
}

impl Subject for Kernel {
    fn start(&mut self, host: &Host) {
        self.side = host.interface.side;
        self.policy = Policy::default();
        let loaded = self.loaded_mut();
        loaded.let_expire();
        self.start = loaded.now();
        self.set_host(host);
    }

    fn set_host(&mut self, host: &Host) {
        let start = self.start;
        let image = self.policy.compile(host);
        let loaded = self.loaded_mut();
        let settings = prog::settings(&host.interface, start, loaded.hz());
        loaded.set_settings(&settings);
        loaded.install(&image);
    }

    fn wait(&mut self, time: Duration) {
        self.loaded_mut().advance(time);
    }

    fn set_room(&mut self, room: Room) {
        self.loaded_mut().set_room(room);
    }

    fn takes(&self, direction: Direction, tc: bool, frame: &[u8]) -> bool {
        let hook = if tc { Hook::Tc } else { Hook::Xdp };
        let side = self.side;
        Place { side, hook }.takes(direction, frame)
    }

    fn judge(&mut self, direction: Direction, tc: bool, frame: &[u8]) -> Verdict {
        let receives = self.receives();
        let loaded = self.loaded_mut();
        loaded.keep_room();
        if direction != receives {
            return loaded.run_egress(frame, 1);
        }
        loaded.run_ingress(if tc { Hook::Tc } else { Hook::Xdp }, frame, 1)
    }

    fn events(&mut self) -> Vec<Event> {
        self.loaded().take_events()
    }

    fn counters(&self) -> ZoneCounters {
        self.loaded().counters()
    }

    fn rules(&self) -> RuleTallies {
        let named = |(number, totals): (u32, RuleTotals)| {
            let tally = [totals.flows, totals.traffic.packets, totals.traffic.bytes];
            Some((self.policy.rule(number)?, tally))
        };
        let totals = self.loaded().rule_totals().into_iter();
        totals.filter_map(named).collect()
    }

    fn flows(&self) -> Vec<(FlowKey, FlowEntry)> {
        self.loaded().flows()
    }

    fn settings(&self) -> InterfaceSettings {
        self.loaded().settings()
    }

    fn jiffies(&self) -> [u64; 3] {
        let loaded = self.loaded();
        [loaded.now(), self.start, loaded.hz()]
    }

    fn rule(&self, number: u32) -> Option<RuleName> {
        self.policy.rule(number)
    }
}
