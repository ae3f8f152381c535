//! A slot of the flow table, as it lies in kernel memory.

use super::{FlowEntry, FlowKey, FlowState};
use crate::counters::{RuleKey, Tally};
use crate::table::Meta;
use crate::tcp::{Numbers, Side};

/// A slot of the flow table: 128 bytes, two cache lines, of which a look-up reads the first.
///
/// See [`table`](crate::table) for who writes what when.
#[repr(C, align(8))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowSlot {
    /// Identity of the flow.
    pub key: FlowKey,
    /// [`Meta`]: version, state and flags.
    pub meta: u64,
    /// Jiffies of the latest packet.
    pub last_seen: u64,
    /// Jiffies of the first packet.
    pub created: u64,
    /// Packets of the opener and of the answering side.
    pub packets: [u64; 2],
    /// Bytes of the opener and of the answering side.
    pub bytes: [u64; 2],
    /// Number of the rule that admitted the flow.
    pub rule: u32,
    /// Sequence numbers of the opener and of the answering side (TCP).
    pub numbers: [Side; 2],
    /// Counter of the remote end's slots, where `FLOW_COUNTED` says so.
    pub remote_counter: u32,
}

impl FlowSlot {
    /// The entry that the slot holds, `None` when it holds none or is being written.
    pub const fn entry(&self) -> Option<FlowEntry> {
        let meta = Meta(self.meta);
        if meta.version() & 1 != 0 || meta.state().0 == FlowState::NONE.0 {
            return None;
        }
        Some(FlowEntry {
            created: self.created,
            last_seen: self.last_seen,
            packets: self.packets,
            bytes: self.bytes,
            rule: self.rule,
            state: meta.state().0,
            flags: meta.flags(),
            pad: [0; 2],
            numbers: Numbers {
                opener: self.numbers[0],
                answerer: self.numbers[1],
            },
        })
    }

    /// The packets that the slot has for the counters of a rule, once another flow takes it.
    pub const fn uncounted(&self) -> Option<(RuleKey, Tally)> {
        let meta = Meta(self.meta);
        if meta.version() & 1 != 0 || !meta.is_uncounted() {
            return None;
        }
        let key = RuleKey {
            zone: self.key.zone() as u32,
            rule: self.rule,
        };
        let tally = Tally {
            packets: self.packets[0] + self.packets[1],
            bytes: self.bytes[0] + self.bytes[1],
        };
        Some((key, tally))
    }
}

const _: () = assert!(size_of::<FlowSlot>() == 128);
