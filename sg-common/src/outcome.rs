//! The outcome of a decision, small enough to be returned by a BPF function.

use crate::reason::Reason;

/// A reason and the number of the rule behind it, in one register.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome(u64);

impl Outcome {
    /// An outcome that rule number `rule` decided; 0 = no rule.
    #[inline(always)]
    pub const fn new(reason: Reason, rule: u32) -> Self {
        Self(reason as u64 | (rule as u64) << 8)
    }

    /// The reason's code.
    #[inline(always)]
    pub const fn code(self) -> u8 {
        self.0 as u8
    }

    /// The deciding rule's number.
    #[inline(always)]
    pub const fn rule(self) -> u32 {
        (self.0 >> 8) as u32
    }

    /// The reason.
    #[inline(always)]
    pub const fn reason(self) -> Reason {
        match Reason::from_code(self.code()) {
            Some(reason) => reason,
            // Outcomes are made from reasons only.
            None => Reason::NoPolicy,
        }
    }

    /// Whether the reason lets the packet pass.
    #[inline(always)]
    pub const fn is_pass(self) -> bool {
        // The drop reasons have the upper codes, see the tests of `Reason`.
        self.code() < 32
    }

    /// The outcome that a function of the programs returned as a number.
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The outcome as a number.
    #[inline(always)]
    pub const fn to_bits(self) -> u64 {
        self.0
    }
}
