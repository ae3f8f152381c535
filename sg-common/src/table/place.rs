//! Where a key belongs: a keyed hash, two buckets and a tag.

use crate::flow::FlowKey;

/// Secret random numbers that key the hash, so that nobody can aim at a bucket.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HashSeed {
    /// Random numbers, one per word of the key.
    pub words: [u64; FlowKey::WORDS],
}

/// Where a key belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    hash: u64,
    buckets: u64,
}

impl Place {
    /// Places a key in a table of `buckets` buckets, by a seed of which `secret` tells the words.
    #[inline(always)]
    pub fn of(key: &FlowKey, secret: impl Fn(usize) -> u64, buckets: u32) -> Self {
        // After NH, the universal hash of UMAC (RFC 4418 §5.2.1): a product per word, all independent.
        // Two words that differ in their upper halves collide for one lower half of the secret at
        // most, two that differ below for one upper half: once in 2^32 in either case.
        let nh = |word: u64, i: usize| {
            let secret = secret(i);
            (word.wrapping_add(secret)).wrapping_mul((word >> 32) + (secret >> 32))
        };
        let [l0, l1, r0, r1, ports, zone] = key.words();
        let rest = nh(ports, 4).wrapping_add(nh(zone, 5));
        let addresses = if key.local.is_ipv4() {
            // Two addresses, one word: the other halves are the same in all.
            nh(l1 >> 32 | r1 & !u64::from(u32::MAX), 1)
        } else {
            let local = nh(l0, 0).wrapping_add(nh(l1, 1));
            local.wrapping_add(nh(r0, 2)).wrapping_add(nh(r1, 3))
        };
        let sum = addresses.wrapping_add(rest);
        Self {
            hash: (sum ^ (sum >> 32)).wrapping_mul(0x9fb2_1c65_1e98_df25),
            buckets: u64::from(buckets),
        }
    }

    /// The first bucket.
    #[inline(always)]
    pub(super) const fn first(&self) -> u32 {
        below(self.hash, self.buckets) as u32
    }

    /// The second bucket: any but the first.
    #[inline(always)]
    pub(super) const fn second(&self) -> u32 {
        let other = (self.hash ^ (self.hash >> 29)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let second = self.first() as u64 + 1 + below(other, self.buckets - 1);
        (if second < self.buckets {
            second
        } else {
            second - self.buckets
        }) as u32
    }

    /// Both buckets, for who looks at the table from outside.
    pub fn both(&self) -> [u32; 2] {
        [self.first(), self.second()]
    }

    /// The tag: 1 to 127.
    #[inline(always)]
    pub(super) const fn tag(&self) -> u64 {
        let tag = self.hash & 0x7f;
        tag + (tag == 0) as u64
    }
}

/// Counters of the slots that remote ends hold. Two ends share one by chance, so an end may count for
/// more than it holds: with a million flows of as many ends, for 16 on average.
pub const REMOTE_COUNTERS: u32 = 1 << 16;

/// The counter of a remote end, of an address in two words and the zone: a keyed hash, like
/// [`Place::of`].
#[inline(always)]
pub fn remote_counter(remote: [u64; 2], zone: u32, secret: impl Fn(usize) -> u64) -> u32 {
    let nh = |word: u64, i: usize| {
        let secret = secret(i);
        (word.wrapping_add(secret)).wrapping_mul((word >> 32) + (secret >> 32))
    };
    let sum = nh(remote[0], 2).wrapping_add(nh(remote[1], 3));
    let sum = sum.wrapping_add(nh(u64::from(zone), 5));
    let hash = (sum ^ (sum >> 32)).wrapping_mul(0x9fb2_1c65_1e98_df25);
    below(hash, u64::from(REMOTE_COUNTERS)) as u32
}

/// Maps a hash to a number below `bound`.
#[inline(always)]
const fn below(hash: u64, bound: u64) -> u64 {
    ((hash >> 32) * bound) >> 32
}
