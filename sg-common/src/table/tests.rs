//! The table in plain memory: claim order, refusals at the stated load, deletion.

use std::cell::{Cell, RefCell};

use super::tags::HIGH_BITS;
use super::*;
use crate::addr::Addr;
use crate::ends::{Ends, VlanIds};

/// A slot of the model: meta, key, time of the latest packet.
#[derive(Default)]
struct Cells {
    meta: Cell<u64>,
    key: Cell<Option<FlowKey>>,
    last_seen: Cell<u64>,
    after_read: Cell<Option<u64>>,
}

/// A table; leaked, so that slots are plain references.
#[derive(Clone, Copy)]
struct Model(&'static Memory);

struct Memory {
    tags: Vec<Cell<u64>>,
    slots: Vec<Cells>,
    now: Cell<u64>,
    locked: RefCell<Vec<u32>>,
}

const TIMEOUT: u64 = 100;

fn opening(state: FlowState) -> Opening {
    Opening {
        rule: 1,
        state,
        flags: 0,
        packets: 1,
        bytes: 60,
    }
}

impl std::ops::Deref for Model {
    type Target = Memory;

    fn deref(&self) -> &Memory {
        self.0
    }
}

impl Model {
    fn new(buckets: u32) -> Self {
        Self(Box::leak(Box::new(Memory {
            tags: (0..buckets).map(|_| Cell::new(0)).collect(),
            slots: (0..buckets * BUCKET_SLOTS)
                .map(|_| Cells::default())
                .collect(),
            now: Cell::new(1000),
            locked: RefCell::default(),
        })))
    }

    fn place(self, key: &FlowKey) -> Place {
        let words = [3, 5, 7, 11, 13, 17].map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Place::of(key, |word| words[word], self.tags.len() as u32)
    }

    fn open(self, key: &FlowKey, state: FlowState) -> Result<(), Refused> {
        let result = open(&self, key, &self.place(key), opening(state));
        assert!(self.locked.borrow().is_empty(), "every lock is given back");
        result
    }

    fn find(self, key: &FlowKey) -> Option<Found<&'static Cells>> {
        find(&self, key, &self.place(key))
    }

    fn live(self) -> usize {
        self.0
            .slots
            .iter()
            .filter(|slot| is_live(&self, *slot))
            .count()
    }
}

impl Slot for &'static Cells {
    fn meta(self) -> Meta {
        let meta = self.meta.get();
        // Another CPU may act between any two reads.
        self.meta.set(self.after_read.take().unwrap_or(meta));
        Meta(meta)
    }

    fn set_meta(self, meta: Meta) {
        self.meta.set(meta.0);
    }

    fn swap_meta(self, old: Meta, new: Meta) -> bool {
        let same = self.meta.get() == old.0;
        if same {
            self.meta.set(new.0);
        }
        same
    }

    fn is_key(self, key: &FlowKey) -> bool {
        self.key.get() == Some(*key)
    }

    fn zone(self) -> u32 {
        self.key.get().map_or(0, |key| u32::from(key.zone()))
    }

    fn last_seen(self) -> u64 {
        self.last_seen.get()
    }

    fn rule(self) -> u32 {
        1
    }

    fn write(self, key: &FlowKey, _opening: Opening, now: u64) {
        assert_eq!(
            self.meta().version() & 1,
            1,
            "readers are told before the key changes"
        );
        self.key.set(Some(*key));
        self.last_seen.set(now);
    }
}

impl Table for Model {
    type Slot = &'static Cells;

    fn tags(&self, bucket: u32) -> u64 {
        self.tags[bucket as usize].get()
    }

    fn set_tags(&self, bucket: u32, tags: u64) {
        assert_eq!(tags & LOCKED, 0);
        self.locked.borrow_mut().retain(|locked| *locked != bucket);
        self.tags[bucket as usize].set(tags);
    }

    fn swap_tags(&self, bucket: u32, old: u64, new: u64) -> bool {
        self.locked.borrow_mut().push(bucket);
        self.tags[bucket as usize].replace(new) == old
    }

