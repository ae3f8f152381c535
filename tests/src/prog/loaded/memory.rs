//! Memory of an array map, shared with the programs.

#![expect(unsafe_code, reason = "a mapping")]

use std::{num::NonZeroUsize, ptr::NonNull};

use aya::{Pod, maps::MapData};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// All values of an array map that can be mapped. Programs must not run while it is used.
pub(super) struct Memory<T> {
    first: NonNull<T>,
    pub(super) len: u32,
}

// SAFETY: the memory belongs to no thread.
unsafe impl<T: Send> Send for Memory<T> {}

impl<T: Pod> Memory<T> {
    /// Maps a map.
    ///
    /// # Panics
    /// When its values are of another size, or it cannot be mapped.
    pub(super) fn new(map: &MapData) -> Self {
        let info = map.info().expect("an open map");
        assert_eq!(info.value_size() as usize, size_of::<T>());
        let len = info.max_entries();
        let size = NonZeroUsize::new(len as usize * size_of::<T>()).expect("it has values");
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, where the kernel likes; it refuses what is longer than the map.
        let first = unsafe { mmap(None, size, access, MapFlags::MAP_SHARED, map.fd(), 0) };
        let first = first.expect("the map can be mapped").cast();
        Self { first, len }
    }

    pub(super) fn get(&self, index: u32) -> T {
        // SAFETY: see `at`; any bytes are a value.
        unsafe { self.at(index).read_volatile() }
    }

    pub(super) fn set(&mut self, index: u32, value: T) {
        // SAFETY: see `at`.
        unsafe { self.at(index).write_volatile(value) }
    }

    fn at(&self, index: u32) -> *mut T {
        assert!(index < self.len);
        // SAFETY: inside the mapping.
        unsafe { self.first.as_ptr().add(index as usize) }
    }
}

impl<T> Drop for Memory<T> {
    fn drop(&mut self) {
        // SAFETY: nothing refers to the mapping any more.
        let unmapped = unsafe { munmap(self.first.cast(), self.len as usize * size_of::<T>()) };
        unmapped.expect("it was mapped");
    }
}
