//! The table under the interleavings of two CPUs, and under memory that shows stores as late as it
//! likes (loom): loads and stores are relaxed where the programs have plain ones, and so are atomic
//! operations that return nothing. A swap of a meta word that succeeds is a full barrier.
//!
//! An address dependency is not among what loom knows: [`Slot::after`] is an acquire fence here. x86
//! allows less, for it keeps all loads in order.
//!
//! The table has two buckets. All slots but one in each hold live flows that nobody touches.

use loom::model::Builder;
use loom::sync::Arc;
use loom::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};
use loom::sync::atomic::{AtomicU64, fence};
use loom::thread;

use super::tags::tag_at;
use super::*;
use crate::addr::Addr;
use crate::ends::{Ends, VlanIds};
use crate::tcp::Numbers;

/// Switches between CPUs where none of them waits. All errors that were put in for a try show with
/// two.
const PREEMPTIONS: usize = 3;
const NOW: u64 = 1000;
const TIMEOUT: u64 = 100;

/// The slot in each bucket that both CPUs use: meta word, key in two words, rule.
struct Cells {
    meta: AtomicU64,
    key: [AtomicU64; 2],
    rule: AtomicU64,
    /// Flows whose packets were counted when they lost the slot. No order of memory depends on it.
    closed: core::sync::atomic::AtomicU64,
}

struct Memory {
    tags: [AtomicU64; 2],
    cells: [Cells; 2],
    /// Slots held, less those before. No order of memory depends on it.
    held: core::sync::atomic::AtomicI64,
}

/// One that keeps the order of dependent loads, or one that does not, as no processor is.
#[derive(Clone, Copy)]
struct Cpu<'m> {
    memory: &'m Memory,
    keeps_dependencies: bool,
}

#[derive(Clone, Copy)]
enum Seat<'m> {
    /// A live flow that nobody touches.
    Taken,
    /// The slot that both CPUs use, and whether its reader keeps dependencies.
    Open(&'m Cells, bool),
}

/// What is in the table before: a key and its state for each bucket's open slot.
type Before = [Option<(u16, FlowState)>; 2];

impl Memory {
    fn new(before: Before) -> Self {
        let cell = |flow: Option<(u16, FlowState)>| {
            let (number, state) = flow.unwrap_or((0, FlowState::NONE));
            let number = u64::from(number);
            Cells {
                meta: AtomicU64::new(Meta::new(2, state, 0).0),
                key: [AtomicU64::new(number), AtomicU64::new(number)],
                rule: AtomicU64::new(number),
                closed: core::sync::atomic::AtomicU64::new(0),
            }
        };
        let tags = |flow: Option<(u16, FlowState)>| {
            let tag = flow.map_or(0, |(number, _)| place(number).tag());
            AtomicU64::new(0x7f7f_7f7f_7f7f_7f00 | tag)
        };
        Self {
            tags: before.map(tags),
            cells: before.map(cell),
            held: core::sync::atomic::AtomicI64::new(0),
        }
    }

    /// The flows in the open slots, once nobody is at work: key and state.
    fn flows(&self) -> Vec<(u16, FlowState)> {
        for (tags, cells) in self.tags.iter().zip(&self.cells) {
            let number = cells.key[0].load(Acquire) as u16;
            let live = Meta(cells.meta.load(Acquire)).state() != FlowState::NONE;
            let expected = if live { place(number).tag() } else { 0 };
            assert_eq!(
                tag_at(tags.load(Acquire), 0),
                expected,
                "the tag is the flow's"
            );
        }
        let flow = |cells: &Cells| {
            let meta = Meta(cells.meta.load(Acquire));
            let [number, again] = [0, 1].map(|half| cells.key[half].load(Acquire));
            assert_eq!(
                (meta.version() & 1, again),
                (0, number),
                "nothing is half done"
            );
            assert_eq!(cells.rule.load(Acquire), number);
            (number as u16, meta.state())
        };
        let mut flows: Vec<_> = self.cells.iter().map(flow).collect();
        flows.retain(|(_, state)| *state != FlowState::NONE);
        flows.sort_by_key(|(number, _)| *number);
        flows
    }
}

