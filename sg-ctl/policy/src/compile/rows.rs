//! Rows: what one policy admits from one peer class, as ranges of service keys.

use std::collections::BTreeSet;

use sg_common::image::Cell;
use sg_common::proto::{TCP, UDP};
use sg_common::service::{self, KEYS, WITHOUT_PORTS};

use super::Policy;
use crate::model::{Direction, IcmpMessage, Service, Transport};

/// Ranges of service keys: the first key of each, and what is admitted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Row(Vec<(u32, u32)>);

impl Row {
    /// The row of some rules, given by rank; `rule` tells the service, the number and whether TCP
    /// and UDP flows go untracked by it.
    pub(super) fn of(ranks: &[u32], rule: impl Fn(u32) -> (Service, u32, Untracked)) -> Self {
        let mut borders = BTreeSet::from([0]);
        for protocol in [TCP, UDP] {
            // Tracking differs by protocol, also within a rule that admits them all.
            borders.insert(service::key(protocol, 0));
            borders.insert(service::key(protocol + 1, 0));
        }
        let mut changes: Vec<(u32, u32, bool)> = Vec::new();
        for rank in ranks {
            for (first, end) in spans(rule(*rank).0) {
                changes.push((first, *rank, true));
                changes.push((end, *rank, false));
                borders.extend([first, end].into_iter().filter(|key| *key < KEYS));
            }
        }
        changes.sort_unstable();
        let mut changes = changes.into_iter().peekable();
        let mut open: BTreeSet<u32> = BTreeSet::new();
        let mut row: Vec<(u32, u32)> = Vec::new();
        for key in borders {
            while let Some((_, rank, begins)) = changes.next_if(|(at, ..)| *at <= key) {
                if begins {
                    open.insert(rank);
                } else {
                    open.remove(&rank);
                }
            }
            let untracked = match (key >> 16) as u8 {
                _ if key >= WITHOUT_PORTS => false,
                TCP => open.iter().any(|rank| rule(*rank).2.tcp),
                UDP => open.iter().any(|rank| rule(*rank).2.udp),
                _ => false,
            };
            let cell = open
                .first()
                .map_or(Cell::NONE, |rank| Cell::new(rule(*rank).1, untracked));
            if row.last().is_none_or(|(_, last)| *last != cell.0) {
                row.push((key, cell.0));
            }
        }
        Self(row)
    }

    /// Number of ranges.
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The first keys.
    pub(super) fn starts(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|(start, _)| *start)
    }

    /// The cells.
    pub(super) fn cells(&self) -> impl Iterator<Item = Cell> {
        self.0.iter().map(|(_, cell)| Cell(*cell))
    }
}

/// The ranges of service keys that a rule admits, ends exclusive. A rule that admits a whole
/// protocol also admits its packets without ports.
fn spans(service: Service) -> Vec<(u32, u32)> {
    let protocol = |number: u8| {
        let first = service::key(number, 0);
        let end = first + (1 << 16);
        let without_ports = service::key_without_ports(number);
        vec![(first, end), (without_ports, without_ports + 1)]
    };
    match service {
        Service::All => vec![(0, KEYS)],
        Service::Ports {
            protocol: transport,
            from: 0,
            to: u16::MAX,
        } => protocol(transport.number()),
        Service::Ports { protocol, from, to } => {
            let first = service::key(protocol.number(), from);
            vec![(first, service::key(protocol.number(), to) + 1)]
        }
        Service::Icmp {
            protocol: icmp,
            message,
        } => match message {
            IcmpMessage::Any => protocol(icmp.number()),
            IcmpMessage::Type(kind) => {
                let first = service::icmp_key(icmp.number(), kind, 0);
                vec![(first, first + (1 << 8))]
            }
            IcmpMessage::TypeAndCode(kind, code) => {
                let first = service::icmp_key(icmp.number(), kind, code);
                vec![(first, first + 1)]
            }
        },
        Service::Protocol(number) => protocol(number),
    }
}

/// Whether flows that a rule admits need no tracking, by protocol.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Untracked {
    tcp: bool,
    udp: bool,
}

/// AWS's rule for each rule of one direction: TCP or UDP, admitted from all addresses of a family,
/// and a rule of the other direction admits all responses: the whole family, every port.
pub(super) fn untracked(policy: &Policy<'_>, direction: Direction) -> Vec<Untracked> {
    let reverse = direction.reverse();
    let answered = |family, transport| {
        policy.rules[reverse as usize].iter().any(|merged| {
            merged.peer.whole_family() == Some(family)
                && merged.rule.service.admits_all_of(transport)
        })
    };
    policy.rules[direction as usize]
        .iter()
        .map(|merged| match merged.peer.whole_family() {
            Some(family) => Untracked {
                tcp: answered(family, Transport::Tcp),
                udp: answered(family, Transport::Udp),
            },
            None => Untracked::default(),
        })
        .collect()
}
