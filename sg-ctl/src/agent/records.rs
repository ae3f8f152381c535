//! Flow records: what passed and what was dropped in a window of time, added up.
//!
//! Two sources are joined. Events tell of packets one by one: drops, and passes without a flow.
//! The flow table counts the packets of flows; what a flow grew by since it was last looked at is
//! what passed. The event that opens a flow counts for nothing of its own, unless the flow's slot
//! has been given away before the window's end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use sg_common::addr::Addr;
use sg_common::event::Event;
use sg_common::flow::{Direction, FlowEntry, FlowKey};
use sg_common::proto;
use sg_common::reason::{Reason, Verdict};

use crate::record::flowlog::Record;
use sg_policy::compile::RuleNumbers;

/// Records of one window at most: a flood from spoofed addresses must not take the memory.
const MAX_RECORDS: usize = 100_000;

/// What is one record of a window.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    interface: String,
    direction: Direction,
    source: IpAddr,
    destination: IpAddr,
    source_port: u16,
    destination_port: u16,
    protocol: u8,
    is_pass: bool,
}

impl Identity {
    /// Of a packet between the protected side and another.
    fn new(
        interface: &str,
        direction: Direction,
        (local, remote): ((Addr, u16), (Addr, u16)),
        protocol: u8,
        is_pass: bool,
    ) -> Self {
        let (source, destination) = match direction {
            Direction::Inbound => (remote, local),
            Direction::Outbound => (local, remote),
        };
        // Other protocols keep identifiers there, which are no ports.
        let has_ports = matches!(protocol, proto::TCP | proto::UDP);
        let port = |port: u16| if has_ports { port } else { 0 };
        Self {
            interface: interface.to_owned(),
            direction,
            source: source.0.into(),
            destination: destination.0.into(),
            source_port: port(source.1),
            destination_port: port(destination.1),
            protocol,
            is_pass,
        }
    }
}

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    packets: u64,
    bytes: u64,
}

impl Amount {
    fn add(&mut self, packets: u64, bytes: u64) {
        self.packets += packets;
        self.bytes += bytes;
    }
}

/// What has been added up.
#[derive(Clone, Copy, Debug)]
struct Sum {
    /// Packets that events told of, but for those that open flows.
    told: Amount,
    /// Packets that open flows.
    opening: Amount,
    /// Growth of flows.
    flows: Amount,
    start: i64,
    end: i64,
    tcp_flags: u8,
    reason: Reason,
    rule: u32,
}

impl Sum {
    fn total(&self) -> Amount {
        let mut total = self.told;
        let flows = match self.flows.packets {
            0 => self.opening,
            _ => self.flows,
        };
        total.add(flows.packets, flows.bytes);
        total
    }
}

/// A flow as it was when it was last looked at.
#[derive(Clone, Copy, Debug)]
struct Before {
    created: u64,
    packets: [u64; 2],
    bytes: [u64; 2],
}

/// When a flow's packets came: Unix time of the first and the latest, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) first: i64,
    pub(super) latest: i64,
}

/// The window that is open, and what the flow table held at its beginning.
#[derive(Debug)]
pub(super) struct Window {
    start: i64,
    sums: HashMap<Identity, Sum>,
    /// Interfaces that are short of records.
    short: HashSet<String>,
    before: HashMap<FlowKey, Before>,
    seen: HashMap<FlowKey, Before>,
}

impl Window {
    /// A window that begins now, in Unix seconds.
    pub(super) fn new(start: i64) -> Self {
        Self {
            start,
            sums: HashMap::new(),
            short: HashSet::new(),
            before: HashMap::new(),
            seen: HashMap::new(),
        }
    }

    /// Remembers a flow from before the first window: its packets so far do not count.
    pub(super) fn known(&mut self, key: FlowKey, entry: &FlowEntry) {
        self.before.insert(key, Before::of(entry));
    }

    /// Adds a packet that an event tells of, at a Unix time. What is not IP is left out.
    pub(super) fn event(&mut self, interface: &str, event: &Event, time: i64) {
        let Some(reason) = Reason::from_code(event.reason) else {
            return;
        };
        if event.local == Addr::UNSPECIFIED && event.remote == Addr::UNSPECIFIED {
            return;
        }
        let identity = Identity::new(
            interface,
            Direction::from_code(event.direction),
            (
                (event.local, event.local_port),
                (event.remote, event.remote_port),
            ),
            event.protocol,
            reason.verdict() == Verdict::Pass,
        );
        let span = Span {
            first: time,
            latest: time,
        };
        if let Some(sum) = self.sum(identity, span, reason, event.rule) {
            let amount = match reason {
                Reason::New => &mut sum.opening,
                _ => &mut sum.told,
            };
            amount.add(1, u64::from(event.length));
            sum.tcp_flags |= event.tcp_flags;
        }
    }

