//! The real kernel programs, run on single frames (`BPF_PROG_TEST_RUN`), with a clock that tests set.
//!
//! ```no_run
//! use sg_common::reason::Reason;
//! use sg_tests::{packet::tcp, prog::{Filter, NIC_XDP}};
//!
//! let filter = Filter::with_group(NIC_XDP, "inbound: [{ type: SSH, source: 203.0.113.0/24 }]");
//! filter.inbound(&tcp("203.0.113.7:40000", "192.0.2.10:22").syn()).passes(Reason::New);
//! ```
//!
//! Rules take the whole way of a user's: rule-file text, reader, compiler, image in the kernel.
//! Each frame's verdict comes with everything that it changed, see [`Seen`], and must be the one
//! that the [oracle](crate::oracle) gives for the same reason and by the same rule.

pub(crate) mod loaded;
mod rules;
mod second;
mod seen;
mod settings;
pub mod shared;
mod texts;
mod trial;

use std::{cell::RefCell, fmt::Write as _, net::IpAddr, time::Duration};

use sg_common::{
    counters::ZoneCounters,
    event::Event,
    flow::{Direction, FlowEntry, FlowKey},
    settings::InterfaceSettings,
};
use sg_ctl::host::dataplane::Entry;
use sg_policy::{
    compile::{Image, RuleNumbers, RuleRecord, ZonePolicy, compile},
    model::{Model, Side},
};

use crate::{family::Family, oracle::Room, packet::Frame};
pub use loaded::FLOWS;
pub(crate) use loaded::Loaded;
use second::SecondOpinion;
pub use seen::Seen;
pub(crate) use seen::{describe, difference};
pub(crate) use settings::settings;
pub(crate) use texts::read;
use texts::rules_of_one_group;

/// The zone that the programs are loaded for.
pub const ZONE: u32 = 7;

/// The interface index that events tell.
pub const IFINDEX: u32 = 77;

/// Which program judges what the guarded interface receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// XDP.
    Xdp,
    /// TC.
    Tc,
}

/// Where frames are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which side is protected: decides which program sees inbound frames.
    pub side: Side,
    /// The hook of the receiving path; that of the sending path is always TC.
    pub hook: Hook,
}

impl Place {
    /// Which way the frames go that the interface receives.
    pub fn receives(self) -> Direction {
        match self.side {
            Side::Nic => Direction::Inbound,
            Side::Workload => Direction::Outbound,
        }
    }

    /// Whether the kernel runs a program on the frame at all.
    pub fn takes(self, direction: Direction, frame: &[u8]) -> bool {
        let entry = match (direction == self.receives(), self.hook) {
            (true, Hook::Xdp) => Entry::Xdp(direction),
            _ => Entry::Tc(direction),
        };
        frame.len() >= entry.least_frame(frame)
    }
}

/// Inbound frames at XDP, outbound ones at TC.
pub const NIC_XDP: Place = Place {
    side: Side::Nic,
    hook: Hook::Xdp,
};
/// Inbound frames at TC ingress, outbound ones at TC egress.
pub const NIC_TC: Place = Place {
    side: Side::Nic,
    hook: Hook::Tc,
};
/// Outbound frames at XDP, inbound ones at TC.
pub const WORKLOAD_XDP: Place = Place {
    side: Side::Workload,
    hook: Hook::Xdp,
};
/// Outbound frames at TC ingress, inbound ones at TC egress.
pub const WORKLOAD_TC: Place = Place {
    side: Side::Workload,
    hook: Hook::Tc,
};

/// A guarded interface that exists only for the programs.
///
/// Everything is logged unless a test says otherwise, so that every frame shows its deciding rule.
pub struct Filter {
    place: Place,
    loaded: Option<Loaded>,
    numbers: RuleNumbers,
    generation: u64,
    /// In force, once there is one.
    image: Option<Image>,
    model: Model,
    second: RefCell<SecondOpinion>,
}

