//! Peer classes: the address space, cut where the answer to "which peers hold this address?" changes.

use std::collections::HashMap;

use ipnet::IpNet;

use super::sets::{EMPTY, Sets};
use crate::model::Peer;

/// The addresses of both families, cut.
pub(super) struct Classes<'a> {
    pub(super) ipv4: Ranges<u32>,
    /// The kernel looks IPv4-mapped addresses up among IPv4's: `::/0` says nothing about IPv4 (AWS E8).
    pub(super) ipv6: Ranges<u128>,
    /// Number of classes; class 0 is that of addresses that no peer holds.
    pub(super) count: usize,
    containing: HashMap<&'a Peer, Vec<u32>>,
}

/// First address of each range and its class; ascending, the first one 0.
pub(super) type Ranges<A> = Vec<(A, u32)>;

impl<'a> Classes<'a> {
    /// Cuts the address space at the borders of `peers`; `resolve` marks each range of one.
    ///
    /// Classes that the same few peers hold have neighbouring numbers, so that a policy finds most of
    /// what it speaks of in few pages of its class table.
    pub(super) fn cut(
        peers: impl Iterator<Item = &'a Peer>,
        resolve: impl Fn(&'a Peer, &mut Marks),
    ) -> Self {
        let mut numbers: HashMap<&Peer, u32> = HashMap::new();
        let mut marks = Marks::default();
        for peer in peers {
            let next = numbers.len() as u32;
            if numbers.contains_key(peer) {
                continue;
            }
            numbers.insert(peer, next);
            marks.peer = next;
            resolve(peer, &mut marks);
        }
        let mut sets = Sets::default();
        let mut ipv4 = marks.ipv4.sweep(numbers.len(), &mut sets);
        let mut ipv6 = marks.ipv6.sweep(numbers.len(), &mut sets);

        // The classes of each peer, for now by the numbers of their sets.
        let mut containing: Vec<Vec<u32>> = vec![Vec::new(); numbers.len()];
        let mut is_used = vec![false; sets.len()];
        values(&mut ipv4).chain(values(&mut ipv6)).for_each(|set| {
            if !std::mem::replace(&mut is_used[*set as usize], true) {
                for peer in sets.members(*set) {
                    containing[*peer as usize].push(*set);
                }
            }
        });
        let mut rarest: Vec<usize> = (0..containing.len()).collect();
        rarest.sort_by_key(|peer| containing[*peer].len());
        let mut class_of = vec![EMPTY; sets.len()];
        let mut count = 1;
        for set in rarest.iter().flat_map(|peer| &containing[*peer]) {
            let class = &mut class_of[*set as usize];
            if *class == EMPTY {
                *class = count;
                count += 1;
            }
        }
        values(&mut ipv4)
            .chain(values(&mut ipv6))
            .chain(containing.iter_mut().flatten())
            .for_each(|set| *set = class_of[*set as usize]);
        for classes in &mut containing {
            classes.sort_unstable();
        }
        let containing = numbers
            .into_iter()
            .map(|(peer, number)| (peer, std::mem::take(&mut containing[number as usize])))
            .collect();
        Self {
            ipv4,
            ipv6,
            count: count as usize,
            containing,
        }
    }

    /// The classes whose addresses belong to a peer, ascending.
    pub(super) fn containing(&self, peer: &Peer) -> &[u32] {
        self.containing.get(peer).map_or(&[], Vec::as_slice)
    }
}

fn values<A>(ranges: &mut Ranges<A>) -> impl Iterator<Item = &mut u32> {
    ranges.iter_mut().map(|(_, value)| value)
}

/// An address of one family, as a number.
trait Address: Copy + Ord + Default {
    fn next(self) -> Option<Self>;
}

impl Address for u32 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Address for u128 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// Where the ranges of peers begin and end.
#[derive(Default)]
pub(super) struct Marks {
    /// The peer whose ranges are marked.
    peer: u32,
    ipv4: Borders<u32>,
    ipv6: Borders<u128>,
}

impl Marks {
    /// Makes room for so many ranges of each family, so that none is moved as they come.
    pub(super) fn reserve(&mut self, ranges: usize) {
        self.ipv4.0.reserve(2 * ranges);
        self.ipv6.0.reserve(2 * ranges);
    }

