//! The connections that the kernel's own connection tracking knows: those of containers and other
//! hosts that are forwarded here, which have no socket on this host.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use netlink_packet_netfilter::conntrack::{
    ConntrackAttribute, ConntrackMessage, IPTuple, ProtoInfo, ProtoInfoTCP, ProtoTuple, Status,
    Tuple,
};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use netlink_sys::protocols::NETLINK_NETFILTER;
use sg_common::flow::FlowState;
use sg_common::proto::{ICMP, ICMPV6, TCP, UDP};

use super::error::DataplaneError;
use super::maps::system_error;
use super::netlink::dump_of;

/// The number of tracked connections; the file is missing where none are.
const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";

/// A connection, as connection tracking knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tracked {
    /// IP protocol number.
    pub protocol: u8,
    /// Source and destination of packets of the side that opened it, as they come; port 0 for
    /// protocols without ports.
    pub original: (SocketAddr, SocketAddr),
    /// Source and destination of the answers, as they come: the former turned round, unless
    /// addresses are translated.
    pub reply: (SocketAddr, SocketAddr),
    /// How far it is.
    pub state: FlowState,
}

/// Every connection that the kernel tracks, but for pings, which are short, and what is not
/// understood. None where tracking is not in use.
///
/// # Errors
/// When the kernel does not answer.
pub fn tracked_connections() -> Result<Vec<Tracked>, DataplaneError> {
    // To ask would load the module.
    let count = std::fs::read_to_string(COUNT).unwrap_or_default();
    if count.trim().parse::<u64>().unwrap_or(0) == 0 {
        return Ok(Vec::new());
    }
    let request = NetfilterMessage::new(
        NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, 0),
        ConntrackMessage::Get(Vec::new()),
    );
    let tracked = |answer: NetfilterMessage| match answer.inner {
        NetfilterMessageInner::Conntrack(ConntrackMessage::New(parts)) => tracked(&parts),
        _ => None,
    };
    dump_of(NETLINK_NETFILTER, request, tracked)
        .map_err(system_error("list the tracked connections"))
}

fn tracked(attributes: &[ConntrackAttribute]) -> Option<Tracked> {
    let (protocol, original) = attributes.iter().find_map(|attribute| match attribute {
        ConntrackAttribute::CtaTupleOrig(tuple) => way(tuple),
        _ => None,
    })?;
    let (_, reply) = attributes.iter().find_map(|attribute| match attribute {
        ConntrackAttribute::CtaTupleReply(tuple) => way(tuple),
        _ => None,
    })?;
    Some(Tracked {
        protocol,
        original,
        reply,
        state: state(protocol, attributes)?,
    })
}

/// Protocol, source and destination of one direction.
fn way(tuple: &[Tuple]) -> Option<(u8, (SocketAddr, SocketAddr))> {
    let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let (mut protocol, mut from, mut to) = (None, (unknown, 0), (unknown, 0));
    for part in tuple {
        match part {
            Tuple::Ip(addresses) => {
                for address in addresses {
                    match address {
                        IPTuple::SourceAddress(address) => from.0 = *address,
                        IPTuple::DestinationAddress(address) => to.0 = *address,
                        _ => {}
                    }
                }
            }
            Tuple::Proto(services) => {
                for service in services {
                    match service {
                        ProtoTuple::Protocol(number) => protocol = Some(u8::from(*number)),
                        ProtoTuple::SourcePort(port) => from.1 = *port,
                        ProtoTuple::DestinationPort(port) => to.1 = *port,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let protocol = protocol?;
    // Keys of other protocols have no ports.
    if ![TCP, UDP].contains(&protocol) {
        (from.1, to.1) = (0, 0);
    }
    Some((protocol, (from.into(), to.into())))
}

fn state(protocol: u8, attributes: &[ConntrackAttribute]) -> Option<FlowState> {
    let is = |flag: Status| {
        attributes.iter().any(|attribute| {
            matches!(attribute, ConntrackAttribute::CtaStatus(status) if status.contains(flag))
        })
    };
    match protocol {
        TCP => tcp_state(attributes),
        UDP if is(Status::Assured) => Some(FlowState::UDP_SEEDED),
        UDP if is(Status::SeenReply) => Some(FlowState::UDP_ANSWERED),
        UDP => Some(FlowState::UDP_UNANSWERED),
        ICMP | ICMPV6 => None,
        _ => Some(FlowState::OTHER),
    }
}

/// The state of a TCP connection (`enum tcp_conntrack`, `nf_conntrack_tcp.h`).
fn tcp_state(attributes: &[ConntrackAttribute]) -> Option<FlowState> {
    let infos = attributes.iter().find_map(|attribute| match attribute {
        ConntrackAttribute::CtaProtoInfo(infos) => Some(infos),
        _ => None,
    })?;
    let code = infos.iter().find_map(|info| match info {
        ProtoInfo::TCP(fields) => fields.iter().find_map(|field| match field {
            ProtoInfoTCP::State(code) => Some(*code),
            _ => None,
        }),
        _ => None,
    })?;
    match code {
        // A handshake goes on by numbers that nobody tells.
        1 | 2 => Some(FlowState::TCP_PICKED_UP),
        3..=5 => Some(FlowState::TCP_SEEDED),
        6 | 7 => Some(FlowState::TCP_CLOSING),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_netfilter::conntrack::Protocol;

    use super::*;

    fn tuple(from: &str, to: &str) -> Vec<Tuple> {
        let parse = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (from, to) = (parse(from), parse(to));
        vec![
            Tuple::Ip(vec![
                IPTuple::SourceAddress(from.ip()),
                IPTuple::DestinationAddress(to.ip()),
            ]),
            Tuple::Proto(vec![
                ProtoTuple::Protocol(Protocol::Tcp),
                ProtoTuple::SourcePort(from.port()),
                ProtoTuple::DestinationPort(to.port()),
            ]),
        ]
    }

    #[test]
    fn a_translated_connection_has_both_of_its_forms() {
        let established = ProtoInfo::TCP(vec![ProtoInfoTCP::State(3)]);
        let (inside, public) = ("10.0.0.2:40000", "198.51.100.1:50000");
        let server = "192.0.2.1:443";
        let found = tracked(&[
            ConntrackAttribute::CtaTupleOrig(tuple(inside, server)),
            ConntrackAttribute::CtaTupleReply(tuple(server, public)),
            ConntrackAttribute::CtaProtoInfo(vec![established]),
        ]);
        let end = |text: &str| text.parse().unwrap();
        let expected = Tracked {
            protocol: TCP,
            original: (end(inside), end(server)),
            reply: (end(server), end(public)),
            state: FlowState::TCP_SEEDED,
        };
        assert_eq!(found, Some(expected));
    }
}
