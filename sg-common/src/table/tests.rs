//! The table in plain memory: claim order, shares, refusals at the stated load, deletion.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use super::tags::{HIGH_BITS, count, tag_at};
use super::*;
use crate::addr::Addr;
use crate::ends::{Ends, VlanIds};
use crate::flow::{Evidence, FLOW_COUNTED};
use crate::tcp::Numbers;

mod evidence;
mod load;

/// A slot of the model: meta, key, times of the first and the latest packet.
#[derive(Default)]
struct Cells {
    meta: Cell<u64>,
    key: Cell<Option<FlowKey>>,
    created: Cell<u64>,
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
    /// Slots of each zone, and of each remote end.
    held: RefCell<HashMap<u32, i64>>,
    remotes: RefCell<HashMap<Addr, i64>>,
    /// What a zone is sure of.
    share: Cell<i64>,
    remote_limit: Cell<Option<i64>>,
}

const TIMEOUT: u64 = 100;
const SEED_PERIOD: u64 = 50;

fn opening(state: FlowState) -> Opening {
    Opening {
        rule: 1,
        state,
        flags: 0,
        packets: 1,
        bytes: 60,
        numbers: Numbers::NONE,
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
            held: RefCell::default(),
            remotes: RefCell::default(),
            share: Cell::new(i64::MAX),
            remote_limit: Cell::new(None),
        })))
    }

    fn place(self, key: &FlowKey) -> Place {
        let words = [3, 5, 7, 11, 13, 17].map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Place::of(key, |word| words[word], self.tags.len() as u32)
    }

    fn open(self, key: &FlowKey, state: FlowState) -> Result<(), Refused> {
        let result = open(&self, key, &self.place(key), opening(state));
        self.check();
        result
    }

    /// Asserts that tags and counts are those of the slots, where that is done in no time.
    fn check(self) {
        if self.tags.len() > 16 {
            return;
        }
        let mut held: HashMap<u32, i64> = HashMap::new();
        for (number, slot) in (0_u32..).zip(&self.0.slots) {
            assert!(!Meta(slot.meta.get()).is_written(), "nobody is at work");
            let tags = self.tags[(number / BUCKET_SLOTS) as usize].get();
            match slot.key.get() {
                Some(key) if tag_at(tags, number % BUCKET_SLOTS) != 0 => {
                    assert_eq!(tag_at(tags, number % BUCKET_SLOTS), self.place(&key).tag());
                    *held.entry(key.zone().into()).or_default() += 1;
                }
                _ => assert_eq!(Meta(slot.meta.get()).state(), FlowState::NONE),
            }
        }
        self.held.borrow_mut().retain(|_, slots| *slots != 0);
        assert_eq!(*self.held.borrow(), held);
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
    fn after(self, _read: u64) -> Self {
        self
    }

    fn meta(self) -> Meta {
        let meta = self.meta.get();
        // Another CPU may act between any two reads.
        self.meta.set(self.after_read.take().unwrap_or(meta));
        Meta(meta)
    }

    fn swap_meta(self, old: Meta, new: Meta) -> bool {
        let same = self.meta.get() == old.0;
        if same {
            self.meta.set(new.0);
        }
        same
    }

    fn is_key(self, key: &FlowKey) -> (bool, Self) {
        (self.key.get() == Some(*key), self)
    }

    fn zone(self) -> u32 {
        self.key.get().map_or(0, |key| u32::from(key.zone()))
    }

    fn created(self) -> u64 {
        self.created.get()
    }

    fn last_seen(self) -> u64 {
        self.last_seen.get()
    }

    fn rule(self) -> u32 {
        1
    }

    fn write(self, key: &FlowKey, _opening: Opening, now: u64) {
        assert!(self.meta().is_written(), "readers are told first");
        self.key.set(Some(*key));
        self.created.set(now);
        self.last_seen.set(now);
    }
}

impl Table for Model {
    type Slot = &'static Cells;

    fn tags(&self, bucket: u32) -> u64 {
        self.tags[bucket as usize].get()
    }

    fn flip_tags(&self, bucket: u32, bits: u64) {
        let word = &self.tags[bucket as usize];
        word.set(word.get() ^ bits);
    }

    fn catch_up(&self, _number: u32) {}

    fn slot(&self, index: u32) -> Option<&'static Cells> {
        self.0.slots.get(index as usize)
    }

    fn now(&self) -> u64 {
        self.now.get()
    }

    fn seed_period(&self) -> u64 {
        SEED_PERIOD
    }

    fn is_over_share(&self, zone: u32) -> bool {
        self.held.borrow().get(&zone).copied().unwrap_or(0) > self.share.get()
    }

    fn is_over_remote_limit(&self, slot: Self::Slot) -> bool {
        let key = slot.key.get().expect("a flow");
        let held = self.remotes.borrow().get(&key.remote).copied();
        self.remote_limit
            .get()
            .is_some_and(|limit| held.unwrap_or(0) > limit)
    }

    fn hold(&self, slot: Self::Slot) -> u8 {
        let key = slot.key.get().expect("a flow");
        *self.held.borrow_mut().entry(key.zone().into()).or_default() += 1;
        *self.remotes.borrow_mut().entry(key.remote).or_default() += 1;
        FLOW_COUNTED
    }

    fn let_go(&self, slot: Self::Slot, flags: u8) {
        assert_eq!(flags & FLOW_COUNTED, FLOW_COUNTED);
        let key = slot.key.get().expect("a flow");
        *self.held.borrow_mut().entry(key.zone().into()).or_default() -= 1;
        *self.remotes.borrow_mut().entry(key.remote).or_default() -= 1;
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
    assert_eq!(matching(tags, 0x7f), 0x8000_0000_0000_8000);
    assert_eq!(matching(tags, 0), 0x0000_0080_0000_0080);
    for index in 0..8 {
        assert_eq!(lowest(0x80 << (index * 8)), index);
        assert_eq!(lowest(HIGH_BITS << (index * 8)), index);
    }
    assert_eq!(count(HIGH_BITS), 8);
    assert_eq!(count(0x80_0000_0080), 2);
    assert_eq!((tag_at(tags, 6), tag_at(tags, 7)), (0x01, 0x7f));
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
    assert!(slot.swap_meta(meta, meta.with(FlowState::NONE, FLOW_COUNTED)));
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
fn a_slot_that_a_stopped_cpu_holds_is_passed_over() {
    for stopped in 0..16 {
        let model = Model::new(2);
        let slot = &model.0.slots[stopped];
        slot.meta.set(Meta::new(1, FlowState::NONE, 0).0);
        let opened = (0..64).filter(|number| {
            let place = model.place(&key(*number));
            open(
                &model,
                &key(*number),
                &place,
                opening(FlowState::TCP_ESTABLISHED),
            )
            .is_ok()
        });
        assert_eq!(opened.count(), 15);
        assert_eq!(slot.key.get(), None);
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
