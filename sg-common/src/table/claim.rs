//! Which slot a new flow takes, and how.
//!
//! Free slots go first, then expired ones, then by [evidence](crate::flow::Evidence), and among
//! equals the one that was silent longest. What both sides have proved is kept, but for two cases:
//! an interface that holds more slots than its share gives them back to one that holds less, and
//! a remote address that holds more than its interface allows loses what is beyond.
//! An interface beyond its share takes slots only of interfaces that are, too.

use super::tags::{count, lowest, matching, tag_at};
use super::{BUCKET_SLOTS, Meta, Place, Slot, Table, is_live};
use crate::flow::{Evidence, FlowKey, FlowState, Opening};
use crate::verifier::opaque;

/// Free slots in the emptier bucket below which expired flows are released in both: counting them
/// as flows would wear out the balance between buckets.
const RELEASE_BELOW: u32 = 3;

/// Slots that both buckets of a key have.
const POSITIONS: u32 = 2 * BUCKET_SLOTS;

/// The [`rank`] of a slot that may not be taken.
pub const NEVER: u64 = u64::MAX;

const CLASS_SHIFT: u32 = 62;
const EXPIRED: u64 = 0;
const UNPROVEN: u64 = 1;
const ANSWERED: u64 = 2;
const BEYOND: u64 = 3;

/// Who wants a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asker {
    /// Zone of the new flow.
    pub zone: u32,
    /// Whether that zone holds more than its share.
    pub is_over: bool,
}

impl Asker {
    #[inline(always)]
    fn of<T: Table>(table: &T, key: &FlowKey) -> Self {
        let zone = u32::from(key.zone());
        let is_over = table.is_over_share(zone);
        Self { zone, is_over }
    }
}

/// A slot that was chosen, as a number that functions return.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Choice(pub u64);

impl Choice {
    /// No slot may be taken.
    pub const NONE: Self = Self(0);
    /// It holds the flow of the same key.
    const SAME_KEY: u64 = 1 << 8;
    /// It holds nothing.
    const FREE: u64 = 2 << 8;
    /// Of those that may be taken it ranks lowest.
    const RANKED: u64 = 3 << 8;
    const WHY: u64 = 3 << 8;

    #[inline(always)]
    const fn of(why: u64, position: u32) -> Self {
        Self(why | position as u64)
    }

    /// 0 to 7 in the first bucket of the key, 8 to 15 in the second: the order of look-ups.
    #[inline(always)]
    pub(super) const fn position(self) -> u32 {
        self.0 as u32 % POSITIONS
    }
}

/// The buckets and the tag of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Home {
    /// The bucket that is looked into first.
    pub first: u32,
    /// The other one.
    pub second: u32,
    /// The tag.
    pub tag: u64,
}

impl Home {
    #[inline(always)]
    pub(super) const fn of(place: &Place) -> Self {
        Self {
            first: place.first(),
            second: place.second(),
            tag: place.tag(),
        }
    }

    /// With the other bucket first.
    #[inline(always)]
    const fn swapped(self) -> Self {
        Self {
            first: self.second,
            second: self.first,
            ..self
        }
    }

    #[inline(always)]
    const fn bucket(self, position: u32) -> u32 {
        if position < BUCKET_SLOTS {
            self.first
        } else {
            self.second
        }
    }

    /// The number of the slot in a position.
    #[inline(always)]
    pub(super) const fn number(self, position: u32) -> u32 {
        self.bucket(position) * BUCKET_SLOTS + position % BUCKET_SLOTS
    }
}

/// Calls `each` with every slot of a tag that nobody is writing, in the order of look-ups, until it
/// answers.
#[inline(always)]
fn find_map<T: Table, R>(
    table: &T,
    home: Home,
    tag: u64,
    each: impl Fn(u32, T::Slot, Meta) -> Option<R>,
) -> Option<R> {
    // A loop for each bucket: what the verifier knows of one does not go into the other.
    let in_bucket = |bucket: u32, from: u32| {
        let mut candidates = matching(table.tags(bucket), tag);
        for _ in 0..BUCKET_SLOTS {
            if candidates == 0 {
                break;
            }
            let index = lowest(candidates);
            if let Some(slot) = table.slot(bucket * BUCKET_SLOTS + index) {
                let meta = slot.meta();
                if !meta.is_written()
                    && let Some(answer) = each(from + index, slot.after(meta.0), meta)
                {
                    return Some(answer);
                }
            }
            candidates &= candidates - 1;
        }
        None
    };
    in_bucket(home.first, 0).or_else(|| in_bucket(home.second, BUCKET_SLOTS))
}

