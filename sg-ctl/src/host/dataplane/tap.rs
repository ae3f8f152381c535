//! Reads along what the programs report, and takes nothing from the reader of events.

use aya::maps::{MapData, MapInfo};
use sg_common::event::{self, Event};
use sg_common::names::MAP_EVENTS;

use super::Dataplane;
use super::error::DataplaneError;
use super::maps::{map_error, system_error};
use super::pins::PinDir;
use super::sys::{MappedRing, Record};

/// Events as they are written, beside whoever takes them out of the ring buffer
/// ([`EventStream`](super::EventStream)).
///
/// It begins with the events that nobody has taken yet. Of those that are taken it misses some when
/// the ring comes round before it is asked again; events that find the ring full it never sees.
pub struct EventTap {
    ring: Along,
    /// The kernel's id of the map.
    map: u32,
}

impl Dataplane {
    /// Reads along what the programs report: `tap`, while they still write where it reads, else a
    /// new one.
    ///
    /// # Errors
    /// When nothing is loaded.
    pub fn tap(&self, tap: Option<EventTap>) -> Result<EventTap, DataplaneError> {
        self.maps()?;
        match tap.filter(|tap| tap.is_of(&self.pins)) {
            Some(tap) => Ok(tap),
            None => EventTap::open(&self.pins),
        }
    }
}

impl EventTap {
    fn open(pins: &PinDir) -> Result<Self, DataplaneError> {
        let map = MapData::from_pin(pins.map(MAP_EVENTS)).map_err(map_error("open", MAP_EVENTS))?;
        let info = map.info().map_err(map_error("describe", MAP_EVENTS))?;
        let ring = MappedRing::new(map.fd(), info.max_entries() as usize)
            .map_err(system_error("map the events"))?;
        Ok(Self {
            ring: Along::new(ring),
            map: info.id(),
        })
    }

    /// Whether the programs below a pin directory still write to this ring buffer.
    fn is_of(&self, pins: &PinDir) -> bool {
        MapInfo::from_pin(pins.map(MAP_EVENTS)).is_ok_and(|info| info.id() == self.map)
    }

    /// How much of the ring buffer holds events that nobody has taken, in percent.
    pub fn fill(&self) -> u64 {
        let ring = &self.ring.ring;
        let unread = ring.written_to().wrapping_sub(ring.read_to());
        unread * 100 / ring.size()
    }
}

/// Yields what has been written, and `None` when there is no more: more may come later.
impl Iterator for EventTap {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(record) = event::Record::from_bytes(&self.ring.next()?) {
                return Some(record.event);
            }
        }
    }
}

/// The records of a ring, one after another.
struct Along {
    ring: MappedRing,
    position: u64,
}

impl Along {
    fn new(ring: MappedRing) -> Self {
        let position = ring.read_to();
        Self { ring, position }
    }
}

impl Iterator for Along {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.ring.record(self.position) {
                Record::Whole(bytes, next) => {
                    self.position = next;
                    if bytes.is_some() {
                        return bytes;
                    }
                }
                Record::Unfinished => return None,
                // The reader's position is one of a record. If the ring comes round this very
                // moment, too, the next call tries again.
                Record::Overwritten => {
                    let reader = self.ring.read_to();
                    if self.position == reader {
                        return None;
                    }
                    self.position = reader;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sys::Ring;
    use super::*;

    fn taken(along: &mut Along) -> Vec<u8> {
        along.map(|record| record[0]).collect()
    }

    #[test]
    fn everything_is_read_once_whoever_takes_it() {
        let mut ring = Ring::new();
        ring.write(0, &[1; 40]);
        ring.write(0, &[2; 40]);
        let mut along = Along::new(ring.map());
        assert_eq!(taken(&mut along), [1, 2]);
        ring.read_to(48);
        ring.write(0, &[3; 40]);
        ring.read_to(ring.written());
        assert_eq!(taken(&mut along), [3]);
        assert!(taken(&mut along).is_empty());
    }

    #[test]
    fn after_a_flood_it_goes_on_with_what_is_left() {
        let mut ring = Ring::new();
        let mut along = Along::new(ring.map());
        for number in 0..200 {
            ring.read_to(ring.written());
            ring.write(0, &[number; 96]);
        }
        assert_eq!(taken(&mut along), [199]);
    }
}
