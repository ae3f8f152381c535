//! One question to the kernel over netlink.

use std::fmt::Debug;
use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::libc::{MSG_PEEK, MSG_TRUNC};

/// Sends a `RTM_GET…` request and returns what `pick` makes of each object of the answer, from the
/// network namespace of this thread.
pub(super) fn dump<A: NetlinkDeserializable + Debug, T>(
    request: RouteNetlinkMessage,
    pick: impl Fn(A) -> Option<T>,
) -> io::Result<Vec<T>> {
    dump_of(NETLINK_ROUTE, request, pick)
}

/// Sends a `RTM_GET…` request about one object and returns what `pick` makes of the answer.
pub(super) fn ask<A: NetlinkDeserializable + Debug, T>(
    request: RouteNetlinkMessage,
    pick: impl Fn(A) -> Option<T>,
) -> io::Result<Option<T>> {
    // The acknowledgement comes behind the answer and ends it.
    let picked = exchange(NETLINK_ROUTE, request, NLM_F_ACK, pick)?;
    Ok(picked.into_iter().next())
}

/// Sends a request to the netlink family `protocol` and returns what `pick` makes of each object of
/// the answer. An object is some kilobytes while it is looked at: only what is picked is kept.
pub(super) fn dump_of<M, A, T>(
    protocol: isize,
    request: M,
    pick: impl Fn(A) -> Option<T>,
) -> io::Result<Vec<T>>
where
    M: NetlinkSerializable + Debug,
    NetlinkPayload<M>: From<M>,
    A: NetlinkDeserializable + Debug,
{
    exchange(protocol, request, NLM_F_DUMP, pick)
}

fn exchange<M, A, T>(
    protocol: isize,
    request: M,
    flags: u16,
    pick: impl Fn(A) -> Option<T>,
) -> io::Result<Vec<T>>
where
    M: NetlinkSerializable + Debug,
    NetlinkPayload<M>: From<M>,
    A: NetlinkDeserializable + Debug,
{
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    loop {
        let socket = Socket::new(protocol)?;
        socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
        // Something changed while the kernel was answering: the answer may have holes.
        if let Some(answer) = receive(&socket, &pick)? {
            return Ok(answer);
        }
    }
}

/// Bytes that are offered for each part of an answer: the kernel makes parts as large as that, 32 KiB
/// at most, once it has been asked for one (`netlink_recvmsg`), and else of 4 KiB.
const PART: usize = 32 << 10;

/// The next part of an answer, as long as it is.
fn part<'b>(socket: &Socket, bytes: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
    bytes.clear();
    let (length, _) = socket.recv_from(bytes, MSG_PEEK | MSG_TRUNC)?;
    bytes.clear();
    bytes.reserve(length.max(PART));
    socket.recv_from(bytes, 0)?;
    Ok(bytes)
}

/// Reads to the end of an answer, `None` when the kernel says that it was interrupted.
fn receive<M: NetlinkDeserializable + Debug, T>(
    socket: &Socket,
    pick: impl Fn(M) -> Option<T>,
) -> io::Result<Option<Vec<T>>> {
    let mut answer = Vec::new();
    let mut interrupted = false;
    let mut bytes = Vec::new();
    loop {
        let mut rest = part(socket, &mut bytes)?;
        while !rest.is_empty() {
            let message = NetlinkMessage::<M>::deserialize(rest).map_err(io::Error::other)?;
            interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
            match message.payload {
                NetlinkPayload::Done(_) => return Ok((!interrupted).then_some(answer)),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                // An acknowledgement.
                NetlinkPayload::Error(_) => return Ok(Some(answer)),
                NetlinkPayload::InnerMessage(object) => answer.extend(pick(object)),
                _ => {}
            }
            // Messages are padded to four bytes.
            let length = (message.header.length as usize).next_multiple_of(4);
            rest = rest.get(length.max(4)..).unwrap_or_default();
        }
    }
}