impl Filter {
    /// Loads programs that guard `eth0` of a rule file; a file without it guards an `eth0` with the
    /// group `default`.
    pub fn new(place: Place, rules: &str) -> Self {
        let loaded = Loaded::take(place.side);
        let model = read(rules);
        let mut filter = Self {
            place,
            numbers: RuleNumbers::default(),
            generation: 0,
            image: None,
            second: RefCell::new(SecondOpinion::new(&model, loaded.hz())),
            model,
            loaded: Some(loaded),
        };
        filter.apply(rules);
        let spec = filter.model.interfaces.get("eth0").cloned();
        let settings = settings(&spec.unwrap_or_default(), filter.now(), filter.hz());
        filter.loaded_mut().set_settings(&settings);
        filter
    }

    /// Guards `eth0` with one group, `tested`, whose body (`inbound:`, `outbound:`) is `group`.
    pub fn with_group(place: Place, group: &str) -> Self {
        Self::new(place, &rules_of_one_group(group))
    }

    /// Puts other rules in force, as `sg-ctl apply` would. Flows, counters and settings stay.
    pub fn apply(&mut self, rules: &str) {
        self.apply_in(rules, 0);
    }

    /// The same, in an image of at least so many words.
    fn apply_in(&mut self, rules: &str, words: usize) {
        self.model = read(rules);
        self.second.get_mut().apply(&self.model);
        let zone = |name: &str, zone, address: fn(Family) -> IpAddr| {
            let spec = self.model.interfaces.get(name).cloned();
            ZonePolicy {
                zone,
                groups: spec.unwrap_or_default().groups,
                addresses: Family::BOTH.map(address).to_vec(),
            }
        };
        let mut zones = vec![zone("eth0", ZONE, Family::local)];
        if self.model.interfaces.contains_key("eth1") {
            zones.push(zone("eth1", ZONE + 1, Family::second_local));
        }
        self.generation += 1;
        let image = compile(&self.model, &zones, &mut self.numbers, self.generation)
            .expect("the rules compile");
        self.loaded_mut().install_padded(&image, words);
        self.image = Some(image);
    }

    /// Puts the image that is in force in force once more, in one of at least so many words.
    pub fn move_to(&mut self, words: usize) {
        let image = self.image.take().expect("rules were applied");
        self.loaded_mut().install_padded(&image, words);
        self.image = Some(image);
    }

    /// Puts an image in force in which the interface has no policy.
    pub fn forget_policy(&mut self) {
        let image = compile(&self.model, &[], &mut self.numbers, self.generation)
            .expect("nothing compiles");
        self.second.get_mut().forget_policy();
        self.loaded_mut().install(&image);
        self.image = Some(image);
    }

    /// As [`Self::apply`] with one group, see [`Self::with_group`].
    pub fn apply_group(&mut self, group: &str) {
        self.apply(&rules_of_one_group(group));
    }

    /// The same, in an image of at least so many words: rules enough for so many would do the same, slowly.
    pub fn apply_group_in(&mut self, group: &str, words: usize) {
        self.apply_in(&rules_of_one_group(group), words);
    }

