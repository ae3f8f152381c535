//! Maps: those of maps and programs, and entries by the batch.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, FromRawFd as _, OwnedFd};

use aya::Pod;
use aya::maps::{MapData, MapError, MapType};
use aya::util::nr_cpus;
use aya_obj::generated::{bpf_cmd, bpf_map_type};
use nix::libc;

use super::{bpf, fd, zeroed_attr};

/// What an array is made like; its keys are four bytes.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct ArrayShape {
    /// Which kind of array.
    pub(in super::super) of: bpf_map_type,
    /// Bytes of a value.
    pub(in super::super) value: u32,
    /// Number of values.
    pub(in super::super) entries: u32,
    /// Flags (`BPF_F_…`).
    pub(in super::super) flags: u32,
}

impl ArrayShape {
    /// Creates an array under a name of at most 15 bytes (`BPF_MAP_CREATE`).
    ///
    /// aya would first load nine types and seven programs to learn what the kernel can do.
    pub(in super::super) fn create(self, name: &str) -> Result<MapData, MapError> {
        let mut attr = zeroed_attr();
        // SAFETY: the fields of this command; no pointers are in it, and the result is a new
        // descriptor.
        let map = unsafe {
            let map = &mut attr.__bindgen_anon_1;
            map.map_type = self.of as u32;
            map.key_size = size_of::<u32>() as u32;
            map.value_size = self.value;
            map.max_entries = self.entries;
            map.map_flags = self.flags;
            for (to, from) in map.map_name.iter_mut().zip(name.bytes().take(15)) {
                *to = libc::c_char::from_ne_bytes([from]);
            }
            bpf(bpf_cmd::BPF_MAP_CREATE, &mut attr).map(|fd| OwnedFd::from_raw_fd(fd as i32))
        };
        let map = map.map_err(|io_error| MapError::CreateError {
            name: name.to_owned(),
            io_error,
        })?;
        MapData::from_fd(map)
    }
}

/// A map of maps.
pub(in super::super) struct Outer(MapData);

impl Outer {
    /// Checks that the map is what it should be.
    pub(in super::super) fn new(map: MapData) -> Result<Self, MapError> {
        let map_type = map.info()?.map_type()?;
        if map_type == MapType::ArrayOfMaps {
            Ok(Self(map))
        } else {
            Err(MapError::InvalidMapType {
                map_type: map_type as u32,
            })
        }
    }

    /// Returns the id of the map in a slot, `None` when it is empty.
    pub(in super::super) fn id(&self, slot: u32) -> io::Result<Option<u32>> {
        slot_id(&self.0, slot)
    }

    /// Replaces the map in a slot.
    pub(in super::super) fn replace(&self, slot: u32, inner: &MapData) -> io::Result<()> {
        set_slot(&self.0, slot, &inner.fd())
    }

    /// Empties a slot; it may be empty already.
    pub(in super::super) fn clear(&self, slot: u32) -> io::Result<()> {
        match slot_call(&self.0, slot, bpf_cmd::BPF_MAP_DELETE_ELEM, None) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            result => result,
        }
    }
}

/// Calls a command about a slot of a map of maps or programs; its number and its value are words.
fn slot_call(
    map: &MapData,
    index: u32,
    command: bpf_cmd,
    value: Option<&mut u32>,
) -> io::Result<()> {
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_2.map_fd = fd(map.fd());
    attr.__bindgen_anon_2.key = std::ptr::from_ref(&index) as u64;
    attr.__bindgen_anon_2.__bindgen_anon_1.value =
        value.map_or(0, |value| std::ptr::from_mut(value) as u64);
    // SAFETY: these maps have keys and values of four bytes; both live until the call returns.
    unsafe { bpf(command, &mut attr).map(drop) }
}

