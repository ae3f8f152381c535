//! Peer classes: the address space, cut where the answer to "which peers hold this address?" changes.

use std::collections::HashMap;

use ipnet::IpNet;

use super::sets::{EMPTY, Sets};
use crate::model::Peer;

/// First and last IPv4-mapped address: where IPv4 lies in the one address space of the image.
pub(super) const IPV4: (u128, u128) = (0xffff_0000_0000, 0xffff_ffff_ffff);

/// The address space, cut.
pub(super) struct Classes<'a> {
    /// First address of each range and its class; ascending, the first one 0.
    pub(super) ranges: Vec<(u128, u32)>,
    /// Number of classes; class 0 is that of addresses that no peer holds.
    pub(super) count: usize,
    containing: HashMap<&'a Peer, Vec<u32>>,
}

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
        // At an address: peers that begin there, and peers that ended before it.
        let mut borders: Vec<(u128, u32, bool)> = Vec::new();
        for peer in peers {
            let next = numbers.len() as u32;
            if numbers.contains_key(peer) {
                continue;
            }
            numbers.insert(peer, next);
            for (first, last) in resolve(peer).flat_map(spans) {
                borders.push((first, next, true));
                if let Some(after) = last.checked_add(1) {
                    borders.push((after, next, false));
                }
            }
        }
        #[expect(
            clippy::stable_sort_primitive,
            reason = "it leaves runs as they are, and a long list of members comes sorted"
        )]
        borders.sort();
        let (mut ranges, sets) = sweep(&borders, numbers.len());
        drop(borders);

        // The classes of each peer, for now by the numbers of their sets.
        let mut containing: Vec<Vec<u32>> = vec![Vec::new(); numbers.len()];
        let mut is_used = vec![false; sets.len()];
        for (_, set) in &ranges {
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
        for set in ranges
            .iter_mut()
            .map(|(_, set)| set)
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
            ranges,
            count: count as usize,
            containing,
        }
    }

    /// The classes whose addresses belong to a peer, ascending.
    pub(super) fn containing(&self, peer: &Peer) -> &[u32] {
        self.containing.get(peer).map_or(&[], Vec::as_slice)
    }
}

/// Walks the borders; returns the ranges, each with the set of the peers that hold it.
fn sweep(borders: &[(u128, u32, bool)], peers: usize) -> (Vec<(u128, u32)>, Sets) {
    let mut sets = Sets::default();
    let mut ranges = vec![(0, EMPTY)];
    let mut set = EMPTY;
    // A peer may hold an address more than once: overlapping entries of a prefix list.
    let mut depths = vec![0_u32; peers];
    for group in borders.chunk_by(|a, b| a.0 == b.0) {
        for (_, peer, begins) in group {
            let depth = &mut depths[*peer as usize];
            let before = *depth;
            *depth = if *begins { before + 1 } else { before - 1 };
            if (before == 0) != (*depth == 0) {
                set = sets.toggle(set, *peer);
            }
        }
        let at = group[0].0;
        match ranges.last_mut() {
            Some((_, last)) if *last == set => {}
            Some((start, last)) if *start == at => *last = set,
            _ => ranges.push((at, set)),
        }
    }
    (ranges, sets)
}

/// First and last addresses of a net in the image's address space.
///
/// An IPv6 net leaves the IPv4-mapped addresses out: `::/0` says nothing about IPv4 (AWS E8).
fn spans(net: IpNet) -> impl Iterator<Item = (u128, u128)> {
    let spans = match net {
        IpNet::V4(net) => {
            let map = |ip: std::net::Ipv4Addr| IPV4.0 | u128::from(u32::from(ip));
            [Some((map(net.network()), map(net.broadcast()))), None]
        }
        IpNet::V6(net) => {
            let (first, last) = (u128::from(net.network()), u128::from(net.broadcast()));
            if last < IPV4.0 || first > IPV4.1 {
                [Some((first, last)), None]
            } else {
                [
                    (first < IPV4.0).then(|| (first, IPV4.0 - 1)),
                    (last > IPV4.1).then(|| (IPV4.1 + 1, last)),
                ]
            }
        }
    };
    spans.into_iter().flatten()
}
