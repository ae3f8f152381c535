//! A packet as the protected side sees it: its two ends, the flow that it belongs to, what to ask the
//! policy about it.

use crate::ends::{Ends, Ports};
use crate::flow::{Direction, FlowKey};
use crate::icmp::{self, Query};
use crate::parse::Parsed;
use crate::policy::{NO_REPLY, Question};
use crate::proto::{ICMP, ICMPV6, TCP, UDP, is_extension};
use crate::service;
use crate::tcp;

impl Ends {
    /// The ends of a packet that goes in `direction`.
    #[inline(always)]
    pub const fn of(parsed: &Parsed, direction: Direction) -> Self {
        match direction {
            Direction::Inbound => Self {
                local: parsed.dst,
                remote: parsed.src,
                ports: parsed.ports,
            },
            Direction::Outbound => Self {
                local: parsed.src,
                remote: parsed.dst,
                ports: parsed.ports.swapped(),
            },
        }
    }
}

/// The flow that a packet would belong to.
#[inline(always)]
pub fn flow_key(zone: u32, parsed: &Parsed, direction: Direction) -> FlowKey {
    let mut ends = Ends::of(parsed, direction);
    // Else there are ports, or both are 0.
    if let ICMP | ICMPV6 = parsed.protocol {
        ends.ports = match icmp::query(parsed.protocol, parsed.icmp_type) {
            // The opener is part of the key: both sides may use one identifier, and a request
            // must never pass as an answer.
            Query::Request(kind) => {
                Ports::new(u16::from(kind) | opener_bit(direction), parsed.icmp_id)
            }
            Query::Reply(kind) => {
                let opener = opener_bit(direction.reverse());
                Ports::new(u16::from(kind) | opener, parsed.icmp_id)
            }
            // No flow has this key.
            Query::None => Ports::new(u16::MAX, 0),
        };
    }
    FlowKey::new(zone, parsed.vlan, parsed.protocol, ends)
}

#[inline(always)]
const fn opener_bit(opened: Direction) -> u16 {
    (opened as u16) << 8
}

/// What a later fragment is about, for all that is known of it.
#[inline(always)]
pub const fn service_of_later(fragment: &Parsed) -> u32 {
    if is_extension(fragment.protocol) && !fragment.src.is_ipv4() {
        service::UNKNOWN
    } else {
        service::key_without_ports(fragment.protocol)
    }
}

/// What to ask the policy about the segment that a reset answers: it went the other way.
#[inline(always)]
pub fn question_of_reset(zone: u32, reset: &Parsed, direction: Direction) -> Question {
    Question {
        remote: Ends::of(reset, direction).remote,
        zone,
        direction: direction.reverse() as u32,
        service: service::key(TCP, reset.ports.upper()),
        reply_service: NO_REPLY,
    }
}

/// What to ask the policy about a packet.
#[inline(always)]
pub fn question(zone: u32, parsed: &Parsed, direction: Direction) -> Question {
    let (service, reply_service) = match parsed.protocol {
        ICMP | ICMPV6 => (
            service::icmp_key(parsed.protocol, parsed.icmp_type, parsed.icmp_code),
            NO_REPLY,
        ),
        TCP if tcp::is_opening(parsed.tcp_flags) => {
            (service::key(TCP, parsed.ports.lower()), NO_REPLY)
        }
        TCP | UDP => (
            service::key(parsed.protocol, parsed.ports.lower()),
            service::key(parsed.protocol, parsed.ports.upper()),
        ),
        protocol => (service::key(protocol, 0), NO_REPLY),
    };
    Question {
        remote: Ends::of(parsed, direction).remote,
        zone,
        direction: direction as u32,
        service,
        reply_service,
    }
}
