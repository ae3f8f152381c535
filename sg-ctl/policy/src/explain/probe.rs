//! The packet that is asked about, and the words for it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use etherparse::{Icmpv4Type, Icmpv6Type, IpNumber, PacketBuilder, PacketBuilderStep};
use sg_common::flow::Direction;
use sg_common::icmp;
use sg_common::proto::{ICMP, ICMPV6, IGMP, TCP, UDP, tcp_flags};

/// Where ports of clients begin (RFC 6335): what is taken for a source port that nobody names.
const EPHEMERAL_PORT: u16 = 49152;

/// A packet without its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// From the protected side's view.
    pub direction: Direction,
    /// IANA protocol number.
    pub protocol: u8,
    /// Address of the other side.
    pub remote: IpAddr,
    /// Port of the other side; 0 for protocols without ports.
    pub remote_port: u16,
    /// Address of the protected side, if it matters which.
    pub local: Option<IpAddr>,
    /// Port of the protected side; 0 for protocols without ports.
    pub local_port: u16,
    /// Flags of a TCP segment, byte 13 of its header.
    pub tcp_flags: u8,
    /// Type and code of an ICMP or ICMPv6 message, type of an IGMP one.
    pub message: [u8; 2],
    /// TTL or hop limit; `None`: what senders of such a packet set.
    pub hop_limit: Option<u8>,
}

/// What routers ask, and hosts answer (RFC 2236).
const IGMP_QUERY: [u8; 2] = [0x11, 0];
const IGMP_REPORT: [u8; 2] = [0x16, 0];

/// Words that describe no packet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct InvalidProbe {
    what: String,
    help: &'static str,
}

impl InvalidProbe {
    fn new(what: impl Into<String>, help: &'static str) -> Self {
        Self {
            what: what.into(),
            help,
        }
    }

    /// What to write.
    pub const fn help(&self) -> &'static str {
        self.help
    }
}

const FORM: &str =
    "write PROTOCOL SOURCE DESTINATION, as in `tcp 203.0.113.7:40000 443` or `icmp 203.0.113.7`";

/// One end as it is written: `10.0.1.5`, `10.0.1.5:443`, `[2001:db8::1]:443`, `443`.
#[derive(Clone, Copy, Default)]
struct End {
    address: Option<IpAddr>,
    port: Option<u16>,
}

impl FromStr for End {
    type Err = InvalidProbe;

    fn from_str(text: &str) -> Result<Self, InvalidProbe> {
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return Ok(Self {
                address: Some(socket.ip()),
                port: Some(socket.port()),
            });
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self {
                address: Some(address),
                port: None,
            });
        }
        match text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
            Ok(port) => Ok(Self {
                address: None,
                port: Some(port),
            }),
            Err(_not_a_port) => Err(InvalidProbe::new(
                format!("`{text}` is neither an address nor a port nor both"),
                "write 10.0.1.5, 10.0.1.5:443, [2001:db8::1]:443 or 443",
            )),
        }
    }
}

