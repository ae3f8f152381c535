//! The flow table in kernel memory: loads, stores and compare-and-swaps of `FLOW_TAGS` and
//! `FLOW_SLOTS`. The protocol is `sg_common::table`.
//!
//! Ordering: a compare-and-swap that succeeds is a full barrier on every processor, and nothing else
//! here is one (an atomic operation that returns nothing is none on arm64). Loads: see `order`.

mod order;
mod slot;

use core::arch::asm;
use core::ptr::{read_volatile, write_volatile};

use sg_common::datapath::Settings as _;
use sg_common::flow::{FLOW_COUNTED, FlowKey, FlowState, SEED_SECONDS};
use sg_common::table::{self, Asker, BUCKET_SLOTS, Choice, Home, Meta, Place, Slot as _, Table};

use crate::datapath::{now, rule_counters};
use crate::settings::SharedSettings;
use crate::{config, maps};

pub(crate) use self::slot::{SharedFlow, SharedSlot};

/// Replaces the word at `target` if it is still `old`; if so a full barrier.
#[inline(always)]
pub(crate) fn compare_and_swap(target: *mut u64, old: u64, new: u64) -> bool {
    let mut seen = old;
    // SAFETY: `target` is in a map value that a look-up returned.
    unsafe {
        asm!("r0 = cmpxchg_64({target} + 0, r0, {new})", target = in(reg) target,
            new = in(reg) new, inout("r0") seen, options(nostack));
    }
    seen == old
}

/// Adds to the number at `target`, at once.
#[inline(always)]
fn add_at_once(target: *mut u64, value: u64) {
    // SAFETY: `target` is in a map value that a look-up returned.
    unsafe {
        asm!("lock *(u64 *)({target} + 0) += {value}", target = in(reg) target,
            value = in(reg) value, options(nostack));
    }
}

/// The table, shared by the programs of all interfaces.
pub(crate) struct FlowTable;

impl FlowTable {
    /// Where a key belongs.
    #[inline(always)]
    pub(crate) fn place(key: &FlowKey) -> Place {
        Place::of(key, config::hash_secret, config::flow_buckets())
    }
}

impl Table for FlowTable {
    type Slot = SharedSlot;

    #[inline(always)]
    fn tags(&self, bucket: u32) -> u64 {
        match maps::FLOW_TAGS.get_ptr(bucket) {
            // SAFETY: a map value.
            Some(tags) => unsafe { read_volatile(tags) },
            None => 0,
        }
    }

    #[inline(always)]
    fn flip_tags(&self, bucket: u32, bits: u64) {
        if let Some(word) = maps::FLOW_TAGS.get_ptr_mut(bucket) {
            // SAFETY: a map value.
            unsafe {
                asm!("lock *(u64 *)({word} + 0) ^= {bits}", word = in(reg) word,
                    bits = in(reg) bits, options(nostack));
            }
        }
    }

    #[inline(always)]
    fn catch_up(&self, number: u32) {
        order::catch_up(|| maps::FLOW_TAGS.get_ptr_mut(number / BUCKET_SLOTS));
    }

    #[inline(always)]
    fn slot(&self, index: u32) -> Option<SharedSlot> {
        maps::FLOW_SLOTS.get_ptr_mut(index).map(SharedSlot)
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        now()
    }

    #[inline(always)]
    fn timeout(&self, zone: u32, state: FlowState) -> u64 {
        match maps::INTERFACES.get_ptr(zone) {
            Some(settings) => SharedSettings(settings).timeout(state),
            None => 0,
        }
    }

    #[inline(always)]
    fn seed_period(&self) -> u64 {
        SEED_SECONDS * config::hz()
    }

    #[inline(always)]
    fn is_over_share(&self, zone: u32) -> bool {
        let (Some(held), Some(settings)) = (
            maps::FLOW_HELD.get_ptr(zone),
            maps::INTERFACES.get_ptr(zone),
        ) else {
            return false;
        };
        // SAFETY: a map value.
        let held = unsafe { read_volatile(held) };
        let share = field!(settings, flow_share);
        share != 0 && held.cast_signed() > share.cast_signed()
    }

    #[inline(always)]
    fn is_over_remote_limit(&self, slot: SharedSlot) -> bool {
        if slot.meta().flags() & FLOW_COUNTED == 0 {
            return false;
        }
        let (Some(held), Some(settings)) = (
            maps::FLOW_REMOTES.get_ptr(field!(slot.0, remote_counter)),
            maps::INTERFACES.get_ptr(slot.zone()),
        ) else {
            return false;
        };
        // SAFETY: a map value.
        let held = unsafe { read_volatile(held) };
        let limit = field!(settings, flows_per_remote);
        limit != 0 && held > limit
    }

    #[inline(always)]
    fn hold(&self, slot: SharedSlot) -> u8 {
        count_held(slot.zone(), 1);
        let limited = match maps::INTERFACES.get_ptr(slot.zone()) {
            Some(settings) => field!(settings, flows_per_remote) != 0,
            None => false,
        };
        if limited {
            set_field!(slot.0, slot.remote_counter(), remote_counter);
            count_remote(slot, 1);
            return FLOW_COUNTED;
        }
        0
    }

