//! The flow table: set-associative, in array memory, shared by all CPUs without a global lock.
//!
//! ```text
//! hash of the key ──► bucket A, bucket B, tag          (two choices, a 7-bit tag)
//! TAGS[bucket]    ──► eight tags in 64 bits             (1 byte per slot: stays in the cache)
//! SLOTS[bucket*8+i] ► one flow, 128 bytes               (key and state in its first cache line)
//! ```
//!
//! A look-up reads two tag words, which are small enough to stay in the cache, and then, as a rule,
//! the one slot that holds the flow: one cache miss for a flow that is there, none for one that is
//! not.
//!
//! Opening a flow takes no lock. Whoever wants a slot takes it by compare-and-swap of its meta word,
//! writes it, and gives it back with a flow in it; nobody waits, so a CPU that is stopped half-way,
//! as the virtual ones are, keeps one slot from the others and no more. A slot is taken free first,
//! then expired, then by evidence, see [`claim`]. When there is none the new flow is refused.
//!
//! Two CPUs that open one flow at the same moment may make two entries of it. Each looks for the
//! other's after its own is there, so at least one of them sees both, and one entry goes again.
//!
//! A slot has a version that is odd while it is written and changes with each claim; a reader
//! compares key and version, and changes state by compare-and-swap on the word that holds both, so
//! that a stale reader cannot touch the flow that follows in its slot. Packet and byte counts, the
//! time stamp and sequence numbers are plain stores: two CPUs at one flow at the same moment may
//! lose a count.
//!
//! Nobody sweeps: an expired flow is as good as a free slot.
//!
//! Writers rely on one thing: a swap of a meta word that succeeds is a full barrier. Readers rely on
//! the order of loads, which not every processor keeps; where they need it, the address of the later
//! load is computed from what the earlier one returned, see [`Slot::after`].

mod claim;
mod meta;
mod place;
mod size;
mod tags;

pub use self::claim::{
    Asker, Choice, Home, NEVER, choose, lowest_rank, rank, release, settle, take,
};
pub use self::meta::Meta;
pub use self::place::{HashSeed, Place, REMOTE_COUNTERS, remote_counter};
pub use self::size::{SLOTS_PER_FLOW, buckets_for, bytes_of, flows_in};
pub use self::tags::tag_at;

use self::tags::{lowest, matching};
use crate::flow::{FlowKey, FlowState, Opening};

/// Slots of one bucket.
pub const BUCKET_SLOTS: u32 = 8;
/// Slots that other CPUs may take away from one that opens a flow before it gives up.
const CLAIM_TRIES: u32 = 8;

/// One slot. Reads and writes are single and never torn. What order they have is said by
/// [`after`](Self::after), [`is_key`](Self::is_key) and [`swap_meta`](Self::swap_meta).
pub trait Slot: Copy {
    /// The same slot; what is read through it is read after what returned `read`.
    #[must_use]
    fn after(self, read: u64) -> Self;
    /// Version, state and flags, see [`Meta`].
    fn meta(self) -> Meta;
    /// Replaces the meta word if it is still `old`; if so a full barrier.
    fn swap_meta(self, old: Meta, new: Meta) -> bool;
    /// Whether the slot's key is `key`, and the same slot; what is read through it is read after the
    /// key.
    fn is_key(self, key: &FlowKey) -> (bool, Self);
    /// Zone of the slot's key.
    fn zone(self) -> u32;
    /// Jiffies of the first packet.
    fn created(self) -> u64;
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
    /// Changes bits of the tag word of a bucket, at once; swaps of meta words alone order it.
    fn flip_tags(&self, bucket: u32, bits: u64);
    /// Has what is read from now on be read after all that was read before, because another CPU was
    /// faster with a slot: its tag is to be seen as well as its meta word.
    fn catch_up(&self, number: u32);
    /// A slot by number.
    fn slot(&self, index: u32) -> Option<Self::Slot>;
    /// Jiffies.
    fn now(&self) -> u64;
    /// Idle timeout of a state in a zone, in jiffies; 0 for a zone that is no longer guarded.
    fn timeout(&self, zone: u32, state: FlowState) -> u64;
    /// Jiffies for which a seeded flow is believed.
    fn seed_period(&self) -> u64;
    /// Whether a zone holds more slots than its share.
    fn is_over_share(&self, zone: u32) -> bool;
    /// Whether the remote end of a slot's flow holds more slots than its zone allows it.
    fn is_over_remote_limit(&self, slot: Self::Slot) -> bool;
    /// Counts a slot for the holder of its key: `FLOW_COUNTED`, where flows of one remote end are
    /// limited, or 0.
    fn hold(&self, slot: Self::Slot) -> u8;
    /// Takes it off again. `flags` are those of the flow.
    fn let_go(&self, slot: Self::Slot, flags: u8);
    /// Adds the packets of a slot's last flow to the counters of its rule; by who claimed the slot.
    fn count_closed(&self, slot: Self::Slot);

