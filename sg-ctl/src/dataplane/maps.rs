//! Handles of the shared maps, opened by their pins.

use std::io;

use aya::Pod;
use aya::maps::{Array, Map, MapData, MapError, PerCpuArray};
use sg_common::counters::ZoneCounters;
use sg_common::flow::{FragmentEntry, FragmentKey};
use sg_common::names::{
    MAP_COUNTERS, MAP_FLOW_SLOTS, MAP_FRAGMENTS, MAP_IMAGES, MAP_INTERFACES, MAP_SELECTOR,
    MAP_TEST_CLOCK,
};
use sg_common::settings::InterfaceSettings;

use super::error::DataplaneError;
use super::pins::PinDir;
use super::sys::{MappedSlots, Slot, Table};

/// The shared maps but for the ring buffer, which has one reader at a time.
pub(super) struct Maps {
    pub(super) interfaces: Array<MapData, InterfaceSettings>,
    pub(super) counters: PerCpuArray<MapData, ZoneCounters>,
    pub(super) flows: MappedSlots,
    pub(super) fragments: Table<FragmentKey, FragmentEntry>,
    pub(super) selector: Array<MapData, u32>,
    pub(super) images: [Slot; MAP_IMAGES.len()],
    pub(super) test_clock: Array<MapData, u64>,
}

impl Maps {
    /// Opens the maps; they must have been checked by [`compat`](super::compat) when they were
    /// created or last attached to.
    pub(super) fn open(pins: &PinDir) -> Result<Self, DataplaneError> {
        let [small, large] = MAP_IMAGES;
        Ok(Self {
            interfaces: array(pins, MAP_INTERFACES)?,
            counters: open(pins, MAP_COUNTERS)
                .and_then(Map::from_map_data)
                .and_then(PerCpuArray::try_from)
                .map_err(map_error("open", MAP_COUNTERS))?,
            flows: slots(pins)?,
            fragments: table(pins, MAP_FRAGMENTS)?,
            selector: array(pins, MAP_SELECTOR)?,
            images: [slot(pins, small)?, slot(pins, large)?],
            test_clock: array(pins, MAP_TEST_CLOCK)?,
        })
    }
}

fn open(pins: &PinDir, name: &'static str) -> Result<MapData, MapError> {
    MapData::from_pin(pins.map(name))
}

pub(super) fn array<V: Pod>(
    pins: &PinDir,
    name: &'static str,
) -> Result<Array<MapData, V>, DataplaneError> {
    open(pins, name)
        .and_then(Map::from_map_data)
        .and_then(Array::try_from)
        .map_err(map_error("open", name))
}

fn table<K: Pod, V: Pod>(pins: &PinDir, name: &'static str) -> Result<Table<K, V>, DataplaneError> {
    open(pins, name)
        .and_then(Table::new)
        .map_err(map_error("open", name))
}

fn slot(pins: &PinDir, name: &'static str) -> Result<Slot, DataplaneError> {
    open(pins, name)
        .and_then(Slot::new)
        .map_err(map_error("open", name))
}

fn slots(pins: &PinDir) -> Result<MappedSlots, DataplaneError> {
    let map = open(pins, MAP_FLOW_SLOTS).map_err(map_error("open", MAP_FLOW_SLOTS))?;
    let info = map.info().map_err(map_error("describe", MAP_FLOW_SLOTS))?;
    MappedSlots::new(map.fd(), info.max_entries() as usize)
        .map_err(system_error("map the flow table"))
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
