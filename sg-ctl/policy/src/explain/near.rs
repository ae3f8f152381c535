//! Rules that do not admit a packet, and what keeps each from it.

use std::cmp::Reverse;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use sg_common::proto::{ICMP, ICMPV6, TCP, UDP};

use super::Probe;
use crate::compile::{ZonePolicy, each_range};
use crate::model::{Direction, Family, IcmpMessage, Model, Peer, Rule, SecurityGroup, Service};

/// What a rule asks of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The protocol.
    Protocol,
    /// The destination port.
    Port,
    /// The type and code of an ICMP message.
    Message,
    /// The other side: source of inbound, destination of outbound packets.
    Peer,
}

/// A rule that does not admit the packet.
#[derive(Clone, Debug)]
pub struct NearMiss<'m> {
    /// The rule's group.
    pub group: &'m SecurityGroup,
    /// The rule.
    pub rule: &'m Rule,
    /// What fits.
    pub fits: Vec<Part>,
    /// What does not fit, and why: never empty.
    pub misses: Vec<(Part, String)>,
    direction: Direction,
}

impl NearMiss<'_> {
    fn word(&self, part: &Part) -> &'static str {
        match (part, self.direction) {
            (Part::Protocol, _) => "protocol",
            (Part::Port, _) => "port",
            (Part::Message, _) => "type and code",
            (Part::Peer, Direction::Inbound) => "source",
            (Part::Peer, Direction::Outbound) => "destination",
        }
    }
}

impl fmt::Display for NearMiss<'_> {
    /// Writes `port matches, source does not: 203.0.113.7 is not in 10.0.0.0/8`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |parts: &[&Part]| {
            let words: Vec<_> = parts.iter().map(|part| self.word(part)).collect();
            words.join(" and ")
        };
        // That the protocol fits goes without saying where more does.
        let fits: Vec<_> = self.fits.iter().filter(|p| **p != Part::Protocol).collect();
        if fits.is_empty() {
            let misses: Vec<_> = self.misses.iter().map(|(part, _)| part).collect();
            let verb = if misses.len() == 1 { "does" } else { "do" };
            write!(f, "{} {verb} not match", words(&misses))?;
        } else {
            let (miss, _) = &self.misses[0];
            write!(f, "{} matches, {} does not", words(&fits), self.word(miss))?;
        }
        let why: Vec<_> = self.misses.iter().map(|(_, why)| why.as_str()).collect();
        write!(f, ": {}", why.join("; "))
    }
}

/// The rules of `groups` that come nearest to admitting the packet, nearest first, and of equal ones
/// the first.
pub(super) fn nearest<'m>(
    model: &'m Model,
    zones: &[ZonePolicy],
    groups: impl IntoIterator<Item = &'m SecurityGroup>,
    probe: &Probe,
) -> Vec<NearMiss<'m>> {
    let mut misses: Vec<_> = groups
        .into_iter()
        .flat_map(|group| {
            let rules = group.rules(probe.direction).iter();
            rules.filter_map(move |rule| miss(model, zones, group, rule, probe))
        })
        .collect();
    // A wrong source is nearer than a wrong port, and that than a wrong protocol.
    let distance = |miss: &NearMiss<'_>| {
        let weigh = |part: &Part| match part {
            Part::Peer => 1,
            Part::Port | Part::Message => 2,
            Part::Protocol => 4,
        };
        let missing: u32 = miss.misses.iter().map(|(part, _)| weigh(part)).sum();
        (
            missing,
            Reverse(shared_prefix(&miss.rule.peer, probe.remote)),
        )
    };
    misses.sort_by_key(distance);
    misses
}

/// Bits in which an address range and an address begin alike; ranges are nearer the more there are.
fn shared_prefix(peer: &Peer, remote: IpAddr) -> u32 {
    let shared = match (peer, remote) {
        (Peer::Cidr(IpNet::V4(net)), IpAddr::V4(remote)) => {
            (net.network().to_bits() ^ remote.to_bits()).leading_zeros()
        }
        (Peer::Cidr(IpNet::V6(net)), IpAddr::V6(remote)) => {
            (net.network().to_bits() ^ remote.to_bits()).leading_zeros()
        }
        _ => 0,
    };
    match peer {
        Peer::Cidr(net) => shared.min(u32::from(net.prefix_len())),
        _ => 0,
    }
}