    fn slot(&self, index: u32) -> Option<&'static Cells> {
        self.0.slots.get(index as usize)
    }

    fn now(&self) -> u64 {
        self.now.get()
    }

    fn count_closed(&self, _slot: Self::Slot) {}

    fn timeout(&self, _zone: u32, _state: FlowState) -> u64 {
        TIMEOUT
    }
}

fn key(number: u32) -> FlowKey {
    let local = Addr::from_wire_v4(u32::from_be_bytes([10, 0, 0, 1]).to_be());
    let remote = Addr::from_wire_v4((0xc000_0000 | number >> 8).to_be());
    let remote_port = 1024 + (number & 0xff) as u16;
    let ends = Ends::new((local, 443), (remote, remote_port));
    FlowKey::new(0, VlanIds::NONE, 6, ends)
}

#[test]
fn bytes_are_matched_exactly() {
    let tags = 0x7f01_0200_0101_7f00;
    assert_eq!(matching(tags, 0x01), 0x0080_0000_8080_0000);
    assert_eq!(matching(tags | LOCKED, 0x7f), 0x8000_0000_0000_8000);
    assert_eq!(matching(tags, 0), 0x0000_0080_0000_0080);
    for index in 0..8 {
        assert_eq!(lowest(0x80 << (index * 8)), index);
        assert_eq!(lowest(HIGH_BITS << (index * 8)), index);
    }
    assert_eq!(count(HIGH_BITS), 8);
    assert_eq!(count(0x80_0000_0080), 2);
    assert_eq!(without(u64::MAX, 7), 0x80ff_ffff_ffff_ffff);
}

#[test]
fn the_stated_number_of_flows_fits() {
    const FLOWS: u32 = 1 << 18;
    let model = Model::new(buckets_for(FLOWS));
    let refused = (0..FLOWS)
        .filter(|number| {
            model
                .open(&key(*number), FlowState::TCP_ESTABLISHED)
                .is_err()
        })
        .count();
    assert!(
        refused * 100_000 <= FLOWS as usize,
        "{refused} of {FLOWS} refused"
    );
    for number in 0..FLOWS {
        assert!(
            model.find(&key(number)).is_some() || refused > 0,
            "{number}"
        );
    }
    assert!(model.find(&key(FLOWS)).is_none());
}

#[test]
fn the_stated_number_of_flows_fits_however_long_flows_come_and_go() {
    const FLOWS: u32 = 1 << 14;
    let model = Model::new(buckets_for(FLOWS));
    let mut refused = 0;
    // Each tick opens a hundredth of what fits; flows live for a hundred ticks.
    for number in 0..FLOWS * 40 {
        if number % (FLOWS / TIMEOUT as u32) == 0 {
            model.now.set(model.now.get() + 1);
        }
        refused += u32::from(
            model
                .open(&key(number), FlowState::TCP_ESTABLISHED)
                .is_err(),
        );
    }
    assert!(
        model.live() as u32 >= FLOWS * 99 / 100,
        "the table is full: {}",
        model.live()
    );
    assert!(
        refused * 100_000 <= FLOWS * 40,
        "{refused} of {} refused",
        FLOWS * 40
    );
}

#[test]
fn slots_are_claimed_free_then_expired_then_half_open_and_never_live() {
    let model = Model::new(2);
    let mut numbers = 0..;
    let mut fill = |state: FlowState| {
        (0..64)
            .filter(|_| {
                model
                    .open(&key(numbers.next().expect("endless")), state)
                    .is_ok()
            })
            .count()
    };
    assert_eq!(
        fill(FlowState::TCP_ESTABLISHED),
        16,
        "free slots, and then no more"
    );
    assert_eq!(
        fill(FlowState::TCP_SYN_SENT),
        0,
        "a live flow keeps its slot"
    );
    model.now.set(model.now.get() + TIMEOUT);
    assert_eq!(fill(FlowState::TCP_SYN_SENT), 0, "up to its timeout");
    model.now.set(model.now.get() + 1);
    assert_eq!(
        fill(FlowState::TCP_SYN_SENT),
        64,
        "half-open flows give way to each other"
    );
    assert_eq!(model.live(), 16);
    assert_eq!(
        fill(FlowState::TCP_ESTABLISHED),
        16,
        "and to others, but not to live ones"
    );
}

