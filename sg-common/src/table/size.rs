//! How many flows fit a table, and what memory it takes.

use super::BUCKET_SLOTS;
use crate::flow::FlowSlot;

/// Slots that are allocated for each flow that must fit: at this load two choices of eight are
/// refused less than once in 100 000, also after flows have come and gone for long (see the tests).
pub const SLOTS_PER_FLOW: u32 = 2;

/// Number of buckets of a table in which `flows` flows fit.
pub const fn buckets_for(flows: u32) -> u32 {
    let slots = flows as u64 * SLOTS_PER_FLOW as u64;
    let buckets = slots.div_ceil(BUCKET_SLOTS as u64) as u32;
    if buckets < 2 { 2 } else { buckets }
}

/// Number of flows that fit a table of `buckets` buckets.
pub const fn flows_in(buckets: u32) -> u32 {
    buckets * BUCKET_SLOTS / SLOTS_PER_FLOW
}

/// Bytes of memory of a table of `buckets` buckets: a tag word each, and their slots.
pub const fn bytes_of(buckets: u32) -> u64 {
    let bucket = size_of::<u64>() + BUCKET_SLOTS as usize * size_of::<FlowSlot>();
    buckets as u64 * bucket as u64
}
