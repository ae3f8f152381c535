//! The flow table in kernel memory: loads, stores and compare-and-swaps of `FLOW_TAGS` and
//! `FLOW_SLOTS`. The protocol is `sg_common::table`.
//!
//! Ordering: x86 keeps stores in program order and loads in program order, volatile access keeps
//! LLVM from reordering them, and the kernel's compare-and-swap is a full barrier.

use core::arch::asm;
use core::ptr::{read_volatile, write_volatile};

use sg_common::datapath::{Flow, Settings as _};
use sg_common::flow::{FlowKey, FlowSlot, FlowState, Opening};
use sg_common::table::{Found, Meta, Place, Slot, Table};
use sg_common::tcp::Step;

use crate::datapath::{SharedSettings, now, rule_counters};
use crate::{config, maps};

#[cfg(not(any(bpf_target_arch = "x86_64", bpf_target_arch = "x86")))]
compile_error!("the flow table relies on x86's ordering of stores");

/// Replaces the word at `target` if it is still `old`.
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
    fn set_tags(&self, bucket: u32, tags: u64) {
        if let Some(word) = maps::FLOW_TAGS.get_ptr_mut(bucket) {
            // SAFETY: a map value.
            unsafe { write_volatile(word, tags) }
        }
    }

    #[inline(always)]
    fn swap_tags(&self, bucket: u32, old: u64, new: u64) -> bool {
        match maps::FLOW_TAGS.get_ptr_mut(bucket) {
            Some(word) => compare_and_swap(word, old, new),
            None => false,
        }
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
    fn count_closed(&self, slot: SharedSlot) {
        if let Some(rule) = rule_counters(slot.zone(), slot.rule()) {
            rule.closed.packets += field!(slot.0, packets[0]) + field!(slot.0, packets[1]);
            rule.closed.bytes += field!(slot.0, bytes[0]) + field!(slot.0, bytes[1]);
        }
    }
}

/// A slot in `FLOW_SLOTS`.
#[derive(Clone, Copy)]
pub(crate) struct SharedSlot(*mut FlowSlot);

impl SharedSlot {
    /// The key as words.
    #[inline(always)]
    fn words(self) -> *mut u64 {
        // SAFETY: a map value; only an address is taken.
        unsafe { (&raw mut (*self.0).key).cast() }
    }
}

/// Calls `each` with every word of a key that lies on the stack, and its index. (An array of them
/// would be a copy.)
#[inline(always)]
fn for_each_word(key: &FlowKey, mut each: impl FnMut(usize, u64)) {
    let words: *const u64 = core::ptr::from_ref(key).cast();
    for i in 0..FlowKey::WORDS {
        // SAFETY: a key is 48 bytes, aligned to 8.
        each(i, unsafe { *words.add(i) });
    }
}

impl Slot for SharedSlot {
    #[inline(always)]
    fn meta(self) -> Meta {
        Meta(field!(self.0, meta))
    }

    #[inline(always)]
    fn set_meta(self, meta: Meta) {
        set_field!(self.0, meta.0, meta);
    }

    #[inline(always)]
    fn swap_meta(self, old: Meta, new: Meta) -> bool {
        // SAFETY: a map value; only an address is taken.
        let word = unsafe { &raw mut (*self.0).meta };
        compare_and_swap(word, old.0, new.0)
    }

    #[inline(always)]
    fn is_key(self, key: &FlowKey) -> bool {
        let words: *const u64 = core::ptr::from_ref(key).cast();
        (0..FlowKey::WORDS).all(|i| {
            // SAFETY: a key and a map value, both of so many words. Both volatile: from memory to
            // the comparison, for LLVM would keep all words of the key in registers it has not.
            unsafe { read_volatile(words.add(i)) == read_volatile(self.words().add(i)) }
        })
    }

    #[inline(always)]
    fn zone(self) -> u32 {
        u32::from(field!(self.0, key.zone_and_protocol) as u16)
    }

    #[inline(always)]
    fn last_seen(self) -> u64 {
        field!(self.0, last_seen)
    }

    #[inline(always)]
    fn rule(self) -> u32 {
        field!(self.0, rule)
    }

    #[inline(always)]
    fn write(self, key: &FlowKey, opening: Opening, now: u64) {
        for_each_word(key, |i, word| {
            // SAFETY: a map value; `i` is in bounds.
            unsafe { write_volatile(self.words().add(i), word) };
        });
        set_field!(self.0, now, last_seen);
        set_field!(self.0, now, created);
        set_field!(self.0, u64::from(opening.packets), packets[0]);
        set_field!(self.0, 0, packets[1]);
        set_field!(self.0, u64::from(opening.bytes), bytes[0]);
        set_field!(self.0, 0, bytes[1]);
        set_field!(self.0, opening.rule, rule);
    }
}

/// A flow that was found.
pub(crate) struct SharedFlow(pub(crate) Found<SharedSlot>);

impl Flow for SharedFlow {
    #[inline(always)]
    fn last_seen(&self) -> u64 {
        self.0.last_seen
    }

    #[inline(always)]
    fn state(&self) -> FlowState {
        self.0.meta.state()
    }

    #[inline(always)]
    fn flags(&self) -> u8 {
        self.0.meta.flags()
    }

    #[inline(always)]
    fn rule(&self) -> u32 {
        self.0.rule()
    }

    #[inline(always)]
    fn account(&self, side: usize, now: u64, packets: u32, bytes: u32) {
        let slot = self.0.slot.0;
        let side = side & 1;
        set_field!(
            slot,
            field!(slot, packets[side]) + u64::from(packets),
            packets[side]
        );
        set_field!(
            slot,
            field!(slot, bytes[side]) + u64::from(bytes),
            bytes[side]
        );
        if self.0.last_seen != now {
            set_field!(slot, now, last_seen);
        }
    }

    #[inline(always)]
    fn advance(&self, step: Step) {
        // When another CPU was faster its packet decides; the next packet of this flow goes on
        // from there.
        let new = self.0.meta.with(step.state, step.flags);
        let _ = self.0.slot.swap_meta(self.0.meta, new);
    }
}
