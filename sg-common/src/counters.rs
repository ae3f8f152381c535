//! Per-CPU counters of one interface.

use crate::reason::REASON_SLOTS;

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

/// The value of `COUNTERS`: written by the programs on their own CPU, summed by user space.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneCounters {
    /// By direction (inbound, outbound), then by reason code.
    pub reasons: [[Tally; REASON_SLOTS]; 2],
    /// Packets with a drop reason that passed because the interface only audits, by direction.
    pub audited: [Tally; 2],
    /// Events that found the ring buffer full.
    pub events_lost: u64,
    /// Explicit padding, zero.
    pub pad: u64,
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
        pad: 0,
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
    }
}
