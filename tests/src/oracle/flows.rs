//! Flows: what names them, and how packets change them.

use std::{net::IpAddr, time::Duration};

use sg_common::flow::Direction;
use sg_ctl::model::Timeouts;

use super::{
    OnTheWay, RuleName,
    packet::{ICMP, ICMPV6, Upper},
};

/// What names a flow.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FlowId {
    /// Outer and inner VLAN id.
    pub vlan: [u16; 2],
    /// Address of the protected side.
    pub local: IpAddr,
    /// Address of the other side.
    pub remote: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// What else names flows of that protocol.
    pub detail: Detail,
}

/// What names a flow besides addresses and protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Detail {
    /// Local and remote port.
    Ports(u16, u16),
    /// Who asked, the identifier, and the type of the request.
    Query(Direction, u16, u8),
    /// Nothing.
    Nothing,
}

/// What is known of a flow.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The direction of its first packet.
    pub opened: Direction,
    /// Its state.
    pub state: State,
    /// The rule that admitted it.
    pub rule: RuleName,
    /// When its latest packet was seen.
    pub seen: Duration,
    /// Packets of the opener and of the other side.
    pub packets: [u64; 2],
    /// Bytes of the opener and of the other side.
    pub bytes: [u64; 2],
    /// Whether the opener and the other side have sent FIN.
    fin: [bool; 2],
    /// Whether they have sent data since the latest FIN or RST, on a connection that is over.
    data: [bool; 2],
    /// The sequence numbers of a TCP flow.
    numbers: Numbers,
}

/// What is known of the sequence numbers of the opener and the other side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Numbers {
    /// What each has acknowledged, or would have to at least.
    acknowledged: [u32; 2],
    /// The end of what each has sent.
    end: [u32; 2],
    /// Picked-up and seeded: who has spoken last.
    heard: Option<usize>,
}

/// A segment, as far as a flow depends on it.
#[derive(Clone, Copy)]
struct Segment {
    flags: u8,
    seq: u32,
    ack: u32,
    data: u32,
    /// 0 the opener's, 1 the other side's.
    side: usize,
}

/// States, as `docs/semantics.md` tells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// TCP: opened by SYN, not answered.
    SynSent,
    /// TCP: the other side has sent SYN too.
    SynReceived,
    /// TCP: opened by another segment, not answered.
    PickedUp,
    /// TCP: both sides have spoken.
    Established,
    /// TCP: one side has sent FIN.
    HalfClosed,
    /// TCP: both sides have sent FIN, or one RST.
    Closing,
    /// UDP: not answered.
    Unanswered,
    /// UDP: answered once.
    Answered,
    /// UDP: the opener has spoken again.
    AskedAgain,
    /// UDP: answered again.
    Stream,
    /// An ICMP query.
    Query,
    /// Another protocol, not answered.
    Other,
    /// Another protocol, answered.
    OtherAnswered,
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Whether a segment with these flags opens a connection.
pub(super) fn opens_connection(flags: u8) -> bool {
    flags & SYN != 0 && flags & (ACK | RST | FIN) == 0
}

/// The state of the flow that a packet would open, if it would open one.
pub(super) fn first_state(packet: &OnTheWay<'_>, picks_up: bool) -> Option<State> {
    match packet.ip.upper {
        Upper::Tcp { flags, .. } if opens_connection(flags) => Some(State::SynSent),
        Upper::Tcp { flags, .. } => {
            (picks_up && flags & (RST | FIN | ACK) == ACK).then_some(State::PickedUp)
        }
        Upper::Udp { .. } => Some(State::Unanswered),
        Upper::Icmp { protocol, kind, .. } => is_request(protocol, kind).then_some(State::Query),
        Upper::Igmp { .. } | Upper::Other(_) => Some(State::Other),
    }
}

fn is_request(protocol: u8, kind: u8) -> bool {
    match protocol {
        ICMP => [8, 13, 15, 17].contains(&kind),
        _ => kind == 128,
    }
}

/// The request that a message answers.
fn answered_request(protocol: u8, kind: u8) -> Option<u8> {
    match (protocol, kind) {
        (ICMP, 0) => Some(8),
        (ICMP, 14) => Some(13),
        (ICMP, 16) => Some(15),
        (ICMP, 18) => Some(17),
        (ICMPV6, 129) => Some(128),
        _ => None,
    }
}

/// The flow that a packet belongs to, if packets of its kind belong to one.
pub(super) fn id(packet: &OnTheWay<'_>) -> Option<FlowId> {
    let detail = match packet.ip.upper {
        Upper::Tcp { .. } | Upper::Udp { .. } => {
            let (local, remote) = packet.ports()?;
            Detail::Ports(local, remote)
        }
        Upper::Icmp {
            protocol, kind, id, ..
        } => {
            if is_request(protocol, kind) {
                Detail::Query(packet.direction, id, kind)
            } else {
                let request = answered_request(protocol, kind)?;
                Detail::Query(packet.direction.reverse(), id, request)
            }
        }
        Upper::Igmp { .. } | Upper::Other(_) => Detail::Nothing,
    };
    Some(FlowId {
        vlan: packet.vlan,
        local: packet.local(),
        remote: packet.remote(),
        protocol: packet.seen.protocol,
        detail,
    })
}

