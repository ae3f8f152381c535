//! Tag words: eight tags of seven bits in 64 bits.

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
pub(super) const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// A mask with the high bit of each byte of `tags` that equals `tag`. Exact, for all are below 128.
#[inline(always)]
pub(super) const fn matching(tags: u64, tag: u64) -> u64 {
    let difference = tags ^ tag.wrapping_mul(LOW_BITS);
    !difference.wrapping_add(!HIGH_BITS) & HIGH_BITS
}

/// Index of the lowest byte in a mask of [`matching`]; 0 when there is none.
#[inline(always)]
pub(super) const fn lowest(mask: u64) -> u32 {
    let bit = (mask & mask.wrapping_neg()) >> 7;
    (0x0001_0203_0405_0607u64.wrapping_mul(bit) >> 56) as u32
}

#[inline(always)]
pub(super) const fn count(mask: u64) -> u32 {
    ((mask >> 7).wrapping_mul(LOW_BITS) >> 56) as u32
}

/// The tag of a slot in its bucket's word; 0 for a slot that holds nothing.
#[inline(always)]
pub const fn tag_at(tags: u64, index: u32) -> u64 {
    tags >> (index * 8) & 0x7f
}
