//! Lists and deletes entries of the flow table, through a mapping of its memory: no system calls.

use schemars::JsonSchema;
use std::io;
use std::sync::atomic::Ordering;

use aya::Pod;
use aya::maps::{MapData, MapInfo};
use nix::errno::Errno;
use sg_common::flow::{FLOW_COUNTED, FLOW_DELETED, FlowEntry, FlowKey, FlowSlot, FlowState};
use sg_common::names::{MAP_FLOW_SEED, MAP_FLOW_TAGS};
use sg_common::settings::InterfaceSettings;
use sg_common::table::{HashSeed, Meta, buckets_for, bytes_of, flows_in};

use super::Dataplane;
use super::error::DataplaneError;
use super::maps::{self, Maps, map_error, system_error};
use super::pins::PinDir;
use super::sys::{Cursor, Table};
use crate::host::crash::{CrashPoint, reach};

/// Entries asked for at a time: a system call each, 0.5 µs per entry and less.
const BATCH: usize = 4096;

/// An iterator over a hash map. Entries that come or go meanwhile may be missed or seen twice.
struct Entries<'m, K, V> {
    table: &'m Table<K, V>,
    batch: std::vec::IntoIter<(K, V)>,
    cursor: Cursor,
    capacity: usize,
}

impl<'m, K: Pod, V: Pod> Entries<'m, K, V> {
    fn new(table: &'m Table<K, V>) -> Self {
        Self {
            table,
            batch: Vec::new().into_iter(),
            cursor: Cursor::Start,
            capacity: BATCH,
        }
    }
}

impl<K: Pod, V: Pod> Iterator for Entries<'_, K, V> {
    type Item = io::Result<(K, V)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.batch.next() {
                return Some(Ok(entry));
            }
            match self.table.lookup_batch(&mut self.cursor, self.capacity) {
                Ok(None) => return None,
                Ok(Some(batch)) => self.batch = batch.into_iter(),
                // One bucket has more entries than fit.
                Err(error) if error.raw_os_error() == Some(Errno::ENOSPC as i32) => {
                    self.capacity *= 2;
                }
                Err(error) => {
                    self.cursor = Cursor::End;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Room and memory of a flow table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, JsonSchema)]
pub struct FlowTableInfo {
    /// Live flows that fit.
    pub flows: u32,
    /// Bytes of kernel memory.
    pub bytes: u64,
}

impl FlowTableInfo {
    /// The table that is made for so many flows: it may have room for some more.
    pub const fn made_for(flows: u32) -> Self {
        Self::of(buckets_for(flows))
    }

    const fn of(buckets: u32) -> Self {
        Self {
            flows: flows_in(buckets),
            bytes: bytes_of(buckets),
        }
    }

    /// The table that is pinned.
    pub(super) fn pinned(pins: &PinDir) -> Result<Self, DataplaneError> {
        let info =
            MapInfo::from_pin(pins.map(MAP_FLOW_TAGS)).map_err(map_error("open", MAP_FLOW_TAGS))?;
        Ok(Self::of(info.max_entries()))
    }

    /// Refuses a table that would take more memory than the kernel has to give: it would try to,
    /// at the cost of everybody else.
    pub(super) fn check_memory(self) -> Result<(), DataplaneError> {
        let text =
            std::fs::read_to_string("/proc/meminfo").map_err(system_error("read /proc/meminfo"))?;
        match available(&text) {
            Some(available) if available < self.bytes => Err(DataplaneError::FlowTableTooLarge {
                flows: self.flows,
                mib: self.bytes >> 20,
                available: available >> 20,
            }),
            _ => Ok(()),
        }
    }
}

/// Bytes of memory that can be had without swapping, by `/proc/meminfo`.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// What programs must know of the flow table before they are loaded.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlowTable {
    pub(super) buckets: u32,
    pub(super) seed: HashSeed,
}

impl FlowTable {
    /// Describes the pinned table. The first caller seeds its hash: a table whose flows programs
    /// have hashed keeps its seed.
    pub(super) fn open(pins: &PinDir) -> Result<Self, DataplaneError> {
        let info =
            MapInfo::from_pin(pins.map(MAP_FLOW_TAGS)).map_err(map_error("open", MAP_FLOW_TAGS))?;
        let seeds =
            MapData::from_pin(pins.map(MAP_FLOW_SEED)).map_err(map_error("open", MAP_FLOW_SEED))?;
        let mut seeds = maps::array::<HashSeed>(seeds, MAP_FLOW_SEED)?;
        let mut seed = seeds.get(&0, 0).map_err(map_error("read", MAP_FLOW_SEED))?;
        if seed == HashSeed::default() {
            seed = random_seed()?;
            seeds
                .set(0, seed, 0)
                .map_err(map_error("write", MAP_FLOW_SEED))?;
        }
        Ok(Self {
            buckets: info.max_entries(),
            seed,
        })
    }
}

/// A seed that nobody can foresee.
pub(super) fn random_seed() -> Result<HashSeed, DataplaneError> {
    let mut seed = HashSeed::default();
    for word in &mut seed.words {
        *word =
            getrandom::u64().map_err(|error| system_error("seed the flow table")(error.into()))?;
    }
    Ok(seed)
}

