//! Connections, segment by segment, with numbers that wrap.

use super::*;
use crate::flow::Evidence;

const OPENER: bool = false;
const ANSWERER: bool = true;
/// Where both sides begin: what they send next is beyond the last number.
const ISN: [u32; 2] = [u32::MAX, u32::MAX - 1];

/// A connection as its two ends see it: what each has sent and received.
#[derive(Clone)]
struct Ends {
    step: Option<Step>,
    next: [u32; 2],
}

impl Ends {
    fn new() -> Self {
        let (step, next) = (None, ISN);
        Self { step, next }
    }

    /// The segment that a side would send now.
    fn segment(&self, reply: bool, flags: u8, data: u32) -> Segment {
        let side = usize::from(reply);
        Segment {
            flags,
            seq: self.next[side],
            ack: if flags & ACK == 0 {
                0
            } else {
                self.next[1 - side]
            },
            data,
        }
    }

    /// A side sends, and the other one receives it.
    fn send(&mut self, reply: bool, flags: u8, data: u32) -> FlowState {
        let segment = self.segment(reply, flags, data);
        if flags & RST == 0 {
            self.next[usize::from(reply)] = segment.end();
        }
        self.see(reply, &segment)
    }

    /// A segment is seen, whoever sent it.
    fn see(&mut self, reply: bool, segment: &Segment) -> FlowState {
        let step = match self.step {
            None => open(segment).expect("opens a flow"),
            Some(step) => tcp_step(step, segment, reply),
        };
        self.step = Some(step);
        step.state
    }

    fn established() -> Self {
        let mut ends = Self::new();
        assert_eq!(ends.send(OPENER, SYN, 0), FlowState::TCP_SYN_SENT);
        let answered = ends.send(ANSWERER, SYN | ACK, 0);
        assert_eq!(answered, FlowState::TCP_SYN_RECEIVED);
        assert_eq!(ends.send(OPENER, ACK, 0), FlowState::TCP_ESTABLISHED);
        ends
    }

    fn state(&self) -> FlowState {
        self.step.expect("there is a flow").state
    }
}

#[test]
fn a_third_segment_that_guesses_proves_nothing() {
    for wrong in [1, 2, 1000, 1 << 16, 1 << 31, u32::MAX] {
        let mut ends = Ends::new();
        ends.send(OPENER, SYN, 0);
        let syn_ack = ends.segment(ANSWERER, SYN | ACK, 0);
        let forged = Segment {
            ack: syn_ack.ack.wrapping_add(wrong),
            ..syn_ack
        };
        assert_eq!(ends.see(ANSWERER, &forged), FlowState::TCP_SYN_SENT);
        ends.send(ANSWERER, SYN | ACK, 0);
        let right = ends.segment(OPENER, ACK, 0);
        for flags in [ACK, ACK | FIN, 0, FIN] {
            let ack = right.ack.wrapping_add(wrong);
            let guess = Segment {
                flags,
                ack,
                ..right
            };
            assert_eq!(ends.see(OPENER, &guess), FlowState::TCP_SYN_RECEIVED);
        }
        assert_eq!(ends.state().evidence(), Evidence::Unproven);
        assert_eq!(ends.send(OPENER, ACK, 0), FlowState::TCP_ESTABLISHED);
    }
}

#[test]
fn fast_open_is_proved_by_any_acknowledgement_of_what_was_sent() {
    for (request, acknowledged) in [(0, 1), (500, 1), (500, 501)] {
        for (answer, taken) in [(0, 0), (3000, 0), (3000, 1400), (3000, 3000)] {
            let mut ends = Ends::new();
            ends.send(OPENER, SYN, request);
            let syn_ack = Segment {
                ack: ISN[0].wrapping_add(acknowledged),
                ..ends.segment(ANSWERER, SYN | ACK, 0)
            };
            assert_eq!(ends.see(ANSWERER, &syn_ack), FlowState::TCP_SYN_RECEIVED);
            let data = Segment {
                flags: ACK,
                seq: syn_ack.end(),
                data: answer,
                ..syn_ack
            };
            ends.see(ANSWERER, &data);
            let mut third = ends.segment(OPENER, ACK, 0);
            for (beyond, state) in [
                (1, FlowState::TCP_SYN_RECEIVED),
                (0, FlowState::TCP_ESTABLISHED),
            ] {
                let most = if beyond == 1 { answer } else { taken };
                third.ack = syn_ack.end().wrapping_add(most + beyond);
                assert_eq!(
                    ends.see(OPENER, &third),
                    state,
                    "{request} {answer} {taken}"
                );
            }
        }
    }
}

#[test]
fn another_attempt_of_the_opener_begins_anew() {
    let mut ends = Ends::new();
    ends.send(OPENER, SYN, 0);
    ends.next[0] = 77;
    ends.send(OPENER, SYN, 0);
    assert_eq!(
        ends.send(ANSWERER, SYN | ACK, 0),
        FlowState::TCP_SYN_RECEIVED
    );
    // And so may the answer.
    ends.next[1] = 88;
    assert_eq!(
        ends.send(ANSWERER, SYN | ACK, 0),
        FlowState::TCP_SYN_RECEIVED
    );
    assert_eq!(ends.send(OPENER, ACK, 0), FlowState::TCP_ESTABLISHED);
}