impl Probe {
    /// Reads `PROTOCOL SOURCE DESTINATION`, source and destination as on the wire. Of the protected
    /// side's end the address may be left out, and the end as a whole if it would say nothing.
    ///
    /// A TCP segment opens a connection (SYN), an ICMP message is an echo request.
    ///
    /// # Errors
    /// What is wrong with the words.
    pub fn parse(direction: Direction, words: &[&str]) -> Result<Self, InvalidProbe> {
        let (protocol, ends) = match words {
            [protocol, ends @ ..] if (1..=2).contains(&ends.len()) => (protocol, ends),
            _ => return Err(InvalidProbe::new("this describes no packet", FORM)),
        };
        let protocol = number(protocol)?;
        let ends: Vec<End> = ends
            .iter()
            .map(|end| end.parse())
            .collect::<Result<_, _>>()?;
        let (local, remote) = match (direction, ends.as_slice()) {
            (Direction::Inbound, [source]) => (End::default(), *source),
            (Direction::Inbound, [source, destination]) => (*destination, *source),
            (Direction::Outbound, [destination]) => (End::default(), *destination),
            (Direction::Outbound, [source, destination]) => (*source, *destination),
            _ => return Err(InvalidProbe::new("this describes no packet", FORM)),
        };
        let Some(remote_address) = remote.address else {
            let (end, role) = match direction {
                Direction::Inbound => ("source", "comes from"),
                Direction::Outbound => ("destination", "goes to"),
            };
            return Err(InvalidProbe::new(
                format!("the {end} has no address"),
                if role == "comes from" {
                    "name the address that the packet comes from: `tcp 203.0.113.7 443`"
                } else {
                    "name the address that the packet goes to: `tcp 203.0.113.7:443`"
                },
            ));
        };
        if local
            .address
            .is_some_and(|local| local.is_ipv4() != remote_address.is_ipv4())
        {
            return Err(InvalidProbe::new(
                "one end is IPv4 and the other IPv6",
                "name two addresses of one family",
            ));
        }
        let (local_port, remote_port) = ports(protocol, direction, local.port, remote.port)?;
        Ok(Self {
            direction,
            protocol,
            remote: remote_address,
            remote_port,
            local: local.address,
            local_port,
            tcp_flags: if protocol == TCP { tcp_flags::SYN } else { 0 },
            message: match protocol {
                ICMP => [8, 0],
                ICMPV6 => [128, 0],
                IGMP => match direction {
                    Direction::Inbound => IGMP_QUERY,
                    Direction::Outbound => IGMP_REPORT,
                },
                _ => [0, 0],
            },
            hop_limit: None,
        })
    }

    /// The address of the protected side; one that stands for any if none is named.
    pub fn local_address(&self) -> IpAddr {
        self.local.unwrap_or(match self.remote {
            // TEST-NET-1 (RFC 5737), documentation (RFC 3849).
            IpAddr::V4(_) => IpAddr::from([192, 0, 2, 1]),
            IpAddr::V6(_) => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]),
        })
    }

    /// Destination port; 0 for protocols without ports.
    pub const fn destination_port(&self) -> u16 {
        match self.direction {
            Direction::Inbound => self.local_port,
            Direction::Outbound => self.remote_port,
        }
    }

    /// The hop limit that keeps a message on its link is that of genuine ones (RFC 4861, RFC 3810,
    /// RFC 3376).
    fn hop_limit(&self) -> u8 {
        self.hop_limit.unwrap_or(match self.protocol {
            ICMPV6 if icmp::is_neighbour_discovery(self.message[0]) => 255,
            ICMPV6 if icmp::is_listener_discovery(self.message[0]) => 1,
            IGMP => 1,
            _ => 64,
        })
    }

    /// A frame of this packet.
    pub fn frame(&self) -> Vec<u8> {
        let (local, remote) = (
            (self.local_address(), self.local_port),
            (self.remote, self.remote_port),
        );
        let ((source, source_port), (destination, destination_port)) = match self.direction {
            Direction::Inbound => (remote, local),
            Direction::Outbound => (local, remote),
        };
        let ethernet = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let ip = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                ethernet.ipv4(source.octets(), destination.octets(), self.hop_limit())
            }
            (source, destination) => ethernet.ipv6(v6(source), v6(destination), self.hop_limit()),
        };
        let mut frame = Vec::new();
        // Writing to memory fails only for packets that are too long for their length field.
        let _ = self.transport(ip, source_port, destination_port, &mut frame);
        frame
    }

    fn transport(
        &self,
        ip: PacketBuilderStep<etherparse::IpHeaders>,
        source: u16,
        destination: u16,
        frame: &mut Vec<u8>,
    ) -> Result<(), etherparse::err::packet::BuildWriteError> {
        let [kind, code] = self.message;
        match self.protocol {
            TCP => {
                let mut segment = ip.tcp(source, destination, 0, 65535);
                for (flag, set) in FLAGS {
                    if self.tcp_flags & flag != 0 {
                        segment = set(segment);
                    }
                }
                segment.write(frame, &[])
            }
            UDP => ip.udp(source, destination).write(frame, &[]),
            ICMP if self.remote.is_ipv4() => {
                let message = Icmpv4Type::Unknown {
                    type_u8: kind,
                    code_u8: code,
                    bytes5to8: [0; 4],
                };
                ip.icmpv4(message).write(frame, &[])
            }
            ICMPV6 if self.remote.is_ipv6() => {
                let message = Icmpv6Type::Unknown {
                    type_u8: kind,
                    code_u8: code,
                    bytes5to8: [0; 4],
                };
                ip.icmpv6(message).write(frame, &[])
            }
            // ICMP over the other family has the same header, and IGMP begins alike.
            ICMP | ICMPV6 | IGMP => ip.write(
                frame,
                IpNumber(self.protocol),
                &[kind, code, 0, 0, 0, 0, 0, 0],
            ),
            other => ip.write(frame, IpNumber(other), &[]),
        }
    }
}