/// Returns the id of the map or program in a slot of a map of them, `None` when it is empty.
///
/// aya's look-up would go on to open it by its id, for which the kernel wants `CAP_SYS_ADMIN`.
pub(in super::super) fn slot_id(map: &MapData, index: u32) -> io::Result<Option<u32>> {
    let mut id = 0;
    match slot_call(map, index, bpf_cmd::BPF_MAP_LOOKUP_ELEM, Some(&mut id)) {
        Ok(()) => Ok(Some(id)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts a map or program into a slot of a map of them.
pub(in super::super) fn set_slot(map: &MapData, index: u32, what: &impl AsFd) -> io::Result<()> {
    slot_call(
        map,
        index,
        bpf_cmd::BPF_MAP_UPDATE_ELEM,
        Some(&mut fd(what)),
    )
}

/// Entries asked for at a time: a system call each, 0.5 µs per entry and less.
const BATCH: usize = 4096;

/// A hash map with keys `K` and values `V`, one for each key or one for each key and CPU.
pub(in super::super) struct Table<K, V> {
    map: MapData,
    /// Values of a key.
    values: usize,
    entry: PhantomData<(K, V)>,
}

impl<K: Pod, V: Pod> Table<K, V> {
    /// A map with one value for each key; checks that keys and values have the sizes of the map's.
    pub(in super::super) fn new(map: MapData) -> Result<Self, MapError> {
        Self::with(map, 1)
    }

    /// The same for a map with values of each CPU, whose size must be a multiple of eight.
    pub(in super::super) fn per_cpu(map: MapData) -> Result<Self, MapError> {
        let cpus = nr_cpus().map_err(|(_, error)| MapError::IoError(error))?;
        Self::with(map, cpus)
    }

    fn with(map: MapData, values: usize) -> Result<Self, MapError> {
        let info = map.info()?;
        if info.key_size() as usize != size_of::<K>() {
            return Err(MapError::InvalidKeySize {
                size: size_of::<K>(),
                expected: info.key_size() as usize,
            });
        }
        if info.value_size() as usize != size_of::<V>() {
            return Err(MapError::InvalidValueSize {
                size: size_of::<V>(),
                expected: info.value_size() as usize,
            });
        }
        Ok(Self {
            map,
            values,
            entry: PhantomData,
        })
    }

    /// Shows `see` every entry: a key and its values. Entries that come or go meanwhile may be missed
    /// or shown twice.
    pub(in super::super) fn each(&self, mut see: impl FnMut(K, &[V])) -> io::Result<()> {
        let (mut capacity, mut from) = (BATCH, None);
        loop {
            let (keys, values, next) = match self.lookup_batch(from, capacity) {
                // One bucket has more entries than fit.
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {
                    capacity *= 2;
                    continue;
                }
                batch => batch?,
            };
            for (key, values) in keys.into_iter().zip(values.chunks_exact(self.values)) {
                see(key, values);
            }
            if next.is_none() {
                return Ok(());
            }
            from = next;
        }
    }

    /// Reads the next entries (`BPF_MAP_LOOKUP_BATCH`, Linux 5.6), at most `capacity`, and returns
    /// the bucket to go on at; `None` at the end. `ENOSPC` asks for more capacity.
    fn lookup_batch(
        &self,
        from: Option<u32>,
        capacity: usize,
    ) -> io::Result<(Vec<K>, Vec<V>, Option<u32>)> {
        let mut next = 0_u32;
        let mut keys = Vec::<K>::with_capacity(capacity);
        let mut values = Vec::<V>::with_capacity(capacity * self.values);
        let mut attr = zeroed_attr();
        attr.batch.in_batch = from
            .as_ref()
            .map_or(0, |bucket| std::ptr::from_ref(bucket) as u64);
        attr.batch.out_batch = std::ptr::from_mut(&mut next) as u64;
        attr.batch.keys = keys.as_mut_ptr() as u64;
        attr.batch.values = values.as_mut_ptr() as u64;
        attr.batch.count = capacity as u32;
        attr.batch.map_fd = fd(self.map.fd());
        // SAFETY: there is room for `capacity` keys and for the values of as many, of the map's
        // sizes.
        let result = unsafe { bpf(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attr) };
        let next = match result {
            Ok(_) => Some(next),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => None,
            Err(error) => return Err(error),
        };
        // SAFETY: the kernel has filled so many elements of each, as it says in the attribute; any
        // bytes are a value (Pod).
        unsafe {
            let filled = (attr.batch.count as usize).min(capacity);
            keys.set_len(filled);
            values.set_len(filled * self.values);
        }
        Ok((keys, values, next))
    }

    /// Adds an entry, unless the key has one (`EEXIST`); `value` for each CPU.
    pub(in super::super) fn insert(&self, key: &K, value: V) -> io::Result<()> {
        /// `BPF_NOEXIST`: only a new entry.
        const NEW: u64 = 1;
        let values = vec![value; self.values];
        let mut attr = zeroed_attr();
        attr.__bindgen_anon_2.map_fd = fd(self.map.fd());
        attr.__bindgen_anon_2.key = std::ptr::from_ref(key) as u64;
        attr.__bindgen_anon_2.__bindgen_anon_1.value = values.as_ptr() as u64;
        attr.__bindgen_anon_2.flags = NEW;
        // SAFETY: the kernel reads a key and its values, of the map's sizes.
        unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr).map(drop) }
    }

    /// Deletes the entries of keys, where there are any; returns how many.
    pub(in super::super) fn delete(&self, keys: &[K]) -> io::Result<usize> {
        let mut rest = keys;
        let mut deleted = 0;
        while !rest.is_empty() {
            let done = self.delete_batch(rest)?;
            deleted += done;
            // The kernel stops at a key that is not there (any more).
            rest = rest.get(done + 1..).unwrap_or_default();
        }
        Ok(deleted)
    }

    /// Deletes entries (`BPF_MAP_DELETE_BATCH`, Linux 5.6) up to the first that is not there;
    /// returns how many.
    fn delete_batch(&self, keys: &[K]) -> io::Result<usize> {
        let mut attr = zeroed_attr();
        attr.batch.keys = keys.as_ptr() as u64;
        attr.batch.count = keys.len() as u32;
        attr.batch.map_fd = fd(self.map.fd());
        // SAFETY: the kernel reads `count` keys of the map's size.
        let result = unsafe { bpf(bpf_cmd::BPF_MAP_DELETE_BATCH, &mut attr) };
        // SAFETY: the member of the union that this command uses; the kernel has set the count.
        let deleted = unsafe { attr.batch.count } as usize;
        match result {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(deleted),
            result => result.map(|_| deleted),
        }
    }
}

/// Bars user space from changing a map (`BPF_MAP_FREEZE`).
pub(in super::super) fn freeze(map: impl AsFd) -> io::Result<()> {
    let mut attr = zeroed_attr();
    // SAFETY: the only field of this command.
    unsafe {
        attr.__bindgen_anon_2.map_fd = fd(&map);
        bpf(bpf_cmd::BPF_MAP_FREEZE, &mut attr).map(drop)
    }
}
