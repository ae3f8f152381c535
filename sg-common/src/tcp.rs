//! How packets move a flow from state to state: pure functions of state, flags and side.
//!
//! TCP follows RFC 9293 only as far as a filter needs it: to know a half-open connection from a
//! live one, and to let a finished one go soon. Sequence numbers are not checked, so no segment is
//! ever refused here; a RST or FIN shortens the timeout, and data from both sides restores it, so a
//! forged RST cannot end a flow.

use crate::flow::{
    FLOW_DATA_ORIGINAL, FLOW_DATA_REPLY, FLOW_FIN_ORIGINAL, FLOW_FIN_REPLY, FlowState,
};
use crate::proto::tcp_flags::{ACK, FIN, RST, SYN};

/// State and flag bits of a flow after one more packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// The new state.
    pub state: FlowState,
    /// The new `FLOW_…` bits.
    pub flags: u8,
}

const BOTH_FINS: u8 = FLOW_FIN_ORIGINAL | FLOW_FIN_REPLY;
const BOTH_DATA: u8 = FLOW_DATA_ORIGINAL | FLOW_DATA_REPLY;

/// Whether a packet with these TCP flags (0 for other protocols) changes nothing about a flow in
/// this state, whichever side sends it.
#[inline(always)]
pub const fn is_settled(state: FlowState, tcp: u8) -> bool {
    const SETTLED: u32 =
        1 << FlowState::TCP_ESTABLISHED.0 | 1 << FlowState::UDP_STREAM.0 | 1 << FlowState::OTHER.0;
    // One branch, not two.
    let unsettled = !SETTLED >> (state.0 & 31) & 1;
    unsettled | (tcp & (RST | FIN)) as u32 == 0
}

/// Whether a segment asks for a new connection.
#[inline(always)]
pub const fn is_opening(tcp: u8) -> bool {
    tcp & (SYN | ACK | RST | FIN) == SYN
}

/// The state of a flow opened by a segment with flags `tcp`, `None` when such a segment opens none.
#[inline(always)]
pub const fn opening_state(tcp: u8) -> Option<FlowState> {
    if is_opening(tcp) {
        Some(FlowState::TCP_SYN_SENT)
    } else if tcp & (RST | FIN) != 0 {
        None
    } else {
        Some(FlowState::TCP_PICKED_UP)
    }
}

/// Whether a SYN on a flow in `state` is the start of another connection on the same ports.
#[inline(always)]
pub const fn is_over(state: FlowState) -> bool {
    matches!(state, FlowState::TCP_HALF_CLOSED | FlowState::TCP_CLOSING)
}

/// The next step of a TCP flow.
///
/// `reply` tells the side that did not open the flow; `has_data` tells a segment with payload.
#[inline(always)]
pub const fn tcp_step(state: FlowState, flags: u8, tcp: u8, reply: bool, has_data: bool) -> Step {
    if tcp & RST != 0 {
        return Step {
            state: FlowState::TCP_CLOSING,
            flags: flags & !BOTH_DATA,
        };
    }
    if tcp & FIN != 0 {
        let flags = flags & !BOTH_DATA
            | if reply {
                FLOW_FIN_REPLY
            } else {
                FLOW_FIN_ORIGINAL
            };
        let state = match state {
            _ if flags & BOTH_FINS == BOTH_FINS => FlowState::TCP_CLOSING,
            // Nobody has answered yet: it stays half-open.
            FlowState::TCP_SYN_SENT | FlowState::TCP_PICKED_UP if !reply => state,
            // After RST a FIN must not lengthen what is left.
            FlowState::TCP_CLOSING => state,
            _ => FlowState::TCP_HALF_CLOSED,
        };
        return Step { state, flags };
    }
    if is_over(state) {
        let flags = match (has_data, reply) {
            (false, _) => flags,
            (true, false) => flags | FLOW_DATA_ORIGINAL,
            (true, true) => flags | FLOW_DATA_REPLY,
        };
        if flags & BOTH_DATA == BOTH_DATA {
            return Step {
                state: FlowState::TCP_ESTABLISHED,
                flags: flags & !(BOTH_DATA | BOTH_FINS),
            };
        }
        return Step { state, flags };
    }
    let state = match state {
        FlowState::TCP_SYN_SENT if reply && tcp & SYN != 0 => FlowState::TCP_SYN_RECEIVED,
        FlowState::TCP_SYN_RECEIVED if !reply && tcp & (SYN | ACK) == ACK => {
            FlowState::TCP_ESTABLISHED
        }
        FlowState::TCP_PICKED_UP if reply && flags & FLOW_FIN_ORIGINAL != 0 => {
            FlowState::TCP_HALF_CLOSED
        }
        FlowState::TCP_PICKED_UP if reply => FlowState::TCP_ESTABLISHED,
        other => other,
    };
    Step { state, flags }
}

