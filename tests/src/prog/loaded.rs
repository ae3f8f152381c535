//! Loaded programs with maps of their own, handed from test to test: loading takes a third of a
//! second, judging a frame some microseconds.
//!
//! Nothing of them can be left behind: their pins are in a BPF file system that was taken out of
//! the tree of mounts, and ends with the file descriptor that leads to it.

mod memory;
mod room;

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    fs::File,
    os::fd::AsRawFd,
    path::PathBuf,
    sync::Mutex,
    time::Duration,
};

use aya::maps::{Map, MapData, PerCpuHashMap, RingBuf};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use sg_common::{
    counters::{RuleCounters, RuleKey, Tally, ZoneCounters},
    event::{Event, Record, SNAP},
    flow::{Direction, FlowEntry, FlowKey, FlowSlot},
    image::{self, header},
    names::{MAP_EVENTS, MAP_FLOW_SLOTS, MAP_FLOW_TAGS, MAP_RULES},
    reason::Verdict,
    settings::{InterfaceSettings, ProgramConfig},
};
use sg_ctl::host::dataplane::{Dataplane, Entry, Gates, Programs, RuleTotals};
use sg_policy::{compile::Image, model::Side};

use self::memory::Memory;
use super::{Hook, ZONE};
use crate::{oracle::Room, scratch::Directory};

/// Flows that fit the table for certain; there are twice as many slots.
pub const FLOWS: u32 = 1024;

/// Longer than any timeout: what one test leaves in a table is over when the next one begins.
const BETWEEN_TESTS: Duration = Duration::from_secs(10_000_000);

/// Return values of the hooks (`include/uapi/linux`: `bpf.h`, `pkt_cls.h`).
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const TC_NEXT: u32 = u32::MAX;
const TC_DROP: u32 = 2;

/// Programs and maps that no test uses at the moment.
static IDLE: Mutex<Vec<(Side, Loaded)>> = Mutex::new(Vec::new());

/// The programs of one interface with their maps.
pub(crate) struct Loaded {
    side: Side,
    dataplane: Dataplane,
    gates: RefCell<Gates>,
    events: RefCell<RingBuf<MapData>>,
    hz: u64,
    now: u64,
    room: Room,
    /// Packets of flows whose slots were overwritten before anybody had counted them for a rule.
    overwritten: HashMap<RuleKey, Tally>,
    /// The flow table.
    tags: Memory<u64>,
    slots: Memory<FlowSlot>,
    /// Keeps the pins.
    _root: File,
}

impl Loaded {
    /// Takes idle programs, or loads some.
    pub(crate) fn take(side: Side) -> Self {
        let mut idle = IDLE.lock().expect("nobody panics with the lock");
        let found = idle.iter().position(|(its, _)| *its == side);
        let idle = found.map(|index| idle.swap_remove(index).1);
        idle.unwrap_or_else(|| Self::load(side))
    }

    /// Gives the programs to the next test, with empty tables.
    pub(crate) fn give_back(mut self) {
        self.forget();
        let mut idle = IDLE.lock().expect("nobody panics with the lock");
        idle.push((self.side, self));
    }

    /// Empties the tables.
    fn forget(&mut self) {
        self.let_expire();
        self.dataplane
            .delete_flows(|_, _| true)
            .expect("maps are open");
        let rules = MapData::from_pin(self.dataplane.pins().map(MAP_RULES))
            .and_then(Map::from_map_data)
            .and_then(PerCpuHashMap::<_, RuleKey, RuleCounters>::try_from);
        let mut rules = rules.expect("the maps are pinned");
        for key in rules.keys().flatten().collect::<Vec<_>>() {
            rules.remove(&key).expect("maps are writable");
        }
    }

    /// Lets so much time pass that whatever is in the tables is over, and resets the counters.
    pub(crate) fn let_expire(&mut self) {
        self.set_room(Room::Free);
        self.take_events();
        self.dataplane.reset_counters(ZONE).expect("maps are open");
        self.advance(BETWEEN_TESTS);
    }

    fn load(side: Side) -> Self {
        let (root, path) = detached_bpf_fs();
        let hz = Dataplane::hz().expect("the kernel tells HZ");
        let mut dataplane = Dataplane::open(&path).expect("nothing is pinned yet");
        // One of the usual size would be searched for half a second between tests.
        dataplane.prepare(FLOWS).expect("the maps can be made");
        let config = ProgramConfig {
            test_clock: 1,
            hz: hz as u32,
        };
        let programs = Programs::load(dataplane.pins(), config).expect("the object is sound");
        let map =
            |name| MapData::from_pin(dataplane.pins().map(name)).expect("the maps are pinned");
        let events = Map::from_map_data(map(MAP_EVENTS)).and_then(RingBuf::try_from);
        let events = events.expect("it is a ring buffer");
        let mut loaded = Self {
            side,
            gates: RefCell::new(Gates::new(programs, ZONE)),
            events: RefCell::new(events),
            hz,
            now: 1 << 32,
            room: Room::Free,
            overwritten: HashMap::new(),
            tags: Memory::new(&map(MAP_FLOW_TAGS)),
            slots: Memory::new(&map(MAP_FLOW_SLOTS)),
            dataplane,
            _root: root,
        };
        loaded.advance(BETWEEN_TESTS);
        loaded
    }

    /// Runs the program of the receiving path `times` over.
    pub(crate) fn run_ingress(&self, hook: Hook, frame: &[u8], times: u32) -> Verdict {
        let direction = match self.side {
            Side::Nic => Direction::Inbound,
            Side::Workload => Direction::Outbound,
        };
        match hook {
            Hook::Xdp => self.run(Entry::Xdp(direction), frame, times),
            Hook::Tc => self.run(Entry::Tc(direction), frame, times),
        }
    }

