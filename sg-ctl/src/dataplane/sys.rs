//! The system calls that aya has no functions for; the only unsafe code of sg-ctl.
#![expect(
    unsafe_code,
    reason = "bpf(2) commands and mmap of map memory, each wrapped in a safe function"
)]

use std::io;
use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;

use aya_obj::generated::{bpf_attr, bpf_cmd};
use nix::errno::Errno;
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// Calls bpf(2).
///
/// # Safety
/// `attr` must be what `command` takes: every pointer in it good for what the kernel does with it.
unsafe fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<libc::c_long> {
    // SAFETY: the kernel reads and writes at most the given size; the rest is the caller's promise.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            std::ptr::from_mut(attr),
            size_of::<bpf_attr>(),
        )
    };
    Ok(Errno::result(result)?)
}

/// An attribute whose unused bytes are zero, as the kernel demands.
fn zeroed_attr() -> bpf_attr {
    // SAFETY: a union of structs of integers, for which zero is a value.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// The number of a file descriptor, as bpf(2) takes it.
fn fd(of: impl AsFd) -> u32 {
    of.as_fd().as_raw_fd().cast_unsigned()
}

/// One slot of a map whose keys and values are words, as those of a map of maps are.
fn slot_attr(map: impl AsFd, key: &u32, value: &mut u32) -> bpf_attr {
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_2.map_fd = fd(map);
    attr.__bindgen_anon_2.key = std::ptr::from_ref(key) as u64;
    attr.__bindgen_anon_2.__bindgen_anon_1.value = std::ptr::from_mut(value) as u64;
    attr
}

/// Returns the id of the map in the first slot of a map of maps, `None` when the slot is empty.
///
/// aya's look-up would go on to open the map by its id, for which the kernel wants `CAP_SYS_ADMIN`.
pub(super) fn inner_map_id(outer: impl AsFd) -> io::Result<Option<u32>> {
    let mut id = 0;
    let mut attr = slot_attr(outer, &0, &mut id);
    // SAFETY: key and value are words, as the map's are, and live until the call returns.
    match unsafe { bpf(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr) } {
        Ok(_) => Ok(Some(id)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts a map into the first slot of a map of maps.
pub(super) fn set_inner_map(outer: impl AsFd, inner: impl AsFd) -> io::Result<()> {
    let mut value = fd(inner);
    let mut attr = slot_attr(outer, &0, &mut value);
    // SAFETY: as above.
    unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr).map(drop) }
}

/// Empties the first slot of a map of maps; it may be empty already.
pub(super) fn clear_inner_map(outer: impl AsFd) -> io::Result<()> {
    let mut attr = slot_attr(outer, &0, &mut 0);
    attr.__bindgen_anon_2.__bindgen_anon_1.value = 0;
    // SAFETY: as above; the command takes no value.
    match unsafe { bpf(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attr) } {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        result => result.map(drop),
    }
}

/// Bars user space from changing a map (`BPF_MAP_FREEZE`).
pub(super) fn freeze(map: impl AsFd) -> io::Result<()> {
    let mut attr = zeroed_attr();
    // SAFETY: the only field of this command.
    unsafe {
        attr.__bindgen_anon_2.map_fd = fd(map);
        bpf(bpf_cmd::BPF_MAP_FREEZE, &mut attr).map(drop)
    }
}

/// The memory of a map with `BPF_F_MMAPABLE` whose one value is an array of words.
pub(super) struct MappedWords {
    memory: NonNull<u32>,
    words: usize,
}

impl MappedWords {
    /// Maps the value of `words` words.
    pub(super) fn new(map: impl AsFd, words: usize, writable: bool) -> io::Result<Self> {
        let length = NonZeroUsize::new(words * size_of::<u32>())
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let protection = if writable {
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE
        } else {
            ProtFlags::PROT_READ
        };
        // SAFETY: a new mapping at an address of the kernel's choice; the kernel refuses lengths
        // beyond the map's value.
        let memory = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, map, 0)? };
        Ok(Self {
            memory: memory.cast(),
            words,
        })
    }

    /// The words, while nobody writes them: programs only read images.
    pub(super) fn words(&self) -> &[u32] {
        // SAFETY: `words` words are mapped until drop. Nobody else has a writable mapping: an image
        // is filled before its map can be found by others, and frozen then.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.words) }
    }

    /// The words, of a map that nobody else has yet. The mapping must be writable.
    pub(super) fn words_mut(&mut self) -> &mut [u32] {
        // SAFETY: as above; `&mut self` excludes other references.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr(), self.words) }
    }
}

impl Drop for MappedWords {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, to which no reference is left. Unmapping it cannot
        // fail, and if it did nothing could be done.
        let _ = unsafe { munmap(self.memory.cast(), self.words * size_of::<u32>()) };
    }
}