type Segment = PacketBuilderStep<etherparse::TcpHeader>;
type Setter = fn(Segment) -> Segment;

/// Setters of the flags that decide.
const FLAGS: [(u8, Setter); 4] = [
    (tcp_flags::SYN, |segment| segment.syn()),
    (tcp_flags::FIN, |segment| segment.fin()),
    (tcp_flags::RST, |segment| segment.rst()),
    (tcp_flags::ACK, |segment| segment.ack(0)),
];

fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn number(text: &str) -> Result<u8, InvalidProbe> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Ok(TCP),
        "udp" => Ok(UDP),
        "icmp" => Ok(ICMP),
        "icmpv6" => Ok(ICMPV6),
        other => other.parse().map_err(|_not_a_number| {
            InvalidProbe::new(
                format!("`{text}` is no protocol"),
                "write tcp, udp, icmp, icmpv6 or a number from 0 to 255",
            )
        }),
    }
}

/// Local and remote port of a packet that goes in `direction`.
fn ports(
    protocol: u8,
    direction: Direction,
    local: Option<u16>,
    remote: Option<u16>,
) -> Result<(u16, u16), InvalidProbe> {
    if !matches!(protocol, TCP | UDP) {
        return match (local, remote) {
            (None, None) => Ok((0, 0)),
            _ => Err(InvalidProbe::new(
                "only tcp and udp have ports",
                "leave the ports out; an ICMP message has a type and a code",
            )),
        };
    }
    let (source, destination) = match direction {
        Direction::Inbound => (remote, local),
        Direction::Outbound => (local, remote),
    };
    let Some(destination) = destination else {
        return Err(InvalidProbe::new(
            "the destination has no port",
            "rules speak of the destination port: `--inbound tcp 203.0.113.7 443`, \
             `--outbound tcp 203.0.113.7:443`",
        ));
    };
    let source = source.unwrap_or(EPHEMERAL_PORT);
    Ok(match direction {
        Direction::Inbound => (destination, source),
        Direction::Outbound => (source, destination),
    })
}

