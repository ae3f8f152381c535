//! Flows: what names them, and how packets change them.

use std::{net::IpAddr, time::Duration};

use sg_common::flow::Direction;
use sg_policy::model::Timeouts;

use super::{
    OnTheWay, RuleName,
    packet::{ICMP, ICMPV6, Upper},
    segments::{Numbers, segment},
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
    pub(super) fin: [bool; 2],
    /// Whether they have sent data since the latest FIN or RST, on a connection that is over.
    pub(super) data: [bool; 2],
    /// The sequence numbers of a TCP flow.
    pub(super) numbers: Numbers,
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

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const ACK: u8 = 16;

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
            _ if answers && self.state == State::Other => self.state = State::OtherAnswered,
            _ => {}
        }
        self.seen = now;
        self.packets[side] += 1;
        self.bytes[side] += bytes;
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