/// Every entry of the flow table, expired ones included, as it is when the iterator gets there.
pub(super) fn flows(
    maps: &Maps,
) -> Result<impl Iterator<Item = (FlowKey, FlowEntry)>, DataplaneError> {
    let slots = maps.flows()?;
    Ok(maps.taken_slots()?.filter_map(|index| {
        let slot = slots.read(index)?;
        Some((slot.key, slot.entry()?))
    }))
}

/// Deletes the flows of which `chosen` says so; returns how many.
///
/// A deleted flow is one without state: the programs take it for absent at once, and its slot when
/// they need one, when they add its packets to the counters of its rule.
pub(super) fn delete(
    maps: &Maps,
    mut chosen: impl FnMut(&FlowKey, &FlowEntry) -> bool,
) -> Result<usize, DataplaneError> {
    clear(maps, FLOW_DELETED, |slot| {
        slot.entry().is_some_and(|entry| chosen(&slot.key, &entry))
    })
}

impl Dataplane {
    /// Ends the flows of a zone, but for those that `keeps` names, and forgets first fragments.
    ///
    /// # Errors
    /// When nothing is loaded.
    pub fn cut(
        &mut self,
        zone: u32,
        keeps: impl Fn(&FlowKey) -> bool,
    ) -> Result<(), DataplaneError> {
        let maps = self.maps()?;
        delete(maps, |key, _| u32::from(key.zone()) == zone && !keeps(key))?;
        delete_fragments(maps, zone)?;
        reach(CrashPoint::FlowsCut);
        Ok(())
    }

    /// Deletes the flows of a zone that are over by these settings and still lie in their slots.
    pub(super) fn delete_expired(
        &self,
        zone: u32,
        settings: &InterfaceSettings,
    ) -> Result<(), DataplaneError> {
        let now = self.clock()?.now;
        delete(self.maps()?, |key, entry| {
            u32::from(key.zone()) == zone && !settings.keeps(entry, now)
        })
        .map(drop)
    }
}

/// Takes the state off the slots of which `chosen` says so, and leaves these flags; returns how many.
/// A slot whose state changes at the very moment is looked at again.
fn clear(
    maps: &Maps,
    flags: u8,
    mut chosen: impl FnMut(&FlowSlot) -> bool,
) -> Result<usize, DataplaneError> {
    let slots = maps.flows()?;
    let mut deleted = 0;
    for index in maps.taken_slots()? {
        while let Some(slot) = slots.read(index)
            && chosen(&slot)
            && let Some(meta) = slots.meta(index)
        {
            let meta_before = Meta(slot.meta);
            let counted = meta_before.flags() & FLOW_COUNTED;
            let gone = meta_before.with(FlowState::NONE, flags | counted);
            let swap =
                meta.compare_exchange(slot.meta, gone.0, Ordering::AcqRel, Ordering::Relaxed);
            if swap.is_ok() {
                deleted += 1;
                break;
            }
        }
    }
    Ok(deleted)
}

/// Deletes everything that the tables hold about a zone.
pub(super) fn delete_zone(maps: &Maps, zone: u32) -> Result<(), DataplaneError> {
    // The next interface of this zone counts its own.
    clear(maps, 0, |slot| {
        u32::from(slot.key.zone()) == zone && slot.uncounted().is_some()
    })?;
    delete_fragments(maps, zone)
}

/// Deletes what first fragments have left in a zone.
fn delete_fragments(maps: &Maps, zone: u32) -> Result<(), DataplaneError> {
    let mut keys = Vec::new();
    for entry in Entries::new(&maps.fragments) {
        let (key, _) = entry.map_err(system_error("read the fragment table"))?;
        if u32::from(key.zone) == zone {
            keys.push(key);
        }
    }
    delete_from(&maps.fragments, &keys).map_err(system_error("delete fragments"))?;
    Ok(())
}

fn delete_from<K: Pod, V: Pod>(table: &Table<K, V>, keys: &[K]) -> io::Result<usize> {
    let mut rest = keys;
    let mut deleted = 0;
    while !rest.is_empty() {
        let done = table.delete_batch(rest)?;
        deleted += done;
        // The kernel stops at a key that is not there (any more).
        rest = rest.get(done + 1..).unwrap_or_default();
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_the_room_asked_for_and_tell_their_memory() {
        for (asked, mib) in [(16_384, 4), (262_144, 64), (1 << 20, 258), (1 << 24, 4128)] {
            let table = FlowTableInfo::made_for(asked);
            assert_eq!((table.flows, table.bytes >> 20), (asked, mib));
        }
        let odd = FlowTableInfo::made_for(1_000_001);
        assert!((1_000_001..1_000_010).contains(&odd.flows), "{odd:?}");
    }

    #[test]
    fn available_memory_is_read() {
        let text = "MemTotal:       24609120 kB\nMemAvailable:   21012345 kB\nBuffers: 1 kB\n";
        assert_eq!(available(text), Some(21_012_345 * 1024));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
    }
}