    /// Adds what a flow has grown by since it was last looked at.
    pub(super) fn flow(&mut self, interface: &str, key: FlowKey, entry: &FlowEntry, span: Span) {
        let before = self.before.remove(&key);
        self.seen.insert(key, Before::of(entry));
        // A slot is given to another flow of the same ends, too.
        let before = before.filter(|before| before.created == entry.created);
        let (packets, bytes) = before.map_or(([0; 2], [0; 2]), |old| (old.packets, old.bytes));
        let reason = if before.is_none() {
            Reason::New
        } else {
            Reason::Established
        };
        let ends = (
            (key.local, key.local_port()),
            (key.remote, key.remote_port()),
        );
        // Counted by who speaks: the opener of the flow, and who answers.
        let opened = entry.opened();
        for (side, direction) in [opened, opened.reverse()].into_iter().enumerate() {
            let grown = entry.packets[side].saturating_sub(packets[side]);
            if grown == 0 {
                continue;
            }
            let identity = Identity::new(interface, direction, ends, key.protocol(), true);
            if let Some(sum) = self.sum(identity, span, reason, entry.rule) {
                let bytes = entry.bytes[side].saturating_sub(bytes[side]);
                sum.flows.add(grown, bytes);
            }
        }
    }

    /// Notes that records of an interface are missing.
    pub(super) fn lost(&mut self, interface: &str) {
        self.short.insert(interface.to_owned());
    }

    fn sum(
        &mut self,
        identity: Identity,
        span: Span,
        reason: Reason,
        rule: u32,
    ) -> Option<&mut Sum> {
        if self.sums.len() >= MAX_RECORDS && !self.sums.contains_key(&identity) {
            self.short.insert(identity.interface);
            return None;
        }
        let start = span.first.max(self.start);
        let end = span.latest.max(start);
        let sum = self.sums.entry(identity).or_insert(Sum {
            told: Amount::default(),
            opening: Amount::default(),
            flows: Amount::default(),
            start,
            end,
            tcp_flags: 0,
            reason,
            rule,
        });
        sum.start = sum.start.min(start);
        sum.end = sum.end.max(end);
        Some(sum)
    }

    /// Ends the window and begins the next one at `now`.
    pub(super) fn close(&mut self, now: i64, numbers: &RuleNumbers) -> Closed {
        let mut records: BTreeMap<String, Vec<Record>> = BTreeMap::new();
        for (identity, sum) in self.sums.drain() {
            let Amount { packets, bytes } = sum.total();
            let rule = numbers.rule(sum.rule);
            let of_interface = records.entry(identity.interface.clone()).or_default();
            of_interface.push(Record {
                interface: identity.interface,
                direction: identity.direction,
                source: Some(identity.source),
                destination: Some(identity.destination),
                source_port: identity.source_port,
                destination_port: identity.destination_port,
                protocol: identity.protocol,
                packets,
                bytes,
                start: sum.start,
                end: sum.end,
                reason: sum.reason,
                tcp_flags: sum.tcp_flags,
                rule: rule.map(|rule| rule.rule_id.to_string()),
                group: rule.map(|rule| rule.group.clone()),
            });
        }
        for records in records.values_mut() {
            records.sort_by_key(|record| (record.start, record.source, record.source_port));
        }
        let closed = Closed {
            start: self.start,
            end: now,
            records,
            short: std::mem::take(&mut self.short),
        };
        self.start = now;
        self.before = std::mem::take(&mut self.seen);
        closed
    }
}

/// A window that is over.
#[derive(Debug)]
pub(super) struct Closed {
    /// Unix time of its beginning, in seconds.
    pub(super) start: i64,
    /// Unix time of its end.
    pub(super) end: i64,
    /// Its records, by interface.
    pub(super) records: BTreeMap<String, Vec<Record>>,
    /// Interfaces of which some are missing.
    pub(super) short: HashSet<String>,
}