    // The steps of [`open`], for the kernel to verify each of them once and not wherever it is called.

    /// [`choose`].
    #[inline(always)]
    fn choose(&self, key: &FlowKey, home: Home) -> Choice
    where
        Self: Sized,
    {
        choose(self, key, home)
    }

    /// [`take`].
    #[inline(always)]
    fn take(&self, key: &FlowKey, number: u32, choice: Choice) -> Option<u64>
    where
        Self: Sized,
    {
        take(self, key, number, choice)
    }

    /// [`settle`].
    #[inline(always)]
    fn settle(&self, key: &FlowKey, home: Home, position: u32, open: Meta)
    where
        Self: Sized,
    {
        settle(self, key, home, position, open);
    }

    /// [`rank`].
    #[inline(always)]
    fn rank(&self, number: u32, asker: Asker) -> u64
    where
        Self: Sized,
    {
        rank(self, number, asker)
    }

    /// [`lowest_rank`].
    #[inline(always)]
    fn lowest_rank(&self, buckets: [u32; 2], asker: Asker) -> u64
    where
        Self: Sized,
    {
        lowest_rank(self, buckets, asker)
    }

    /// [`release`].
    #[inline(always)]
    fn release(&self, number: u32)
    where
        Self: Sized,
    {
        release(self, number);
    }
}

/// Why a flow was not opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// No slot of both buckets may be taken.
    Full,
    /// Other CPUs were faster again and again.
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
        if self.slot.after(rule.into()).meta().version() == self.meta.version() {
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
        let (is_same, slot) = slot.after(before.0).is_key(key);
        if is_same {
            let last_seen = slot.last_seen();
            let meta = slot.after(last_seen).meta();
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
    let home = Home::of(place);
    for _ in 0..CLAIM_TRIES {
        let mut choice = table.choose(key, home);
        if choice == Choice::NONE {
            choice = claim::choose_by_rank(table, key, home);
        }
        if choice == Choice::NONE {
            return Err(Refused::Full);
        }
        let position = choice.position();
        let number = home.number(position);
        if let Some(taken) = table.take(key, number, choice) {
            if let Some(open) = claim::publish(table, key, number, taken, home.tag, opening) {
                table.settle(key, home, position, open);
            }
            return Ok(());
        }
        table.catch_up(number);
    }
    Err(Refused::Contended)
}

/// Whether a slot's flow has been heard of within its idle timeout.
#[inline(always)]
pub fn is_live<T: Table>(table: &T, slot: T::Slot) -> bool {
    let meta = slot.meta();
    let (slot, state) = (slot.after(meta.0), meta.state());
    if state == FlowState::NONE {
        return false;
    }
    let idle = table.now().wrapping_sub(slot.last_seen());
    // Another CPU may have stamped the entry with a later tick than ours.
    idle.cast_signed() < 0 || idle <= table.timeout(slot.zone(), state)
}

#[cfg(test)]
mod races;
#[cfg(test)]
mod tests;
