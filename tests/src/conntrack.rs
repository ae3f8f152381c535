//! Entries of the kernel's connection tracking, put there as `conntrack -I` does.

use std::{io, net::SocketAddr};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterProtoFamily,
    conntrack::{
        ConntrackAttribute, ConntrackMessage, IPTuple, ProtoInfo, ProtoInfoTCP, ProtoTuple,
        Protocol, Status, Tuple,
    },
};
use netlink_sys::{Socket, SocketAddr as NetlinkAddress, protocols::NETLINK_NETFILTER};

use crate::netns::Namespace;

/// Source and destination of one direction.
pub type Ends = (SocketAddr, SocketAddr);

/// A connection in full use, by its packets of both directions.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Whether it is TCP, else UDP.
    pub is_tcp: bool,
    /// What its opener sends.
    pub original: Ends,
    /// What answers it.
    pub reply: Ends,
}

impl Entry {
    /// A connection whose addresses are not translated.
    pub fn new(is_tcp: bool, original: Ends) -> Self {
        let reply = (original.1, original.0);
        Self {
            is_tcp,
            original,
            reply,
        }
    }

    fn attributes(self) -> Vec<ConntrackAttribute> {
        let mut status = Status::Confirmed | Status::SeenReply | Status::Assured;
        if self.reply != (self.original.1, self.original.0) {
            status |= Status::SrcNatDone | Status::DstNatDone;
        }
        let tuple = |(from, to): Ends| {
            let number = if self.is_tcp {
                Protocol::Tcp
            } else {
                Protocol::Udp
            };
            vec![
                Tuple::Ip(vec![
                    IPTuple::SourceAddress(from.ip()),
                    IPTuple::DestinationAddress(to.ip()),
                ]),
                Tuple::Proto(vec![
                    ProtoTuple::Protocol(number),
                    ProtoTuple::SourcePort(from.port()),
                    ProtoTuple::DestinationPort(to.port()),
                ]),
            ]
        };
        let mut attributes = vec![
            ConntrackAttribute::CtaTupleOrig(tuple(self.original)),
            ConntrackAttribute::CtaTupleReply(tuple(self.reply)),
            ConntrackAttribute::CtaStatus(status),
            ConntrackAttribute::CtaTimeout(600),
        ];
        if self.is_tcp {
            // TCP_CONNTRACK_ESTABLISHED.
            let established = ProtoInfo::TCP(vec![ProtoInfoTCP::State(3)]);
            attributes.push(ConntrackAttribute::CtaProtoInfo(vec![established]));
        }
        attributes
    }
}

/// Puts entries into the table of a namespace; `false`, and says so, when the kernel has none.
pub fn track(namespace: &Namespace, entries: &[Entry]) -> bool {
    let tracked = namespace.enter(|| {
        let socket = Socket::new(NETLINK_NETFILTER)?;
        entries.iter().try_for_each(|entry| insert(&socket, *entry))
    });
    if let Err(error) = &tracked {
        println!("skipped: connections cannot be tracked by hand here: {error}");
    }
    tracked.is_ok()
}

fn insert(socket: &Socket, entry: Entry) -> io::Result<()> {
    let family = if entry.original.0.is_ipv4() {
        NetfilterProtoFamily::IPv4
    } else {
        NetfilterProtoFamily::IPv6
    };
    let message = NetfilterMessage::new(
        NetfilterHeader::new(family, 0, 0),
        ConntrackMessage::New(entry.attributes()),
    );
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send_to(&bytes, &NetlinkAddress::new(0, 0), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer =
        NetlinkMessage::<NetfilterMessage>::deserialize(&answer).map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
        _ => Ok(()),
    }
}
