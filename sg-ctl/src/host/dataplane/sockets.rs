//! The TCP and UDP sockets of this thread's network namespace, as the kernel lists them.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;

use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{
    AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP, TCP_CLOSE_WAIT, TCP_CLOSING, TCP_ESTABLISHED,
    TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_LAST_ACK, TCP_LISTEN, TCP_SYN_RECV, TCP_SYN_SENT,
    TCP_TIME_WAIT,
};
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags,
};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use sg_common::flow::{Direction, FlowState};

use super::error::DataplaneError;
use super::maps::system_error;
use super::netlink::dump_of;

/// A connected socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// IP protocol number.
    pub protocol: u8,
    /// Its own end.
    pub local: SocketAddr,
    /// What it is connected to.
    pub remote: SocketAddr,
    /// How far the connection is.
    pub state: FlowState,
    /// Who opened it.
    pub opened: Direction,
    /// Its number in `/proc/PID/fd`; 0 when no process has it (any more).
    pub inode: u32,
}

/// Every connected socket, those that are being opened or closed included. Connections between
/// addresses of this host are among them.
///
/// # Errors
/// When the kernel does not answer.
pub fn sockets() -> Result<Vec<Socket>, DataplaneError> {
    let mut listed = Vec::new();
    for protocol in [IPPROTO_TCP, IPPROTO_UDP] {
        for family in [AF_INET, AF_INET6] {
            match list(family, protocol) {
                Ok(headers) => listed.extend(headers.into_iter().map(|each| (protocol, each))),
                // The kernel has no IPv6, or cannot list sockets of this protocol.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(system_error("list the sockets")(error)),
            }
        }
    }
    let listening: HashSet<u16> = listed
        .iter()
        .filter(|(protocol, socket)| *protocol == IPPROTO_TCP && socket.state == TCP_LISTEN)
        .map(|(_, socket)| socket.socket_id.source_port)
        .collect();
    Ok(listed
        .iter()
        .filter_map(|(protocol, socket)| connected(*protocol, socket, &listening))
        .collect())
}

fn list(family: u8, protocol: u8) -> io::Result<Vec<InetResponseHeader>> {
    let request = InetRequest {
        family,
        protocol,
        extensions: ExtensionFlags::empty(),
        // All of them, those of later kernels too.
        states: StateFlags::from_bits_retain(u32::MAX),
        socket_id: if family == AF_INET {
            SocketId::new_v4()
        } else {
            SocketId::new_v6()
        },
    };
    let request = SockDiagMessage::InetRequest(request);
    dump_of(NETLINK_SOCK_DIAG, request, |answer| match answer {
        SockDiagMessage::InetResponse(response) => Some(response.header),
        _ => None,
    })
}

/// The connection of a socket, if it has one.
fn connected(
    protocol: u8,
    socket: &InetResponseHeader,
    listening: &HashSet<u16>,
) -> Option<Socket> {
    let id = &socket.socket_id;
    if id.destination_port == 0 {
        return None;
    }
    let state = if protocol == IPPROTO_UDP {
        // Who knows how much has been said: as much as keeps it longest.
        FlowState::UDP_SEEDED
    } else {
        tcp_state(socket.state)?
    };
    let is_inbound = socket.state == TCP_SYN_RECV
        || (protocol == IPPROTO_TCP && listening.contains(&id.source_port));
    Some(Socket {
        protocol,
        // Sockets of IPv6 speak IPv4, too.
        local: SocketAddr::new(id.source_address.to_canonical(), id.source_port),
        remote: SocketAddr::new(id.destination_address.to_canonical(), id.destination_port),
        state,
        opened: if is_inbound {
            Direction::Inbound
        } else {
            Direction::Outbound
        },
        inode: socket.inode,
    })
}

/// The state of a flow whose host's socket is in this state.
fn tcp_state(state: u8) -> Option<FlowState> {
    /// `TCP_NEW_SYN_RECV` of the kernel: a handshake that has no socket of its own yet.
    const NEW_SYN_RECV: u8 = 12;
    Some(match state {
        TCP_ESTABLISHED | TCP_FIN_WAIT1 | TCP_FIN_WAIT2 | TCP_CLOSE_WAIT => FlowState::TCP_SEEDED,
        // A handshake goes on by numbers that nobody tells.
        TCP_SYN_SENT | TCP_SYN_RECV | NEW_SYN_RECV => FlowState::TCP_PICKED_UP,
        TCP_TIME_WAIT | TCP_LAST_ACK | TCP_CLOSING => FlowState::TCP_CLOSING,
        // Closed, or listening.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    #[test]
    fn sockets_of_this_process_are_found_with_their_state_and_opener() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let client = TcpStream::connect(server).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.connect("127.0.0.1:9").unwrap();
        let find = |local: SocketAddr, remote: SocketAddr| {
            let is_it = |each: &&Socket| (each.local, each.remote) == (local, remote);
            sockets().unwrap().iter().find(is_it).copied()
        };
        let near = client.local_addr().unwrap();
        let opened = find(near, server).unwrap();
        assert_eq!(opened.state, FlowState::TCP_SEEDED);
        assert_eq!(opened.opened, Direction::Outbound);
        assert_ne!(opened.inode, 0);
        let answered = find(server, near).unwrap();
        assert_eq!(answered.opened, Direction::Inbound);
        let datagrams = find(udp.local_addr().unwrap(), "127.0.0.1:9".parse().unwrap());
        assert_eq!(datagrams.unwrap().state, FlowState::UDP_SEEDED);

        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(accepted.read(&mut [0]).unwrap(), 0);
        let closing = find(server, near).unwrap().state;
        assert_eq!(closing, FlowState::TCP_SEEDED);
    }
}