/// Chooses a slot for a key that holds its flow or none.
#[inline(always)]
pub fn choose<T: Table>(table: &T, key: &FlowKey, home: Home) -> Choice {
    let same = |position, slot: T::Slot, _| {
        let (same, _) = slot.is_key(key);
        same.then_some(Choice::of(Choice::SAME_KEY, position))
    };
    if let Some(choice) = find_map(table, home, home.tag, same) {
        return choice;
    }
    let free = || [home.first, home.second].map(|bucket| count(matching(table.tags(bucket), 0)));
    let [first, second] = free();
    if first.max(second) < RELEASE_BELOW {
        for position in 0..POSITIONS {
            table.release(home.number(position));
        }
    }
    let [first, second] = free();
    // The emptier bucket; of two that are equal the one that is looked into first.
    let swap = second > first;
    let emptier = if swap { home.swapped() } else { home };
    let any = |position, _, _| {
        let position = if swap {
            position ^ BUCKET_SLOTS
        } else {
            position
        };
        Some(Choice::of(Choice::FREE, position))
    };
    find_map(table, emptier, 0, any).unwrap_or(Choice::NONE)
}

/// Chooses the slot that gives way soonest.
#[inline(always)]
pub(super) fn choose_by_rank<T: Table>(table: &T, key: &FlowKey, home: Home) -> Choice {
    let asker = Asker::of(table, key);
    match table.lowest_rank([home.first, home.second], asker) {
        NEVER => Choice::NONE,
        best => Choice::of(Choice::RANKED, best as u32 % POSITIONS),
    }
}

/// The lowest [`rank`] of the slots in two buckets, with its position; [`NEVER`] when none may be
/// taken.
#[inline(always)]
pub fn lowest_rank<T: Table>(table: &T, [first, second]: [u32; 2], asker: Asker) -> u64 {
    let mut best = NEVER;
    for position in 0..POSITIONS {
        let bucket = if position < BUCKET_SLOTS {
            first
        } else {
            second
        };
        let rank = table.rank(bucket * BUCKET_SLOTS + position % BUCKET_SLOTS, asker);
        let rank = rank | u64::from(position);
        // A branch here would double the paths at each slot.
        let better = opaque(u64::from(rank < best)).wrapping_neg();
        best = rank & better | best & !better;
    }
    best
}

/// How late a slot's flow gives way to one of `asker`, lowest first; [`NEVER`] if it does not.
///
/// Class, time of the latest packet, and four bits that are 0.
#[inline(always)]
pub fn rank<T: Table>(table: &T, number: u32, asker: Asker) -> u64 {
    let Some(slot) = table.slot(number) else {
        return NEVER;
    };
    let meta = slot.meta();
    if meta.is_written() {
        return NEVER;
    }
    let slot = slot.after(meta.0);
    match class(table, slot, meta, asker) {
        Some(class) => class << CLASS_SHIFT | (slot.last_seen() << 6 >> 2),
        None => NEVER,
    }
}

#[inline(always)]
fn class<T: Table>(table: &T, slot: T::Slot, meta: Meta, asker: Asker) -> Option<u64> {
    if !is_live(table, slot) {
        return Some(EXPIRED);
    }
    let zone = slot.zone();
    let theirs = zone != asker.zone;
    let over = table.is_over_share(zone);
    if theirs && asker.is_over && !over {
        return None;
    }
    match meta.state().evidence() {
        Evidence::Unproven => Some(UNPROVEN),
        Evidence::Answered => Some(ANSWERED),
        Evidence::Proven if is_doubtful(table, slot, meta) => Some(UNPROVEN),
        Evidence::Proven if theirs && over && !asker.is_over => Some(BEYOND),
        Evidence::Proven if table.is_over_remote_limit(slot) => Some(BEYOND),
        Evidence::Proven => None,
    }
}

/// Whether a flow was made of a connection that nobody has confirmed for too long.
#[inline(always)]
fn is_doubtful<T: Table>(table: &T, slot: T::Slot, meta: Meta) -> bool {
    meta.state() == FlowState::TCP_SEEDED
        && table.now().wrapping_sub(slot.created()).cast_signed()
            > table.seed_period().cast_signed()
}