impl Before {
    const fn of(entry: &FlowEntry) -> Self {
        Self {
            created: entry.created,
            packets: entry.packets,
            bytes: entry.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use sg_common::ends::{Ends, VlanIds};
    use sg_common::flow::{FLOW_OPENED_OUTBOUND, FlowState};

    use super::*;

    fn addr(text: &str) -> Addr {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn event(reason: Reason, remote_port: u16) -> Event {
        Event {
            time_ns: 0,
            local: addr("10.0.1.5"),
            remote: addr("203.0.113.7"),
            rule: 0,
            length: 74,
            ifindex: 2,
            zone: 0,
            local_port: 443,
            remote_port,
            vlan: [0; 2],
            protocol: proto::TCP,
            direction: 0,
            reason: reason as u8,
            flags: 0,
            tcp_flags: 2,
            icmp_type: 0,
            icmp_code: 0,
            pad: [0; 3],
        }
    }

    fn key() -> FlowKey {
        let ends = Ends::new((addr("10.0.1.5"), 443), (addr("203.0.113.7"), 40_000));
        FlowKey::new(0, VlanIds::NONE, proto::TCP, ends)
    }

    fn entry(created: u64, packets: [u64; 2], flags: u8) -> FlowEntry {
        FlowEntry {
            created,
            last_seen: created,
            packets,
            bytes: packets.map(|packets| packets * 100),
            rule: 0,
            state: FlowState::TCP_ESTABLISHED.0,
            flags,
            pad: [0; 2],
            numbers: sg_common::tcp::Numbers::NONE,
        }
    }

    const SPAN: Span = Span {
        first: 5,
        latest: 30,
    };

    /// Direction, packets, bytes and reason of all records.
    fn close(window: &mut Window, now: i64) -> Vec<(Direction, u64, u64, Reason)> {
        let closed = window.close(now, &RuleNumbers::default());
        let mut rows: Vec<_> = closed
            .records
            .into_values()
            .flatten()
            .map(|record| {
                (
                    record.direction,
                    record.packets,
                    record.bytes,
                    record.reason,
                )
            })
            .collect();
        rows.sort_by_key(|row| (row.0 as u8, row.1));
        rows
    }

    #[test]
    fn drops_of_one_tuple_are_one_record() {
        let mut window = Window::new(0);
        for (time, port) in [(3, 40_000), (9, 40_000), (9, 40_001)] {
            window.event("eth0", &event(Reason::NoRule, port), time);
        }
        let closed = window.close(60, &RuleNumbers::default());
        let records = &closed.records["eth0"];
        assert_eq!(records.len(), 2);
        assert_eq!((records[0].start, records[0].end), (3, 9));
        assert_eq!((records[0].packets, records[0].bytes), (2, 148));
        assert_eq!(records[0].source_port, 40_000);
        assert_eq!(records[0].tcp_flags, 2);
    }

    #[test]
    fn a_flow_counts_once_and_by_its_growth() {
        let mut window = Window::new(0);
        window.event("eth0", &event(Reason::New, 40_000), 5);
        window.flow("eth0", key(), &entry(7, [3, 2], 0), SPAN);
        assert_eq!(
            close(&mut window, 60),
            [
                (Direction::Inbound, 3, 300, Reason::New),
                (Direction::Outbound, 2, 200, Reason::New),
            ]
        );
        window.flow("eth0", key(), &entry(7, [10, 2], 0), SPAN);
        assert_eq!(
            close(&mut window, 120),
            [(Direction::Inbound, 7, 700, Reason::Established)]
        );
        // The same ends, another flow, opened from this side.
        window.flow("eth0", key(), &entry(8, [4, 1], FLOW_OPENED_OUTBOUND), SPAN);
        assert_eq!(
            close(&mut window, 180),
            [
                (Direction::Inbound, 1, 100, Reason::New),
                (Direction::Outbound, 4, 400, Reason::New),
            ]
        );
        assert!(close(&mut window, 240).is_empty());
    }

    #[test]
    fn a_flow_that_is_gone_leaves_its_first_packet() {
        let mut window = Window::new(0);
        window.event("eth0", &event(Reason::New, 40_000), 5);
        assert_eq!(
            close(&mut window, 60),
            [(Direction::Inbound, 1, 74, Reason::New)]
        );
    }

    #[test]
    fn what_was_before_the_first_window_does_not_count() {
        let mut window = Window::new(0);
        window.known(key(), &entry(7, [100, 100], 0));
        window.flow("eth0", key(), &entry(7, [101, 100], 0), SPAN);
        assert_eq!(
            close(&mut window, 60),
            [(Direction::Inbound, 1, 100, Reason::Established)]
        );
    }

    #[test]
    fn a_window_has_room_for_so_many_records_and_says_what_it_left_out() {
        let mut window = Window::new(0);
        for number in 0..=MAX_RECORDS as u32 {
            let mut event = event(Reason::NoRule, number as u16);
            event.local_port = (number >> 16) as u16;
            window.event("eth0", &event, 1);
        }
        window.event("eth0", &event(Reason::NoRule, 0), 2);
        let closed = window.close(60, &RuleNumbers::default());
        assert_eq!(closed.records["eth0"].len(), MAX_RECORDS);
        assert!(closed.short.contains("eth0"));
    }
}
