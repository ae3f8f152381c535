//! Writes address ranges as the kernel looks them up: `sg_common::image::classes`.

use std::ops::Range;

use sg_common::image::classes::{CHUNK_WORDS, LEVELS, NESTED, SPLIT, index};
use sg_common::image::search::Short;

/// Chunks of the largest direct table: 2^20, 8 MiB.
const MAX_CHUNKS: u64 = 1 << 20;

/// First value of each range of addresses, and its entry.
type Ranges<V> = [(V, u32)];

/// Appends the index of the IPv4 ranges; returns its fields.
pub(super) fn ipv4(ranges: &Ranges<u32>, words: &mut Vec<u32>) -> [u32; index::LEN as usize] {
    write(ranges, words)
}

/// Appends the index of the IPv6 ranges, by the upper halves of the addresses; returns its fields.
pub(super) fn ipv6(ranges: &Ranges<u128>, words: &mut Vec<u32>) -> [u32; index::LEN as usize] {
    let mut starts: Vec<(u64, u32)> = Vec::new();
    let mut class = 0;
    let mut groups = ranges
        .chunk_by(|(a, _), (b, _)| a >> 64 == b >> 64)
        .peekable();
    while let Some(group) = groups.next() {
        let high = (group[0].0 >> 64) as u64;
        let mut lows: Vec<_> = group
            .iter()
            .map(|(at, class)| (*at as u64, *class))
            .collect();
        if lows[0].0 != 0 {
            lows.insert(0, (0, class));
        }
        lows.dedup_by_key(|(_, class)| *class);
        class = group[group.len() - 1].1;
        let [(_, only)] = lows[..] else {
            starts.push((high, NESTED | list(&lows, words)));
            let next = groups.peek().map(|group| (group[0].0 >> 64) as u64);
            if let Some(behind) = high.checked_add(1)
                && next != Some(behind)
            {
                starts.push((behind, class));
            }
            continue;
        };
        starts.push((high, only));
    }
    write(&starts, words)
}

/// Appends a list of ranges of lower halves; returns its offset.
fn list(ranges: &Ranges<u64>, words: &mut Vec<u32>) -> u32 {
    align(words);
    let offset = words.len();
    words.extend([0, 0]);
    words[offset] = records(ranges, words).len() as u32;
    offset as u32
}

/// Appends ranges, one of a single value together with the one behind it; returns where each begins.
fn records<V: Copy + Into<u64>>(ranges: &Ranges<V>, words: &mut Vec<u32>) -> Vec<V> {
    let mut starts = Vec::with_capacity(ranges.len());
    let mut left = ranges;
    while let [(start, entry), behind @ ..] = left {
        let first: u64 = (*start).into();
        let (others, next) = match behind {
            [(next, others), behind @ ..] if (*next).into() - first == 1 => (others, behind),
            _ => (entry, behind),
        };
        words.extend([first as u32, (first >> 32) as u32, *entry, *others]);
        starts.push(*start);
        left = next;
    }
    starts
}

/// The kernel reads 64 bits at a time, at even offsets.
fn align(words: &mut Vec<u32>) {
    words.resize(words.len().next_multiple_of(2), 0);
}

/// Appends ranges and the chunks that lead to them; returns the fields of their index.
fn write<V: Copy + Into<u64>>(
    ranges: &Ranges<V>,
    words: &mut Vec<u32>,
) -> [u32; index::LEN as usize] {
    align(words);
    let offset = words.len() as u32;
    let starts = records(ranges, words);
    let start = |number: usize| -> u64 { starts[number].into() };

    let base = start(1.min(starts.len() - 1));
    let span = start(starts.len() - 1) - base;
    let most = (starts.len() as u64).next_power_of_two().min(MAX_CHUNKS);
    let shift = (0..64).find(|shift| span >> shift < most).unwrap_or(63);
    let area = Area {
        begins: base,
        shift,
        count: (span >> shift) + 1,
    };
    let limit = area
        .count
        .checked_mul(1 << shift)
        .map_or(u64::MAX, |end| end - 1);
    let chunks = area.write(&starts, 0..starts.len(), LEVELS, words);

    let mut fields = [0; index::LEN as usize];
    for (field, value) in [
        (index::BASE, base as u32),
        (index::BASE + 1, (base >> 32) as u32),
        (index::LIMIT, limit as u32),
        (index::LIMIT + 1, (limit >> 32) as u32),
        (index::SHIFT, shift),
        (index::CHUNKS, chunks),
        (index::RANGES, offset),
    ] {
        fields[field as usize] = value;
    }
    fields
}

/// Values that chunks of equal size divide.
struct Area {
    begins: u64,
    /// Bits of a value within a chunk.
    shift: u32,
    /// Chunks.
    count: u64,
}

