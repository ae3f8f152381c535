//! The memory of a ring buffer, mapped for reading along: nothing is taken out of it.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use aya_obj::generated::{BPF_RINGBUF_BUSY_BIT, BPF_RINGBUF_DISCARD_BIT, BPF_RINGBUF_HDR_SZ};
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// Bytes of a record's header.
const HEADER: u64 = BPF_RINGBUF_HDR_SZ as u64;

/// A ring buffer as `kernel/bpf/ringbuf.c` lays it out for user space: a page with the reader's
/// position, one with the writers', then the data twice, so that no record is broken at the end.
pub(in crate::host::dataplane) struct MappedRing {
    memory: NonNull<u8>,
    page: usize,
    /// Bytes of data, a power of two.
    size: usize,
}

/// What lies at a position.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::host::dataplane) enum Record {
    /// A record, `None` when its writer has thrown it away, and the position of the next.
    Whole(Option<Vec<u8>>, u64),
    /// A record that is still being written, or none yet.
    Unfinished,
    /// Something else by now: the ring has come round.
    Overwritten,
}

impl MappedRing {
    /// Maps a ring buffer of `size` bytes.
    pub(in crate::host::dataplane) fn new(map: impl AsFd, size: usize) -> io::Result<Self> {
        // SAFETY: no pointers are involved.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page = usize::try_from(page).map_err(io::Error::other)?;
        let length = NonZeroUsize::new(2 * page + 2 * size)
            .filter(|_| size.is_power_of_two())
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        // SAFETY: a new mapping at an address of the kernel's choice; the kernel refuses lengths
        // beyond the ring's.
        let memory = unsafe {
            mmap(
                None,
                length,
                ProtFlags::PROT_READ,
                MapFlags::MAP_SHARED,
                map,
                0,
            )?
        };
        Ok(Self {
            memory: memory.cast(),
            page,
            size,
        })
    }

    /// Bytes of data that there is room for.
    pub(in crate::host::dataplane) const fn size(&self) -> u64 {
        self.size as u64
    }

    /// Where the reader is: what lies before it may be overwritten.
    pub(in crate::host::dataplane) fn read_to(&self) -> u64 {
        self.position(0)
    }

    /// Where the next record will be written.
    pub(in crate::host::dataplane) fn written_to(&self) -> u64 {
        self.position(self.page)
    }

    /// Reads the record at a position that was one of a record, or of the next one.
    pub(in crate::host::dataplane) fn record(&self, at: u64) -> Record {
        if at == self.written_to() {
            return Record::Unfinished;
        }
        let start = 2 * self.page + (at as usize & (self.size - 1));
        // SAFETY: inside the mapping, for `start` is in the first copy of the data, and aligned to
        // 8 as all records are; the kernel changes it by atomic operations.
        let header = unsafe { AtomicU32::from_ptr(self.memory.as_ptr().add(start).cast()) };
        let header = header.load(Ordering::Acquire);
        let length = header & !(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
        let next = at.wrapping_add((HEADER + u64::from(length)).next_multiple_of(8));
        // One that is overwritten may say anything.
        let fits = length as usize <= self.size - HEADER as usize;
        let is_discarded = header & BPF_RINGBUF_DISCARD_BIT != 0;
        let bytes = (fits && !is_discarded).then(|| {
            let data = start + HEADER as usize;
            // SAFETY: it begins in the first copy of the data and is not longer than a copy.
            let byte = |offset| unsafe { self.memory.as_ptr().add(data + offset).read_volatile() };
            (0..length as usize).map(byte).collect()
        });
        fence(Ordering::Acquire);
        if !self.is_intact(at) {
            Record::Overwritten
        } else if header & BPF_RINGBUF_BUSY_BIT != 0 || !fits {
            Record::Unfinished
        } else {
            Record::Whole(bytes, next)
        }
    }

    /// Whether nothing can have been written over what was read at a position until now.
    fn is_intact(&self, at: u64) -> bool {
        // The reader has not passed it, so that writers keep off; or they have not come round. They
        // write a header before they say so.
        let is_unread = at.wrapping_sub(self.read_to()).cast_signed() >= 0;
        let ahead = self.written_to().wrapping_sub(at);
        is_unread || ahead + self.page as u64 <= self.size()
    }

    fn position(&self, offset: usize) -> u64 {
        // SAFETY: the first word of a page of the mapping, changed by others by atomic operations.
        let word = unsafe { AtomicU64::from_ptr(self.memory.as_ptr().add(offset).cast()) };
        word.load(Ordering::Acquire)
    }
}

impl Drop for MappedRing {
    fn drop(&mut self) {
        let length = 2 * self.page + 2 * self.size;
        // SAFETY: the mapping made in `new`, to which no reference is left. Unmapping it cannot
        // fail, and if it did nothing could be done.
        let _ = unsafe { munmap(self.memory.cast(), length) };
    }
}

#[cfg(test)]
pub(in crate::host::dataplane) mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt as _;

