//! Frames for tests: short constructors for whole packets, and pieces of packets to be made wrong.
//!
//! ```
//! use sg_tests::packet::{tcp, udp};
//!
//! let syn = tcp("203.0.113.7:40000", "192.0.2.10:22").syn();
//! let answer = syn.reply().syn_ack();
//! assert_eq!(syn.bytes().len(), 14 + 20 + 20);
//! assert_eq!(answer.from.port, 22);
//! let tagged = udp("[2001:db8::7]:9", "[2001:db8::10]:53").vlan(5).payload(100);
//! assert_eq!(tagged.bytes().len(), 14 + 4 + 40 + 8 + 100);
//! ```

mod wire;

use std::net::{IpAddr, SocketAddr};

use etherparse::{EtherType, Ethernet2Header};

/// Bytes of an Ethernet header without tags: where the IP header of such a frame begins.
pub const ETHERNET_LEN: usize = 14;

/// One end of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Address.
    pub address: IpAddr,
    /// Port; 0 where the protocol has none.
    pub port: u16,
}

impl From<&str> for End {
    /// Reads `192.0.2.1:80`, `[2001:db8::1]:80` or a bare address.
    fn from(text: &str) -> Self {
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return Self::from(socket);
        }
        let address: IpAddr = text.parse().unwrap_or_else(|error| {
            panic!("`{text}` is no address, with or without port: {error}")
        });
        Self::from(address)
    }
}

impl From<SocketAddr> for End {
    fn from(socket: SocketAddr) -> Self {
        Self {
            address: socket.ip(),
            port: socket.port(),
        }
    }
}

impl From<(IpAddr, u16)> for End {
    fn from((address, port): (IpAddr, u16)) -> Self {
        Self { address, port }
    }
}

impl From<IpAddr> for End {
    fn from(address: IpAddr) -> Self {
        Self { address, port: 0 }
    }
}

/// TCP flag bits as in byte 13 of the header.
pub mod flags {
    pub use sg_common::proto::tcp_flags::{ACK, FIN, RST, SYN};
    /// Push.
    pub const PSH: u8 = 0x08;
    /// Urgent.
    pub const URG: u8 = 0x20;
}

/// What stands behind the IP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upper {
    /// TCP with the flags of byte 13 and this many bytes of options.
    Tcp(u8, usize),
    /// UDP.
    Udp,
    /// ICMP or ICMPv6 by the family of the addresses: type, code, and bytes 4 to 8.
    Icmp(u8, u8, [u8; 4]),
    /// The payload alone, under a protocol number.
    Raw(u8),
}

/// An IPv6 extension header: its number and everything after its first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Its own header number.
    pub number: u8,
    /// Length byte and body; with the next-header byte before it a multiple of 8 (AH: of 4) bytes.
    pub body: Vec<u8>,
}

impl Extension {
    /// A header of 8 bytes times `units`, filled with padding, as hop-by-hop (0), routing (43),
    /// destination options (60) or mobility (135).
    pub fn padding(number: u8, units: usize) -> Self {
        let mut body = vec![0; units * 8 - 1];
        body[0] = (units - 1) as u8;
        // PadN over the rest, for the headers that hold options (RFC 8200 §4.2).
        body[1] = 1;
        body[2] = (units * 8 - 4) as u8;
        Self { number, body }
    }

    /// An authentication header with an ICV of 12 bytes (RFC 4302).
    pub fn authentication() -> Self {
        let mut body = vec![0; 23];
        body[0] = 4;
        Self { number: 51, body }
    }

    /// A fragment header (RFC 8200 §4.5); `offset` in units of 8 bytes.
    pub fn fragment(id: u32, offset: u16, more: bool) -> Self {
        let mut body = vec![0];
        body.extend((offset << 3 | u16::from(more)).to_be_bytes());
        body.extend(id.to_be_bytes());
        Self { number: 44, body }
    }
}

/// A packet in an Ethernet frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Sender.
    pub from: End,
    /// Receiver.
    pub to: End,
    /// VLAN tags from the outside in: `EtherType` of the tag, VLAN id.
    pub tags: Vec<(u16, u16)>,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// IPv4 options, a multiple of 4 bytes.
    pub options: Vec<u8>,
    /// IPv6 extension headers.
    pub extensions: Vec<Extension>,
    /// What the packet carries.
    pub upper: Upper,
    /// Sequence and acknowledgement number, if others than [`Frame::numbers_of`] a segment.
    pub numbers: Option<(u32, u32)>,
    /// Data behind the upper header.
    pub data: Vec<u8>,
}

fn frame(from: impl Into<End>, to: impl Into<End>, upper: Upper) -> Frame {
    let (from, to) = (from.into(), to.into());
    assert_eq!(
        from.address.is_ipv4(),
        to.address.is_ipv4(),
        "{from:?} and {to:?} are of one family"
    );
    Frame {
        from,
        to,
        tags: Vec::new(),
        hop_limit: 64,
        options: Vec::new(),
        extensions: Vec::new(),
        upper,
        numbers: None,
        data: Vec::new(),
    }
}

/// A TCP segment with no flag set.
pub fn tcp(from: impl Into<End>, to: impl Into<End>) -> Frame {
    frame(from, to, Upper::Tcp(0, 0))
}

/// A UDP datagram.
pub fn udp(from: impl Into<End>, to: impl Into<End>) -> Frame {
    frame(from, to, Upper::Udp)
}

