//! Per-CPU counters: of one interface, and of one rule of an interface.

use crate::reason::{REASON_SLOTS, Reason, Verdict};
use crate::settings::MAX_ZONES;

/// Packets and bytes of one reason.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets; a segmented (GSO) packet counts as the packets it stands for.
    pub packets: u64,
    /// Bytes from the Ethernet header on.
    pub bytes: u64,
}

impl Tally {
    /// Counts a frame of `bytes` bytes that stands for `packets` packets.
    pub const fn add(&mut self, packets: u32, bytes: u32) {
        self.packets += packets as u64;
        self.bytes += bytes as u64;
    }
}

/// Zones whose counters are one inner map of `COUNTERS`: such a page is made when the first of them
/// comes into use.
pub const PAGE_ZONES: u32 = 64;
/// Pages that there can be.
pub const PAGES: u32 = MAX_ZONES / PAGE_ZONES;

/// What one interface's packets came to: written by the programs on their own CPU, summed by user space.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneCounters {
    /// By direction (inbound, outbound), then by reason code.
    pub reasons: [[Tally; REASON_SLOTS]; 2],
    /// Packets with a drop reason that passed because the interface only audits, by direction.
    pub audited: [Tally; 2],
    /// Events that found the ring buffer full.
    pub events_lost: u64,
    /// Events beyond the interface's limit, which were not put into the ring buffer, by reason code.
    pub events_suppressed: [u64; REASON_SLOTS],
}

impl ZoneCounters {
    /// All zero.
    pub const ZERO: Self = Self {
        reasons: [[Tally {
            packets: 0,
            bytes: 0,
        }; REASON_SLOTS]; 2],
        audited: [Tally {
            packets: 0,
            bytes: 0,
        }; 2],
        events_lost: 0,
        events_suppressed: [0; REASON_SLOTS],
    };

    /// Adds another CPU's counters.
    pub fn add(&mut self, other: &Self) {
        let mine = self.reasons.iter_mut().flatten().chain(&mut self.audited);
        let theirs = other.reasons.iter().flatten().chain(&other.audited);
        for (a, b) in mine.zip(theirs) {
            a.packets += b.packets;
            a.bytes += b.bytes;
        }
        self.events_lost += other.events_lost;
        let suppressed = self.events_suppressed.iter_mut();
        for (a, b) in suppressed.zip(other.events_suppressed) {
            *a += b;
        }
    }

    /// Events that the log does not have.
    pub fn events_missing(&self) -> u64 {
        self.events_lost + self.events_suppressed.iter().sum::<u64>()
    }
}

/// Rules, counted once for each interface that has them, for which there are counters.
pub const MAX_RULES: u32 = 1 << 17;

/// The key of `RULES`: 8 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleKey {
    /// Zone of the interface.
    pub zone: u32,
    /// Number of the rule.
    pub rule: u32,
}

/// The value of `RULES`, 56 bytes: made by user space for each rule in force, written by the
/// programs on their own CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleCounters {
    /// Flows that it opened.
    pub flows: u64,
    /// Jiffies of the latest packet that it decided on, other than one of its flows; 0 = never.
    pub last_hit: u64,
    /// Traffic of its flows whose slots have been taken by others.
    pub closed: Tally,
    /// Traffic that it admitted without a flow.
    pub direct: Tally,
    /// Jiffies at which counting began, the same on every CPU.
    pub since: u64,
}

impl RuleCounters {
    /// Counts a frame, of no live flow, that the rule decided on.
    #[inline(always)]
    pub const fn hit(&mut self, reason: Reason, now: u64, packets: u32, bytes: u32) {
        self.last_hit = now;
        match (reason, reason.verdict()) {
            // The flow counts the frame.
            (Reason::New, _) => self.flows += 1,
            (_, Verdict::Pass) => self.direct.add(packets, bytes),
            // Counted by the interface, by reason.
            (_, Verdict::Drop) => {}
        }
    }

    /// Adds another CPU's counters.
    pub fn add(&mut self, other: &Self) {
        self.flows += other.flows;
        self.last_hit = self.last_hit.max(other.last_hit);
        for (mine, theirs) in [
            (&mut self.closed, other.closed),
            (&mut self.direct, other.direct),
        ] {
            mine.packets += theirs.packets;
            mine.bytes += theirs.bytes;
        }
        self.since = self.since.max(other.since);
    }
}
