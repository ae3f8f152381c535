//! Maps: those of maps and programs, and entries by the batch.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, FromRawFd as _, OwnedFd};

use aya::Pod;
use aya::maps::{MapData, MapError, MapType};
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

/// How far a map has been read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Cursor {
    /// Not at all.
    Start,
    /// Up to a bucket.
    At(u32),
    /// To the end.
    End,
}

/// A hash map with keys `K` and values `V`.
pub(in super::super) struct Table<K, V> {
    map: MapData,
    entry: PhantomData<(K, V)>,
}

impl<K: Pod, V: Pod> Table<K, V> {
    /// Checks that keys and values have the sizes of the map's.
    pub(in super::super) fn new(map: MapData) -> Result<Self, MapError> {
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
            entry: PhantomData,
        })
    }

    /// Reads the next entries (`BPF_MAP_LOOKUP_BATCH`, Linux 5.6), at most `capacity`; `None` at
    /// the end. `ENOSPC` asks for more capacity.
    pub(in super::super) fn lookup_batch(
        &self,
        cursor: &mut Cursor,
        capacity: usize,
    ) -> io::Result<Option<Vec<(K, V)>>> {
        let from = match *cursor {
            Cursor::Start => None,
            Cursor::At(bucket) => Some(bucket),
            Cursor::End => return Ok(None),
        };
        let mut next = 0_u32;
        let mut keys = Vec::<K>::with_capacity(capacity);
        let mut values = Vec::<V>::with_capacity(capacity);
        let mut attr = zeroed_attr();
        attr.batch.in_batch = from
            .as_ref()
            .map_or(0, |bucket| std::ptr::from_ref(bucket) as u64);
        attr.batch.out_batch = std::ptr::from_mut(&mut next) as u64;
        attr.batch.keys = keys.as_mut_ptr() as u64;
        attr.batch.values = values.as_mut_ptr() as u64;
        attr.batch.count = capacity as u32;
        attr.batch.map_fd = fd(self.map.fd());
        // SAFETY: both vectors have room for `capacity` elements of the map's sizes.
        let result = unsafe { bpf(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attr) };
        *cursor = match result {
            Ok(_) => Cursor::At(next),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Cursor::End,
            Err(error) => return Err(error),
        };
        // SAFETY: the kernel has filled so many elements of each, as it says in the attribute; any
        // bytes are a value (Pod).
        unsafe {
            let filled = (attr.batch.count as usize).min(capacity);
            keys.set_len(filled);
            values.set_len(filled);
        }
        Ok(Some(keys.into_iter().zip(values).collect()))
    }

    /// Deletes entries (`BPF_MAP_DELETE_BATCH`, Linux 5.6) up to the first that is not there;
    /// returns how many.
    pub(in super::super) fn delete_batch(&self, keys: &[K]) -> io::Result<usize> {
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
