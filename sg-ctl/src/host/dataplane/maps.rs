//! Handles of the maps that all programs share: opened by their pins, or taken from programs that
//! have maps of their own.

use std::cell::OnceCell;
use std::io;
use std::path::PathBuf;

use aya::maps::{Array, Map, MapData, MapError, PerCpuHashMap, PerCpuValues};
use aya::util::nr_cpus;
use aya::{Ebpf, Pod};
use sg_common::counters::{RuleCounters, RuleKey, ZoneCounters};
use sg_common::flow::{FragmentEntry, FragmentKey};
use sg_common::image::PREVIOUS;
use sg_common::limit::LogBucket;
use sg_common::names::{
    MAP_COUNTERS, MAP_FLOW_SLOTS, MAP_FLOW_TAGS, MAP_FRAGMENTS, MAP_IMAGES, MAP_INTERFACES,
    MAP_LOG_BUCKETS, MAP_RULES, MAP_SELECTOR, MAP_TEST_CLOCK,
};
use sg_common::settings::{InterfaceSettings, MAX_ZONES, before};

use super::counters::Counters;
use super::error::DataplaneError;
use super::pins::PinDir;
use super::sys::{MappedSlots, MappedTags, Outer, Table};

/// The shared maps but for the ring buffer, which has one reader at a time.
pub(super) struct Maps {
    pub(super) interfaces: Array<MapData, InterfaceSettings>,
    counters: Counters,
    pub(super) log_buckets: Array<MapData, LogBucket>,
    pub(super) rules: PerCpuHashMap<MapData, RuleKey, RuleCounters>,
    tags: MapData,
    mapped_tags: OnceCell<MappedTags>,
    flows: MapData,
    mapped_flows: OnceCell<MappedSlots>,
    pub(super) fragments: Table<FragmentKey, FragmentEntry>,
    pub(super) selector: Array<MapData, u32>,
    pub(super) images: [Outer; MAP_IMAGES.len()],
    pub(super) test_clock: Array<MapData, u64>,
}

impl Maps {
    /// Opens the maps; they must have been checked by [`compat`](super::compat) when they were
    /// created or last attached to.
    pub(super) fn open(pins: &PinDir) -> Result<Self, DataplaneError> {
        Self::from(
            |name| MapData::from_pin(pins.map(name)),
            Some(pins.counters()),
        )
    }

    /// Takes the maps of programs that share them with nobody.
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, DataplaneError> {
        Self::from(|name| take(ebpf, name), None)
    }