#[test]
fn both_may_open_at_once() {
    let mut ends = Ends::new();
    ends.send(OPENER, SYN, 0);
    ends.send(ANSWERER, SYN, 0);
    assert_eq!(ends.state(), FlowState::TCP_SYN_SENT);
    let again = Segment {
        seq: ISN[0],
        ..ends.segment(OPENER, SYN | ACK, 0)
    };
    ends.see(OPENER, &again);
    let again = Segment {
        seq: ISN[1],
        ..ends.segment(ANSWERER, SYN | ACK, 0)
    };
    assert_eq!(ends.see(ANSWERER, &again), FlowState::TCP_SYN_RECEIVED);
    assert_eq!(ends.send(OPENER, ACK, 9), FlowState::TCP_ESTABLISHED);
}

#[test]
fn before_the_handshake_is_complete_a_fin_or_a_blind_reset_changes_nothing() {
    for flags in [FIN, FIN | ACK, RST, RST | ACK] {
        for reply in [OPENER, ANSWERER] {
            let mut ends = Ends::new();
            ends.send(OPENER, SYN, 0);
            let guess = Segment {
                flags,
                seq: 1 << 30,
                ack: 1 << 30,
                data: 0,
            };
            assert_eq!(ends.see(reply, &guess), FlowState::TCP_SYN_SENT);
            ends.send(ANSWERER, SYN | ACK, 0);
            assert_eq!(ends.see(reply, &guess), FlowState::TCP_SYN_RECEIVED);
        }
    }
}

#[test]
fn a_syn_is_refused_by_a_reset_that_acknowledges_it() {
    let mut ends = Ends::new();
    ends.send(OPENER, SYN, 0);
    let refusal = Segment {
        seq: 0,
        ..ends.segment(ANSWERER, RST | ACK, 0)
    };
    assert_eq!(ends.see(ANSWERER, &refusal), FlowState::TCP_CLOSING);
}

#[test]
fn a_reset_counts_from_what_was_acknowledged_to_what_was_sent_and_somewhat_more() {
    for reply in [OPENER, ANSWERER] {
        let mut before = Ends::established();
        // In flight, and not acknowledged.
        before.send(reply, ACK, 5000);
        let next = before.next[usize::from(reply)];
        for (seq, fits) in [
            (next.wrapping_sub(5001), false),
            (next.wrapping_sub(5000), true),
            (next, true),
            (next.wrapping_add(SLACK), true),
            (next.wrapping_add(SLACK + 1), false),
            (next.wrapping_add(1 << 31), false),
        ] {
            let mut ends = before.clone();
            let reset = Segment {
                seq,
                ..ends.segment(reply, RST, 0)
            };
            let state = ends.see(reply, &reset);
            let expected = [FlowState::TCP_ESTABLISHED, FlowState::TCP_CLOSING][usize::from(fits)];
            assert_eq!(state, expected, "{seq}");
        }
    }
}

/// One side's numbers are bounded by what the other side says, which a forger cannot say.
#[test]
fn blind_segments_of_one_side_do_not_make_its_resets_fit() {
    let mut ends = Ends::established();
    let next = ends.next[1];
    for guess in 1..10_000_u32 {
        let far = next.wrapping_add(guess.wrapping_mul(0x0100_0193));
        let flags = [ACK, ACK | FIN, 0, RST][guess as usize % 4];
        let forged = Segment {
            flags,
            seq: far | 1 << 20,
            ack: far,
            data: 1400,
        };
        if forged.seq.wrapping_sub(next) > SLACK && next.wrapping_sub(forged.seq) > 1500 {
            ends.see(ANSWERER, &forged);
        }
    }
    assert_eq!(ends.state(), FlowState::TCP_ESTABLISHED);
    assert_eq!(ends.send(ANSWERER, RST, 0), FlowState::TCP_CLOSING);
}

#[test]
fn numbers_keep_up_over_loss_overtaking_and_four_gigabytes() {
    let mut ends = Ends::established();
    for round in 0..200_000_u32 {
        let segment = ends.segment(OPENER, ACK, 30_000);
        ends.next[0] = segment.end();
        match round % 5 {
            // Lost before it came here, and sent again after the next one.
            0 => {
                let next = ends.send(OPENER, ACK, 30_000);
                assert_eq!(next, FlowState::TCP_ESTABLISHED);
                ends.see(OPENER, &segment);
            }
            _ => drop(ends.see(OPENER, &segment)),
        }
        if round % 3 == 0 {
            ends.send(ANSWERER, ACK, 0);
        }
    }
    assert_eq!(ends.send(OPENER, FIN | ACK, 10), FlowState::TCP_HALF_CLOSED);
    assert_eq!(ends.send(ANSWERER, FIN | ACK, 0), FlowState::TCP_CLOSING);
}