impl Area {
    /// Appends the chunks, and what they are split into; returns their offset. `within` are the range
    /// in which the area begins and those that begin in it.
    fn write<V: Copy + Into<u64>>(
        &self,
        starts: &[V],
        within: Range<usize>,
        levels: u32,
        words: &mut Vec<u32>,
    ) -> u32 {
        let offset = words.len();
        words.resize(offset + self.count as usize * CHUNK_WORDS as usize, 0);
        // Up to which chunk they are written, and the range in which that one begins.
        let (mut done, mut first) = (0, within.start);
        let at = |number: u64| offset + number as usize * CHUNK_WORDS as usize;
        let chunk_of = |start: V| (start.into() - self.begins) >> self.shift;
        let begun = &starts[within.start + 1..within.end];
        for group in begun.chunk_by(|a, b| chunk_of(*a) == chunk_of(*b)) {
            let number = chunk_of(group[0]);
            whole(&mut words[at(done)..at(number)], first);
            let begins = self.begins + (number << self.shift);
            let before = first;
            first += group.len();
            let has_its_own = number > 0 && group[0].into() == begins;
            let held = before + usize::from(has_its_own)..first + 1;
            let count = held.len() as u32;
            let chunk = if count > Short::MOST && levels > 1 && self.shift > 0 {
                let bits = count.next_power_of_two().ilog2().min(self.shift);
                let parts = Self {
                    begins,
                    shift: self.shift - bits,
                    count: 1 << bits,
                };
                let offset = parts.write(starts, held, levels - 1, words);
                [offset, SPLIT | parts.shift]
            } else {
                [held.start as u32, count]
            };
            words[at(number)..][..chunk.len()].copy_from_slice(&chunk);
            done = number + 1;
        }
        whole(&mut words[at(done)..at(self.count)], first);
        offset as u32
    }
}

/// Writes chunks in which no range begins: all of each belongs to one.
fn whole(chunks: &mut [u32], range: usize) {
    for chunk in chunks.chunks_exact_mut(CHUNK_WORDS as usize) {
        chunk.copy_from_slice(&[range as u32, 1]);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use proptest::prelude::*;
    use sg_common::addr::Addr;
    use sg_common::image::search::{Halving, Short};
    use sg_common::image::{classes, header};

    use super::*;

    /// The IPv4-mapped addresses.
    const IPV4: (u128, u128) = (0xffff_0000_0000, 0xffff_ffff_ffff);

    /// Addresses that lie close to each other, far apart, and among IPv4's.
    fn address() -> impl Strategy<Value = u128> {
        let near = 0x2001_0db8_u128 << 96;
        prop_oneof![
            any::<u128>(),
            (0..4u128, 0..4u128).prop_map(move |(high, low)| near | high << 64 | low),
            (0..1u128 << 12).prop_map(|high| !(high << 64)),
            (0..1u128 << 32).prop_map(|v4| IPV4.0 | v4),
            (0..64u128).prop_map(|v4| IPV4.0 | 0x0a00_0000 | v4),
            Just(0),
            Just(u128::MAX),
            Just(IPV4.1 + 1),
        ]
    }

    /// As the kernel does: at once, if it can.
    fn look_up(image: &[u32], address: u128) -> u32 {
        let address = Addr::from(IpAddr::from(Ipv6Addr::from(address)).to_canonical());
        let class = classes::class::<_, Halving>(image, &address).expect("any list");
        let at_once = classes::class::<_, Short>(image, &address);
        assert!(
            at_once.is_none_or(|at_once| at_once == class),
            "{address:?}"
        );
        class
    }

    /// The last chunk of all may reach beyond the last address, and be split.
    #[test]
    fn ranges_close_to_the_last_address_are_found() {
        let high = |number: u64| u128::from(number) << 64;
        let far = (1..20).map(|number| (high(number << 56), 1));
        let near = (1..20)
            .rev()
            .map(|number| (high(u64::MAX - number), number as u32));
        let ranges: Vec<_> = [(0, 0)].into_iter().chain(far).chain(near).collect();
        let mut image = vec![0; header::LEN as usize];
        let fields = ipv6(&ranges, &mut image);
        image[header::IPV6 as usize..][..fields.len()].copy_from_slice(&fields);
        for (start, class) in &ranges {
            assert_eq!(look_up(&image, *start), *class, "{start:#x}");
        }
        assert_eq!(look_up(&image, u128::MAX), 1);
    }

    /// The class of the range that an address lies in.
    fn class_at<A: Ord + Copy>(ranges: &Ranges<A>, address: A) -> u32 {
        let behind = ranges.partition_point(|(start, _)| *start <= address);
        ranges[behind - 1].1
    }

    proptest! {
        #[test]
        fn every_address_finds_its_class(
            borders in prop::collection::btree_map(address(), 0..5u32, 0..200),
            asked in prop::collection::vec(address(), 50),
        ) {
            let mut in_v4 = vec![(0_u32, 8)];
            let mut in_v6 = vec![(0_u128, 9)];
            for (start, class) in borders.range(1..) {
                if (IPV4.0 + 1..=IPV4.1).contains(start) {
                    in_v4.push(((start - IPV4.0) as u32, *class));
                }
                in_v6.push((*start, *class));
            }
            let mut image = vec![0; header::LEN as usize];
            for (field, fields) in [
                (header::IPV4, ipv4(&in_v4, &mut image)),
                (header::IPV6, ipv6(&in_v6, &mut image)),
            ] {
                image[field as usize..][..fields.len()].copy_from_slice(&fields);
            }
            let edges = borders.keys().flat_map(|start| [*start, start.wrapping_sub(1)]);
            for address in edges.chain(asked) {
                let class = if (IPV4.0..=IPV4.1).contains(&address) {
                    class_at(&in_v4, (address - IPV4.0) as u32)
                } else {
                    class_at(&in_v6, address)
                };
                prop_assert_eq!(
                    look_up(&image, address), class, "{:#x} in {:x?} {:x?}", address, in_v4, in_v6
                );
            }
        }
    }
}
