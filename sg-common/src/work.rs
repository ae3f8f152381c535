//! What a program has in hand while it judges a packet: the value of `WORK`, one per CPU.

/// 64-bit words of the programs' working memory, enough for a [`Scratch`](crate::pipeline::Scratch).
pub const SCRATCH_WORDS: usize = 48;

/// The packet in hand. No other program runs on this CPU until it is judged, for all hooks run with
/// bottom halves off.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Zone of the interface, below [`MAX_ZONES`](crate::settings::MAX_ZONES): what the gate of the
    /// interface writes before it goes on to the program.
    pub zone: u32,
    /// Explicit padding, zero.
    pub pad: u32,
    /// Working memory, beside the zone because every look-up costs.
    pub scratch: [u64; SCRATCH_WORDS],
}

impl Work {
    /// Nothing but the zone.
    pub const fn of(zone: u32) -> Self {
        Self {
            zone,
            pad: 0,
            scratch: [0; SCRATCH_WORDS],
        }
    }
}