impl fmt::Display for Probe {
    /// Writes the packet as logs do: `inbound tcp 203.0.113.7:40000 -> 10.0.1.5:443`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_ports = matches!(self.protocol, TCP | UDP);
        let end = |address: Option<IpAddr>, port: u16| match (address, has_ports) {
            (Some(address), true) => SocketAddr::new(address, port).to_string(),
            (Some(address), false) => address.to_string(),
            (None, true) => format!("this side:{port}"),
            (None, false) => "this side".to_owned(),
        };
        let local = end(self.local, self.local_port);
        let remote = end(Some(self.remote), self.remote_port);
        let (source, destination) = match self.direction {
            Direction::Inbound => (remote, local),
            Direction::Outbound => (local, remote),
        };
        let protocol = match self.protocol {
            TCP => "tcp".to_owned(),
            UDP => "udp".to_owned(),
            ICMP => "icmp".to_owned(),
            ICMPV6 => "icmpv6".to_owned(),
            other => format!("protocol {other}"),
        };
        write!(
            f,
            "{} {protocol} {source} -> {destination}",
            self.direction.name()
        )?;
        if matches!(self.protocol, ICMP | ICMPV6) {
            let [kind, code] = self.message;
            write!(f, " type {kind} code {code}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sg_common::packet::Slice;
    use sg_common::parse::{self, Parsed, Payload};

    use super::*;

    fn probe(direction: Direction, words: &str) -> Result<Probe, InvalidProbe> {
        Probe::parse(direction, &words.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn words_are_source_and_destination() {
        for (direction, words, text) in [
            (
                Direction::Inbound,
                "tcp 203.0.113.7:40000 10.0.1.5:443",
                "inbound tcp 203.0.113.7:40000 -> 10.0.1.5:443",
            ),
            (
                Direction::Inbound,
                "TCP 203.0.113.7 443",
                "inbound tcp 203.0.113.7:49152 -> this side:443",
            ),
            (
                Direction::Outbound,
                "udp [2001:db8::53]:53",
                "outbound udp this side:49152 -> [2001:db8::53]:53",
            ),
            (
                Direction::Outbound,
                "udp :5000 10.0.0.2:53",
                "outbound udp this side:5000 -> 10.0.0.2:53",
            ),
            (
                Direction::Inbound,
                "icmp 203.0.113.7",
                "inbound icmp 203.0.113.7 -> this side type 8 code 0",
            ),
            (
                Direction::Inbound,
                "47 203.0.113.7 10.0.1.5",
                "inbound protocol 47 203.0.113.7 -> 10.0.1.5",
            ),
        ] {
            assert_eq!(probe(direction, words).expect(words).to_string(), text);
        }
    }

    #[test]
    fn what_describes_no_packet_is_refused_with_a_remedy() {
        for (direction, words, what) in [
            (Direction::Inbound, "tcp", "describes no packet"),
            (
                Direction::Inbound,
                "http 203.0.113.7 80",
                "`http` is no protocol",
            ),
            (
                Direction::Inbound,
                "tcp 203.0.113.7",
                "destination has no port",
            ),
            (Direction::Inbound, "tcp 443 443", "source has no address"),
            (Direction::Outbound, "tcp 443", "destination has no address"),
            (
                Direction::Inbound,
                "tcp 203.0.113.7 example.com:80",
                "`example.com:80`",
            ),
            (Direction::Inbound, "icmp 203.0.113.7:8", "only tcp and udp"),
            (
                Direction::Inbound,
                "tcp 203.0.113.7 [2001:db8::1]:80",
                "one end is IPv4",
            ),
        ] {
            let error = probe(direction, words).expect_err(words);
            assert!(error.to_string().contains(what), "{words}: {error}");
            assert!(!error.help().is_empty());
        }
    }

    #[test]
    fn frames_say_what_the_words_say() {
        for (words, protocol) in [
            ("tcp 203.0.113.7:40000 10.0.1.5:443", TCP),
            ("udp [2001:db8::7]:40000 [2001:db8::1]:443", UDP),
            ("icmp 203.0.113.7 10.0.1.5", ICMP),
            ("icmp 2001:db8::7 2001:db8::1", ICMP),
            ("icmpv6 2001:db8::7 2001:db8::1", ICMPV6),
            ("icmpv6 203.0.113.7 10.0.1.5", ICMPV6),
            ("2 203.0.113.7 224.0.0.1", IGMP),
            ("47 203.0.113.7 10.0.1.5", 47),
        ] {
            let probe = probe(Direction::Inbound, words).expect(words);
            let frame = probe.frame();
            let mut parsed = Parsed::NOTHING;
            let payload = parse::frame(&Slice(&frame), &mut parsed);
            assert_eq!(payload, Ok(Payload::Ip), "{words}");
            assert_eq!(parsed.protocol, protocol, "{words}");
            assert_eq!(IpAddr::from(parsed.src), probe.remote);
            assert_eq!(IpAddr::from(parsed.dst), probe.local_address());
            assert_eq!(
                [parsed.ports.upper(), parsed.ports.lower()],
                [probe.remote_port, probe.local_port]
            );
            assert_eq!([parsed.icmp_type, parsed.icmp_code], probe.message);
            assert_eq!(parsed.tcp_flags, probe.tcp_flags);
        }
    }
}