/// Frees a slot whose flow is over.
#[inline(always)]
pub fn release<T: Table>(table: &T, number: u32) {
    let Some(slot) = table.slot(number) else {
        return;
    };
    let meta = slot.meta();
    let tag = tag_at(table.tags(number / BUCKET_SLOTS), number % BUCKET_SLOTS);
    if tag != 0 && !meta.is_written() && !is_live(table, slot) {
        retire(table, slot, number, meta);
    }
}

/// Takes the flow out of a slot, if its meta word is still the one that is given.
#[inline(always)]
fn retire<T: Table>(table: &T, slot: T::Slot, number: u32, meta: Meta) {
    let Some((written, tag)) = seize(table, slot, number, meta) else {
        return;
    };
    table.flip_tags(number / BUCKET_SLOTS, tag << (number % BUCKET_SLOTS * 8));
    let free = Meta::new(written.version().wrapping_add(1), FlowState::NONE, 0);
    slot.swap_meta(written, free);
}

/// Makes a slot ours, and settles what it holds. Returns its meta word and its tag.
#[inline(always)]
fn seize<T: Table>(table: &T, slot: T::Slot, number: u32, before: Meta) -> Option<(Meta, u64)> {
    let written = Meta::new(before.version().wrapping_add(1), FlowState::NONE, 0);
    // Even a flow that is to go may be proved at this moment, by a packet that takes no slot.
    if before.is_written() || !slot.swap_meta(before, written) {
        return None;
    }
    // Only who has the slot changes its tag.
    let tag = tag_at(table.tags(number / BUCKET_SLOTS), number % BUCKET_SLOTS);
    if tag != 0 {
        if before.is_uncounted() {
            table.count_closed(slot);
        }
        table.let_go(slot, before.flags());
    }
    Some((written, tag))
}

/// Takes a chosen slot. Returns the meta word that it has now, with its tag in the lowest bits;
/// `None` when it is not what it was any more.
#[inline(always)]
pub fn take<T: Table>(table: &T, key: &FlowKey, number: u32, choice: Choice) -> Option<u64> {
    let slot = table.slot(number)?;
    let meta = slot.meta();
    let still = match choice.0 & Choice::WHY {
        Choice::SAME_KEY => slot.after(meta.0).is_key(key).0,
        Choice::FREE => meta.state() == FlowState::NONE,
        _ => table.rank(number, Asker::of(table, key)) != NEVER,
    };
    if !still {
        return None;
    }
    let (meta, tag) = seize(table, slot, number, meta)?;
    Some(meta.0 | tag)
}

/// Writes a flow into a slot that was taken. Returns its meta word.
#[inline(always)]
pub(super) fn publish<T: Table>(
    table: &T,
    key: &FlowKey,
    number: u32,
    taken: u64,
    tag: u64,
    opening: Opening,
) -> Option<Meta> {
    let slot = table.slot(number)?;
    let (written, before) = (Meta(taken & !0x7f), taken & 0x7f);
    slot.write(key, opening, table.now());
    let flags = opening.flags | table.hold(slot);
    let (bucket, index) = (number / BUCKET_SLOTS, number % BUCKET_SLOTS);
    table.flip_tags(bucket, (before ^ tag) << (index * 8));
    let open = Meta::new(written.version().wrapping_add(1), opening.state, flags);
    slot.swap_meta(written, open);
    Some(open)
}

/// Removes one of two entries of a key, if another CPU has opened the same flow as that in
/// `position`, whose meta word is `open`. The entry that is found first stays, but for one that has
/// gone on meanwhile, which stays in any case.
#[inline(always)]
pub fn settle<T: Table>(table: &T, key: &FlowKey, home: Home, position: u32, open: Meta) {
    let twin = find_map(table, home, home.tag, |other, slot, theirs| {
        let is_twin = other != position && theirs.state() != FlowState::NONE && slot.is_key(key).0;
        is_twin.then_some((other, theirs))
    });
    let Some((other, theirs)) = twin else {
        return;
    };
    let (position, meta) = if other > position && theirs.state() == open.state() {
        (other, theirs)
    } else {
        (position, open)
    };
    let number = home.number(position);
    if let Some(slot) = table.slot(number) {
        retire(table, slot, number, meta);
    }
}
