//! The flow table: set-associative, in array memory, shared by all CPUs without a global lock.
//!
//! ```text
//! hash of the key ──► bucket A, bucket B, tag          (two choices, a 7-bit tag)
//! TAGS[bucket]    ──► eight tags and a lock in 64 bits  (1 byte per slot: stays in the cache)
//! SLOTS[bucket*8+i] ► one flow, 128 bytes               (key and state in its first cache line)
//! ```
//!
//! A look-up reads two tag words, which are small enough to stay in the cache, and then, as a rule,
//! the one slot that holds the flow: one cache miss for a flow that is there, none for one that is
//! not.
//!
//! Opening a flow locks both buckets (the lock is a bit of the tag word), searches again, and only
//! then claims a slot: so no key is ever in the table twice. A slot is claimed free first, then
//! expired, then half-open or finished (the oldest); a live flow's slot never, nor that of a flow that
//! becomes live at this moment. When there is none the new flow is refused.
//!
//! Readers take no lock. A slot has a version that is odd while it is written and changes with each
//! claim; a reader compares key and version, and changes state by compare-and-swap on the word that
//! holds both, so that a stale reader cannot touch the flow that follows in its slot. Packet and
//! byte counts and the time stamp are plain stores: two CPUs at one flow at the same moment may
//! lose a count.
//!
//! Nobody sweeps: an expired flow is as good as a free slot.

mod meta;
mod place;
mod size;
mod tags;

pub use self::meta::Meta;
pub use self::place::{HashSeed, Place};
pub use self::size::{SLOTS_PER_FLOW, buckets_for, bytes_of, flows_in};

use self::tags::{LOCKED, count, lowest, matching, without};
use crate::flow::{FlowKey, FlowState, Opening};
use crate::verifier::{at_or_below, opaque};

/// Slots of one bucket.
pub const BUCKET_SLOTS: u32 = 8;
/// Free slots in the emptier bucket below which both are swept: counting expired flows as flows
/// would wear out the balance between buckets.
const SWEEP_BELOW: u32 = 3;
/// Tries to lock a bucket before the packet is refused.
pub const LOCK_TRIES: u32 = 64;

/// One slot. Reads and writes are single, never torn, and in program order.
pub trait Slot: Copy {
    /// Version, state and flags, see [`Meta`].
    fn meta(self) -> Meta;
    /// Stores the meta word; by the holder of the bucket's lock.
    fn set_meta(self, meta: Meta);
    /// Replaces the meta word if it is still `old`.
    fn swap_meta(self, old: Meta, new: Meta) -> bool;
    /// Whether the slot's key is `key`.
    fn is_key(self, key: &FlowKey) -> bool;
    /// Zone of the slot's key.
    fn zone(self) -> u32;
    /// Jiffies of the latest packet.
    fn last_seen(self) -> u64;
    /// Number of the rule that admitted the flow.
    fn rule(self) -> u32;
    /// Stores all but the meta word, for a flow opened at `now`.
    fn write(self, key: &FlowKey, opening: Opening, now: u64);
}

/// The memory of a table.
pub trait Table {
    /// A slot.
    type Slot: Slot;

    /// The tag word of a bucket.
    fn tags(&self, bucket: u32) -> u64;
    /// Stores the tag word of a bucket, after everything stored before; by the holder of its lock.
    fn set_tags(&self, bucket: u32, tags: u64);
    /// Replaces the tag word of a bucket if it is still `old`.
    fn swap_tags(&self, bucket: u32, old: u64, new: u64) -> bool;
    /// A slot by number.
    fn slot(&self, index: u32) -> Option<Self::Slot>;
    /// Jiffies.
    fn now(&self) -> u64;
    /// Idle timeout of a state in a zone, in jiffies; 0 for a zone that is no longer guarded.
    fn timeout(&self, zone: u32, state: FlowState) -> u64;
    /// Adds the packets of a slot's last flow to the counters of its rule; by who claimed the slot.
    fn count_closed(&self, slot: Self::Slot);
}

/// Why a flow was not opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Both buckets hold live flows only.
    Full,
    /// Another CPU kept a bucket locked.
    Contended,
}