impl Memory {
    /// Flows that lost their slots, as they were counted.
    fn closed(&self) -> u64 {
        let closed = |cells: &Cells| cells.closed.load(Acquire);
        self.cells.iter().map(closed).sum()
    }
}

impl Slot for Seat<'_> {
    fn after(self, _read: u64) -> Self {
        if let Self::Open(_, true) = self {
            fence(Acquire);
        }
        self
    }

    fn meta(self) -> Meta {
        match self {
            Self::Taken => Meta::new(2, FlowState::TCP_ESTABLISHED, 0),
            Self::Open(cells, _) => Meta(cells.meta.load(Relaxed)),
        }
    }

    fn swap_meta(self, old: Meta, new: Meta) -> bool {
        let Self::Open(cells, _) = self else {
            panic!("a live flow's slot is claimed");
        };
        let swapped = cells.meta.compare_exchange(old.0, new.0, AcqRel, Relaxed);
        if swapped.is_ok() {
            fence(SeqCst);
        }
        swapped.is_ok()
    }

    fn is_key(self, key: &FlowKey) -> (bool, Self) {
        let number = u64::from(key.remote_port());
        let is_same = match self {
            Self::Taken => false,
            Self::Open(cells, _) => cells.key.iter().all(|half| half.load(Relaxed) == number),
        };
        (is_same, self.after(number))
    }

    fn zone(self) -> u32 {
        0
    }

    fn created(self) -> u64 {
        NOW
    }

    fn last_seen(self) -> u64 {
        NOW
    }

    fn rule(self) -> u32 {
        match self {
            Self::Taken => 0,
            Self::Open(cells, _) => cells.rule.load(Relaxed) as u32,
        }
    }

    fn write(self, key: &FlowKey, opening: Opening, _now: u64) {
        if let Self::Open(cells, _) = self {
            for half in &cells.key {
                half.store(u64::from(key.remote_port()), Relaxed);
            }
            cells.rule.store(u64::from(opening.rule), Relaxed);
        }
    }
}

impl<'m> Table for Cpu<'m> {
    type Slot = Seat<'m>;

    fn tags(&self, bucket: u32) -> u64 {
        self.memory.tags[bucket as usize].load(Relaxed)
    }

    fn flip_tags(&self, bucket: u32, bits: u64) {
        self.memory.tags[bucket as usize].fetch_xor(bits, Relaxed);
    }

    fn catch_up(&self, _number: u32) {
        fence(Acquire);
    }

    fn slot(&self, index: u32) -> Option<Seat<'m>> {
        Some(match index % BUCKET_SLOTS {
            0 => {
                let cells = &self.memory.cells[(index / BUCKET_SLOTS) as usize];
                Seat::Open(cells, self.keeps_dependencies)
            }
            _ => Seat::Taken,
        })
    }

    fn now(&self) -> u64 {
        NOW
    }

    fn timeout(&self, _zone: u32, _state: FlowState) -> u64 {
        TIMEOUT
    }

    fn seed_period(&self) -> u64 {
        TIMEOUT
    }

    fn is_over_share(&self, _zone: u32) -> bool {
        false
    }

    fn is_over_remote_limit(&self, _slot: Seat<'m>) -> bool {
        false
    }

    fn hold(&self, _slot: Seat<'m>) -> u8 {
        self.memory.held.fetch_add(1, AcqRel);
        0
    }

    fn let_go(&self, _slot: Seat<'m>, _flags: u8) {
        self.memory.held.fetch_sub(1, AcqRel);
    }

    fn count_closed(&self, slot: Seat<'m>) {
        if let Seat::Open(cells, _) = slot {
            cells.closed.fetch_add(1, AcqRel);
        }
    }
}

fn key(number: u16) -> FlowKey {
    let local = Addr::from_wire_v4(u32::to_be(0x0a00_0001));
    let ends = Ends::new((local, 0), (Addr::UNSPECIFIED, number));
    FlowKey::new(0, VlanIds::NONE, 6, ends)
}

fn place(number: u16) -> Place {
    let words = [3, 5, 7, 11, 13, 17].map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    Place::of(&key(number), |word| words[word], 2)
}