impl OnTheWay<'_> {
    /// Local and remote port.
    pub(super) fn ports(&self) -> Option<(u16, u16)> {
        let (Upper::Tcp {
            source,
            destination,
            ..
        }
        | Upper::Udp {
            source,
            destination,
            ..
        }) = self.ip.upper
        else {
            return None;
        };
        Some(match self.direction {
            Direction::Inbound => (destination, source),
            Direction::Outbound => (source, destination),
        })
    }
}

impl Flow {
    pub(super) fn open(
        packet: &OnTheWay<'_>,
        state: State,
        rule: RuleName,
        now: Duration,
        bytes: u64,
    ) -> Self {
        let opened = packet.direction;
        let numbers = match segment(packet, 0) {
            Some(segment) if state == State::SynSent => segment.syn(),
            Some(segment) => segment.first_heard(),
            None => Numbers::default(),
        };
        Self {
            opened,
            state,
            rule,
            seen: now,
            packets: [1, 0],
            bytes: [bytes, 0],
            fin: [false; 2],
            data: [false; 2],
            numbers,
        }
    }

    /// Whether the flow is over but for late segments.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::HalfClosed | State::Closing)
    }

    /// Whether a segment that opens a connection is part of the flow's own handshake.
    pub(super) fn is_in_handshake(&self) -> bool {
        matches!(self.state, State::SynSent | State::SynReceived)
    }

    /// Whether a new flow takes its place when there is no other: one side alone may have made it up,
    /// or the other has answered, perhaps to somebody who never saw it.
    pub(super) fn may_be_replaced(&self) -> bool {
        !matches!(
            self.state,
            State::Established | State::HalfClosed | State::Stream
        )
    }

    pub(super) fn timeout(&self, timeouts: &Timeouts) -> Duration {
        let seconds = match self.state {
            State::SynSent | State::SynReceived | State::PickedUp => timeouts.tcp_half_open,
            State::Established => timeouts.tcp_established,
            State::HalfClosed => timeouts.tcp_half_closed,
            State::Closing => timeouts.tcp_closing,
            State::Unanswered | State::Answered | State::AskedAgain => timeouts.udp,
            State::Stream => timeouts.udp_stream,
            State::Query => timeouts.icmp,
            State::Other | State::OtherAnswered => timeouts.other,
        };
        Duration::from_secs(seconds.into())
    }

    /// Takes one more packet of the flow.
    pub(super) fn take(&mut self, packet: &OnTheWay<'_>, now: Duration, bytes: u64) {
        let answers = packet.direction != self.opened;
        let side = usize::from(answers);
        match packet.ip.upper {
            Upper::Tcp { .. } => {
                let segment = segment(packet, side).expect("it is one");
                self.take_segment(&segment);
            }
            Upper::Udp { .. } => {
                self.state = match (self.state, answers) {
                    (State::Unanswered, true) => State::Answered,
                    (State::Answered, false) => State::AskedAgain,
                    (State::AskedAgain, true) => State::Stream,
                    (state, _) => state,
                }
            }
            Upper::Other(_) if answers => self.state = State::OtherAnswered,
            _ => {}
        }
        self.seen = now;
        self.packets[side] += 1;
        self.bytes[side] += bytes;
    }

    fn take_segment(&mut self, segment: &Segment) {
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
fn segment(packet: &OnTheWay<'_>, side: usize) -> Option<Segment> {
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
    fn syn(&self) -> Numbers {
        Numbers {
            acknowledged: [0, self.seq.wrapping_add(1)],
            end: [self.end(), 0],
            heard: None,
        }
    }

    /// What it leaves where nothing else is known.
    fn first_heard(&self) -> Numbers {
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
        let goes_on = (segment.seq.wrapping_sub(end) as i32) <= 65_536
            && (segment.end().wrapping_sub(end) as i32) > 0;
        self.end[segment.side] = if goes_on { segment.end() } else { end };
        self.acknowledged[segment.side] = segment.ack;
    }
}

impl State {
    /// Its name in `docs/semantics.md`.
    pub fn name(self) -> &'static str {
        match self {
            Self::SynSent => "syn-sent",
            Self::SynReceived => "syn-received",
            Self::PickedUp => "picked-up",
            Self::Established => "established",
            Self::HalfClosed => "half-closed",
            Self::Closing => "closing",
            Self::Unanswered => "unanswered",
            Self::Answered => "answered",
            Self::AskedAgain => "asked-again",
            Self::Stream => "stream",
            Self::Query => "query",
            Self::Other => "generic",
            Self::OtherAnswered => "generic-answered",
        }
    }
}