/// A slot as a look-up found it: all of one version, so of one flow.
#[derive(Clone, Copy, Debug)]
pub struct Found<S> {
    /// The slot.
    pub slot: S,
    /// Its meta word.
    pub meta: Meta,
    /// Jiffies of the latest packet.
    pub last_seen: u64,
}

impl<S: Slot> Found<S> {
    /// Number of the rule that admitted the flow; 0 when its slot has been claimed since.
    #[inline(always)]
    pub fn rule(&self) -> u32 {
        let rule = self.slot.rule();
        if self.slot.meta().version() == self.meta.version() {
            rule
        } else {
            0
        }
    }
}

/// Finds the slot of a key, live or expired.
#[inline(always)]
pub fn find<T: Table>(table: &T, key: &FlowKey, place: &Place) -> Option<Found<T::Slot>> {
    match find_in(table, place.first(), key, place.tag()) {
        Some(found) => Some(found),
        None => find_in(table, place.second(), key, place.tag()),
    }
}

#[inline(always)]
fn find_in<T: Table>(table: &T, bucket: u32, key: &FlowKey, tag: u64) -> Option<Found<T::Slot>> {
    let mut candidates = matching(table.tags(bucket), tag);
    for _ in 0..BUCKET_SLOTS {
        if candidates == 0 {
            break;
        }
        let slot = table.slot(bucket * BUCKET_SLOTS + lowest(candidates))?;
        let before = slot.meta();
        if slot.is_key(key) {
            let last_seen = slot.last_seen();
            let meta = slot.meta();
            // Another CPU may have changed the state meanwhile; only a new version is a new flow. A
            // slot that is being written has no state.
            if meta.version() == before.version() {
                let found = Found {
                    slot,
                    meta,
                    last_seen,
                };
                return (meta.state() != FlowState::NONE).then_some(found);
            }
        }
        candidates &= candidates - 1;
    }
    None
}

/// Opens a flow: creates its entry, or replaces the one of the same key.
///
/// # Errors
/// Why there is no slot for it.
#[inline(always)]
pub fn open<T: Table>(
    table: &T,
    key: &FlowKey,
    place: &Place,
    opening: Opening,
) -> Result<(), Refused> {
    // Everyone locks in the same order, so nobody waits in a circle.
    let (first, second) = (place.first(), place.second());
    let (low, high) = (first.min(second), first.max(second));
    let mut low_tags = lock(table, low).ok_or(Refused::Contended)?;
    let Some(mut high_tags) = lock(table, high) else {
        table.set_tags(low, low_tags);
        return Err(Refused::Contended);
    };
    let mut result = Err(Refused::Full);
    if let Some((slot, before, in_low, index)) = claim(
        table,
        key,
        place,
        (low, &mut low_tags),
        (high, &mut high_tags),
    ) {
        let version = before.version().wrapping_add(1) | 1;
        // The answer to a half-open flow needs no lock to make it a live one.
        if slot.swap_meta(before, Meta::new(version, FlowState::NONE, 0)) {
            if before.is_uncounted() {
                table.count_closed(slot);
            }
            slot.write(key, opening, table.now());
            slot.set_meta(Meta::new(
                version.wrapping_add(1),
                opening.state,
                opening.flags,
            ));
            let tags = if in_low {
                &mut low_tags
            } else {
                &mut high_tags
            };
            *tags = without(*tags, index) | place.tag() << (index * 8);
            result = Ok(());
        } else {
            result = Err(Refused::Contended);
        }
    }
    table.set_tags(high, high_tags);
    table.set_tags(low, low_tags);
    result
}

#[inline(always)]
fn lock<T: Table>(table: &T, bucket: u32) -> Option<u64> {
    for _ in 0..LOCK_TRIES {
        let tags = table.tags(bucket);
        if tags & LOCKED == 0 && table.swap_tags(bucket, tags, tags | LOCKED) {
            return Some(tags);
        }
    }
    None
}