/// An ICMP message, ICMPv6 between IPv6 addresses.
pub fn icmp(from: impl Into<End>, to: impl Into<End>, kind: u8, code: u8) -> Frame {
    frame(from, to, Upper::Icmp(kind, code, [0; 4]))
}

/// An echo request.
pub fn ping(from: impl Into<End>, to: impl Into<End>, id: u16) -> Frame {
    let from = from.into();
    let kind = if from.address.is_ipv4() { 8 } else { 128 };
    icmp(from, to, kind, 0).icmp_id(id)
}

/// An ICMP error that quotes `about`, cut after `quoted` bytes of its IP packet.
pub fn icmp_error(
    from: impl Into<End>,
    about: &Frame,
    (kind, code): (u8, u8),
    quoted: usize,
) -> Frame {
    let packet = about.packet();
    let mut error = icmp(from, about.from.address, kind, code);
    error.data = packet[..quoted.min(packet.len())].to_vec();
    error
}

/// An IP packet of any protocol.
pub fn ip(from: impl Into<End>, to: impl Into<End>, protocol: u8) -> Frame {
    frame(from, to, Upper::Raw(protocol)).payload(32)
}

/// A frame of any `EtherType`.
pub fn ethernet(ether_type: u16, body: &[u8]) -> Vec<u8> {
    let header = Ethernet2Header {
        destination: [2, 0, 0, 0, 0, 2],
        source: [2, 0, 0, 0, 0, 1],
        ether_type: EtherType(ether_type),
    };
    [&header.to_bytes()[..], body].concat()
}

/// An ARP request (RFC 826) for `target`.
pub fn arp_request(sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let mut body = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1];
    body.extend(sender);
    body.extend([0; 6]);
    body.extend(target);
    ethernet(0x0806, &body)
}

/// A copy of `frame` with `bytes` written at `offset`.
#[must_use]
pub fn patched(frame: &[u8], offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut patched = frame.to_vec();
    patched[offset..offset + bytes.len()].copy_from_slice(bytes);
    patched
}

impl Frame {
    /// The same packet with these TCP flags.
    #[must_use]
    pub fn tcp_flags(mut self, set: u8) -> Self {
        let Upper::Tcp(flags, _) = &mut self.upper else {
            panic!("only TCP has flags");
        };
        *flags = set;
        self
    }

    /// A request for a connection.
    #[must_use]
    pub fn syn(self) -> Self {
        self.tcp_flags(flags::SYN)
    }

    /// The acceptance of a connection.
    #[must_use]
    pub fn syn_ack(self) -> Self {
        self.tcp_flags(flags::SYN | flags::ACK)
    }

    /// A bare acknowledgement.
    #[must_use]
    pub fn ack(self) -> Self {
        self.tcp_flags(flags::ACK)
    }

    /// The end of one side's data.
    #[must_use]
    pub fn fin(self) -> Self {
        self.tcp_flags(flags::FIN | flags::ACK)
    }

    /// A reset.
    #[must_use]
    pub fn rst(self) -> Self {
        self.tcp_flags(flags::RST)
    }

    /// The same segment with another sequence and acknowledgement number.
    #[must_use]
    pub fn numbers(mut self, seq: u32, ack: u32) -> Self {
        self.numbers = Some((seq, ack));
        self
    }

    /// The numbers of a segment with these flags on a connection of which both sides began at 0 and
    /// have sent nothing since: they fit each other.
    pub fn numbers_of(set: u8) -> (u32, u32) {
        let begun = u32::from(set & flags::SYN == 0);
        (begun, u32::from(set & flags::ACK != 0))
    }

    /// The same packet with `len` bytes of data.
    #[must_use]
    pub fn payload(mut self, len: usize) -> Self {
        self.data = vec![0x5a; len];
        self
    }

    /// The same packet with one more VLAN tag inside those it has; the outer one of two is 802.1ad.
    #[must_use]
    pub fn vlan(mut self, id: u16) -> Self {
        if let Some((kind, _)) = self.tags.last_mut() {
            *kind = 0x88a8;
        }
        self.tags.push((0x8100, id));
        self
    }

    /// The same packet with another TTL or hop limit.
    #[must_use]
    pub fn hop_limit(mut self, hop_limit: u8) -> Self {
        self.hop_limit = hop_limit;
        self
    }

    /// The same packet with IPv4 options.
    #[must_use]
    pub fn options(mut self, options: &[u8]) -> Self {
        self.options = options.to_vec();
        self
    }

    /// The same packet with one more IPv6 extension header.
    #[must_use]
    pub fn extension(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    /// The same ICMP message with another identifier.
    #[must_use]
    pub fn icmp_id(mut self, id: u16) -> Self {
        let Upper::Icmp(_, _, rest) = &mut self.upper else {
            panic!("only ICMP has an identifier");
        };
        rest[..2].copy_from_slice(&id.to_be_bytes());
        self
    }

    /// The packet that answers: ends exchanged, an echo request made a reply.
    #[must_use]
    pub fn reply(&self) -> Self {
        let mut reply = self.clone();
        (reply.from, reply.to) = (self.to, self.from);
        if let Upper::Icmp(kind, ..) = &mut reply.upper {
            *kind = match *kind {
                8 => 0,
                128 => 129,
                other => other + 1,
            };
        }
        reply
    }
}
