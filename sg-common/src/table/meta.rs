//! The meta word of a slot.

use crate::flow::{FLOW_DELETED, FlowState};

/// The word of a slot that changes by compare-and-swap: version (32 bits), state (8), flags (8).
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Meta(pub u64);

impl Meta {
    #[inline(always)]
    pub(super) const fn new(version: u32, state: FlowState, flags: u8) -> Self {
        Self((version as u64) << 32 | (flags as u64) << 8 | state.0 as u64)
    }

    /// Odd while the slot is being written.
    #[inline(always)]
    pub const fn version(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// State of the flow; [`FlowState::NONE`] when there is none.
    #[inline(always)]
    pub const fn state(self) -> FlowState {
        FlowState(self.0 as u8)
    }

    /// `FLOW_…` bits.
    #[inline(always)]
    pub const fn flags(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Whether somebody is writing the slot.
    #[inline(always)]
    pub const fn is_written(self) -> bool {
        self.version() & 1 != 0
    }

    /// Whether the slot's packets are still to be added to the counters of its rule: it holds a
    /// flow, or one that user space deleted.
    #[inline(always)]
    pub const fn is_uncounted(self) -> bool {
        self.state().0 != FlowState::NONE.0 || self.flags() & FLOW_DELETED != 0
    }

    /// The same version in another state.
    #[must_use]
    #[inline(always)]
    pub const fn with(self, state: FlowState, flags: u8) -> Self {
        Self::new(self.version(), state, flags)
    }
}
