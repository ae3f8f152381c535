//! A packet as the protected side sees it: its two ends, the flow that it belongs to, what to ask the
//! policy about it.

use crate::addr::Addr;
use crate::flow::{Direction, FlowKey};
use crate::icmp::{self, Query};
use crate::parse::Parsed;
use crate::policy::{NO_REPLY, Question};
use crate::proto::{ICMP, ICMPV6, TCP, UDP};
use crate::service;
use crate::tcp;

/// The two ends of a packet as the protected side sees them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ends {
    /// Address of the protected side.
    pub local: Addr,
    /// Address of the other side.
    pub remote: Addr,
    /// Port of the protected side.
    pub local_port: u16,
    /// Port of the other side.
    pub remote_port: u16,
}

impl Ends {
    /// The ends of a packet that goes in `direction`.
    #[inline(always)]
    pub const fn of(parsed: &Parsed, direction: Direction) -> Self {
        match direction {
            Direction::Inbound => Self {
                local: parsed.dst,
                remote: parsed.src,
                local_port: parsed.dst_port,
                remote_port: parsed.src_port,
            },
            Direction::Outbound => Self {
                local: parsed.src,
                remote: parsed.dst,
                local_port: parsed.src_port,
                remote_port: parsed.dst_port,
            },
        }
    }
}

/// The flow that a packet would belong to.
#[inline(always)]
pub fn flow_key(zone: u32, parsed: &Parsed, direction: Direction) -> FlowKey {
    let ends = Ends::of(parsed, direction);
    let (local_port, remote_port) = match parsed.protocol {
        ICMP | ICMPV6 => match icmp::query(parsed.protocol, parsed.icmp_type) {
            // The opener is part of the key: both sides may use one identifier, and a request
            // must never pass as an answer.
            Query::Request(kind) => (parsed.icmp_id, u16::from(kind) | opener_bit(direction)),
            Query::Reply(kind) => (
                parsed.icmp_id,
                u16::from(kind) | opener_bit(direction.reverse()),
            ),
            // No flow has this key.
            Query::None => (0, u16::MAX),
        },
        // Both 0 where there are none.
        _ => (ends.local_port, ends.remote_port),
    };
    FlowKey {
        local: ends.local,
        remote: ends.remote,
        local_port,
        remote_port,
        zone: zone as u16,
        vlan: parsed.vlan,
        protocol: parsed.protocol,
        pad: 0,
        more_pad: 0,
    }
}

#[inline(always)]
const fn opener_bit(opened: Direction) -> u16 {
    (opened as u16) << 8
}

/// What to ask the policy about a packet.
#[inline(always)]
pub fn question(zone: u32, parsed: &Parsed, direction: Direction) -> Question {
    let (service, reply_service) = match parsed.protocol {
        ICMP | ICMPV6 => (
            service::icmp_key(parsed.protocol, parsed.icmp_type, parsed.icmp_code),
            NO_REPLY,
        ),
        TCP if tcp::is_opening(parsed.tcp_flags) => (service::key(TCP, parsed.dst_port), NO_REPLY),
        TCP | UDP => (
            service::key(parsed.protocol, parsed.dst_port),
            service::key(parsed.protocol, parsed.src_port),
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
