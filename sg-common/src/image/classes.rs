//! From an address to its peer class: one or a few direct steps, then a short search.
//!
//! ```text
//! IPv4 address, or upper half of an IPv6 address
//!   ──► chunk      (value − base) >> shift: one load; another one where many ranges begin in it
//!   ──► range      search among the ranges that begin in the chunk
//!   ──► class      or, where longer prefixes cut one upper half: ranges of lower halves
//! ```
//!
//! There are about as many chunks as ranges, so that few begin in a chunk, however many there are.
//! Addresses cluster: a chunk in which many begin is split into chunks of its own.

use super::search::Search;
use super::{Words, header};
use crate::addr::Addr;
use crate::verifier::{differs, forget};

/// Fields of an index, in words from its offset, which is even.
pub mod index {
    /// Where the second range begins (two words, lower half first): distances count from here. What
    /// lies below is at no distance.
    pub const BASE: u32 = 0;
    /// The greatest distance (two words, lower half first), for what lies further.
    pub const LIMIT: u32 = 2;
    /// Bits of a distance within a chunk.
    pub const SHIFT: u32 = 4;
    /// Offset of the chunks, even.
    pub const CHUNKS: u32 = 5;
    /// Offset of the ranges, even, of [`RANGE_WORDS`](super::RANGE_WORDS) each; the first one begins at 0.
    pub const RANGES: u32 = 6;
    /// Words of an index.
    pub const LEN: u32 = 8;
}

/// Words of a chunk: the number of the range in which it begins, and how many ranges there are from
/// that one to its end. Or the offset of the chunks that it is split into, and [`SPLIT`] with the bits
/// of a distance within each.
pub const CHUNK_WORDS: u32 = 2;
/// Set in the second word of a chunk that is split.
pub const SPLIT: u32 = 1 << 31;
/// Levels of chunks.
pub const LEVELS: u32 = 4;
/// Words of a range: its first value (two words, lower half first), the entry of that one, and that of the
/// others. An address that stands alone is one range with what comes behind it.
pub const RANGE_WORDS: u32 = 4;
/// Limit of ranges in one index: 2^21, for a million prefixes. The compiler counts what stands alone twice.
pub const MAX_RANGES: u32 = 1 << 21;
/// Set in an entry that is no class but the offset, even, of a list of ranges of lower halves: their
/// number, padding, the ranges.
pub const NESTED: u32 = 1 << 31;

/// Finds the peer class of an address; `None` if too many ranges begin around it for this way to
/// search.
#[inline(always)]
pub fn class<W: Words + ?Sized, S: Search>(image: &W, addr: &Addr) -> Option<u32> {
    let (high, low) = addr.halves();
    let entry = if addr.is_ipv4() {
        find::<W, S>(image, header::IPV4, low & 0xffff_ffff)?
    } else {
        find::<W, S>(image, header::IPV6, high)?
    };
    if entry & NESTED == 0 {
        return Some(entry);
    }
    let list = entry & !NESTED;
    let count = image.word(list);
    entry_of::<W, S>(image, list.wrapping_add(2), count, low)
}

#[inline(always)]
fn find<W: Words + ?Sized, S: Search>(image: &W, index: u32, value: u64) -> Option<u32> {
    let field = |at| image.word(index + at);
    let base = image.wide(index + index::BASE);
    let distance = value.saturating_sub(base);
    let distance = distance.min(image.wide(index + index::LIMIT));
    // One path from here on, whichever of the two it is.
    let distance = forget(distance, base);
    let chunk = |chunks: u32, number: u64| {
        image.wide(chunks.wrapping_add((number as u32).wrapping_mul(CHUNK_WORDS)))
    };
    let mut shift = u64::from(field(index::SHIFT) & 63);
    let mut found = chunk(field(index::CHUNKS), distance >> shift);
    for _ in 1..LEVELS {
        if (found >> 32) as u32 & SPLIT == 0 {
            break;
        }
        let within = distance & ((1 << shift) - 1);
        shift = found >> 32 & 63;
        found = chunk(found as u32, within >> shift);
    }
    let found = forget(found, base);
    let (first, count) = (found as u32, (found >> 32) as u32);
    let ranges = field(index::RANGES).wrapping_add(first.wrapping_mul(RANGE_WORDS));
    entry_of::<W, S>(image, ranges, count, value)
}

/// The entry of `value` in the last of `count` ranges that begins at or below it.
#[inline(always)]
fn entry_of<W: Words + ?Sized, S: Search>(
    image: &W,
    ranges: u32,
    count: u32,
    value: u64,
) -> Option<u32> {
    let at = |number: u32| ranges.wrapping_add(number.wrapping_mul(RANGE_WORDS));
    let last =
        S::last::<{ MAX_RANGES.ilog2() + 1 }>(count, |number| image.wide(at(number)), value)?;
    let range = at(last);
    let is_behind_first = differs(value, image.wide(range));
    let entries = image.wide(range.wrapping_add(2));
    Some((entries >> (is_behind_first << 5)) as u32)
}