    /// Judges a frame on its way to the protected side.
    #[track_caller]
    pub fn inbound(&self, frame: &(impl Bytes + ?Sized)) -> Seen<'_> {
        self.judge(Direction::Inbound, &frame.bytes())
    }

    /// Judges a frame on its way from the protected side.
    #[track_caller]
    pub fn outbound(&self, frame: &(impl Bytes + ?Sized)) -> Seen<'_> {
        self.judge(Direction::Outbound, &frame.bytes())
    }

    /// Judges a frame on its way in `direction`.
    #[track_caller]
    pub fn judge(&self, direction: Direction, frame: &[u8]) -> Seen<'_> {
        let before = self.counters();
        let verdict = if direction == self.place.receives() {
            self.loaded().run_ingress(self.place.hook, frame, 1)
        } else {
            self.loaded().run_egress(frame, 1)
        };
        let seen = Seen {
            filter: self,
            direction,
            length: frame.len() as u64,
            verdict,
            before,
            after: self.counters(),
            events: self.loaded().take_events_of(frame),
        };
        // A frame that no program counted was not judged.
        if let Some(reason) = seen.reason()
            && let Some((expected, rule)) = self.second.borrow_mut().judge(direction, frame)
        {
            assert_eq!(expected, reason, "the oracle differs\n{}", self.dump());
            if let [event] = seen.events() {
                let found = self.rule(event.rule);
                let found = found.map(|rule| (rule.group_id.clone(), rule.rule_id.clone()));
                assert_eq!(rule, found, "the oracle differs\n{}", self.dump());
            }
        }
        seen
    }

    /// Judges copies of an inbound frame, and leaves their events in the log.
    pub fn flood(&self, frame: &[u8], copies: u32) {
        for _ in 0..copies {
            let _ = self.second.borrow_mut().judge(Direction::Inbound, frame);
        }
        if self.place.receives() == Direction::Inbound {
            self.loaded().run_ingress(self.place.hook, frame, copies);
        } else {
            self.loaded().run_egress(frame, copies);
        }
    }

    /// Lets strangers take every slot of the flow table that a new flow could take, or locks the
    /// table, or gives it back. Slots that could be taken only later stay.
    pub fn set_room(&mut self, room: Room) {
        self.second.get_mut().set_room(room);
        self.loaded_mut().set_room(room);
    }

    /// Asks the oracle no more: for what it does not know of, such as limits of memory.
    pub fn judge_alone(&mut self) {
        self.second.get_mut().fall_silent();
    }

    /// Takes the events since the last frame that was not part of a flood.
    pub fn take_events(&self) -> Vec<Event> {
        self.loaded().take_events()
    }

    /// Lets time pass.
    pub fn wait(&mut self, time: Duration) {
        let before = self.now();
        self.loaded_mut().advance(time);
        let jiffies = self.now() - before;
        self.second.get_mut().wait(jiffies);
    }

    /// Lets seconds pass.
    pub fn wait_seconds(&mut self, seconds: u64) {
        self.wait(Duration::from_secs(seconds));
    }

    /// Jiffies.
    pub fn now(&self) -> u64 {
        self.loaded().now()
    }

    /// Jiffies per second.
    pub fn hz(&self) -> u64 {
        self.loaded().hz()
    }

    /// The settings of the interface.
    pub fn settings(&self) -> InterfaceSettings {
        self.loaded().settings()
    }

    /// Changes the settings of the interface.
    pub fn change_settings(&mut self, change: impl FnOnce(&mut InterfaceSettings)) {
        let mut settings = self.settings();
        change(&mut settings);
        self.loaded_mut().set_settings(&settings);
    }

    /// The counters of the interface.
    pub fn counters(&self) -> ZoneCounters {
        self.loaded().counters()
    }

    /// All entries of the flow table, live or expired.
    pub fn flows(&self) -> Vec<(FlowKey, FlowEntry)> {
        self.loaded().flows()
    }

    /// The only entry of the flow table.
    #[track_caller]
    pub fn only_flow(&self) -> (FlowKey, FlowEntry) {
        let flows = self.flows();
        let [flow] = flows[..] else {
            panic!("not one flow\n{}", self.dump());
        };
        flow
    }

    /// The rule behind a number.
    pub fn rule(&self, number: u32) -> Option<&RuleRecord> {
        self.numbers.rule(number)
    }

    /// Rules, flows and counters, for the message of a test that fails.
    pub fn dump(&self) -> String {
        let mut text = String::from("rules:\n");
        for (name, group) in &self.model.groups {
            for rule in group.inbound.iter().chain(&group.outbound) {
                let _ = writeln!(text, "  {name}: {rule:?}");
            }
        }
        text.push_str("flows:\n");
        for (key, entry) in self.flows() {
            let _ = writeln!(text, "  {key:?}\n    {entry:?}");
        }
        let _ = write!(text, "counters:\n{}", seen::describe(&self.counters()));
        text
    }

    fn loaded(&self) -> &Loaded {
        self.loaded.as_ref().expect("until drop")
    }

    fn loaded_mut(&mut self) -> &mut Loaded {
        self.loaded.as_mut().expect("until drop")
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        if let Some(loaded) = self.loaded.take()
            && !std::thread::panicking()
        {
            loaded.give_back();
        }
    }
}

/// What can be judged: a described packet, or bytes.
pub trait Bytes {
    /// The frame.
    fn bytes(&self) -> Vec<u8>;
}

impl Bytes for Frame {
    fn bytes(&self) -> Vec<u8> {
        Frame::bytes(self)
    }
}

impl Bytes for [u8] {
    fn bytes(&self) -> Vec<u8> {
        self.to_vec()
    }
}

impl Bytes for Vec<u8> {
    fn bytes(&self) -> Vec<u8> {
        self.clone()
    }
}
