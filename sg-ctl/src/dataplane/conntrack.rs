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
use sg_common::flow::{Direction, FlowState};
use sg_common::proto::{ICMP, ICMPV6, TCP, UDP};

use super::error::DataplaneError;
use super::maps::system_error;
use super::netlink::dump_of;
use super::seed::Connection;

/// The number of tracked connections; the file is missing where none are.
const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";

/// Every tracked connection, in each form that it can have on an interface: seen from either end,
/// before and after address translation. None where tracking is not in use.
///
/// # Errors
/// When the kernel does not answer.
pub fn tracked_connections() -> Result<Vec<Connection>, DataplaneError> {
    // To ask would load the module.
    let count = std::fs::read_to_string(COUNT).unwrap_or_default();
    if count.trim().parse::<u64>().unwrap_or(0) == 0 {
        return Ok(Vec::new());
    }
    let request = NetfilterMessage::new(
        NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, 0),
        ConntrackMessage::Get(Vec::new()),
    );
    let answer = dump_of(NETLINK_NETFILTER, request)
        .map_err(system_error("list the tracked connections"))?;
    let mut connections = Vec::new();
    for message in answer {
        if let NetfilterMessageInner::Conntrack(ConntrackMessage::New(attributes)) = message.inner {
            connections.extend(forms(&attributes).into_iter().flatten());
        }
    }
    Ok(connections)
}

/// One direction of a tracked connection.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Way {
    protocol: u8,
    from: SocketAddr,
    to: SocketAddr,
}

/// The forms of a connection; none of pings, which are short, and of what is not understood.
fn forms(attributes: &[ConntrackAttribute]) -> Option<Vec<Connection>> {
    let original = attributes.iter().find_map(|attribute| match attribute {
        ConntrackAttribute::CtaTupleOrig(tuple) => way(tuple),
        _ => None,
    })?;
    let reply = attributes.iter().find_map(|attribute| match attribute {
        ConntrackAttribute::CtaTupleReply(tuple) => way(tuple),
        _ => None,
    })?;
    let state = state(original.protocol, attributes)?;
    let connection = |(local, remote), opened| Connection {
        protocol: original.protocol,
        local,
        remote,
        state,
        opened,
    };
    let mut forms = vec![
        connection((original.from, original.to), Direction::Outbound),
        connection((original.to, original.from), Direction::Inbound),
    ];
    if (reply.from, reply.to) != (original.to, original.from) {
        forms.push(connection((reply.to, reply.from), Direction::Outbound));
        forms.push(connection((reply.from, reply.to), Direction::Inbound));
    }
    Some(forms)
}

fn way(tuple: &[Tuple]) -> Option<Way> {
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
    Some(Way {
        protocol,
        from: from.into(),
        to: to.into(),
    })
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

    fn tracked(original: (&str, &str), reply: (&str, &str)) -> Vec<(String, String, Direction)> {
        let established = ProtoInfo::TCP(vec![ProtoInfoTCP::State(3)]);
        let attributes = [
            ConntrackAttribute::CtaTupleOrig(tuple(original.0, original.1)),
            ConntrackAttribute::CtaTupleReply(tuple(reply.0, reply.1)),
            ConntrackAttribute::CtaProtoInfo(vec![established]),
        ];
        let forms = forms(&attributes).unwrap();
        let text =
            |form: &Connection| (form.local.to_string(), form.remote.to_string(), form.opened);
        assert!(forms.iter().all(|form| form.state == FlowState::TCP_SEEDED));
        forms.iter().map(text).collect()
    }

    #[test]
    fn a_connection_has_a_form_for_each_place_that_it_can_be_seen_from() {
        use Direction::{Inbound, Outbound};
        let form =
            |local: &str, remote: &str, opened| (local.to_owned(), remote.to_owned(), opened);
        let (a, b) = ("10.0.0.2:40000", "192.0.2.1:443");
        let plain = [form(a, b, Outbound), form(b, a, Inbound)];
        assert_eq!(tracked((a, b), (b, a)), plain);
        // Behind masquerading the outside sees another source.
        let public = "198.51.100.1:50000";
        let translated = [form(public, b, Outbound), form(b, public, Inbound)];
        assert_eq!(
            tracked((a, b), (b, public)),
            [plain.as_slice(), &translated].concat()
        );
    }
}
