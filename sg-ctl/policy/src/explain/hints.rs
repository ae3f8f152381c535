//! What an operator who knows the protocols would say about a packet that is dropped.

use std::net::IpAddr;

use sg_common::flow::FlowKey;
use sg_common::packet::Slice;
use sg_common::parse::{self, Parsed};
use sg_common::proto::{TCP, UDP};
use sg_common::subject::flow_key;

use super::{LiveFlows, Place, Probe, carried};
use crate::model::{Direction, Service};

/// A protocol that opens further connections: its name, the protocol and ports of the first one, and
/// the protocol of the others.
type Second = (&'static str, u8, &'static [u16], u8);

const SECOND: [Second; 6] = [
    ("FTP", TCP, &[21], TCP),
    ("TFTP", UDP, &[69], UDP),
    ("RTSP", TCP, &[554], UDP),
    ("SIP", UDP, &[5060], UDP),
    ("SIP", TCP, &[5060, 5061], UDP),
    ("PPTP", TCP, &[1723], GRE),
];

/// Generic routing encapsulation.
const GRE: u8 = 47;

/// Ports of one rule that still names a service, and not everything.
const NARROW: u16 = 100;

/// Says what a packet that no rule admits may be a part of.
pub(super) fn hints(place: &Place<'_>, probe: &Probe, live: Option<&LiveFlows<'_>>) -> Vec<String> {
    let of_flows = live.and_then(|live| asked_elsewhere(place, probe, live));
    let second = second_connection(place, probe);
    of_flows.into_iter().chain(second).collect()
}

/// An answer of a UDP service that comes from another own address than the one that was asked.
fn asked_elsewhere(place: &Place<'_>, probe: &Probe, live: &LiveFlows<'_>) -> Option<String> {
    if probe.protocol != UDP || probe.direction != Direction::Outbound {
        return None;
    }
    let own = place.zones.iter().find(|zone| zone.zone == place.zone)?;
    let asked = own.addresses.iter().find(|address| {
        let is_other = Some(**address) != probe.local;
        is_other
            && address.is_ipv4() == probe.remote.is_ipv4()
            && (live.flow)(&key(place, probe, **address)).is_some()
    })?;
    Some(format!(
        "{} has asked {asked}, port {}, and this would answer from another address: bind the \
         service to the address that is asked, for an answer belongs to the flow of its question",
        probe.remote, probe.local_port
    ))
}

/// The flow of the packet, if it came from another own address.
fn key(place: &Place<'_>, probe: &Probe, local: IpAddr) -> FlowKey {
    let moved = Probe {
        local: Some(local),
        ..*probe
    };
    let mut parsed = Parsed::NOTHING;
    // The frame is one of ours.
    let _ = parse::frame(&Slice(&moved.frame()), &mut parsed);
    flow_key(place.zone, &parsed, probe.direction)
}

/// The further connection of a protocol whose first one the rules speak of.
fn second_connection(place: &Place<'_>, probe: &Probe) -> Option<String> {
    let has_own_port = matches!(probe.protocol, TCP | UDP) && probe.destination_port() < 1024;
    if has_own_port {
        return None;
    }
    let carried = carried(place);
    let names = |protocol: u8, port: u16| {
        let rules = carried
            .iter()
            .flat_map(|group| group.inbound.iter().chain(&group.outbound));
        rules.into_iter().any(|rule| match rule.service {
            Service::Ports {
                protocol: its,
                from,
                to,
            } => its.number() == protocol && (from..=to).contains(&port) && to - from < NARROW,
            _ => false,
        })
    };
    let (name, ..) = SECOND.iter().find(|(_, first, ports, second)| {
        *second == probe.protocol && ports.iter().any(|port| names(*first, *port))
    })?;
    Some(format!(
        "the rules speak of {name}, which opens further connections: they need rules of their own, \
         docs/protocols.md says which"
    ))
}
