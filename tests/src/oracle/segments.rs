//! TCP: how segments move a flow from state to state, and the numbers that they are measured by.

use super::{
    OnTheWay,
    flows::{ACK, FIN, Flow, RST, SYN, State, opens_connection},
    packet::Upper,
};

/// What is known of the sequence numbers of the opener and the other side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    /// What each has acknowledged, or would have to at least.
    acknowledged: [u32; 2],
    /// The end of what each has sent.
    end: [u32; 2],
    /// Picked-up and seeded: who has spoken last.
    heard: Option<usize>,
}

/// A segment, as far as a flow depends on it.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    flags: u8,
    seq: u32,
    ack: u32,
    data: u32,
    /// 0 the opener's, 1 the other side's.
    side: usize,
}

impl Flow {
    pub(super) fn take_segment(&mut self, segment: &Segment) {
        let (side, other) = (segment.side, 1 - segment.side);
        if segment.has(RST) {
            if self.reset_fits(segment) {
                self.state = State::Closing;
                self.data = [false; 2];
            }
            return;
        }
        match self.state {
            State::SynSent => {
                if side == 0 && opens_connection(segment.flags) {
                    self.numbers = segment.syn();
                } else if self.is_answer_to_syn(segment) {
                    self.state = State::SynReceived;
                    self.numbers.answer_to_syn(segment);
                }
            }
            State::SynReceived => self.take_in_handshake(segment),
            State::PickedUp => {
                if self.numbers.heard == Some(other) && self.numbers.agree(segment) {
                    self.numbers.acknowledged[side] = segment.ack;
                    self.numbers.end[side] = segment.end();
                    self.fin[side] = segment.has(FIN);
                    self.settle();
                } else if segment.has(ACK) && !segment.has(SYN) && !segment.has(FIN) {
                    self.numbers = segment.first_heard();
                }
            }
            _ if segment.has(SYN) => {}
            _ => self.take_when_proven(segment),
        }
    }

    fn take_in_handshake(&mut self, segment: &Segment) {
        if segment.has(SYN) {
            if self.is_answer_to_syn(segment) {
                self.numbers.answer_to_syn(segment);
            }
            return;
        }
        let fits = self.numbers.fits(segment.side, segment.seq);
        if segment.side == 1 {
            self.fin[1] |= segment.has(FIN) && fits;
            let acknowledged = self.numbers.acknowledged[1];
            self.numbers.take(segment);
            self.numbers.acknowledged[1] = acknowledged;
        } else if self.numbers.proves(segment) {
            self.fin[0] |= segment.has(FIN) && fits;
            self.numbers.take(segment);
            self.settle();
        }
    }

    fn take_when_proven(&mut self, segment: &Segment) {
        let (side, other) = (segment.side, 1 - segment.side);
        let fin = segment.seq.wrapping_add(segment.data);
        let fits = self.numbers.fits(side, segment.seq) || self.numbers.fits(side, fin);
        if segment.has(FIN) && !fits {
            return;
        }
        self.numbers.take(segment);
        if segment.has(FIN) {
            self.fin[side] = true;
            self.data = [false; 2];
            if self.state != State::Closing {
                self.settle();
            }
        } else if self.is_over() && segment.data != 0 {
            self.data[side] = true;
            if self.data[other] {
                self.fin = [false; 2];
                self.data = [false; 2];
                self.settle();
            }
        }
    }

    /// Both sides have proved themselves: what remains are the FINs.
    fn settle(&mut self) {
        self.state = match self.fin {
            [false, false] => State::Established,
            [true, true] => State::Closing,
            _ => State::HalfClosed,
        };
    }

    fn reset_fits(&self, segment: &Segment) -> bool {
        match self.state {
            State::SynSent if segment.side == 1 => self.numbers.proves(segment),
            _ => self.numbers.fits(segment.side, segment.seq),
        }
    }

    fn is_answer_to_syn(&self, segment: &Segment) -> bool {
        segment.side == 1 && segment.has(SYN) && !segment.has(FIN) && self.numbers.proves(segment)
    }
}

/// Whether a number lies from `first` to so many after it.
fn lies(number: u32, first: u32, span: u64) -> bool {
    u64::from(number.wrapping_sub(first)) <= span
}

/// The segment that a packet is, of this side.
pub(super) fn segment(packet: &OnTheWay<'_>, side: usize) -> Option<Segment> {
    let Upper::Tcp {
        flags,
        seq,
        ack,
        offset,
        ..
    } = packet.ip.upper
    else {
        return None;
    };
    Some(Segment {
        flags,
        seq,
        ack,
        data: packet.ip.upper_size() - 4 * u32::from(offset),
        side,
    })
}

impl Segment {
    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn end(&self) -> u32 {
        let marks = [SYN, FIN]
            .into_iter()
            .filter(|flag| self.has(*flag))
            .count();
        self.seq.wrapping_add(self.data).wrapping_add(marks as u32)
    }

    /// What a SYN of the opener leaves.
    pub(super) fn syn(&self) -> Numbers {
        Numbers {
            acknowledged: [0, self.seq.wrapping_add(1)],
            end: [self.end(), 0],
            heard: None,
        }
    }

    /// What it leaves where nothing else is known.
    pub(super) fn first_heard(&self) -> Numbers {
        let mut numbers = Numbers {
            acknowledged: [self.seq; 2],
            end: [self.ack; 2],
            heard: Some(self.side),
        };
        numbers.acknowledged[self.side] = self.ack;
        numbers.end[self.side] = self.end();
        numbers
    }
}

impl Numbers {
    /// The end of what a side has sent, or what the other one has acknowledged if that tells more.
    fn known_end(&self, side: usize) -> u32 {
        let acknowledged = self.acknowledged[1 - side];
        if lies(self.end[side], acknowledged, 1 << 30) {
            self.end[side]
        } else {
            acknowledged
        }
    }

    fn fits(&self, side: usize, seq: u32) -> bool {
        let first = self.acknowledged[1 - side];
        let sent = self.known_end(side).wrapping_sub(first);
        lies(seq, first, u64::from(sent) + 65_536)
    }

    fn proves(&self, segment: &Segment) -> bool {
        let least = self.acknowledged[segment.side];
        let most = self.end[1 - segment.side];
        segment.has(ACK) && lies(segment.ack, least, most.wrapping_sub(least).into())
    }

    fn agree(&self, segment: &Segment) -> bool {
        let near = |a: u32, b: u32| lies(a, b.wrapping_sub(1 << 24), 1 << 25);
        segment.has(ACK)
            && near(segment.seq, self.end[segment.side])
            && near(segment.ack, self.end[1 - segment.side])
    }

    fn answer_to_syn(&mut self, segment: &Segment) {
        self.acknowledged = [segment.seq.wrapping_add(1), segment.ack];
        self.end[1] = segment.end();
    }

    fn take(&mut self, segment: &Segment) {
        let end = self.known_end(segment.side);
        let goes_on = segment.seq.wrapping_sub(end).cast_signed() <= 65_536
            && segment.end().wrapping_sub(end).cast_signed() > 0;
        self.end[segment.side] = if goes_on { segment.end() } else { end };
        self.acknowledged[segment.side] = segment.ack;
    }
}
