//! The counters of zones, in pages of some zones each: maps of their own in a map of maps, made when
//! the first of their zones comes into use.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::path::PathBuf;

use aya::maps::{Map, MapData, PerCpuArray};
use aya_obj::generated::bpf_map_type;
use sg_common::counters::{PAGE_ZONES, ZoneCounters};
use sg_common::names::MAP_COUNTERS;

use super::error::DataplaneError;
use super::maps::{map_error, on_every_cpu};
use super::pins::pin_error;
use super::sys::{self, ArrayShape};

/// Kernel name of the maps that are pages.
const PAGE_MAP: &str = "sg_counters";

type Page = PerCpuArray<MapData, ZoneCounters>;

/// The map of pages.
pub(super) struct Counters {
    map: MapData,
    /// Where pages are pinned; `None` when nothing is.
    pins: Option<PathBuf>,
    open: RefCell<BTreeMap<u32, Page>>,
}

impl Counters {
    pub(super) const fn new(map: MapData, pins: Option<PathBuf>) -> Self {
        Self {
            map,
            pins,
            open: RefCell::new(BTreeMap::new()),
        }
    }

    /// The counters of a zone, summed over all CPUs; zero where there are none.
    pub(super) fn sum(&self, zone: u32) -> Result<ZoneCounters, DataplaneError> {
        let mut sum = ZoneCounters::ZERO;
        self.with_page(zone, |page| {
            let per_cpu = page
                .get(&(zone % PAGE_ZONES), 0)
                .map_err(map_error("read", MAP_COUNTERS))?;
            per_cpu.iter().for_each(|counters| sum.add(counters));
            Ok(())
        })?;
        Ok(sum)
    }

    /// Makes the counters of a zone, unless there are some.
    pub(super) fn make(&self, zone: u32) -> Result<(), DataplaneError> {
        self.make_page(zone / PAGE_ZONES)
    }

    /// Sets the counters of a zone to zero, as far as there are any.
    pub(super) fn reset(&self, zone: u32) -> Result<(), DataplaneError> {
        self.with_page(zone, |page| {
            on_every_cpu(ZoneCounters::ZERO)
                .and_then(|zeros| page.set(zone % PAGE_ZONES, zeros, 0))
                .map_err(map_error("write", MAP_COUNTERS))
        })
    }

    /// Calls `act` with the page of a zone, if there is one.
    fn with_page(
        &self,
        zone: u32,
        act: impl FnOnce(&mut Page) -> Result<(), DataplaneError>,
    ) -> Result<(), DataplaneError> {
        let number = zone / PAGE_ZONES;
        let mut open = self.open.borrow_mut();
        match open.entry(number) {
            Entry::Occupied(mut page) => act(page.get_mut()),
            Entry::Vacant(vacant) => match self.pin(number).filter(|pin| pin.exists()) {
                Some(pin) => {
                    let page = MapData::from_pin(pin);
                    let page = page.map_err(map_error("open", MAP_COUNTERS))?;
                    act(vacant.insert(self::page(page)?))
                }
                None => Ok(()),
            },
        }
    }

    /// Makes a page that does not exist, pins it, and gives it to the programs. A page that is pinned
    /// and not theirs is that of a process that was killed in between.
    fn make_page(&self, number: u32) -> Result<(), DataplaneError> {
        let is_there = sys::slot_id(&self.map, number).map_err(slot_error)?;
        if is_there.is_some() {
            return Ok(());
        }
        let page = match self.pin(number) {
            Some(pin) if pin.exists() => {
                MapData::from_pin(pin).map_err(map_error("open", MAP_COUNTERS))?
            }
            pin => {
                let page = create()?;
                if let Some(pin) = pin {
                    sys::pin(&page.fd(), &pin).map_err(|source| pin_error("pin", &pin, source))?;
                }
                page
            }
        };
        sys::set_slot(&self.map, number, &page.fd()).map_err(slot_error)?;
        self.open.borrow_mut().insert(number, self::page(page)?);
        Ok(())
    }

    fn pin(&self, number: u32) -> Option<PathBuf> {
        let pins = self.pins.as_ref()?;
        Some(pins.join(number.to_string()))
    }
}

fn page(map: MapData) -> Result<Page, DataplaneError> {
    Map::from_map_data(map)
        .and_then(PerCpuArray::try_from)
        .map_err(map_error("open", MAP_COUNTERS))
}

/// Creates a page: the kernel takes only maps that equal the template in sg-ebpf in all of these.
fn create() -> Result<MapData, DataplaneError> {
    let shape = ArrayShape {
        of: bpf_map_type::BPF_MAP_TYPE_PERCPU_ARRAY,
        value: size_of::<ZoneCounters>() as u32,
        entries: PAGE_ZONES,
        flags: 0,
    };
    shape
        .create(PAGE_MAP)
        .map_err(map_error("create", PAGE_MAP))
}

fn slot_error(source: io::Error) -> DataplaneError {
    DataplaneError::System {
        action: "find the counters of an interface",
        source,
    }
}
