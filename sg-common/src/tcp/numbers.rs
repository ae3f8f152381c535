//! Sequence numbers: what a segment says, and what is kept of both sides.

use crate::proto::tcp_flags::{ACK, FIN, SYN};

/// Bytes beyond what a side was seen to send in which its next segment may begin: so much may have
/// been lost, or overtaken, before it came here. A blind guess fits once in 65 536 times.
pub const SLACK: u32 = 1 << 16;

/// How far the numbers of the first segments of a connection that was not seen to open may lie apart:
/// what may be in flight, 16 MiB.
pub const IN_FLIGHT: u32 = 1 << 24;

/// The largest window (RFC 7323 §2.3).
const MAX_WINDOW: u32 = 1 << 30;

/// What a segment says, as far as a flow depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Flags, byte 13 of the header.
    pub flags: u8,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number; of no meaning without ACK.
    pub ack: u32,
    /// Bytes of data.
    pub data: u32,
}

impl Segment {
    pub(super) const fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    /// The sequence number after the last one that it takes; SYN and FIN take one each.
    #[inline(always)]
    pub const fn end(&self) -> u32 {
        let marks = (self.flags & SYN != 0) as u32 + (self.flags & FIN != 0) as u32;
        self.seq.wrapping_add(self.data).wrapping_add(marks)
    }
}

/// The sequence numbers of one side of a flow: 8 bytes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Side {
    /// Its latest acknowledgement; before it has sent one, the least that would do.
    pub ack: u32,
    /// The end of what it has sent, as far as it hangs together.
    pub end: u32,
}

/// The sequence numbers of a flow: 16 bytes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Numbers {
    /// Those of the opener.
    pub opener: Side,
    /// Those of the answering side.
    pub answerer: Side,
}

impl Side {
    const NONE: Self = Self { ack: 0, end: 0 };

    /// What the side may be about to send: from what the `other` one has acknowledged to the end of
    /// what it was seen to send.
    #[inline(always)]
    const fn due(self, other: Self) -> (u32, u32) {
        // Beyond any window it is of long ago, or was never known.
        let ahead = self.end.wrapping_sub(other.ack) <= MAX_WINDOW;
        (other.ack, if ahead { self.end } else { other.ack })
    }

    /// Whether a mark (RST or FIN) of the side lies where the other one could accept it (RFC 5961
    /// §3).
    #[inline(always)]
    pub(super) const fn fits(self, other: Self, seq: u32) -> bool {
        let (low, high) = self.due(other);
        seq.wrapping_sub(low) <= high.wrapping_sub(low).wrapping_add(SLACK)
    }

    /// The side after one more segment: one that does not continue it leaves its end as it is.
    #[must_use]
    #[inline(always)]
    pub const fn follow(self, other: Self, segment: &Segment) -> Self {
        let (_, high) = self.due(other);
        let gap = segment.seq.wrapping_sub(high).cast_signed();
        let gain = segment.end().wrapping_sub(high).cast_signed();
        Self {
            ack: segment.ack,
            end: if gain > 0 && gap <= SLACK.cast_signed() {
                segment.end()
            } else {
                high
            },
        }
    }

    /// Whether the side acknowledges something that the other one has sent, and not more.
    #[inline(always)]
    pub(super) const fn proves(self, other: Self, segment: &Segment) -> bool {
        segment.has(ACK) && segment.ack.wrapping_sub(self.ack) <= other.end.wrapping_sub(self.ack)
    }

    /// Whether a segment of the side and what the other one said last are of one connection.
    #[inline(always)]
    pub(super) const fn agrees(self, other: Self, segment: &Segment) -> bool {
        segment.has(ACK) && near(segment.seq, self.end) && near(segment.ack, other.end)
    }
}

#[inline(always)]
const fn near(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).wrapping_add(IN_FLIGHT) <= 2 * IN_FLIGHT
}

impl Numbers {
    /// Of a flow of which no segment has been seen, or that is not TCP.
    pub const NONE: Self = Self {
        opener: Side::NONE,
        answerer: Side::NONE,
    };

    /// The side that sends a segment, and the other one.
    #[inline(always)]
    pub(super) const fn of(self, reply: bool) -> (Side, Side) {
        if reply {
            (self.answerer, self.opener)
        } else {
            (self.opener, self.answerer)
        }
    }

    /// The side that sends a segment, and the other one.
    #[inline(always)]
    pub(super) const fn from(sender: Side, other: Side, reply: bool) -> Self {
        let (opener, answerer) = if reply {
            (other, sender)
        } else {
            (sender, other)
        };
        Self { opener, answerer }
    }

    /// The numbers after one more segment.
    #[must_use]
    #[inline(always)]
    pub const fn follow(self, reply: bool, segment: &Segment) -> Self {
        let (sender, other) = self.of(reply);
        Self::from(sender.follow(other, segment), other, reply)
    }

    /// The numbers when nothing is known but this segment.
    #[inline(always)]
    pub(super) const fn heard(reply: bool, segment: &Segment) -> Self {
        let sender = Side {
            ack: segment.ack,
            end: segment.end(),
        };
        let other = Side {
            ack: segment.seq,
            end: segment.ack,
        };
        Self::from(sender, other, reply)
    }

    /// The numbers after a SYN, of which the answer must acknowledge at least itself.
    #[inline(always)]
    pub(super) const fn sent_syn(segment: &Segment) -> Self {
        Self {
            opener: Side {
                ack: 0,
                end: segment.end(),
            },
            answerer: Side {
                ack: segment.seq.wrapping_add(1),
                end: 0,
            },
        }
    }

    /// The numbers after an answer to it, which the opener must acknowledge in turn.
    #[inline(always)]
    pub(super) const fn sent_syn_ack(self, segment: &Segment) -> Self {
        Self {
            opener: Side {
                ack: segment.seq.wrapping_add(1),
                end: self.opener.end,
            },
            answerer: Side {
                ack: segment.ack,
                end: segment.end(),
            },
        }
    }
}
