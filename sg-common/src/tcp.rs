//! How packets move a flow from state to state: pure functions of state, flags, numbers and side.
//!
//! TCP follows RFC 9293 only as far as a filter needs it: to know a connection that both ends have
//! proved from one that somebody claims, and to let a finished one go soon. Nothing is refused
//! here: a segment that does not fit passes, for the receiver decides, and changes nothing.
//!
//! A side is judged by what the *other* side has said. Whoever forges one side's segments blindly
//! never learns, nor alters, the numbers that his own are measured by.

mod numbers;

pub use self::numbers::{IN_FLIGHT, Numbers, SLACK, Segment, Side};

use crate::flow::{
    FLOW_DATA_ORIGINAL, FLOW_DATA_REPLY, FLOW_FIN_ORIGINAL, FLOW_FIN_REPLY, FlowState,
};
use crate::proto::tcp_flags::{ACK, FIN, RST, SYN};

/// What is known of a flow after one more packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// The new state.
    pub state: FlowState,
    /// The new `FLOW_…` bits.
    pub flags: u8,
    /// The new numbers.
    pub numbers: Numbers,
}

const BOTH_FINS: u8 = FLOW_FIN_ORIGINAL | FLOW_FIN_REPLY;
const BOTH_DATA: u8 = FLOW_DATA_ORIGINAL | FLOW_DATA_REPLY;

#[inline(always)]
const fn fin_of(reply: bool) -> u8 {
    FLOW_FIN_ORIGINAL << reply as u8
}

#[inline(always)]
const fn data_of(reply: bool) -> u8 {
    FLOW_DATA_ORIGINAL << reply as u8
}

/// Whether a packet with these TCP flags (0 for other protocols) changes nothing about a flow in
/// this state but its numbers, whichever side sends it.
#[inline(always)]
pub const fn is_settled(state: FlowState, tcp: u8) -> bool {
    const SETTLED: u32 = 1 << FlowState::TCP_ESTABLISHED.0
        | 1 << FlowState::UDP_STREAM.0
        | 1 << FlowState::OTHER_ANSWERED.0;
    // One branch, not two.
    let unsettled = !SETTLED >> (state.0 & 31) & 1;
    unsettled | (tcp & (SYN | RST | FIN)) as u32 == 0
}

/// Whether a segment asks for a new connection.
#[inline(always)]
pub const fn is_opening(tcp: u8) -> bool {
    tcp & (SYN | ACK | RST | FIN) == SYN
}

/// Whether a segment refuses one that belongs to no connection its sender knows.
#[inline(always)]
pub const fn is_reset(tcp: u8) -> bool {
    tcp & (SYN | RST | FIN) == RST
}

/// What a segment opens that belongs to no flow, `None` when such a segment opens nothing.
#[inline(always)]
pub const fn open(segment: &Segment) -> Option<Step> {
    if is_opening(segment.flags) {
        return Some(Step {
            state: FlowState::TCP_SYN_SENT,
            flags: 0,
            numbers: Numbers::sent_syn(segment),
        });
    }
    if segment.has(RST | FIN) || !segment.has(ACK) {
        return None;
    }
    Some(Step {
        state: FlowState::TCP_PICKED_UP,
        flags: FLOW_DATA_ORIGINAL,
        numbers: Numbers::heard(false, segment),
    })
}

/// Whether the flow is over but for late segments.
#[inline(always)]
pub const fn is_over(state: FlowState) -> bool {
    matches!(state, FlowState::TCP_HALF_CLOSED | FlowState::TCP_CLOSING)
}

/// Whether a SYN on a flow in `state` belongs to its own handshake; else it is the start of another
/// connection on the same ports, and the rules decide.
#[inline(always)]
pub const fn is_opening_state(state: FlowState) -> bool {
    matches!(state, FlowState::TCP_SYN_SENT | FlowState::TCP_SYN_RECEIVED)
}

/// The next step of a TCP flow; `reply` tells the side that did not open it.
#[inline(always)]
pub const fn tcp_step(before: Step, segment: &Segment, reply: bool) -> Step {
    let Step {
        state,
        flags,
        numbers,
    } = before;
    if segment.has(RST) {
        if !reset_fits(before, segment, reply) {
            return before;
        }
        return Step {
            state: FlowState::TCP_CLOSING,
            flags: flags & !BOTH_DATA,
            numbers,
        };
    }
    match state {
        FlowState::TCP_SYN_SENT => syn_sent(before, segment, reply),
        FlowState::TCP_SYN_RECEIVED => syn_received(before, segment, reply),
        FlowState::TCP_PICKED_UP | FlowState::TCP_SEEDED => unproven(before, segment, reply),
        _ => proven(before, segment, reply),
    }
}

#[inline(always)]
const fn reset_fits(before: Step, segment: &Segment, reply: bool) -> bool {
    let (sender, other) = before.numbers.of(reply);
    match before.state {
        // A SYN is refused by acknowledging it (RFC 9293 §3.10.7.3).
        FlowState::TCP_SYN_SENT if reply => sender.proves(other, segment),
        // Nobody has been heard yet, so nothing is known.
        FlowState::TCP_SEEDED | FlowState::TCP_PICKED_UP if before.flags & BOTH_DATA == 0 => false,
        _ => sender.fits(other, segment.seq),
    }
}