    #[inline(always)]
    fn let_go(&self, slot: SharedSlot, flags: u8) {
        count_held(slot.zone(), 1_u64.wrapping_neg());
        if flags & FLOW_COUNTED != 0 {
            count_remote(slot, 1_u64.wrapping_neg());
        }
    }

    #[inline(always)]
    fn choose(&self, key: &FlowKey, home: Home) -> Choice {
        let buckets = pair(home.first, home.second);
        Choice(sg_flow_choose(key, buckets, home.tag))
    }

    #[inline(always)]
    fn take(&self, key: &FlowKey, number: u32, choice: Choice) -> Option<u64> {
        match sg_flow_take(key, number, choice.0) {
            0 => None,
            taken => Some(taken),
        }
    }

    #[inline(always)]
    fn settle(&self, key: &FlowKey, home: Home, position: u32, open: Meta) {
        let buckets = pair(home.first, home.second);
        sg_flow_settle(key, buckets, home.tag, position, open.0);
    }

    #[inline(always)]
    fn rank(&self, number: u32, asker: Asker) -> u64 {
        sg_flow_rank(number, asker.zone, u32::from(asker.is_over))
    }

    #[inline(always)]
    fn lowest_rank(&self, [first, second]: [u32; 2], asker: Asker) -> u64 {
        let asker = pair(asker.zone, asker.is_over.into());
        sg_flow_lowest_rank(pair(first, second), asker)
    }

    #[inline(always)]
    fn release(&self, number: u32) {
        sg_flow_release(number);
    }

    #[inline(always)]
    fn count_closed(&self, slot: SharedSlot) {
        if let Some(rule) = rule_counters(slot.zone(), slot.rule()) {
            rule.closed.packets += field!(slot.0, packets[0]) + field!(slot.0, packets[1]);
            rule.closed.bytes += field!(slot.0, bytes[0]) + field!(slot.0, bytes[1]);
        }
    }
}

#[inline(always)]
fn count_held(zone: u32, change: u64) {
    if let Some(held) = maps::FLOW_HELD.get_ptr_mut(zone) {
        add_at_once(held, change);
    }
}

#[inline(always)]
fn count_remote(slot: SharedSlot, change: u64) {
    if let Some(held) = maps::FLOW_REMOTES.get_ptr_mut(field!(slot.0, remote_counter)) {
        add_at_once(held, change);
    }
}

/// Two numbers in one.
#[inline(always)]
const fn pair(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

#[inline(always)]
const fn home(buckets: u64, tag: u64) -> Home {
    Home {
        first: buckets as u32,
        second: (buckets >> 32) as u32,
        tag,
    }
}

// Functions with names of their own are *global* to the verifier: checked once for any arguments.

/// [`table::choose`].
#[unsafe(no_mangle)]
extern "C" fn sg_flow_choose(key: *const FlowKey, buckets: u64, tag: u64) -> u64 {
    // SAFETY: the verifier passes a pointer to a whole key or null.
    let Some(key) = (unsafe { key.as_ref() }) else {
        return Choice::NONE.0;
    };
    table::choose(&FlowTable, key, home(buckets, tag)).0
}

/// [`table::take`]; 0 for none.
#[unsafe(no_mangle)]
extern "C" fn sg_flow_take(key: *const FlowKey, number: u32, choice: u64) -> u64 {
    // SAFETY: as above.
    let key = unsafe { key.as_ref() };
    key.and_then(|key| table::take(&FlowTable, key, number, Choice(choice)))
        .unwrap_or(0)
}

/// [`table::settle`].
#[unsafe(no_mangle)]
extern "C" fn sg_flow_settle(
    key: *const FlowKey,
    buckets: u64,
    tag: u64,
    position: u32,
    open: u64,
) -> u64 {
    // SAFETY: as above.
    if let Some(key) = unsafe { key.as_ref() } {
        table::settle(&FlowTable, key, home(buckets, tag), position, Meta(open));
    }
    0
}

/// [`table::rank`].
#[unsafe(no_mangle)]
extern "C" fn sg_flow_rank(number: u32, zone: u32, is_over: u32) -> u64 {
    let is_over = is_over != 0;
    table::rank(&FlowTable, number, Asker { zone, is_over })
}

/// [`table::lowest_rank`]. In line it would be checked once for each path that leads to it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_flow_lowest_rank(buckets: u64, asker: u64) -> u64 {
    let asker = Asker {
        zone: asker as u32,
        is_over: asker >> 32 != 0,
    };
    let buckets = [buckets as u32, (buckets >> 32) as u32];
    table::lowest_rank(&FlowTable, buckets, asker)
}

/// [`table::release`].
#[unsafe(no_mangle)]
extern "C" fn sg_flow_release(number: u32) -> u64 {
    table::release(&FlowTable, number);
    0
}