    use super::*;

    const PAGE: u64 = 4096;
    const SIZE: u64 = 8192;

    /// A file with the layout of a ring buffer, written as the kernel does.
    pub(in crate::host::dataplane) struct Ring {
        file: File,
        written: u64,
    }

    impl Ring {
        pub(in crate::host::dataplane) fn new() -> Self {
            let file = tempfile::tempfile().expect("a file");
            file.set_len(2 * PAGE + 2 * SIZE).expect("room");
            Self { file, written: 0 }
        }

        pub(in crate::host::dataplane) fn map(&self) -> MappedRing {
            MappedRing::new(&self.file, SIZE as usize).expect("a mapping")
        }

        fn put(&self, bytes: &[u8], at: u64) {
            for copy in [0, SIZE] {
                let place = (at & (SIZE - 1)) + copy;
                let room = (2 * SIZE - place).min(bytes.len() as u64) as usize;
                let file = 2 * PAGE + place;
                self.file.write_all_at(&bytes[..room], file).expect("room");
            }
        }

        /// Writes a header and data, and says so.
        pub(in crate::host::dataplane) fn write(&mut self, flags: u32, data: &[u8]) {
            let mut record = (data.len() as u32 | flags).to_ne_bytes().to_vec();
            record.extend([0; 4]);
            record.extend(data);
            record.resize(record.len().next_multiple_of(8), 0);
            self.put(&record, self.written);
            // What lies beyond the end of the first copy lies at its beginning, too.
            let over = ((self.written & (SIZE - 1)) + record.len() as u64).saturating_sub(SIZE);
            let broken = record.len() - over as usize;
            self.put(&record[broken..], 0);
            self.written += record.len() as u64;
            let written = self.written.to_ne_bytes();
            self.file.write_all_at(&written, PAGE).expect("room");
        }

        pub(in crate::host::dataplane) fn read_to(&self, position: u64) {
            let position = position.to_ne_bytes();
            self.file.write_all_at(&position, 0).expect("room");
        }

        pub(in crate::host::dataplane) const fn written(&self) -> u64 {
            self.written
        }
    }

    #[test]
    fn records_are_read_where_they_lie() {
        let mut ring = Ring::new();
        let mapped = ring.map();
        assert_eq!(mapped.record(0), Record::Unfinished);
        ring.write(0, b"one");
        ring.write(BPF_RINGBUF_DISCARD_BIT, b"two");
        ring.write(BPF_RINGBUF_BUSY_BIT, b"three");
        assert_eq!(mapped.record(0), Record::Whole(Some(b"one".to_vec()), 16));
        assert_eq!(mapped.record(16), Record::Whole(None, 32));
        assert_eq!(mapped.record(32), Record::Unfinished);
        assert_eq!((mapped.read_to(), mapped.written_to()), (0, 48));
    }

    #[test]
    fn what_the_ring_has_come_round_to_is_not_taken_for_a_record() {
        let mut ring = Ring::new();
        let mapped = ring.map();
        for _ in 0..3 {
            ring.write(0, &[7; 4088]);
            ring.read_to(ring.written());
        }
        assert_eq!(mapped.record(0), Record::Overwritten);
        // A header may be there before the position says so.
        assert_eq!(mapped.record(4096), Record::Overwritten);
        let last = Record::Whole(Some(vec![7; 4088]), 3 * 4096);
        assert_eq!(mapped.record(2 * 4096), last);
        // Nobody writes over what is not read.
        ring.read_to(4096);
        assert!(matches!(mapped.record(4096), Record::Whole(Some(_), _)));
    }
}