    /// Marks a range of the peer.
    pub(super) fn add(&mut self, range: IpNet) {
        match range {
            IpNet::V4(it) => self
                .ipv4
                .add(self.peer, it.network().into(), it.broadcast().into()),
            IpNet::V6(it) => self
                .ipv6
                .add(self.peer, it.network().into(), it.broadcast().into()),
        }
    }
}

/// Where peers begin and end: an address, and the peer times two, plus one where it begins.
#[derive(Default)]
struct Borders<A>(Vec<(A, u32)>);

impl<A: Address> Borders<A> {
    /// Notes that a peer holds addresses.
    fn add(&mut self, peer: u32, first: A, last: A) {
        let end = peer << 1;
        // Between neighbours of one peer nothing changes.
        if self.0.last() == Some(&(first, end)) {
            self.0.pop();
        } else {
            self.0.push((first, end | 1));
        }
        self.0.extend(last.next().map(|behind| (behind, end)));
    }

    /// Walks the borders, of so many peers; returns the ranges, each with the set of the peers that
    /// hold it.
    fn sweep(mut self, peers: usize, sets: &mut Sets) -> Ranges<A> {
        // A long list of members comes sorted. In which order peers begin and end at one address makes no
        // difference: none ends where it begins.
        if !self.0.is_sorted_by_key(|(at, _)| *at) {
            self.0.sort_by_key(|(at, _)| *at);
        }
        let mut ranges = Vec::with_capacity(self.0.len() + 1);
        // The range that the borders so far have left, and the set that held the one before it.
        let (mut begin, mut set) = (A::default(), EMPTY);
        let mut before = None;
        // A peer may hold an address more than once: overlapping entries of a prefix list.
        let mut depths = vec![0_u32; peers];
        for (at, border) in self.0 {
            if at != begin {
                if before != Some(set) {
                    ranges.push((begin, set));
                    before = Some(set);
                }
                begin = at;
            }
            let (peer, begins) = (border >> 1, border & 1 != 0);
            let depth = &mut depths[peer as usize];
            let was_outside = *depth == 0;
            *depth = if begins { *depth + 1 } else { *depth - 1 };
            if was_outside != (*depth == 0) {
                set = sets.toggle(set, peer);
            }
        }
        if before != Some(set) {
            ranges.push((begin, set));
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    /// The number of the last of some addresses.
    const LAST: u8 = 31;

    /// A range of them, as its first one and the bits that are left open: neighbours, doubles, and some
    /// within others.
    fn range() -> impl Strategy<Value = (u8, u8)> {
        (0..=LAST, 0..6u8).prop_map(|(number, open)| (number >> open << open, open))
    }

    fn holds((first, open): (u8, u8), number: u8) -> bool {
        number >> open == first >> open
    }

    /// At the beginning of a family's addresses, right before their end, or at it.
    fn address(is_v6: bool, place: u8, number: u8) -> IpAddr {
        let all = u128::from(LAST) + 1;
        let first = match (place, is_v6) {
            (0, _) => 0,
            (place, true) => u128::MAX - u128::from(3 - place) * all + 1,
            (place, false) => u128::from(u32::MAX) - u128::from(3 - place) * all + 1,
        };
        let address = first + u128::from(number);
        if is_v6 {
            IpAddr::from(address.to_be_bytes())
        } else {
            IpAddr::from((address as u32).to_be_bytes())
        }
    }

    fn class_at<A: Address>(ranges: &Ranges<A>, address: A) -> u32 {
        let behind = ranges.partition_point(|(start, _)| *start <= address);
        ranges[behind - 1].1
    }

    proptest! {
        #[test]
        fn a_class_is_what_the_same_peers_hold(
            held in prop::collection::vec(prop::collection::vec(range(), 0..8), 1..4),
            is_v6: bool,
            place in 0..3_u8,
        ) {
            let peers: Vec<_> = (0..held.len()).map(|n| Peer::Group(n.to_string())).collect();
            let of = |peer: &Peer| {
                let number = peers.iter().position(|other| other == peer);
                held[number.expect("one of them")].iter()
            };
            let bits = if is_v6 { 128 } else { 32 };
            let net = |(first, open): &(u8, u8)| {
                IpNet::new_assert(address(is_v6, place, *first), bits - open)
            };
            let classes = Classes::cut(peers.iter(), |peer, marks| {
                of(peer).map(net).for_each(|range| marks.add(range));
            });
            let starts: Vec<_> = classes.ipv4.windows(2).map(|pair| (pair[0].1, pair[1].1)).collect();
            prop_assert!(starts.iter().all(|(one, next)| one != next), "{:?}", classes.ipv4);
            for number in 0..=LAST {
                let class = match address(is_v6, place, number) {
                    IpAddr::V4(address) => class_at(&classes.ipv4, address.into()),
                    IpAddr::V6(address) => class_at(&classes.ipv6, address.into()),
                };
                let mut is_held = false;
                for peer in &peers {
                    let holds = of(peer).any(|range| holds(*range, number));
                    prop_assert_eq!(classes.containing(peer).contains(&class), holds);
                    is_held |= holds;
                }
                prop_assert_eq!(class == 0, !is_held);
            }
        }
    }
}
