//! ICMP errors about flows.

use sg_common::flow::Direction;
use sg_policy::model::Related;

use super::{
    OnTheWay, Oracle, RuleName, flows,
    frames::{self, Place},
    packet::{ICMP, ICMPV6, Ip, Upper},
    rules::{self, Admitted},
};

impl Oracle {
    /// The rule of the flow that an ICMP error is about, if it may pass for its sake.
    pub(super) fn related(&self, error: &OnTheWay<'_>) -> Option<RuleName> {
        let Upper::Icmp {
            protocol,
            kind,
            code,
            quote: Some(quote),
            ..
        } = &error.ip.upper
        else {
            return None;
        };
        if !is_covered(self.host.interface.related, *protocol, *kind, *code) {
            return None;
        }
        // An ICMP error quotes IPv4, an ICMPv6 error IPv6, whatever carries it.
        if quote.packet.source.is_ipv4() != (*protocol == ICMP) {
            return None;
        }
        let available = quote.size().min(error.ip.upper_size() - 8);
        let seen = frames::read_quote(quote, available)?;
        if quote.packet.source != error.ip.destination || seen.place == Place::Later {
            return None;
        }
        let mut quoted: Ip = (*quote.packet).clone();
        if let Upper::Tcp { flags, .. } = &mut quoted.upper {
            *flags = 0;
        }
        let about = OnTheWay {
            direction: opposite(error.direction),
            vlan: error.vlan,
            ip: &quoted,
            seen,
        };
        let flow = flows::id(&about).and_then(|id| self.flows.get(&id));
        if let Some(flow) = flow.filter(|flow| self.is_alive(flow)) {
            return Some(flow.rule.clone());
        }
        if !self.host.has_policy {
            return None;
        }
        match rules::admitted(&self.host, &about)? {
            Admitted::Untracked(rule) | Admitted::UntrackedReply(rule) => Some(rule),
            Admitted::Tracked(_) => None,
        }
    }
}

fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Inbound => Direction::Outbound,
        Direction::Outbound => Direction::Inbound,
    }
}

/// Whether the setting covers an error.
fn is_covered(setting: Related, protocol: u8, kind: u8, code: u8) -> bool {
    let pmtud = matches!((protocol, kind, code), (ICMP, 3, 4) | (ICMPV6, 2, _));
    let errors = matches!((protocol, kind), (ICMP, 3 | 11 | 12) | (ICMPV6, 1..=4));
    let all = matches!((protocol, kind), (ICMP, 4 | 5));
    match setting {
        Related::Off => false,
        Related::Pmtud => pmtud,
        Related::Errors => errors,
        Related::All => errors || all,
    }
}