/// What keeps a rule from admitting the packet; `None` if nothing does.
fn miss<'m>(
    model: &Model,
    zones: &[ZonePolicy],
    group: &'m SecurityGroup,
    rule: &'m Rule,
    probe: &Probe,
) -> Option<NearMiss<'m>> {
    let (mut fits, mut misses) = (Vec::new(), Vec::new());
    match service(rule.service, probe) {
        Ok(parts) => fits.extend(parts),
        Err((fitting, part, why)) => {
            fits.extend(fitting);
            misses.push((part, why));
        }
    }
    match peer(model, zones, &rule.peer, probe.remote) {
        None => fits.push(Part::Peer),
        Some(why) => misses.push((Part::Peer, why)),
    }
    (!misses.is_empty()).then_some(NearMiss {
        group,
        rule,
        fits,
        misses,
        direction: probe.direction,
    })
}

type ServiceMiss = (Vec<Part>, Part, String);

/// The parts of the service that fit, or what fits, what does not, and why.
fn service(service: Service, probe: &Probe) -> Result<Vec<Part>, ServiceMiss> {
    let wrong_protocol = || {
        let why = format!(
            "the rule is for {}, not {}",
            service.protocol_text(),
            protocol(probe.protocol)
        );
        Err((Vec::new(), Part::Protocol, why))
    };
    match service {
        Service::All => Ok(vec![Part::Protocol]),
        Service::Protocol(number) if number == probe.protocol => Ok(vec![Part::Protocol]),
        Service::Ports { protocol, from, to } if protocol.number() == probe.protocol => {
            let port = probe.destination_port();
            if (from..=to).contains(&port) {
                return Ok(vec![Part::Protocol, Part::Port]);
            }
            let why = if from == to {
                format!("{port} is not {from}")
            } else {
                format!("{port} is not in {from}-{to}")
            };
            Err((vec![Part::Protocol], Part::Port, why))
        }
        Service::Icmp { protocol, message } if protocol.number() == probe.protocol => {
            let [kind, code] = probe.message;
            let fits = match message {
                IcmpMessage::Any => true,
                IcmpMessage::Type(wanted) => wanted == kind,
                IcmpMessage::TypeAndCode(wanted, code_wanted) => {
                    (wanted, code_wanted) == (kind, code)
                }
            };
            if fits {
                return Ok(vec![Part::Protocol, Part::Message]);
            }
            let why = format!("{kind}/{code} is not {}", service.ports_text());
            Err((vec![Part::Protocol], Part::Message, why))
        }
        Service::Protocol(_) | Service::Ports { .. } | Service::Icmp { .. } => wrong_protocol(),
    }
}

/// The protocol as rule files write it.
fn protocol(number: u8) -> String {
    match number {
        TCP => "tcp".to_owned(),
        UDP => "udp".to_owned(),
        ICMP => "icmp".to_owned(),
        ICMPV6 => "icmpv6".to_owned(),
        other => format!("protocol {other}"),
    }
}

/// Why an address is not of a peer; `None` if it is.
fn peer(model: &Model, zones: &[ZonePolicy], peer: &Peer, remote: IpAddr) -> Option<String> {
    let mut ranges = Vec::new();
    each_range(model, zones, peer, |range| ranges.push(range));
    if ranges.iter().any(|range| range.contains(&remote)) {
        return None;
    }
    let family = Family::of(&IpNet::from(remote));
    let of_family = ranges.iter().filter(|range| Family::of(range) == family);
    let count = of_family.count();
    Some(match peer {
        Peer::Cidr(net) if Family::of(net) != family => {
            format!("{remote} is {family}, and {net} says nothing about {family}")
        }
        Peer::Cidr(net) => format!("{remote} is not in {net}"),
        Peer::PrefixList(name) if ranges.is_empty() => format!("pl:{name} is empty"),
        Peer::PrefixList(name) => {
            format!("{remote} is in none of the {count} {family} ranges of pl:{name}")
        }
        Peer::Group(name) if ranges.is_empty() => {
            format!("nobody carries sg:{name}: it has no members")
        }
        Peer::Group(name) => format!(
            "{remote} carries no group sg:{name}, which has {count} {family} member{}",
            if count == 1 { "" } else { "s" }
        ),
    })
}
