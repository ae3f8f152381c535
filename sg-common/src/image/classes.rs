//! From an address to its peer class: a direct step, then a short binary search.
//!
//! ```text
//! IPv4 address, or upper half of an IPv6 address
//!   ──► chunk      (value − base) >> shift: one load
//!   ──► range      binary search among the ranges that begin in the chunk
//!   ──► class      or, where longer prefixes cut one upper half: ranges of lower halves
//! ```
//!
//! There are about as many chunks as ranges, so that a chunk has one or two, however many there are.

use super::{Words, header};
use crate::addr::Addr;
use crate::verifier::at_or_below;

/// Fields of an index, in words from its offset, which is even.
pub mod index {
    /// Where the second range begins (two words, lower half first): chunks are counted from here.
    /// What lies below belongs to the first chunk, too.
    pub const BASE: u32 = 0;
    /// Bits of a value within a chunk.
    pub const SHIFT: u32 = 2;
    /// Number of the last chunk, which has no end.
    pub const LAST_CHUNK: u32 = 3;
    /// Offset of the number of the range in which each chunk begins (for the first chunk: 0), and,
    /// last, of the number of the last range.
    pub const CHUNKS: u32 = 4;
    /// Offset of the ranges, even: first value (two words, lower half first), entry, padding; the
    /// first one begins at 0.
    pub const RANGES: u32 = 5;
    /// Words of an index.
    pub const LEN: u32 = 8;
}

/// Words of a range.
pub const RANGE_WORDS: u32 = 4;
/// Limit of ranges in one index: 2^21, for a million prefixes.
pub const MAX_RANGES: u32 = 1 << 21;
/// Set in an entry that is no class but the offset, even, of a list of ranges of lower halves: their
/// number, padding, the ranges.
pub const NESTED: u32 = 1 << 31;

/// Finds the peer class of an address.
#[inline(always)]
pub fn class<W: Words + ?Sized>(image: &W, addr: &Addr) -> u32 {
    let (high, low) = addr.halves();
    let entry = if addr.is_ipv4() {
        find(image, header::IPV4, low & 0xffff_ffff)
    } else {
        find(image, header::IPV6, high)
    };
    if entry & NESTED == 0 {
        return entry;
    }
    let list = entry & !NESTED;
    let count = image.word(list);
    search(image, list.wrapping_add(2), 0, count, low)
}

#[inline(always)]
fn find<W: Words + ?Sized>(image: &W, index: u32, value: u64) -> u32 {
    let field = |at| image.word(index + at);
    let distance = value.saturating_sub(image.wide(index + index::BASE));
    let chunk = (distance >> (field(index::SHIFT) & 63)).min(u64::from(field(index::LAST_CHUNK)));
    let bounds = field(index::CHUNKS).wrapping_add(chunk as u32);
    let first = image.word(bounds);
    let last = image.word(bounds.wrapping_add(1));
    let count = last.wrapping_sub(first).wrapping_add(1);
    search(image, field(index::RANGES), first, count, value)
}

/// Finds, among `count` ranges from number `first` on, the last one that begins at or below `value`;
/// returns its entry.
#[inline(always)]
fn search<W: Words + ?Sized>(image: &W, ranges: u32, first: u32, count: u32, value: u64) -> u32 {
    let at = |number: u64| ranges.wrapping_add(number as u32 * RANGE_WORDS);
    let mut first = u64::from(first);
    let mut count = u64::from(count);
    for _ in 0..=MAX_RANGES.ilog2() as usize {
        if count <= 1 {
            break;
        }
        let half = count / 2;
        first += half * at_or_below(image.wide(at(first + half)), value);
        count -= half;
    }
    image.word(at(first).wrapping_add(2))
}
