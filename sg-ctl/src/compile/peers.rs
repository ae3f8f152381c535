//! Peer classes: the address space, cut where the answer to "which peers hold this address?" changes.

use std::collections::{BTreeMap, HashMap};

use ipnet::IpNet;

use crate::model::Peer;

/// First and last IPv4-mapped address: where IPv4 lies in the one address space of the image.
pub(super) const IPV4: (u128, u128) = (0xffff_0000_0000, 0xffff_ffff_ffff);

/// The address space, cut.
pub(super) struct Classes<'a> {
    /// First address of each range and its class; ascending, the first one 0.
    pub(super) ranges: Vec<(u128, u32)>,
    /// The peers of each class, as numbers of distinct peers.
    pub(super) peers: Vec<Vec<u32>>,
    containing: HashMap<&'a Peer, Vec<u32>>,
}

impl<'a> Classes<'a> {
    /// Cuts the address space at the borders of `peers`, whose ranges `resolve` tells.
    pub(super) fn cut(
        peers: impl Iterator<Item = &'a Peer>,
        resolve: impl Fn(&Peer) -> Vec<IpNet>,
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
            for (first, last) in resolve(peer).iter().flat_map(span) {
                borders.push((first, next, true));
                if let Some(after) = last.checked_add(1) {
                    borders.push((after, next, false));
                }
            }
        }
        borders.sort_unstable();
        let (ranges, classes) = sweep(&borders);
        let mut containing: Vec<Vec<u32>> = vec![Vec::new(); numbers.len()];
        for (class, peers) in classes.iter().enumerate() {
            for peer in peers {
                containing[*peer as usize].push(class as u32);
            }
        }
        let containing = numbers
            .into_iter()
            .map(|(peer, number)| (peer, std::mem::take(&mut containing[number as usize])))
            .collect();
        Self {
            ranges,
            peers: classes,
            containing,
        }
    }

    /// The classes whose addresses belong to a peer.
    pub(super) fn containing(&self, peer: &Peer) -> &[u32] {
        self.containing.get(peer).map_or(&[], Vec::as_slice)
    }
}

/// Walks the borders and names each distinct set of peers a class.
fn sweep(borders: &[(u128, u32, bool)]) -> (Vec<(u128, u32)>, Vec<Vec<u32>>) {
    let mut ranges = vec![(0, 0)];
    let mut classes = vec![Vec::new()];
    let mut names: HashMap<Vec<u32>, u32> = HashMap::from([(Vec::new(), 0)]);
    // A peer may hold an address more than once: overlapping entries of a prefix list.
    let mut open: BTreeMap<u32, u32> = BTreeMap::new();
    for group in borders.chunk_by(|a, b| a.0 == b.0) {
        for (_, peer, begins) in group {
            let depth = open.entry(*peer).or_default();
            // Wrapping: a border may take away before the next one adds.
            *depth = depth.wrapping_add(if *begins { 1 } else { u32::MAX });
        }
        open.retain(|_, depth| *depth != 0);
        let set: Vec<u32> = open.keys().copied().collect();
        let class = *names.entry(set).or_insert_with_key(|set| {
            classes.push(set.clone());
            classes.len() as u32 - 1
        });
        let at = group[0].0;
        match ranges.last_mut() {
            Some((_, last)) if *last == class => {}
            Some((start, last)) if *start == at => *last = class,
            _ => ranges.push((at, class)),
        }
    }
    (ranges, classes)
}

/// First and last addresses of a net in the image's address space.
///
/// An IPv6 net leaves the IPv4-mapped addresses out: `::/0` says nothing about IPv4 (AWS E8).
fn span(net: &IpNet) -> Vec<(u128, u128)> {
    match net {
        IpNet::V4(net) => {
            let map = |ip: std::net::Ipv4Addr| IPV4.0 | u128::from(u32::from(ip));
            vec![(map(net.network()), map(net.broadcast()))]
        }
        IpNet::V6(net) => {
            let (first, last) = (u128::from(net.network()), u128::from(net.broadcast()));
            if last < IPV4.0 || first > IPV4.1 {
                return vec![(first, last)];
            }
            let mut spans = Vec::new();
            if first < IPV4.0 {
                spans.push((first, IPV4.0 - 1));
            }
            if last > IPV4.1 {
                spans.push((IPV4.1 + 1, last));
            }
            spans
        }
    }
}