const fn cpu(memory: &Memory) -> Cpu<'_> {
    Cpu {
        memory,
        keeps_dependencies: true,
    }
}

fn open_flow(memory: &Memory, number: u16) -> Result<(), Refused> {
    let opening = Opening {
        rule: u32::from(number),
        state: FlowState::TCP_SYN_SENT,
        flags: 0,
        packets: 1,
        bytes: 60,
        numbers: Numbers::NONE,
    };
    open(&cpu(memory), &key(number), &place(number), opening)
}

/// Finds a flow; it has its own rule or, when its slot has been claimed since, none.
fn find_flow(memory: &Memory, number: u16) -> Option<Found<Seat<'_>>> {
    let found = find(&cpu(memory), &key(number), &place(number));
    if let Some(found) = &found {
        let rule = found.rule();
        assert!(
            rule == u32::from(number) || rule == 0,
            "a torn read shows no flow"
        );
    }
    found
}

/// Runs two CPUs in every order and hands what they return to `check`.
///
/// Who only reads is `other`: loom goes back to where a thread wrote what another read later, but not
/// to where it read what another wrote later.
fn race<A: 'static, B: 'static>(
    before: Before,
    other: fn(&Memory) -> A,
    this: fn(&Memory) -> B,
    check: impl Fn(&Memory, A, B) + Send + Sync + 'static,
) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(move || {
        let memory = Arc::new(Memory::new(before));
        let theirs = Arc::clone(&memory);
        let other = thread::spawn(move || other(&theirs));
        let this = this(&memory);
        let other = other.join().expect("does not panic");
        check(&memory, other, this);
    });
}

#[test]
fn two_cpus_that_open_one_flow_make_one_entry() {
    race(
        [None, None],
        |memory| open_flow(memory, 1),
        |memory| open_flow(memory, 1),
        |memory, first, second| {
            assert_eq!((first, second), (Ok(()), Ok(())));
            assert_eq!(memory.flows(), [(1, FlowState::TCP_SYN_SENT)]);
            assert_eq!(memory.closed(), 1, "the second replaces the first");
        },
    );
}

#[test]
fn two_cpus_that_open_two_flows_take_two_slots() {
    race(
        [None, None],
        |memory| open_flow(memory, 1),
        |memory| open_flow(memory, 2),
        |memory, first, second| {
            assert_eq!((first, second), (Ok(()), Ok(())));
            let state = FlowState::TCP_SYN_SENT;
            assert_eq!(memory.flows(), [(1, state), (2, state)]);
            assert_eq!(memory.closed(), 0);
        },
    );
}

/// A half-open flow and one that is established.
const HALF_OPEN: Before = [
    Some((1, FlowState::TCP_SYN_SENT)),
    Some((2, FlowState::TCP_ESTABLISHED)),
];

#[test]
fn a_flow_is_established_or_gives_way_but_not_both() {
    race(
        HALF_OPEN,
        |memory| open_flow(memory, 3),
        |memory| {
            let Some(Found { slot, meta, .. }) = find_flow(memory, 1) else {
                return false;
            };
            slot.swap_meta(meta, meta.with(FlowState::TCP_ESTABLISHED, 0))
        },
        |memory, opened, established| {
            let first = if established {
                assert!(opened.is_err(), "an established flow lost its slot");
                (1, FlowState::TCP_ESTABLISHED)
            } else {
                assert_eq!(opened, Ok(()));
                (3, FlowState::TCP_SYN_SENT)
            };
            let mut expected = [first, (2, FlowState::TCP_ESTABLISHED)];
            expected.sort_by_key(|(number, _)| *number);
            assert_eq!(memory.flows(), expected);
            assert_eq!(memory.closed(), u64::from(opened.is_ok()), "counted once");
        },
    );
}

#[test]
fn a_live_flow_is_found_while_others_come_and_go() {
    race(
        HALF_OPEN,
        |memory| find_flow(memory, 2).is_some() && find_flow(memory, 4).is_none(),
        |memory| open_flow(memory, 3),
        |_, found, opened| {
            assert_eq!(opened, Ok(()));
            assert!(found, "it is there all the while");
        },
    );
}

mod torn;
