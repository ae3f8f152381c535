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
    /// Cuts the address space at the borders of `peers`, whose ranges `resolve` tells.
    ///
    /// Classes that the same few peers hold have neighbouring numbers, so that a policy finds most of
    /// what it speaks of in few pages of its class table.
    pub(super) fn cut<R: Iterator<Item = IpNet>>(
        peers: impl Iterator<Item = &'a Peer>,
        resolve: impl Fn(&'a Peer) -> R,
    ) -> Self {
        let mut numbers: HashMap<&Peer, u32> = HashMap::new();
        let mut ipv4 = Borders::default();
        let mut ipv6 = Borders::default();
        for peer in peers {
            let next = numbers.len() as u32;
            if numbers.contains_key(peer) {
                continue;
            }
            numbers.insert(peer, next);
            for range in resolve(peer) {
                match range {
                    IpNet::V4(it) => ipv4.add(next, it.network().into(), it.broadcast().into()),
                    IpNet::V6(it) => ipv6.add(next, it.network().into(), it.broadcast().into()),
                }
            }
        }
        let mut sets = Sets::default();
        let mut ipv4 = ipv4.sweep(numbers.len(), &mut sets);
        let mut ipv6 = ipv6.sweep(numbers.len(), &mut sets);

        // The classes of each peer, for now by the numbers of their sets.
        let mut containing: Vec<Vec<u32>> = vec![Vec::new(); numbers.len()];
        let mut is_used = vec![false; sets.len()];
        for set in values(&mut ipv4).chain(values(&mut ipv6)) {
            if !std::mem::replace(&mut is_used[*set as usize], true) {
                for peer in sets.members(*set) {
                    containing[*peer as usize].push(*set);
                }
            }
        }
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
        for set in values(&mut ipv4)
            .chain(values(&mut ipv6))
            .chain(containing.iter_mut().flatten())
        {
            *set = class_of[*set as usize];
        }
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

/// Where peers begin and end: an address, and the peer times two, plus one where it begins.
#[derive(Default)]
struct Borders<A>(Vec<(A, u32)>);

impl<A: Address> Borders<A> {
    /// Notes that a peer holds addresses.
    fn add(&mut self, peer: u32, first: A, last: A) {
        self.0.push((first, peer << 1 | 1));
        self.0.extend(last.next().map(|behind| (behind, peer << 1)));
    }

    /// Walks the borders, of so many peers; returns the ranges, each with the set of the peers that
    /// hold it.
    fn sweep(mut self, peers: usize, sets: &mut Sets) -> Ranges<A> {
        // Stable: it leaves runs as they are, and a long list of members comes sorted.
        self.0.sort();
        let mut ranges = vec![(A::default(), EMPTY)];
        let mut set = EMPTY;
        // A peer may hold an address more than once: overlapping entries of a prefix list.
        let mut depths = vec![0_u32; peers];
        for group in self.0.chunk_by(|a, b| a.0 == b.0) {
            for (_, border) in group {
                let (peer, begins) = (border >> 1, border & 1 != 0);
                let depth = &mut depths[peer as usize];
                let before = *depth;
                *depth = if begins { before + 1 } else { before - 1 };
                if (before == 0) != (*depth == 0) {
                    set = sets.toggle(set, peer);
                }
            }
            let at = group[0].0;
            match ranges.last_mut() {
                Some((_, last)) if *last == set => {}
                Some((start, last)) if *start == at => *last = set,
                _ => ranges.push((at, set)),
            }
        }
        ranges
    }
}
