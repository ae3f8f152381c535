//! States of flows, and what is known for a flow in each.

/// State of a flow. Its code indexes the timeouts of the interface.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FlowState(pub u8);

impl FlowState {
    /// Slots of a table indexed by state, a power of two so that the kernel can mask an index.
    pub const SLOTS: usize = 16;
    /// No flow: a slot that is free, being written, or whose flow has been deleted.
    pub const NONE: Self = Self(0);
    /// TCP: a SYN was sent, nothing came back.
    pub const TCP_SYN_SENT: Self = Self(1);
    /// TCP: SYN and SYN-ACK were seen.
    pub const TCP_SYN_RECEIVED: Self = Self(2);
    /// TCP: picked up in mid-stream, the other side has not been heard.
    pub const TCP_PICKED_UP: Self = Self(3);
    /// TCP: both sides have been heard after the handshake.
    pub const TCP_ESTABLISHED: Self = Self(4);
    /// TCP: one side has sent FIN.
    pub const TCP_HALF_CLOSED: Self = Self(5);
    /// TCP: both sides have sent FIN, or one RST.
    pub const TCP_CLOSING: Self = Self(6);
    /// UDP: nothing came back.
    pub const UDP_UNANSWERED: Self = Self(7);
    /// UDP: one request, answered.
    pub const UDP_ANSWERED: Self = Self(8);
    /// UDP: a second request, not yet answered.
    pub const UDP_ASKED_AGAIN: Self = Self(9);
    /// UDP: more than one request and response.
    pub const UDP_STREAM: Self = Self(10);
    /// ICMP query.
    pub const ICMP_QUERY: Self = Self(11);
    /// Any other protocol: nothing came back.
    pub const OTHER: Self = Self(12);
    /// Any other protocol, answered.
    pub const OTHER_ANSWERED: Self = Self(13);
    /// TCP: the host knew the connection when the interface was attached, and the two sides have not
    /// been heard to agree.
    pub const TCP_SEEDED: Self = Self(14);
    /// UDP: the host knew an exchange when the interface was attached, no answer has been heard.
    pub const UDP_SEEDED: Self = Self(15);

    /// Every state.
    pub const ALL: [Self; 15] = [
        Self::TCP_SYN_SENT,
        Self::TCP_SYN_RECEIVED,
        Self::TCP_PICKED_UP,
        Self::TCP_ESTABLISHED,
        Self::TCP_HALF_CLOSED,
        Self::TCP_CLOSING,
        Self::UDP_UNANSWERED,
        Self::UDP_ANSWERED,
        Self::UDP_ASKED_AGAIN,
        Self::UDP_STREAM,
        Self::ICMP_QUERY,
        Self::OTHER,
        Self::OTHER_ANSWERED,
        Self::TCP_SEEDED,
        Self::UDP_SEEDED,
    ];

    /// The name in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TCP_SYN_SENT => "syn-sent",
            Self::TCP_SYN_RECEIVED => "syn-received",
            Self::TCP_PICKED_UP => "picked-up",
            Self::TCP_ESTABLISHED => "established",
            Self::TCP_HALF_CLOSED => "half-closed",
            Self::TCP_CLOSING => "closing",
            Self::UDP_UNANSWERED => "unanswered",
            Self::UDP_ANSWERED => "answered",
            Self::UDP_ASKED_AGAIN => "asked-again",
            Self::UDP_STREAM => "stream",
            Self::ICMP_QUERY => "query",
            Self::OTHER => "generic",
            Self::OTHER_ANSWERED => "generic-answered",
            Self::TCP_SEEDED => "seeded",
            Self::UDP_SEEDED => "seeded-stream",
            Self(_) => "unknown",
        }
    }

    /// States of flows that one side alone may have made up: no answer yet, no complete handshake, or
    /// over. Pings are among them: anybody may send them from any address.
    const UNPROVEN: u32 = 1 << Self::TCP_SYN_SENT.0
        | 1 << Self::TCP_SYN_RECEIVED.0
        | 1 << Self::TCP_PICKED_UP.0
        | 1 << Self::TCP_CLOSING.0
        | 1 << Self::UDP_UNANSWERED.0
        | 1 << Self::ICMP_QUERY.0
        | 1 << Self::OTHER.0;

    /// States of flows that were answered, perhaps to a sender who never saw it.
    const ANSWERED: u32 = 1 << Self::UDP_ANSWERED.0
        | 1 << Self::UDP_ASKED_AGAIN.0
        | 1 << Self::OTHER_ANSWERED.0
        | 1 << Self::UDP_SEEDED.0;

    /// What is known for a flow in this state, which decides whether it gives way to new ones.
    #[inline(always)]
    pub const fn evidence(self) -> Evidence {
        let bit = 1 << (self.0 & 31);
        if bit & Self::UNPROVEN != 0 {
            Evidence::Unproven
        } else if bit & Self::ANSWERED != 0 {
            Evidence::Answered
        } else {
            Evidence::Proven
        }
    }
}

/// What is known for a flow: in this order flows give way to new ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Evidence {
    /// One side alone may have made it up.
    Unproven = 0,
    /// The other side has answered.
    Answered = 1,
    /// Both sides have proved that they hear each other, or have spoken twice.
    Proven = 2,
}
