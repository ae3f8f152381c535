//! ICMP messages by what they mean to a filter (RFC 792, RFC 950, RFC 4443).

use crate::proto::{ICMP, ICMPV6};
use crate::settings::{RELATED_ALL, RELATED_ERRORS, RELATED_PMTUD};

/// What an ICMP message is to the flow table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Query {
    /// A question that opens a flow; holds its own type.
    Request(u8),
    /// The answer to a question; holds the type of the question.
    Reply(u8),
    /// Neither.
    None,
}

/// Classifies a message of protocol 1 or 58.
#[inline(always)]
pub const fn query(protocol: u8, icmp_type: u8) -> Query {
    match (protocol, icmp_type) {
        // Echo, timestamp, information, address mask.
        (ICMP, 8 | 13 | 15 | 17) | (ICMPV6, 128) => Query::Request(icmp_type),
        (ICMP, 0) => Query::Reply(8),
        (ICMP, 14 | 16 | 18) | (ICMPV6, 129) => Query::Reply(icmp_type - 1),
        _ => Query::None,
    }
}

/// Whether a message quotes the packet it complains about.
#[inline(always)]
pub const fn is_error(protocol: u8, icmp_type: u8) -> bool {
    matches!(
        (protocol, icmp_type),
        (ICMP, 3 | 4 | 5 | 11 | 12) | (ICMPV6, 1..=4)
    )
}

/// Whether the setting `related` lets an error pass for the sake of the flow it quotes.
#[inline(always)]
pub const fn is_related(related: u8, protocol: u8, icmp_type: u8, icmp_code: u8) -> bool {
    match (protocol, icmp_type, icmp_code) {
        (ICMP, 3, 4) | (ICMPV6, 2, _) => related >= RELATED_PMTUD,
        (ICMP, 3 | 11 | 12, _) | (ICMPV6, 1 | 3 | 4, _) => related >= RELATED_ERRORS,
        (ICMP, 4 | 5, _) => related >= RELATED_ALL,
        _ => false,
    }
}

/// Whether an ICMPv6 type is one of neighbour discovery (RFC 4861: router and neighbour solicitation
/// and advertisement, redirect).
#[inline(always)]
pub const fn is_neighbour_discovery(icmp_type: u8) -> bool {
    matches!(icmp_type, 133..=137)
}

/// Whether an ICMPv6 type is one of multicast listener discovery (RFC 2710, RFC 3810).
#[inline(always)]
pub const fn is_listener_discovery(icmp_type: u8) -> bool {
    matches!(icmp_type, 130..=132 | 143)
}

/// Whether an ICMPv6 type is one that routers alone send: listener query, router advertisement,
/// redirect.
#[inline(always)]
pub const fn is_of_routers(icmp_type: u8) -> bool {
    matches!(icmp_type, 130 | 134 | 137)
}
