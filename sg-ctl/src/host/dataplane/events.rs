//! Reads the verdicts that the programs report.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use aya::maps::{Map, MapData, RingBuf};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use sg_common::event::Record;
use sg_common::names::MAP_EVENTS;
use tokio::io::unix::AsyncFd;

use super::error::DataplaneError;
use super::maps::map_error;
use super::pins::{PinDir, pin_error};
use super::sys;

/// The reading end of the ring buffer. What is read is gone for other readers, so there is one at
/// a time: a lock on the directory of the maps sees to that until this is dropped.
///
/// The descriptor becomes readable when events come, see [`watch`](Self::watch).
pub struct EventStream {
    ring: RingBuf<MapData>,
    _lock: Flock<File>,
}

impl EventStream {
    pub(super) fn open(pins: &PinDir) -> Result<Self, DataplaneError> {
        let path = pins.maps();
        let directory = File::open(&path).map_err(|source| pin_error("open", &path, source))?;
        let lock =
            Flock::lock(directory, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
                match errno {
                    Errno::EWOULDBLOCK => DataplaneError::EventsTaken,
                    errno => pin_error("lock", &path, errno.into()),
                }
            })?;
        let ring = MapData::from_pin(pins.map(MAP_EVENTS))
            .and_then(Map::from_map_data)
            .and_then(RingBuf::try_from)
            .map_err(map_error("open", MAP_EVENTS))?;
        Ok(Self { ring, _lock: lock })
    }

    /// Hands the next event to `keep`; it is taken out of the buffer when that succeeds. `None` when
    /// the buffer is empty.
    ///
    /// # Errors
    /// Those of `keep`: the event stays.
    pub fn take_with<E>(
        &mut self,
        keep: impl FnOnce(&Record) -> Result<(), E>,
    ) -> Result<Option<()>, E> {
        while let Some(item) = self.ring.next() {
            let Some(record) = Record::from_bytes(&item) else {
                continue;
            };
            if let Err(error) = keep(&record) {
                // Dropped, it would be taken.
                std::mem::forget(item);
                return Err(error);
            }
            return Ok(Some(()));
        }
        Ok(None)
    }

    /// Something to wait for events with, while the stream itself is free to be read.
    ///
    /// # Errors
    /// When the kernel has no room for another descriptor.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn watch(&self) -> io::Result<EventWatch> {
        let descriptor = self.ring.as_fd().try_clone_to_owned()?;
        EventWatch::new(descriptor)
    }
}

/// Tells when events come.
#[derive(Debug)]
pub struct EventWatch(AsyncFd<OwnedFd>);

impl EventWatch {
    /// Watches what becomes readable when events come.
    ///
    /// # Errors
    /// When it cannot be watched.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(descriptor: OwnedFd) -> io::Result<Self> {
        Ok(Self(sys::watch(descriptor)?))
    }

    /// Waits for an event that has come since the last call; the stream must have been read to its
    /// end since then.
    ///
    /// # Errors
    /// When the runtime shuts down.
    pub async fn readable(&self) -> io::Result<()> {
        self.0.readable().await?.clear_ready();
        Ok(())
    }
}

/// Yields what is in the buffer, and `None` when it is empty: more may come later.
impl Iterator for EventStream {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            // Records of another size cannot be: the programs of this layout write only events.
            if let Some(record) = Record::from_bytes(&self.ring.next()?) {
                return Some(record);
            }
        }
    }
}

impl AsFd for EventStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

impl AsRawFd for EventStream {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}