    fn from(
        mut get: impl FnMut(&'static str) -> Result<MapData, MapError>,
        counter_pins: Option<PathBuf>,
    ) -> Result<Self, DataplaneError> {
        let mut open = |name| get(name).map_err(map_error("open", name));
        let mut image = |name| outer(open(name)?, name);
        let [small, large, huge] = MAP_IMAGES;
        let images = [image(small)?, image(large)?, image(huge)?];
        Ok(Self {
            interfaces: array(open(MAP_INTERFACES)?, MAP_INTERFACES)?,
            counters: Counters::new(open(MAP_COUNTERS)?, counter_pins),
            log_buckets: array(open(MAP_LOG_BUCKETS)?, MAP_LOG_BUCKETS)?,
            rules: Map::from_map_data(open(MAP_RULES)?)
                .and_then(PerCpuHashMap::try_from)
                .map_err(map_error("open", MAP_RULES))?,
            tags: open(MAP_FLOW_TAGS)?,
            mapped_tags: OnceCell::new(),
            flows: open(MAP_FLOW_SLOTS)?,
            mapped_flows: OnceCell::new(),
            fragments: Table::new(open(MAP_FRAGMENTS)?)
                .map_err(map_error("open", MAP_FRAGMENTS))?,
            selector: array(open(MAP_SELECTOR)?, MAP_SELECTOR)?,
            images,
            test_clock: array(open(MAP_TEST_CLOCK)?, MAP_TEST_CLOCK)?,
        })
    }

    /// The flow table's slots. They are mapped for the first who asks: the kernel then makes a page
    /// table for all of them, and rules are changed without a look at flows.
    pub(super) fn flows(&self) -> Result<&MappedSlots, DataplaneError> {
        if let Some(slots) = self.mapped_flows.get() {
            return Ok(slots);
        }
        let slots = map_slots(&self.flows)?;
        Ok(self.mapped_flows.get_or_init(|| slots))
    }

    /// The numbers of the flow table's slots that hold something, ended or not.
    pub(super) fn taken_slots(&self) -> Result<impl Iterator<Item = usize>, DataplaneError> {
        if let Some(tags) = self.mapped_tags.get() {
            return Ok(tags.taken());
        }
        let info = self.tags.info();
        let info = info.map_err(map_error("describe", MAP_FLOW_TAGS))?;
        let tags = MappedTags::new(self.tags.fd(), info.max_entries() as usize);
        let tags = tags.map_err(system_error("map the flow table"))?;
        Ok(self.mapped_tags.get_or_init(|| tags).taken())
    }

    /// The settings of a zone; all zero for one that is not in use.
    pub(super) fn settings(&self, zone: u32) -> Result<InterfaceSettings, DataplaneError> {
        if zone >= MAX_ZONES {
            return Ok(InterfaceSettings::UNUSED);
        }
        self.interfaces
            .get(&zone, 0)
            .map_err(map_error("read", MAP_INTERFACES))
    }

    /// The settings that a zone returns to when a change on trial is not confirmed.
    pub(super) fn settings_before(&self, zone: u32) -> Result<InterfaceSettings, DataplaneError> {
        self.interfaces
            .get(&before(zone), 0)
            .map_err(map_error("read", MAP_INTERFACES))
    }

    /// Changes the settings of a zone. One that comes into use has counters from then on: programs
    /// drop everything where there are none.
    pub(super) fn set_settings(
        &mut self,
        zone: u32,
        settings: &InterfaceSettings,
    ) -> Result<(), DataplaneError> {
        if settings.is_in_use() {
            self.counters.make(zone)?;
        }
        self.interfaces
            .set(zone, settings, 0)
            .map_err(map_error("write", MAP_INTERFACES))
    }

    /// Changes the settings that a zone returns to when a change on trial is not confirmed.
    pub(super) fn set_settings_before(
        &mut self,
        zone: u32,
        settings: &InterfaceSettings,
    ) -> Result<(), DataplaneError> {
        let settings = InterfaceSettings {
            image: PREVIOUS as u8,
            ..*settings
        };
        self.interfaces
            .set(before(zone), settings, 0)
            .map_err(map_error("write", MAP_INTERFACES))
    }

    /// The counters of a zone, summed over all CPUs.
    pub(super) fn counters(&self, zone: u32) -> Result<ZoneCounters, DataplaneError> {
        if zone >= MAX_ZONES {
            return Ok(ZoneCounters::ZERO);
        }
        self.counters.sum(zone)
    }

    /// Sets the counters of a zone to zero, and lets it log what it may in a second.
    pub(super) fn reset_counters(&mut self, zone: u32) -> Result<(), DataplaneError> {
        self.counters.reset(zone)?;
        self.log_buckets
            .set(zone, LogBucket::default(), 0)
            .map_err(map_error("write", MAP_LOG_BUCKETS))
    }

    /// The time of programs that were loaded with a test clock; 0 when nobody has set it.
    pub(super) fn test_clock(&self) -> Result<u64, DataplaneError> {
        self.test_clock
            .get(&0, 0)
            .map_err(map_error("read", MAP_TEST_CLOCK))
    }

    /// Sets the time of programs that were loaded with a test clock.
    pub(super) fn set_test_clock(&mut self, jiffies: u64) -> Result<(), DataplaneError> {
        self.test_clock
            .set(0, jiffies, 0)
            .map_err(map_error("write", MAP_TEST_CLOCK))
    }
}

/// The same value for every CPU.
pub(super) fn on_every_cpu<V: Pod>(value: V) -> Result<PerCpuValues<V>, MapError> {
    let cpus = nr_cpus().map_err(|(_, error)| MapError::IoError(error))?;
    PerCpuValues::try_from(vec![value; cpus]).map_err(MapError::IoError)
}

/// Takes a map out of an object.
pub(super) fn take(ebpf: &mut Ebpf, name: &str) -> Result<MapData, MapError> {
    match ebpf.take_map(name) {
        Some(
            Map::Array(data)
            | Map::ArrayOfMaps(data)
            | Map::HashMap(data)
            | Map::LruHashMap(data)
            | Map::PerCpuArray(data)
            | Map::PerCpuHashMap(data)
            | Map::ProgramArray(data)
            | Map::RingBuf(data),
        ) => Ok(data),
        Some(_) | None => Err(MapError::InvalidName {
            name: name.to_owned(),
        }),
    }
}

pub(super) fn array<V: Pod>(
    map: MapData,
    name: &'static str,
) -> Result<Array<MapData, V>, DataplaneError> {
    Map::from_map_data(map)
        .and_then(Array::try_from)
        .map_err(map_error("open", name))
}

fn outer(map: MapData, name: &'static str) -> Result<Outer, DataplaneError> {
    Outer::new(map).map_err(map_error("open", name))
}

/// Maps the slots of a flow table.
pub(super) fn map_slots(map: &MapData) -> Result<MappedSlots, DataplaneError> {
    let info = map.info().map_err(map_error("describe", MAP_FLOW_SLOTS))?;
    let slots = info.max_entries() as usize;
    MappedSlots::new(map.fd(), slots).map_err(system_error("map the flow table"))
}

/// Names the map and what was tried with it.
pub(super) fn map_error(
    action: &'static str,
    map: &'static str,
) -> impl FnOnce(MapError) -> DataplaneError {
    move |source| DataplaneError::Map {
        action,
        map,
        source: Box::new(source),
    }
}

/// Names what was tried.
pub(super) fn system_error(action: &'static str) -> impl FnOnce(io::Error) -> DataplaneError {
    move |source| DataplaneError::System { action, source }
}