/// Nothing but the answer to the SYN, or another SYN of the opener, moves it.
#[inline(always)]
const fn syn_sent(before: Step, segment: &Segment, reply: bool) -> Step {
    if !reply && is_opening(segment.flags) {
        // Perhaps another attempt, with a number of its own.
        return Step {
            numbers: Numbers::sent_syn(segment),
            ..before
        };
    }
    if reply && answers_syn(before.numbers, segment) {
        return Step {
            state: FlowState::TCP_SYN_RECEIVED,
            numbers: before.numbers.sent_syn_ack(segment),
            ..before
        };
    }
    before
}

#[inline(always)]
const fn answers_syn(numbers: Numbers, segment: &Segment) -> bool {
    segment.flags & (SYN | FIN) == SYN && numbers.answerer.proves(numbers.opener, segment)
}

/// The opener proves itself by acknowledging the other side's SYN.
#[inline(always)]
const fn syn_received(before: Step, segment: &Segment, reply: bool) -> Step {
    let numbers = before.numbers;
    if segment.has(SYN) {
        // Another SYN of the answering side may have another number.
        let again = reply && answers_syn(numbers, segment);
        return Step {
            numbers: if again {
                numbers.sent_syn_ack(segment)
            } else {
                numbers
            },
            ..before
        };
    }
    let (sender, other) = numbers.of(reply);
    let ends = segment.has(FIN) && sender.fits(other, segment.seq);
    let flags = before.flags | if ends { fin_of(reply) } else { 0 };
    if !reply {
        if !sender.proves(other, segment) {
            return before;
        }
        return established(flags, numbers.follow(reply, segment));
    }
    // An answer to data that came with the SYN (RFC 7413); that it was acknowledged is known.
    let answerer = Side {
        ack: sender.ack,
        ..sender.follow(other, segment)
    };
    Step {
        flags,
        numbers: Numbers {
            answerer,
            ..numbers
        },
        ..before
    }
}

/// A connection that was not seen to open is believed when a segment of one side agrees with the
/// latest one of the other.
#[inline(always)]
const fn unproven(before: Step, segment: &Segment, reply: bool) -> Step {
    let Step { flags, numbers, .. } = before;
    let (sender, other) = numbers.of(reply);
    if flags & data_of(!reply) != 0 && sender.agrees(other, segment) {
        let fin = if segment.has(FIN) { fin_of(reply) } else { 0 };
        let sender = Side {
            ack: segment.ack,
            end: segment.end(),
        };
        let numbers = Numbers::from(sender, other, reply);
        return established(flags & !BOTH_DATA | fin, numbers);
    }
    if segment.has(FIN | SYN) || !segment.has(ACK) {
        return before;
    }
    Step {
        flags: flags & !BOTH_DATA | data_of(reply),
        numbers: Numbers::heard(reply, segment),
        ..before
    }
}

/// The state of a flow that both sides have proved, by the FINs that there have been.
#[inline(always)]
const fn established(flags: u8, numbers: Numbers) -> Step {
    Step {
        state: match flags & BOTH_FINS {
            0 => FlowState::TCP_ESTABLISHED,
            BOTH_FINS => FlowState::TCP_CLOSING,
            _ => FlowState::TCP_HALF_CLOSED,
        },
        flags,
        numbers,
    }
}

/// A FIN shortens the life of a proven flow, data from both sides restores it.
#[inline(always)]
const fn proven(before: Step, segment: &Segment, reply: bool) -> Step {
    let Step { state, flags, .. } = before;
    if segment.has(SYN) {
        return before;
    }
    let numbers = before.numbers.follow(reply, segment);
    if segment.has(FIN) {
        let (sender, other) = before.numbers.of(reply);
        let place = segment.seq.wrapping_add(segment.data);
        if !sender.fits(other, segment.seq) && !sender.fits(other, place) {
            return before;
        }
        let ended = established(flags & !BOTH_DATA | fin_of(reply), numbers);
        return Step {
            // After RST a FIN must not lengthen what is left.
            state: match state {
                FlowState::TCP_CLOSING => state,
                _ => ended.state,
            },
            ..ended
        };
    }
    let data = if is_over(state) && segment.data != 0 {
        data_of(reply)
    } else {
        0
    };
    let flags = flags | data;
    if data != 0 && flags & BOTH_DATA == BOTH_DATA {
        return established(flags & !(BOTH_DATA | BOTH_FINS), numbers);
    }
    Step {
        state,
        flags,
        numbers,
    }
}

/// The next state of a UDP flow: a stream begins with the second answer (AWS: more than one
/// request and response).
#[inline(always)]
pub const fn udp_step(state: FlowState, reply: bool) -> FlowState {
    match (state, reply) {
        (FlowState::UDP_UNANSWERED, true) => FlowState::UDP_ANSWERED,
        (FlowState::UDP_ANSWERED, false) => FlowState::UDP_ASKED_AGAIN,
        (FlowState::UDP_ASKED_AGAIN | FlowState::UDP_SEEDED, true) => FlowState::UDP_STREAM,
        (other, _) => other,
    }
}

/// The next state of a flow of a protocol without ports.
#[inline(always)]
pub const fn other_step(state: FlowState, reply: bool) -> FlowState {
    match (state, reply) {
        (FlowState::OTHER, true) => FlowState::OTHER_ANSWERED,
        (other, _) => other,
    }
}

#[cfg(test)]
mod datagrams;
#[cfg(test)]
mod tests;
