//! Searching the lists of an image: numbers in ascending order, of which the first one is at or below
//! every value that is asked for.

use crate::verifier::{at_or_below, forget, opaque};

/// A way to search. All find the same.
pub trait Search {
    /// The number, from 0 on, of the last of `count` elements that is at or below `value`; `None` if
    /// the list is too long for this way. There are at most 2^`BITS`.
    fn last<const BITS: u32>(count: u32, at: impl Fn(u32) -> u64, value: u64) -> Option<u32>;
}

/// Compares with every element of a short list at once: no branch that depends on the value, and no
/// load that waits for another one.
pub struct Short;

impl Short {
    /// The longest list.
    pub const MOST: u32 = 5;
}

impl Search for Short {
    #[inline(always)]
    fn last<const BITS: u32>(count: u32, at: impl Fn(u32) -> u64, value: u64) -> Option<u32> {
        if count > Self::MOST {
            return None;
        }
        let mut last = 0;
        for number in 1..Self::MOST {
            let is_in_list = opaque(u64::from(number).wrapping_sub(u64::from(count))) >> 63;
            last += at_or_below(at(number), value) & is_in_list;
        }
        Some(last as u32)
    }
}

/// Halves a list of any length.
pub struct Halving;

impl Search for Halving {
    #[inline(always)]
    fn last<const BITS: u32>(count: u32, at: impl Fn(u32) -> u64, value: u64) -> Option<u32> {
        let mut last = 0;
        let mut count = u64::from(count);
        for _ in 0..BITS {
            if count <= 1 {
                break;
            }
            let half = count / 2;
            last += half * at_or_below(at((last + half) as u32), value);
            count -= half;
        }
        Some(forget(last, value) as u32)
    }
}