/// Picks the slot for a key in two locked buckets: the slot, the meta word that it may be claimed
/// with, whether it is in the first of them, and its index there.
#[inline(always)]
fn claim<T: Table>(
    table: &T,
    key: &FlowKey,
    place: &Place,
    low: (u32, &mut u64),
    high: (u32, &mut u64),
) -> Option<(T::Slot, Meta, bool, u32)> {
    let ((low, low_tags), (high, high_tags)) = (low, high);
    // Another CPU may have opened the flow meanwhile, or an earlier one has expired.
    if let Some((slot, index)) = slot_of(table, low, *low_tags, key, place.tag()) {
        return Some((slot, slot.meta(), true, index));
    }
    if let Some((slot, index)) = slot_of(table, high, *high_tags, key, place.tag()) {
        return Some((slot, slot.meta(), false, index));
    }
    let free = count(matching(*low_tags, 0)).max(count(matching(*high_tags, 0)));
    if free < SWEEP_BELOW {
        *low_tags = sweep(table, low, *low_tags);
        *high_tags = sweep(table, high, *high_tags);
    }
    let free = (matching(*low_tags, 0), matching(*high_tags, 0));
    let (bucket, index, in_low) = if free.0 | free.1 != 0 {
        // The emptier bucket; of two that are equal the one that is looked into first.
        let in_low = match count(free.0).cmp(&count(free.1)) {
            core::cmp::Ordering::Greater => true,
            core::cmp::Ordering::Equal => low == place.first(),
            core::cmp::Ordering::Less => false,
        };
        if in_low {
            (low, lowest(free.0), true)
        } else {
            (high, lowest(free.1), false)
        }
    } else {
        let oldest = oldest_evictable(table, low, (u64::MAX, u32::MAX));
        let (_, number) = oldest_evictable(table, high, oldest);
        if number == u32::MAX {
            return None;
        }
        let bucket = number / BUCKET_SLOTS;
        let (slot, index) = (table.slot(number)?, number % BUCKET_SLOTS);
        // It may have become a live flow since.
        let meta = slot.meta();
        return meta
            .is_evictable()
            .then_some((slot, meta, bucket == low, index));
    };
    let slot = table.slot(bucket * BUCKET_SLOTS + index)?;
    Some((slot, slot.meta(), in_low, index))
}

#[inline(always)]
fn slot_of<T: Table>(
    table: &T,
    bucket: u32,
    tags: u64,
    key: &FlowKey,
    tag: u64,
) -> Option<(T::Slot, u32)> {
    let mut candidates = matching(tags, tag);
    for _ in 0..BUCKET_SLOTS {
        if candidates == 0 {
            break;
        }
        let index = lowest(candidates);
        let slot = table.slot(bucket * BUCKET_SLOTS + index)?;
        if slot.is_key(key) {
            return Some((slot, index));
        }
        candidates &= candidates - 1;
    }
    None
}

/// Frees the slots of expired flows in a locked bucket; returns its tags.
#[inline(always)]
fn sweep<T: Table>(table: &T, bucket: u32, mut tags: u64) -> u64 {
    for index in 0..BUCKET_SLOTS {
        if let Some(slot) = table.slot(bucket * BUCKET_SLOTS + index) {
            let over = opaque(u64::from(!is_live(table, slot)));
            tags &= !((over * 0x7f) << (index * 8));
        }
    }
    tags
}

/// Whether a slot's flow has been heard of within its idle timeout.
#[inline(always)]
pub fn is_live<T: Table>(table: &T, slot: T::Slot) -> bool {
    let state = slot.meta().state();
    if state == FlowState::NONE {
        return false;
    }
    let idle = table.now().wrapping_sub(slot.last_seen());
    // Another CPU may have stamped the entry with a later tick than ours.
    idle.cast_signed() < 0 || idle <= table.timeout(slot.zone(), state)
}

/// The evictable flow of a bucket that was seen longest ago, if before `best`: time and number.
#[inline(always)]
fn oldest_evictable<T: Table>(table: &T, bucket: u32, mut best: (u64, u32)) -> (u64, u32) {
    for index in 0..BUCKET_SLOTS {
        let number = bucket * BUCKET_SLOTS + index;
        if let Some(slot) = table.slot(number) {
            let seen = slot.last_seen();
            let better = opaque(u64::from(slot.meta().is_evictable()) & at_or_below(seen, best.0));
            // All ones or all zeros: a branch here would double the paths at each slot.
            let mask = better.wrapping_neg();
            best = (
                seen & mask | best.0 & !mask,
                number & mask as u32 | best.1 & !mask as u32,
            );
        }
    }
    best
}

#[cfg(test)]
mod races;
#[cfg(test)]
mod tests;
