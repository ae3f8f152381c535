//! The programs of one interface on several CPUs at a time, with a flow table of any size: for
//! floods and races, where nobody asks about single frames.

use std::{
    fs::{self, File},
    os::fd::{AsFd as _, AsRawFd as _},
    path::Path,
};

use aya::maps::MapData;
use sg_common::{
    counters::ZoneCounters,
    flow::{Direction, FlowEntry, FlowKey},
    names::{MAP_FLOW_SLOTS, MAP_FLOW_TAGS},
    reason::{REASON_SLOTS, Reason, Verdict},
    settings::{InterfaceSettings, ProgramConfig},
};
use sg_ctl::host::dataplane::{Dataplane, Entry, FlowTableInfo, Gates, PinDir, Programs};
use sg_policy::compile::{RuleNumbers, ZonePolicy, compile};

use super::{ZONE, loaded, read, settings};

/// The maps of one interface, `eth0` of its rules, which logs nothing. Real time passes.
pub struct Shared {
    dataplane: Dataplane,
    /// Keeps the pins.
    _root: File,
}

impl Shared {
    /// Makes the maps, with room for so many flows, and puts rules in force.
    pub fn new(flows: u32, rules: &str) -> Self {
        let (root, path) = loaded::detached_bpf_fs();
        let mut dataplane = Dataplane::open(&path).expect("nothing is pinned yet");
        dataplane.prepare(flows).expect("the maps can be made");
        let model = read(rules);
        let spec = model.interfaces["eth0"].clone();
        let zone = ZonePolicy {
            zone: ZONE,
            groups: spec.groups.clone(),
            addresses: Vec::new(),
        };
        let image = compile(&model, &[zone], &mut RuleNumbers::default(), 1);
        let image = image.expect("the rules compile");
        dataplane
            .install(image.words(), image.rules())
            .expect("the image is sound");
        let clock = dataplane.clock().expect("the clock is pinned");
        let settings = InterfaceSettings {
            log_reasons: 0,
            ..settings(&spec, clock.now, clock.hz)
        };
        dataplane
            .set_settings(ZONE, &settings)
            .expect("maps are open");
        Self {
            dataplane,
            _root: root,
        }
    }

    /// Gates for one thread.
    pub fn lane(&self) -> Lane {
        let config = ProgramConfig {
            test_clock: 0,
            hz: Dataplane::hz().expect("the kernel tells HZ") as u32,
        };
        let programs = Programs::load(self.dataplane.pins(), config);
        Lane(Gates::new(programs.expect("the object is sound"), ZONE))
    }

    /// The flow table as sg-ctl describes it.
    pub fn table(&self) -> FlowTableInfo {
        let table = self.dataplane.flow_table().expect("maps are open");
        table.expect("there is one")
    }

    /// Bytes of memory of the flow table, as the kernel tells them.
    pub fn table_memory(&self) -> u64 {
        flow_table_memory(self.dataplane.pins())
    }

    /// Every entry of the flow table.
    pub fn flows(&self) -> Vec<(FlowKey, FlowEntry)> {
        self.dataplane.flows().expect("maps are open").collect()
    }

    /// Deletes all flows.
    pub fn forget_flows(&mut self) {
        self.dataplane
            .delete_flows(|_, _| true)
            .expect("maps are open");
    }

    /// Inbound packets that were counted, by every reason that there was.
    pub fn counts(&self) -> Counts {
        Counts(self.dataplane.counters(ZONE).expect("maps are open"))
    }
}

/// Bytes of memory of a pinned flow table, as the kernel tells them.
pub fn flow_table_memory(pins: &PinDir) -> u64 {
    map_memory(pins, MAP_FLOW_TAGS) + map_memory(pins, MAP_FLOW_SLOTS)
}

/// Kernel memory of a pinned map, in bytes.
pub(crate) fn map_memory(pins: &PinDir, name: &str) -> u64 {
    memory_of(&pins.map(name))
}

/// Kernel memory of all pages of counters, in bytes.
pub(crate) fn counter_memory(pins: &PinDir) -> u64 {
    let pages = fs::read_dir(pins.path().join("counters")).expect("they are pinned");
    pages
        .map(|page| memory_of(&page.expect("it is read").path()))
        .sum()
}

fn memory_of(pin: &Path) -> u64 {
    let map = MapData::from_pin(pin).expect("is pinned");
    let info = format!("/proc/self/fdinfo/{}", map.fd().as_fd().as_raw_fd());
    let text = fs::read_to_string(info).expect("the kernel describes its maps");
    let line = text.lines().find_map(|line| line.strip_prefix("memlock:"));
    let bytes = line.and_then(|bytes| bytes.trim().parse::<u64>().ok());
    bytes.expect("the kernel tells the memory of maps")
}

/// Inbound packets by reason.
pub struct Counts(ZoneCounters);

impl Counts {
    /// Those of one reason.
    pub fn of(&self, reason: Reason) -> u64 {
        self.0.reasons[0][reason as usize].packets
    }

    /// All.
    pub fn total(&self) -> u64 {
        (0..REASON_SLOTS)
            .map(|slot| self.0.reasons[0][slot].packets)
            .sum()
    }
}

/// Gates of the interface for one thread.
pub struct Lane(Gates);

impl Lane {
    /// Judges an inbound frame.
    pub fn inbound(&mut self, frame: &[u8]) -> Verdict {
        loaded::run(&mut self.0, Entry::Xdp(Direction::Inbound), frame, 1)
    }

    /// Judges an outbound frame.
    pub fn outbound(&mut self, frame: &[u8]) -> Verdict {
        loaded::run(&mut self.0, Entry::Tc(Direction::Outbound), frame, 1)
    }
}