#[test]
fn the_oldest_half_open_flow_goes_first() {
    let model = Model::new(2);
    for number in 0..16 {
        model.now.set(model.now.get() + 1);
        model
            .open(&key(number), FlowState::TCP_SYN_SENT)
            .expect("fits");
    }
    model
        .open(&key(100), FlowState::TCP_SYN_SENT)
        .expect("takes a slot");
    assert!(model.find(&key(0)).is_none());
    assert!((1..16).all(|number| model.find(&key(number)).is_some()));
}

#[test]
fn a_key_is_in_the_table_once() {
    let model = Model::new(16);
    for _ in 0..3 {
        model.open(&key(1), FlowState::TCP_SYN_SENT).expect("fits");
        model.now.set(model.now.get() + TIMEOUT * 2);
    }
    let entries = model
        .slots
        .iter()
        .filter(|slot| slot.key.get() == Some(key(1)))
        .count();
    assert_eq!(entries, 1);
}

#[test]
fn a_deleted_flow_is_not_found_and_its_slot_is_claimed_again() {
    let model = Model::new(2);
    for number in 0..16 {
        model
            .open(&key(number), FlowState::TCP_ESTABLISHED)
            .expect("fits");
    }
    let Found { slot, meta, .. } = model.find(&key(3)).expect("is there");
    assert!(slot.swap_meta(meta, meta.with(FlowState::NONE, 0)));
    assert!(model.find(&key(3)).is_none());
    model
        .open(&key(99), FlowState::TCP_ESTABLISHED)
        .expect("takes the slot");
    assert!(
        !slot.swap_meta(meta, meta.with(FlowState::TCP_CLOSING, 0)),
        "a stale reader is refused"
    );
    assert_eq!(model.live(), 16);
}

#[test]
fn a_locked_bucket_is_given_up_on() {
    let model = Model::new(2);
    for bucket in 0..2 {
        model.tags[bucket].set(LOCKED);
        let refused = (0..32)
            .filter(|number| {
                let place = model.place(&key(*number));
                open(&model, &key(*number), &place, opening(FlowState::OTHER))
                    == Err(Refused::Contended)
            })
            .count();
        assert!(refused > 0);
        assert_eq!(
            model.tags[1 - bucket].get() & LOCKED,
            0,
            "the other lock is given back"
        );
        model.tags[bucket].set(0);
    }
}

#[test]
fn a_change_of_state_hides_no_flow_and_a_change_of_flow_shows_none() {
    let model = Model::new(2);
    model.open(&key(1), FlowState::TCP_SYN_SENT).expect("fits");
    let Found { slot, meta, .. } = model.find(&key(1)).expect("is there");
    let advanced = meta.with(FlowState::TCP_ESTABLISHED, 0);
    slot.after_read.set(Some(advanced.0));
    let found = model.find(&key(1)).expect("is there all the while");
    assert_eq!(found.meta, advanced, "and in its new state");
    slot.after_read.set(Some(advanced.0 + (2 << 32)));
    assert!(model.find(&key(1)).is_none(), "another flow has the slot");
}

#[test]
fn finished_flows_and_pings_give_way() {
    for state in [FlowState::TCP_CLOSING, FlowState::ICMP_QUERY] {
        let model = Model::new(2);
        for number in 0..16 {
            model.open(&key(number), state).expect("fits");
        }
        model
            .open(&key(99), FlowState::TCP_ESTABLISHED)
            .expect("takes a slot");
        assert!(model.find(&key(99)).is_some());
    }
}