#[test]
fn a_connection_picked_up_is_believed_when_both_sides_agree() {
    let mut ends = Ends::new();
    ends.send(OPENER, ACK, 100);
    for _ in 0..3 {
        assert_eq!(ends.send(OPENER, ACK, 100), FlowState::TCP_PICKED_UP);
    }
    // Who knows nothing of it answers with numbers of its own.
    let stranger = Segment {
        seq: 1 << 30,
        ..ends.segment(ANSWERER, ACK, 0)
    };
    assert_eq!(ends.see(ANSWERER, &stranger), FlowState::TCP_PICKED_UP);
    ends.send(OPENER, ACK, 0);
    assert_eq!(ends.send(ANSWERER, ACK, 9), FlowState::TCP_ESTABLISHED);
    assert_eq!(ends.step.expect("a flow").flags, 0);
}

#[test]
fn a_seeded_connection_is_proved_by_any_two_segments_of_both_sides_that_agree() {
    for first in [OPENER, ANSWERER] {
        let mut ends = Ends::new();
        ends.step = Some(Step {
            state: FlowState::TCP_SEEDED,
            flags: 0,
            numbers: Numbers::NONE,
        });
        assert_eq!(ends.send(!first, RST, 0), FlowState::TCP_SEEDED);
        assert_eq!(ends.send(first, ACK, 100), FlowState::TCP_SEEDED);
        let guess = Segment {
            flags: RST,
            seq: 1 << 30,
            ack: 0,
            data: 0,
        };
        assert_eq!(ends.see(!first, &guess), FlowState::TCP_SEEDED);
        assert_eq!(ends.send(!first, ACK, 0), FlowState::TCP_ESTABLISHED);
        assert_eq!(ends.send(!first, FIN | ACK, 0), FlowState::TCP_HALF_CLOSED);
        assert_eq!(ends.send(first, FIN | ACK, 0), FlowState::TCP_CLOSING);
    }
}

#[test]
fn a_fin_that_does_not_fit_changes_nothing() {
    let mut ends = Ends::established();
    let fin = ends.segment(OPENER, FIN | ACK, 0);
    let forged = Segment {
        seq: fin.seq.wrapping_add(SLACK + 1),
        ..fin
    };
    assert_eq!(ends.see(OPENER, &forged), FlowState::TCP_ESTABLISHED);
    assert_eq!(ends.step.expect("a flow").flags, 0);
    assert_eq!(ends.send(OPENER, FIN | ACK, 0), FlowState::TCP_HALF_CLOSED);
    // The retransmission of what was acknowledged does not, either.
    ends.send(ANSWERER, ACK, 0);
    assert_eq!(ends.see(OPENER, &fin), FlowState::TCP_HALF_CLOSED);
}

#[test]
fn data_of_both_sides_brings_a_connection_back() {
    let mut ends = Ends::established();
    assert_eq!(ends.send(ANSWERER, RST, 0), FlowState::TCP_CLOSING);
    assert_eq!(ends.send(OPENER, ACK, 10), FlowState::TCP_CLOSING);
    assert_eq!(ends.send(OPENER, ACK, 10), FlowState::TCP_CLOSING);
    assert_eq!(ends.send(ANSWERER, ACK, 0), FlowState::TCP_CLOSING);
    assert_eq!(ends.send(ANSWERER, ACK, 10), FlowState::TCP_ESTABLISHED);
}

#[test]
fn a_settled_flow_changes_nothing_but_its_numbers() {
    for state in FlowState::ALL {
        for bits in 0..1_u32 << 15 {
            let (tcp, flags) = (bits as u8, (bits >> 8) as u8 & 0x1f);
            let reply = bits >> 13 & 1 != 0;
            if !is_settled(state, tcp) {
                continue;
            }
            let before = Step {
                state,
                flags,
                numbers: Numbers::NONE,
            };
            let segment = Segment {
                flags: tcp,
                seq: bits,
                ack: bits / 2,
                data: bits >> 14,
            };
            let (after, numbers) = if state == FlowState::TCP_ESTABLISHED {
                let numbers = before.numbers.follow(reply, &segment);
                (tcp_step(before, &segment, reply), numbers)
            } else {
                let state = udp_step(other_step(state, reply), reply);
                (Step { state, ..before }, before.numbers)
            };
            assert_eq!(after, Step { numbers, ..before }, "{tcp:#x}");
        }
    }
    assert!(is_settled(FlowState::TCP_ESTABLISHED, ACK));
    assert!(!is_settled(FlowState::TCP_SYN_RECEIVED, ACK));
}

#[test]
fn what_is_no_segment_of_a_connection_opens_nothing() {
    for flags in [0, RST, RST | ACK, FIN, FIN | ACK, SYN | RST, SYN | FIN] {
        let segment = Segment {
            flags,
            seq: 1,
            ack: 1,
            data: 0,
        };
        assert_eq!(open(&segment), None, "{flags:#x}");
    }
}
