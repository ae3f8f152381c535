//! Map memory, mapped into this process.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use sg_common::flow::{FlowEntry, FlowSlot, FlowState};
use sg_common::table::{BUCKET_SLOTS, Meta, tag_at};

/// Memory of a map with `BPF_F_MMAPABLE`, mapped: its values, one after the other.
struct Mapping<T> {
    memory: NonNull<T>,
    count: usize,
}

impl<T> Mapping<T> {
    fn new(map: impl AsFd, count: usize, protection: ProtFlags) -> io::Result<Self> {
        let length = NonZeroUsize::new(count * size_of::<T>())
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        // SAFETY: a new mapping at an address of the kernel's choice; the kernel refuses lengths
        // beyond the map's values.
        let memory = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, map, 0)? };
        let memory = memory.cast();
        Ok(Self { memory, count })
    }

    fn at(&self, index: usize) -> Option<*mut T> {
        // SAFETY: inside the mapping.
        (index < self.count).then(|| unsafe { self.memory.as_ptr().add(index) })
    }
}

impl<T> Drop for Mapping<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, to which no reference is left. Unmapping it cannot
        // fail, and if it did nothing could be done.
        let _ = unsafe { munmap(self.memory.cast(), self.count * size_of::<T>()) };
    }
}

/// The memory of a map whose one value is an array of words.
pub(in crate::host::dataplane) struct MappedWords(Mapping<u32>);

impl MappedWords {
    /// Maps the first `words` words of the value.
    pub(in crate::host::dataplane) fn new(
        map: impl AsFd,
        words: usize,
        writable: bool,
    ) -> io::Result<Self> {
        let protection = if writable {
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE
        } else {
            ProtFlags::PROT_READ
        };
        Mapping::new(map, words, protection).map(Self)
    }

    /// The words, while nobody writes them: programs only read images.
    pub(in crate::host::dataplane) fn words(&self) -> &[u32] {
        // SAFETY: `count` words are mapped until drop. Nobody else has a writable mapping: an image
        // is filled before its map can be found by others, and frozen then.
        unsafe { std::slice::from_raw_parts(self.0.memory.as_ptr(), self.0.count) }
    }

    /// The words, of a map that nobody else has yet. The mapping must be writable.
    pub(in crate::host::dataplane) fn words_mut(&mut self) -> &mut [u32] {
        // SAFETY: as above; `&mut self` excludes other references.
        unsafe { std::slice::from_raw_parts_mut(self.0.memory.as_ptr(), self.0.count) }
    }
}

/// The tags of the flow table, mapped: an eighth of a cache line for eight slots.
pub(in crate::host::dataplane) struct MappedTags(Mapping<u64>);

// SAFETY: as of `MappedSlots`.
unsafe impl Send for MappedTags {}

impl MappedTags {
    /// Maps an array map of so many tag words.
    pub(in crate::host::dataplane) fn new(map: impl AsFd, buckets: usize) -> io::Result<Self> {
        // Nothing is written, but an atomic wants memory that could be.
        Mapping::new(map, buckets, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE).map(Self)
    }

    /// The numbers of the slots that hold something, each as it is when the iterator gets there.
    pub(in crate::host::dataplane) fn taken(&self) -> impl Iterator<Item = usize> {
        let buckets = (0..self.0.count).filter_map(|bucket| {
            // SAFETY: inside the mapping, aligned to 8, and changed by others by atomic operations.
            let tags = unsafe { AtomicU64::from_ptr(self.0.at(bucket)?) };
            Some((bucket, tags.load(Ordering::Acquire)))
        });
        buckets
            .filter(|(_, tags)| *tags != 0)
            .flat_map(|(bucket, tags)| {
                let is_taken = move |index: &u32| tag_at(tags, *index) != 0;
                let numbers = (0..BUCKET_SLOTS).filter(is_taken);
                numbers.map(move |index| bucket * BUCKET_SLOTS as usize + index as usize)
            })
    }
}

/// Tries to read a slot that changes meanwhile.
const READ_TRIES: usize = 8;

/// The slots of the flow table, mapped: shared with the programs, which write them at any time.
pub(in crate::host::dataplane) struct MappedSlots(Mapping<FlowSlot>);

// SAFETY: the memory is shared with the kernel's programs anyhow; nothing of it belongs to a thread.
unsafe impl Send for MappedSlots {}

impl MappedSlots {
    /// Maps an array map of `slots` flow slots.
    pub(in crate::host::dataplane) fn new(map: impl AsFd, slots: usize) -> io::Result<Self> {
        Mapping::new(map, slots, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE).map(Self)
    }

    /// Number of slots.
    pub(in crate::host::dataplane) const fn len(&self) -> usize {
        self.0.count
    }

    /// A copy of a slot, `None` beyond the end or when it kept changing.
    pub(in crate::host::dataplane) fn read(&self, index: usize) -> Option<FlowSlot> {
        let slot = self.0.at(index)?;
        let meta = self.meta(index)?;
        for _ in 0..READ_TRIES {
            let before = meta.load(Ordering::Acquire);
            // SAFETY: inside the mapping; the programs write words, so each word of the copy is one
            // that was written.
            let copy = unsafe { slot.read_volatile() };
            fence(Ordering::Acquire);
            if meta.load(Ordering::Relaxed) == before {
                return Some(FlowSlot {
                    meta: before,
                    ..copy
                });
            }
        }
        None
    }

    /// The meta word of a slot.
    pub(in crate::host::dataplane) fn meta(&self, index: usize) -> Option<&AtomicU64> {
        let slot = self.0.at(index)?;
        // SAFETY: inside the mapping, aligned to 8, and changed by others by atomic operations.
        Some(unsafe { AtomicU64::from_ptr(&raw mut (*slot).meta) })
    }

    /// Adds to a slot what its flow has done elsewhere since `before`, or ever. Unless `quiet`,
    /// programs count in it meanwhile, and one of their packets may go uncounted.
    pub(in crate::host::dataplane) fn add(
        &self,
        index: usize,
        entry: &FlowEntry,
        before: Option<&FlowEntry>,
        quiet: bool,
    ) {
        let (Some(slot), Some(meta)) = (self.0.at(index), self.meta(index)) else {
            return;
        };
        let (packets, bytes) = before.map_or(([0; 2], [0; 2]), |it| (it.packets, it.bytes));
        // SAFETY: inside the mapping; the programs, too, read and write these words one by one.
        unsafe {
            for side in 0..2 {
                let counter = &raw mut (*slot).packets[side];
                let more = entry.packets[side].saturating_sub(packets[side]);
                counter.write_volatile(counter.read_volatile() + more);
                let counter = &raw mut (*slot).bytes[side];
                let more = entry.bytes[side].saturating_sub(bytes[side]);
                counter.write_volatile(counter.read_volatile() + more);
            }
            if before.is_none() {
                (&raw mut (*slot).created).write_volatile(entry.created);
                (&raw mut (*slot).rule).write_volatile(entry.rule);
            }
            if quiet {
                (&raw mut (*slot).last_seen).write_volatile(entry.last_seen);
            }
        }
        let old = meta.load(Ordering::Acquire);
        let is_behind = before.is_some_and(|before| {
            (Meta(old).state().0, Meta(old).flags()) == (before.state, before.flags)
        });
        if is_behind {
            let new = Meta(old).with(FlowState(entry.state), entry.flags);
            // A program that was faster knows better.
            let _ = meta.compare_exchange(old, new.0, Ordering::AcqRel, Ordering::Relaxed);
        }
    }
}
