//! Packets as the oracle sees them: described, not encoded.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Protocol numbers (IANA).
pub const ICMP: u8 = 1;
/// Internet group management.
pub const IGMP: u8 = 2;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// ICMP for IPv6.
pub const ICMPV6: u8 = 58;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packet {
    /// VLAN ids of its tags, from the outside in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<u16>,
    /// What it carries.
    pub content: Content,
    /// Bytes behind what it carries. They continue what [`Ip::kept`] leaves out of the packet.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub padding: u16,
    /// The frame ends after so many bytes, if it would be longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<u16>,
}

/// What a frame carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// ARP.
    Arp,
    /// Another protocol below IP, by `EtherType`; no VLAN tag.
    Other(u16),
    /// An IP packet.
    Ip(Ip),
}

/// An IP packet. Both addresses are of one family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ip {
    /// Sender.
    pub source: IpAddr,
    /// Receiver.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// IPv4: words of options, at most 10.
    #[serde(default, skip_serializing_if = "is_zero_byte")]
    pub options: u8,
    /// IPv4: the fragment that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fragment: Option<Fragment>,
    /// IPv6: extension headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<Extension>,
    /// What is wrong with the header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<IpFault>,
    /// What it carries.
    pub upper: Upper,
    /// Only so many bytes of `upper` are in the packet, if it is longer; length fields of the IP
    /// header agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<u16>,
}

/// A piece of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fragment {
    /// Identification, for IPv4 of 16 bits.
    pub id: u32,
    /// Offset in units of 8 bytes; below 2^13.
    pub offset: u16,
    /// Whether more fragments follow.
    pub more: bool,
}

/// An IPv6 extension header (RFC 8200 §4), 8 bytes but for those that say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Extension {
    /// Hop-by-hop options.
    HopByHop,
    /// Routing header.
    Routing,
    /// Destination options of so many units of 8 bytes.
    Destination(u8),
    /// Mobility header.
    Mobility,
    /// Authentication header, 24 bytes.
    Authentication,
    /// Fragment header.
    Fragment(Fragment),
    /// One of those, by number, of another size in bytes.
    Sized(u8, u16),
}

/// What can be wrong with an IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpFault {
    /// A version that is not the one of the `EtherType`.
    Version(u8),
    /// IPv4: a header length of so many words, below 5.
    HeaderShort(u8),
    /// IPv4: a header length of 60 bytes in a packet that is shorter.
    HeaderBeyond,
    /// IPv4: a total length of so many bytes, below 20.
    LengthShort(u8),
    /// A length beyond the frame.
    LengthBeyond,
    /// IPv6: the last extension header, one of options, goes on beyond the packet.
    ExtensionBeyond,
}

/// What an IP packet carries. In a later fragment these bytes are data, whatever they look like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Upper {
    /// TCP.
    Tcp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
        /// Byte 13 of the header.
        flags: u8,
        /// Sequence number.
        #[serde(default)]
        seq: u32,
        /// Acknowledgement number.
        #[serde(default)]
        ack: u32,
        /// The data offset field, in words. The header itself has 5.
        offset: u8,
        /// Bytes behind the header.
        data: u16,
    },
    /// UDP.
    Udp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
        /// The length field, if it is wrong.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        length: Option<u16>,
        /// Bytes behind the header.
        data: u16,
    },
    /// ICMP or ICMPv6, in a packet of either family.
    Icmp {
        /// [`ICMP`] or [`ICMPV6`].
        protocol: u8,
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
        /// Bytes 4 and 5: the identifier of a query.
        id: u16,
        /// The packet that an error quotes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quote: Option<Quote>,
    },
    /// IGMP of 8 bytes, in a packet of either family.
    Igmp {
        /// Type.
        kind: u8,
    },
    /// Another protocol, neither an extension header nor one of the above, with some data.
    Other(u8),
}

/// A packet within an ICMP error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// The packet.
    pub packet: Box<Ip>,
    /// How many bytes of it are quoted, if it is longer.
    pub bytes: u16,
}

/// Bytes of data of [`Upper::Other`].
pub const OTHER_DATA: u16 = 16;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(value: &u16) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero_byte(value: &u8) -> bool {
    *value == 0
}

impl Extension {
    /// Its number as "next header".
    pub fn number(self) -> u8 {
        match self {
            Self::HopByHop => 0,
            Self::Routing => 43,
            Self::Fragment(_) => 44,
            Self::Authentication => 51,
            Self::Destination(_) => 60,
            Self::Mobility => 135,
            Self::Sized(number, _) => number,
        }
    }

    /// Bytes.
    pub fn size(self) -> u32 {
        match self {
            Self::Authentication => 24,
            Self::Destination(units) => u32::from(units) * 8,
            Self::Sized(_, bytes) => bytes.into(),
            _ => 8,
        }
    }
}

impl Upper {
    /// IP protocol number.
    pub fn protocol(&self) -> u8 {
        match self {
            Self::Tcp { .. } => TCP,
            Self::Udp { .. } => UDP,
            Self::Igmp { .. } => IGMP,
            Self::Icmp { protocol, .. } | Self::Other(protocol) => *protocol,
        }
    }

    /// Bytes.
    pub fn size(&self) -> u32 {
        match self {
            Self::Tcp { data, .. } => 20 + u32::from(*data),
            Self::Udp { data, .. } => 8 + u32::from(*data),
            Self::Icmp { quote, .. } => 8 + quote.as_ref().map_or(0, Quote::size),
            Self::Igmp { .. } => 8,
            Self::Other(_) => OTHER_DATA.into(),
        }
    }
}

impl Quote {
    /// Bytes.
    pub fn size(&self) -> u32 {
        self.packet.size().min(self.bytes.into())
    }
}

impl Ip {
    /// Bytes of the IP header and all extension headers.
    pub fn header_size(&self) -> u32 {
        if self.source.is_ipv4() {
            return 20 + 4 * u32::from(self.options);
        }
        40 + self.extensions.iter().map(|e| e.size()).sum::<u32>()
    }

    /// Bytes of the upper protocol that are in the packet.
    pub fn upper_size(&self) -> u32 {
        let whole = self.upper.size();
        self.kept.map_or(whole, |kept| whole.min(kept.into()))
    }

    /// Bytes of the packet.
    pub fn size(&self) -> u32 {
        self.header_size() + self.upper_size()
    }
}