    /// Runs the program of the sending path `times` over.
    pub(crate) fn run_egress(&self, frame: &[u8], times: u32) -> Verdict {
        let direction = match self.side {
            Side::Nic => Direction::Outbound,
            Side::Workload => Direction::Inbound,
        };
        self.run(Entry::Tc(direction), frame, times)
    }

    fn run(&self, entry: Entry, frame: &[u8], times: u32) -> Verdict {
        run(&mut self.gates.borrow_mut(), entry, frame, times)
    }

    pub(crate) fn install(&mut self, image: &Image) {
        self.dataplane
            .install(image.words(), image.rules())
            .expect("the kernel takes the image");
    }

    /// Puts an image in force, followed by zeros if it has fewer words than these.
    pub(crate) fn install_padded(&mut self, image: &Image, length: usize) {
        let mut words = image.words().to_vec();
        words.resize(words.len().max(length), 0);
        words[header::WORDS as usize] = words.len() as u32;
        words[header::CHECKSUM as usize] = image::checksum(&words[header::LEN as usize..]);
        self.dataplane
            .install(&words, image.rules())
            .expect("the kernel takes the image");
    }

    /// Puts an image and settings in the place of those that a deadline brings back.
    pub(crate) fn install_previous(&mut self, image: &Image, settings: &InterfaceSettings) {
        self.dataplane
            .install_previous(image.words(), image.rules())
            .expect("the kernel takes the image");
        self.dataplane
            .set_settings_before(ZONE, settings)
            .expect("maps are open");
    }

    pub(crate) fn settings(&self) -> InterfaceSettings {
        self.dataplane.settings(ZONE).expect("maps are open")
    }

    pub(crate) fn set_settings(&mut self, settings: &InterfaceSettings) {
        self.dataplane
            .set_settings(ZONE, settings)
            .expect("maps are open");
    }

    pub(crate) fn counters(&self) -> ZoneCounters {
        self.dataplane.counters(ZONE).expect("maps are open")
    }

    pub(crate) fn flows(&self) -> Vec<(FlowKey, FlowEntry)> {
        let flows = self.dataplane.flows().expect("maps are open");
        flows
            .filter(|(key, _)| u32::from(key.zone()) == ZONE)
            .collect()
    }

    /// What the rules of the interface have admitted, by number.
    pub(crate) fn rule_totals(&self) -> BTreeMap<u32, RuleTotals> {
        let totals = self.dataplane.rule_totals().expect("maps are open");
        let of_zone = totals.into_iter().filter(|(key, _)| key.zone == ZONE);
        let with_overwritten = of_zone.map(|(key, mut totals)| {
            if let Some(tally) = self.overwritten.get(&key) {
                totals.traffic.packets += tally.packets;
                totals.traffic.bytes += tally.bytes;
            }
            (key.rule, totals)
        });
        with_overwritten.collect()
    }

    /// Takes the events since the last call.
    pub(crate) fn take_events(&self) -> Vec<Event> {
        let records = self.take_records().into_iter();
        records.map(|record| record.event).collect()
    }

    /// Takes the events since the last call, which must show the beginning of a frame.
    #[track_caller]
    pub(crate) fn take_events_of(&self, frame: &[u8]) -> Vec<Event> {
        let start = &frame[..frame.len().min(SNAP)];
        let records = self.take_records().into_iter();
        let event = |record: Record| {
            assert_eq!(
                record.frame(),
                start,
                "the log shows the frame as it was sent"
            );
            record.event
        };
        records.map(event).collect()
    }

    fn take_records(&self) -> Vec<Record> {
        let mut ring = self.events.borrow_mut();
        let mut records = Vec::new();
        while let Some(item) = ring.next() {
            records.push(Record::from_bytes(&item).expect("the programs write records"));
        }
        records
    }

    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    pub(crate) fn hz(&self) -> u64 {
        self.hz
    }

    pub(crate) fn advance(&mut self, time: Duration) {
        self.now += (time.as_millis() as u64 * self.hz).div_ceil(1000);
        self.dataplane
            .set_test_clock(self.now)
            .expect("maps are open");
    }
}

/// Runs a program `times` over on a frame, and reads its verdict.
pub(super) fn run(gates: &mut Gates, entry: Entry, frame: &[u8], times: u32) -> Verdict {
    let run = gates
        .run(entry, frame, times, None)
        .unwrap_or_else(|error| panic!("the kernel does not take the frame: {error:?}"));
    if entry.is_xdp() {
        xdp_verdict(run.code)
    } else {
        tc_verdict(run.code)
    }
}

pub(crate) fn xdp_verdict(code: u32) -> Verdict {
    match code {
        XDP_PASS => Verdict::Pass,
        XDP_DROP => Verdict::Drop,
        other => panic!("the program returned {other}"),
    }
}

pub(crate) fn tc_verdict(code: u32) -> Verdict {
    match code {
        TC_NEXT => Verdict::Pass,
        TC_DROP => Verdict::Drop,
        other => panic!("the program returned {other}"),
    }
}

/// A BPF file system that only the returned descriptor leads to, and the path by which it does.
pub(crate) fn detached_bpf_fs() -> (File, PathBuf) {
    let directory = Directory::temporary("bpf");
    let path = directory.path();
    let kind = Some("bpf");
    mount(kind, path, kind, MsFlags::empty(), None::<&str>).expect("root may mount");
    let root = File::open(path).expect("it was just mounted");
    umount2(path, MntFlags::MNT_DETACH).expect("root may unmount");
    let path = PathBuf::from(format!("/proc/self/fd/{}", root.as_raw_fd()));
    (root, path)
}
