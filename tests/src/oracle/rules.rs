//! Which rules match a packet: all of them are looked at, one by one.

use std::net::IpAddr;

use ipnet::IpNet;
use sg_common::flow::Direction;
use sg_policy::model::{IcmpMessage, Peer, Rule, SecurityGroup, Service};

use super::{
    Host, OnTheWay, RuleName,
    packet::{IGMP, TCP, UDP, Upper},
};

/// What a packet wants from the rules besides the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A destination port of TCP or UDP.
    Port(u8, u16),
    /// Protocol, type and code of a control message.
    Message(u8, u8, u8),
    /// Another protocol.
    Protocol(u8),
    /// A protocol, whatever port or message.
    WholeProtocol(u8),
    /// Everything: nothing is known.
    Everything,
}

/// A rule and the group that holds it.
pub(super) struct Match<'a> {
    group: &'a SecurityGroup,
    rule: &'a Rule,
}

impl Match<'_> {
    pub(super) fn name(&self) -> RuleName {
        (self.group.id.clone(), self.rule.id.clone())
    }
}

/// How a packet is admitted, with the deciding rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It opens a flow.
    Tracked(RuleName),
    /// It needs none.
    Untracked(RuleName),
    /// It answers one that needed none; the rule is the other direction's.
    UntrackedReply(RuleName),
}

/// Whether and how the rules admit a packet whose ports can be read.
pub(super) fn admitted(host: &Host, packet: &OnTheWay<'_>) -> Option<Admitted> {
    let (wanted, reply) = match packet.ip.upper {
        Upper::Tcp {
            source,
            destination,
            ..
        } => (
            Wanted::Port(TCP, destination),
            Some(Wanted::Port(TCP, source)),
        ),
        Upper::Udp {
            source,
            destination,
            ..
        } => (
            Wanted::Port(UDP, destination),
            Some(Wanted::Port(UDP, source)),
        ),
        Upper::Icmp {
            protocol,
            kind,
            code,
            ..
        } => (Wanted::Message(protocol, kind, code), None),
        Upper::Igmp { .. } => (Wanted::Protocol(IGMP), None),
        Upper::Other(protocol) => (Wanted::Protocol(protocol), None),
    };
    let reply = reply.filter(|_| !packet.opens_connection());
    ask(host, packet.direction, packet.remote(), wanted, reply)
}

/// The rule that admits what a reset answers, if the packet is one: the other direction's.
pub(super) fn refused(host: &Host, packet: &OnTheWay<'_>) -> Option<RuleName> {
    let Upper::Tcp { source, flags, .. } = packet.ip.upper else {
        return None;
    };
    // Of FIN, SYN and RST, the last alone.
    let is_reset = flags & 7 == 4;
    let wanted = Wanted::Port(TCP, source);
    let mut rules = matching(host, packet.direction.reverse(), packet.remote(), wanted);
    rules.next().filter(|_| is_reset).map(|rule| rule.name())
}

/// Whether and how the rules admit what is wanted; `reply` is what the packet would answer.
pub fn ask(
    host: &Host,
    direction: Direction,
    remote: IpAddr,
    wanted: Wanted,
    reply: Option<Wanted>,
) -> Option<Admitted> {
    let first = matching(host, direction, remote, wanted).next()?;
    if is_untracked(host, direction, remote, wanted) {
        return Some(Admitted::Untracked(first.name()));
    }
    if let Some(reply) = reply
        && is_untracked(host, direction.reverse(), remote, reply)
    {
        let other_way = matching(host, direction.reverse(), remote, reply).next()?;
        return Some(Admitted::UntrackedReply(other_way.name()));
    }
    Some(Admitted::Tracked(first.name()))
}

/// Whether a TCP or UDP packet needs no tracking: a rule admits it from or to everybody, and a rule
/// of the other direction admits every port to or from everybody.
fn is_untracked(host: &Host, direction: Direction, remote: IpAddr, wanted: Wanted) -> bool {
    let Wanted::Port(protocol, _) = wanted else {
        return false;
    };
    let everybody =
        |found: Match<'_>| matches!(found.rule.peer, Peer::Cidr(net) if net.prefix_len() == 0);
    let answers = Wanted::WholeProtocol(protocol);
    matching(host, direction, remote, wanted).any(everybody)
        && matching(host, direction.reverse(), remote, answers).any(everybody)
}

/// The rules of the interface that match, in their order.
pub(super) fn matching(
    host: &Host,
    direction: Direction,
    remote: IpAddr,
    wanted: Wanted,
) -> impl Iterator<Item = Match<'_>> {
    let groups = host.interface.groups.iter();
    groups
        .filter_map(|name| host.model.groups.get(name))
        .flat_map(move |group| {
            let rules = match direction {
                Direction::Inbound => &group.inbound,
                Direction::Outbound => &group.outbound,
            };
            rules.iter().map(move |rule| Match { group, rule })
        })
        .filter(move |found| covers(found.rule.service, wanted))
        .filter(move |found| stands_for(host, &found.rule.peer, remote))
}

/// Whether a rule's service covers what is wanted.
fn covers(service: Service, wanted: Wanted) -> bool {
    match (service, wanted) {
        (Service::All, _) => true,
        (Service::Ports { protocol, from, to }, Wanted::Port(number, port)) => {
            protocol.number() == number && from <= port && port <= to
        }
        (Service::Ports { protocol, from, to }, Wanted::WholeProtocol(number)) => {
            protocol.number() == number && from == 0 && to == 65535
        }
        (Service::Icmp { protocol, message }, Wanted::Message(number, kind, code)) => {
            protocol.number() == number
                && match message {
                    IcmpMessage::Any => true,
                    IcmpMessage::Type(its_kind) => its_kind == kind,
                    IcmpMessage::TypeAndCode(its_kind, its_code) => {
                        (its_kind, its_code) == (kind, code)
                    }
                }
        }
        (Service::Icmp { protocol, message }, Wanted::WholeProtocol(number)) => {
            protocol.number() == number && message == IcmpMessage::Any
        }
        (Service::Protocol(its), Wanted::Protocol(number) | Wanted::WholeProtocol(number)) => {
            its == number
        }
        _ => false,
    }
}

/// Whether an address belongs to a rule's peer.
fn stands_for(host: &Host, peer: &Peer, address: IpAddr) -> bool {
    let holds = |net: &IpNet| net.contains(&address);
    match peer {
        Peer::Cidr(net) => holds(net),
        Peer::PrefixList(name) => host
            .model
            .prefix_lists
            .get(name)
            .is_some_and(|list| list.entries.iter().any(holds)),
        Peer::Group(name) => {
            let elsewhere = host.model.members.get(name);
            let here = (&host.interface.groups, &host.addresses);
            let others = host.others.iter().map(|(groups, theirs)| (groups, theirs));
            elsewhere.is_some_and(|members| members.contains(&address))
                || others
                    .chain(host.has_policy.then_some(here))
                    .any(|(groups, theirs)| groups.contains(name) && theirs.contains(&address))
        }
    }
}
