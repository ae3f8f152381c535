//! Whether the flow table has a place for a flow now: the programs' own answer, by a look at what
//! they would look at.

use aya::maps::{Array, MapData};
use sg_common::flow::{FLOW_COUNTED, FlowKey, FlowSlot, FlowState, Opening, SEED_SECONDS};
use sg_common::names::{MAP_FLOW_HELD, MAP_FLOW_REMOTES};
use sg_common::table::{self, Asker, BUCKET_SLOTS, Meta, NEVER, Place, Slot, Table};

use super::Dataplane;
use super::clock::Clock;
use super::error::DataplaneError;
use super::flows::FlowTable;
use super::maps::{self, Maps, map_error};
use super::pins::PinDir;

impl Dataplane {
    /// Whether one of the places that a flow can have is free, or held by one that makes room for it.
    ///
    /// # Errors
    /// When nothing is loaded.
    pub fn has_room(&self, key: &FlowKey) -> Result<bool, DataplaneError> {
        let FlowTable { buckets, seed } = FlowTable::open(&self.pins)?;
        let place = Place::of(key, |word| seed.words[word], buckets);
        let view = View::new(self)?;
        let zone = key.zone().into();
        let asker = Asker {
            zone,
            is_over: view.is_over_share(zone),
        };
        let places =
            |bucket: u32| (0..BUCKET_SLOTS).map(move |index| bucket * BUCKET_SLOTS + index);
        let is_open = |number: u32| {
            let is_same = view.slot(number).is_some_and(|slot| slot.is_key(key).0);
            is_same || table::rank(&view, number, asker) != NEVER
        };
        Ok(place.both().into_iter().flat_map(places).any(is_open))
    }
}

/// The table, for who only looks.
struct View<'m> {
    maps: &'m Maps,
    held: Array<MapData, u64>,
    remotes: Array<MapData, u64>,
    clock: Clock,
}

impl<'m> View<'m> {
    fn new(dataplane: &'m Dataplane) -> Result<Self, DataplaneError> {
        let maps = dataplane.maps()?;
        // Reading a slot later cannot fail.
        maps.flows()?;
        Ok(Self {
            maps,
            held: counters(&dataplane.pins, MAP_FLOW_HELD)?,
            remotes: counters(&dataplane.pins, MAP_FLOW_REMOTES)?,
            clock: dataplane.clock()?,
        })
    }
}

fn counters(pins: &PinDir, name: &'static str) -> Result<Array<MapData, u64>, DataplaneError> {
    let map = MapData::from_pin(pins.map(name)).map_err(map_error("open", name))?;
    maps::array(map, name)
}

/// A slot as it was at one moment.
#[derive(Clone, Copy)]
struct Seen(FlowSlot);

impl Slot for Seen {
    fn after(self, _read: u64) -> Self {
        self
    }

    fn meta(self) -> Meta {
        Meta(self.0.meta)
    }

    fn swap_meta(self, _old: Meta, _new: Meta) -> bool {
        false
    }

    fn is_key(self, key: &FlowKey) -> (bool, Self) {
        (self.0.key == *key, self)
    }

    fn zone(self) -> u32 {
        self.0.key.zone().into()
    }

    fn created(self) -> u64 {
        self.0.created
    }

    fn last_seen(self) -> u64 {
        self.0.last_seen
    }

    fn rule(self) -> u32 {
        self.0.rule
    }

    fn write(self, _key: &FlowKey, _opening: Opening, _now: u64) {}
}

impl Table for View<'_> {
    type Slot = Seen;

    fn tags(&self, _bucket: u32) -> u64 {
        0
    }

    fn flip_tags(&self, _bucket: u32, _bits: u64) {}

    fn catch_up(&self, _number: u32) {}

    fn slot(&self, index: u32) -> Option<Seen> {
        let slots = self.maps.flows().ok()?;
        slots.read(index as usize).map(Seen)
    }

    fn now(&self) -> u64 {
        self.clock.now
    }

    fn timeout(&self, zone: u32, of: FlowState) -> u64 {
        let settings = self.maps.settings(zone);
        settings.map_or(0, |it| it.timeouts[usize::from(of.0) % FlowState::SLOTS])
    }

    fn seed_period(&self) -> u64 {
        SEED_SECONDS * self.clock.hz
    }

    fn is_over_share(&self, zone: u32) -> bool {
        let share = self.maps.settings(zone).map_or(0, |it| it.flow_share);
        let held = self.held.get(&zone, 0).unwrap_or(0);
        share != 0 && held.cast_signed() > share.cast_signed()
    }

    fn is_over_remote_limit(&self, slot: Seen) -> bool {
        let limit = self.maps.settings(slot.zone());
        let limit = limit.map_or(0, |it| it.flows_per_remote);
        let held = self.remotes.get(&slot.0.remote_counter, 0).unwrap_or(0);
        slot.meta().flags() & FLOW_COUNTED != 0 && limit != 0 && held > limit
    }

    fn hold(&self, _slot: Seen) -> u8 {
        0
    }

    fn let_go(&self, _slot: Seen, _flags: u8) {}

    fn count_closed(&self, _slot: Seen) {}
}
