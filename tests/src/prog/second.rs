//! A second opinion on every frame that a test has judged: the oracle's.

use std::time::Duration;

use sg_common::{flow::Direction, reason::Reason};
use sg_policy::model::{InterfaceSpec, Model};

use super::FLOWS;
use crate::{
    family::Family,
    oracle::{Host, Oracle, Room, RuleName, decode},
};

/// The oracle, told of everything that happens to the guarded interface.
pub(super) struct SecondOpinion {
    host: Host,
    /// None once the flow table may have been full: the oracle's never is.
    oracle: Option<Oracle>,
    hz: u64,
    /// What a deadline brings back, and the jiffies until it has passed.
    before: Option<(Host, u64)>,
}

impl SecondOpinion {
    /// Begins when the interface is attached.
    pub(super) fn new(model: &Model, hz: u64) -> Self {
        let host = host(model);
        Self {
            oracle: Some(Oracle::new(&host)),
            host,
            hz,
            before: None,
        }
    }

    /// Other rules are in force. The settings of the interface stay.
    pub(super) fn apply(&mut self, model: &Model) {
        let before = std::mem::take(&mut self.host.interface);
        self.host = host(model);
        self.host.interface = InterfaceSpec {
            groups: std::mem::take(&mut self.host.interface.groups),
            ..before
        };
        self.tell();
    }

    /// What is in force is on trial: after so many jiffies other rules and settings come back.
    pub(super) fn on_trial(&mut self, before: &Model, jiffies: u64) {
        self.before = Some((host(before), jiffies));
    }

    /// What is on trial stays.
    pub(super) fn confirm(&mut self) {
        self.before = None;
    }

    /// The interface has no policy.
    pub(super) fn forget_policy(&mut self) {
        self.host.has_policy = false;
        self.tell();
    }

    fn tell(&mut self) {
        if let Some(oracle) = &mut self.oracle {
            oracle.set_host(&self.host);
        }
    }

    /// The flow table has no room any more, or has room again.
    pub(super) fn set_room(&mut self, room: Room) {
        if let Some(oracle) = &mut self.oracle {
            oracle.set_room(room);
        }
    }

    /// Has no opinion any more.
    pub(super) fn fall_silent(&mut self) {
        self.oracle = None;
    }

    /// So many jiffies pass.
    pub(super) fn wait(&mut self, jiffies: u64) {
        let time = Duration::from_nanos(jiffies * (1_000_000_000 / self.hz));
        if let Some(oracle) = &mut self.oracle {
            oracle.wait(time);
        }
        match self.before.take() {
            Some((before, left)) if left < jiffies => {
                self.host = before;
                self.tell();
            }
            Some((before, left)) => self.before = Some((before, left - jiffies)),
            None => {}
        }
    }

    /// Judges a frame, too: reason and deciding rule, if there is an opinion.
    pub(super) fn judge(
        &mut self,
        direction: Direction,
        frame: &[u8],
    ) -> Option<(Reason, Option<RuleName>)> {
        let oracle = self.oracle.as_mut()?;
        let judgement = oracle.judge(direction, &decode(frame), frame.len() as u64);
        // A quarter: by chance one place in the table may be full long before all are.
        if oracle.flows().count() > FLOWS as usize / 4 {
            self.oracle = None;
        }
        Some((judgement.reason, judgement.rule))
    }
}

/// The host that a rule file is about, as tests set it up.
fn host(model: &Model) -> Host {
    let interface = model.interfaces.get("eth0").cloned().unwrap_or_default();
    let second = model.interfaces.get("eth1").map(|spec| {
        let addresses = Family::BOTH.map(Family::second_local);
        (spec.groups.clone(), addresses.to_vec())
    });
    Host {
        model: model.clone(),
        interface,
        addresses: Family::BOTH.map(Family::local).to_vec(),
        others: second.into_iter().collect(),
        has_policy: true,
    }
}
