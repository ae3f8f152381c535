//! One slot of the table, and the flow that was found in it.

use core::ptr::{read_volatile, write_volatile};

use sg_common::datapath::Flow;
use sg_common::flow::{FlowKey, FlowSlot, FlowState, Opening};
use sg_common::table::{self, Found, Meta, Slot};
use sg_common::tcp::{Numbers, Segment, Side, Step};

use super::{compare_and_swap, order};
use crate::config;

/// A slot in `FLOW_SLOTS`.
#[derive(Clone, Copy)]
pub(crate) struct SharedSlot(pub(super) *mut FlowSlot);

impl SharedSlot {
    /// The key as words.
    #[inline(always)]
    fn words(self) -> *mut u64 {
        // SAFETY: a map value; only an address is taken.
        unsafe { (&raw mut (*self.0).key).cast() }
    }

    /// Stores the sequence numbers.
    #[inline(always)]
    fn set_numbers(self, numbers: Numbers) {
        set_field!(self.0, numbers.opener.ack, numbers[0].ack);
        set_field!(self.0, numbers.opener.end, numbers[0].end);
        set_field!(self.0, numbers.answerer.ack, numbers[1].ack);
        set_field!(self.0, numbers.answerer.end, numbers[1].end);
    }

    /// Sequence numbers of the opener (`side` 0) or the answering side (1).
    #[inline(always)]
    fn side(self, side: usize) -> Side {
        Side {
            ack: field!(self.0, numbers[side & 1].ack),
            end: field!(self.0, numbers[side & 1].end),
        }
    }

    /// The counter of its remote end.
    #[inline(always)]
    pub(super) fn remote_counter(self) -> u32 {
        // SAFETY: a map value; a key has six words, of which two are the remote address.
        let word = |i: usize| unsafe { read_volatile(self.words().add(i)) };
        table::remote_counter([word(2), word(3)], self.zone(), config::hash_secret)
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
    fn after(self, read: u64) -> Self {
        Self(order::after(self.0, read))
    }

    #[inline(always)]
    fn meta(self) -> Meta {
        Meta(field!(self.0, meta))
    }

    #[inline(always)]
    fn swap_meta(self, old: Meta, new: Meta) -> bool {
        // SAFETY: a map value; only an address is taken.
        let word = unsafe { &raw mut (*self.0).meta };
        compare_and_swap(word, old.0, new.0)
    }

    #[inline(always)]
    fn is_key(self, key: &FlowKey) -> (bool, Self) {
        let words: *const u64 = core::ptr::from_ref(key).cast();
        // Both volatile: from memory to the comparison, for LLVM would keep all words of the key in
        // registers it has not.
        // SAFETY: a key has so many words.
        let ours = |i| unsafe { read_volatile(words.add(i)) };
        // SAFETY: a map value; a key has so many words.
        let theirs = |i| unsafe { read_volatile(self.words().add(i)) };
        let (equal, slot) = order::after_comparison(self.0, FlowKey::WORDS, ours, theirs);
        (equal, Self(slot))
    }

    #[inline(always)]
    fn zone(self) -> u32 {
        u32::from(field!(self.0, key.zone_and_protocol) as u16)
    }

    #[inline(always)]
    fn created(self) -> u64 {
        field!(self.0, created)
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
        self.set_numbers(opening.numbers);
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
    fn follow(&self, side: usize, segment: &Segment) {
        let slot = self.0.slot;
        let sender = slot.side(side).follow(slot.side(side ^ 1), segment);
        set_field!(slot.0, sender.ack, numbers[side & 1].ack);
        set_field!(slot.0, sender.end, numbers[side & 1].end);
    }

    #[inline(always)]
    fn numbers(&self) -> Numbers {
        let slot = self.0.slot;
        Numbers {
            opener: slot.side(0),
            answerer: slot.side(1),
        }
    }

    #[inline(always)]
    fn advance(&self, step: Step) {
        // When another CPU was faster its packet decides; the next packet of this flow goes on
        // from there.
        let Found { slot, meta, .. } = self.0;
        if slot.swap_meta(meta, meta.with(step.state, step.flags)) {
            slot.set_numbers(step.numbers);
        }
    }
}