/// The next state of a UDP flow: a stream begins with the second answer (AWS: more than one
/// request and response).
#[inline(always)]
pub const fn udp_step(state: FlowState, reply: bool) -> FlowState {
    match (state, reply) {
        (FlowState::UDP_UNANSWERED, true) => FlowState::UDP_ANSWERED,
        (FlowState::UDP_ANSWERED, false) => FlowState::UDP_ASKED_AGAIN,
        (FlowState::UDP_ASKED_AGAIN, true) => FlowState::UDP_STREAM,
        (other, _) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGINAL: bool = false;
    const REPLY: bool = true;

    /// Feeds (flags, side, has data) to a flow opened by the first one.
    fn walk(segments: &[(u8, bool, bool)]) -> FlowState {
        let mut step = Step {
            state: opening_state(segments[0].0).expect("opens a flow"),
            flags: 0,
        };
        for &(tcp, reply, has_data) in &segments[1..] {
            step = tcp_step(step.state, step.flags, tcp, reply, has_data);
        }
        step.state
    }

    #[test]
    fn handshake_establishes() {
        let syn = (SYN, ORIGINAL, false);
        let syn_ack = (SYN | ACK, REPLY, false);
        let ack = (ACK, ORIGINAL, false);
        assert_eq!(walk(&[syn]), FlowState::TCP_SYN_SENT);
        assert_eq!(walk(&[syn, syn]), FlowState::TCP_SYN_SENT);
        assert_eq!(walk(&[syn, syn_ack]), FlowState::TCP_SYN_RECEIVED);
        assert_eq!(walk(&[syn, syn_ack, ack]), FlowState::TCP_ESTABLISHED);
    }

    #[test]
    fn nothing_changes_a_flow_by_a_packet_that_leaves_it_settled() {
        for state in FlowState::ALL {
            for bits in 0..1_u32 << 15 {
                let (tcp, flags) = (bits as u8, (bits >> 8) as u8 & 0x1f);
                let (reply, has_data) = (bits >> 13 & 1 != 0, bits >> 14 != 0);
                if !is_settled(state, tcp) {
                    continue;
                }
                let step = match state {
                    FlowState::TCP_ESTABLISHED => tcp_step(state, flags, tcp, reply, has_data),
                    _ => Step {
                        state: udp_step(state, reply),
                        flags,
                    },
                };
                assert_eq!(step, Step { state, flags }, "{tcp:#x}");
                assert!(!is_over(state), "a SYN would be a new connection");
            }
        }
        assert!(is_settled(FlowState::TCP_ESTABLISHED, ACK));
        assert!(!is_settled(FlowState::TCP_SYN_RECEIVED, ACK));
    }

    #[test]
    fn a_flood_of_one_side_stays_half_open() {
        let ack = (ACK, ORIGINAL, true);
        assert_eq!(walk(&[ack, ack, ack]), FlowState::TCP_PICKED_UP);
        assert!(walk(&[ack, ack]).is_evictable());
        assert_eq!(
            walk(&[ack, (ACK, REPLY, false)]),
            FlowState::TCP_ESTABLISHED
        );
        assert_eq!(walk(&[ack, (RST, REPLY, false)]), FlowState::TCP_CLOSING);
    }

    #[test]
    fn the_fin_of_a_side_that_nobody_answers_keeps_its_flow_half_open() {
        let (ack, fin) = ((ACK, ORIGINAL, true), (FIN | ACK, ORIGINAL, false));
        assert_eq!(walk(&[ack, fin, ack]), FlowState::TCP_PICKED_UP);
        assert_eq!(
            walk(&[(SYN, ORIGINAL, false), fin]),
            FlowState::TCP_SYN_SENT
        );
        let rst = (RST, ORIGINAL, false);
        assert_eq!(walk(&[ack, rst, fin]), FlowState::TCP_CLOSING);
        let answer = (ACK, REPLY, false);
        assert_eq!(walk(&[ack, fin, answer]), FlowState::TCP_HALF_CLOSED);
        let last = (FIN | ACK, REPLY, false);
        assert_eq!(walk(&[ack, fin, last]), FlowState::TCP_CLOSING);
    }

    #[test]
    fn a_forged_reset_does_not_end_a_flow_that_both_sides_use() {
        let live = [
            (ACK, ORIGINAL, true),
            (ACK, REPLY, true),
            (RST, REPLY, false),
        ];
        assert_eq!(walk(&live), FlowState::TCP_CLOSING);
        let mut one_side = live.to_vec();
        one_side.extend([
            (ACK, ORIGINAL, true),
            (ACK, ORIGINAL, true),
            (ACK, REPLY, false),
        ]);
        assert_eq!(walk(&one_side), FlowState::TCP_CLOSING);
        one_side.push((ACK, REPLY, true));
        assert_eq!(walk(&one_side), FlowState::TCP_ESTABLISHED);
    }

    #[test]
    fn closing_needs_both_fins_and_bare_acks_do_not_revive_it() {
        let mut close = vec![
            (ACK, ORIGINAL, true),
            (ACK, REPLY, true),
            (FIN | ACK, ORIGINAL, false),
        ];
        assert_eq!(walk(&close), FlowState::TCP_HALF_CLOSED);
        close.extend([
            (FIN | ACK, REPLY, false),
            (ACK, ORIGINAL, false),
            (ACK, REPLY, false),
        ]);
        assert_eq!(walk(&close), FlowState::TCP_CLOSING);
    }

    #[test]
    fn reset_and_fin_open_nothing() {
        for tcp in [RST, RST | ACK, FIN, FIN | ACK, SYN | RST, SYN | FIN] {
            assert_eq!(opening_state(tcp), None, "{tcp:#x}");
        }
        assert_eq!(opening_state(SYN | ACK), Some(FlowState::TCP_PICKED_UP));
    }

    #[test]
    fn udp_becomes_a_stream_with_the_second_answer() {
        let states: Vec<_> = [REPLY, ORIGINAL, REPLY]
            .iter()
            .scan(FlowState::UDP_UNANSWERED, |state, reply| {
                *state = udp_step(*state, *reply);
                Some(*state)
            })
            .collect();
        assert_eq!(
            states,
            [
                FlowState::UDP_ANSWERED,
                FlowState::UDP_ASKED_AGAIN,
                FlowState::UDP_STREAM
            ]
        );
        assert_eq!(
            udp_step(FlowState::UDP_UNANSWERED, ORIGINAL),
            FlowState::UDP_UNANSWERED
        );
    }
}
