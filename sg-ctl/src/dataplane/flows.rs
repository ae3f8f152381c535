//! Lists and deletes entries of the flow table, in batches.

use std::io;

use aya::Pod;
use nix::errno::Errno;
use sg_common::flow::{FlowEntry, FlowKey};

use super::error::DataplaneError;
use super::maps::{Maps, system_error};
use super::sys::{Cursor, Table};

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

/// Every entry of the flow table, expired ones included.
pub(super) fn flows(
    maps: &Maps,
) -> impl Iterator<Item = Result<(FlowKey, FlowEntry), DataplaneError>> {
    Entries::new(&maps.flows).map(|entry| entry.map_err(system_error("read the flow table")))
}

/// Deletes flows; returns how many there still were.
pub(super) fn delete(maps: &Maps, keys: &[FlowKey]) -> Result<usize, DataplaneError> {
    delete_from(&maps.flows, keys).map_err(system_error("delete flows"))
}

/// Deletes everything that the tables hold about a zone.
pub(super) fn delete_zone(maps: &Maps, zone: u32) -> Result<(), DataplaneError> {
    let mut keys = Vec::new();
    for flow in flows(maps) {
        let (key, _) = flow?;
        if u32::from(key.zone) == zone {
            keys.push(key);
        }
    }
    delete(maps, &keys)?;
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
