//! Records in the format of AWS VPC Flow Logs: the default line (version 2) and custom formats.
//!
//! Source: "Flow log records" in the Amazon VPC User Guide. What AWS's formats cannot say has fields
//! of its own here, for custom formats only.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use sg_common::flow::Direction;
use sg_common::proto::{TCP, UDP, tcp_flags};
use sg_common::reason::{Reason, Verdict};

/// What passed or was dropped between two ends, in one direction, in a span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Name of the interface.
    pub interface: String,
    /// From the protected side's view.
    pub direction: Direction,
    /// Source address, if the frames had one.
    pub source: Option<IpAddr>,
    /// Destination address.
    pub destination: Option<IpAddr>,
    /// Source port; 0 for protocols without ports.
    pub source_port: u16,
    /// Destination port; 0 for protocols without ports.
    pub destination_port: u16,
    /// IANA protocol number.
    pub protocol: u8,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Unix time of the first packet, in seconds.
    pub start: i64,
    /// Unix time of the last packet, in seconds.
    pub end: i64,
    /// Why they passed or were dropped.
    pub reason: Reason,
    /// Flags of all segments together, byte 13 of the TCP header.
    pub tcp_flags: u8,
    /// Id of the deciding rule.
    pub rule: Option<String>,
    /// Name of the deciding rule's group.
    pub group: Option<String>,
}

/// A span of time that has no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// Nothing happened.
    NoData,
    /// Records were lost.
    SkipData,
}

macro_rules! fields {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal since $version:literal,)+) => {
        /// A column of a record.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Field {
            $($(#[$doc])+ $variant,)+
        }

        impl Field {
            /// Every column, in the order of AWS's documentation; ours come last.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name in a format.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The version of AWS's formats that has it; 0 for our own.
            const fn version(self) -> u8 {
                match self {
                    $(Self::$variant => $version,)+
                }
            }
        }
    };
}

fields! {
    /// Highest version among the columns of the format.
    Version = "version" since 2,
    /// AWS account: not known here.
    AccountId = "account-id" since 2,
    /// Name of the interface.
    InterfaceId = "interface-id" since 2,
    /// Source address.
    SrcAddr = "srcaddr" since 2,
    /// Destination address.
    DstAddr = "dstaddr" since 2,
    /// Source port.
    SrcPort = "srcport" since 2,
    /// Destination port.
    DstPort = "dstport" since 2,
    /// IANA protocol number.
    Protocol = "protocol" since 2,
    /// Packets.
    Packets = "packets" since 2,
    /// Bytes.
    Bytes = "bytes" since 2,
    /// Unix time of the first packet.
    Start = "start" since 2,
    /// Unix time of the last packet.
    End = "end" since 2,
    /// `ACCEPT` or `REJECT`.
    Action = "action" since 2,
    /// `OK`, `NODATA` or `SKIPDATA`.
    LogStatus = "log-status" since 2,
    /// FIN 1, SYN 2, RST 4, SYN-ACK 18; an ACK alone is not recorded.
    TcpFlags = "tcp-flags" since 3,
    /// `IPv4` or `IPv6`.
    Type = "type" since 3,
    /// Source address of the packet: the same as `srcaddr`.
    PktSrcAddr = "pkt-srcaddr" since 3,
    /// Destination address of the packet: the same as `dstaddr`.
    PktDstAddr = "pkt-dstaddr" since 3,
    /// `ingress` or `egress`, seen from the protected side.
    FlowDirection = "flow-direction" since 5,
    /// Id of the deciding rule (ours).
    SgRuleId = "sg-rule-id" since 0,
    /// Group of the deciding rule (ours).
    SgName = "sg-name" since 0,
    /// Reason of the verdict (ours).
    Reason = "sg-reason" since 0,
}

/// The default format, version 2: what existing parsers read.
const VERSION_2: [Field; 14] = [
    Field::Version,
    Field::AccountId,
    Field::InterfaceId,
    Field::SrcAddr,
    Field::DstAddr,
    Field::SrcPort,
    Field::DstPort,
    Field::Protocol,
    Field::Packets,
    Field::Bytes,
    Field::Start,
    Field::End,
    Field::Action,
    Field::LogStatus,
];

/// The columns of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format(Vec<Field>);

impl Default for Format {
    fn default() -> Self {
        Self(VERSION_2.to_vec())
    }
}

/// A format with a column that does not exist, or none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFormat {
    /// Nothing was named.
    #[error("no field is named")]
    Empty,
    /// A name that is no field.
    #[error("there is no field `{name}`; the fields are {}", names())]
    Unknown {
        /// The name.
        name: String,
    },
}

fn names() -> String {
    let names: Vec<_> = Field::ALL.iter().map(|field| field.name()).collect();
    names.join(" ")
}

impl FromStr for Format {
    type Err = InvalidFormat;

    /// Reads names of fields, divided by blanks or commas, each also in AWS's form `${name}`.
    fn from_str(text: &str) -> Result<Self, InvalidFormat> {
        let words = text.split([' ', ',']).filter(|word| !word.is_empty());
        let fields: Vec<Field> = words
            .map(|word| {
                let name = word
                    .strip_prefix("${")
                    .and_then(|rest| rest.strip_suffix('}'))
                    .unwrap_or(word);
                let found = Field::ALL.iter().find(|field| field.name() == name);
                found.copied().ok_or_else(|| InvalidFormat::Unknown {
                    name: name.to_owned(),
                })
            })
            .collect::<Result<_, _>>()?;
        if fields.is_empty() {
            return Err(InvalidFormat::Empty);
        }
        Ok(Self(fields))
    }
}

impl Format {
    /// The line of a record, without its end.
    pub fn line(&self, record: &Record) -> String {
        self.join(|field| self.value(field, record))
    }

    /// The line that stands for a span without records.
    pub fn gap(&self, interface: &str, start: i64, end: i64, gap: Gap) -> String {
        self.join(|field| match field {
            Field::Version => self.version().to_string(),
            Field::InterfaceId => interface.to_owned(),
            Field::Start => start.to_string(),
            Field::End => end.to_string(),
            Field::LogStatus => match gap {
                Gap::NoData => "NODATA".to_owned(),
                Gap::SkipData => "SKIPDATA".to_owned(),
            },
            _ => String::new(),
        })
    }

    fn join(&self, value: impl Fn(Field) -> String) -> String {
        let values = self.0.iter().map(|field| {
            let text = value(*field);
            // What does not apply is a dash; blanks would be read as the next column.
            if text.is_empty() {
                "-".to_owned()
            } else {
                text.replace(char::is_whitespace, "_")
            }
        });
        values.collect::<Vec<_>>().join(" ")
    }

    fn version(&self) -> u8 {
        let versions = self.0.iter().map(|field| field.version());
        versions.max().unwrap_or(0).max(2)
    }

    fn value(&self, field: Field, record: &Record) -> String {
        let address = |address: Option<IpAddr>| address.map(|address| address.to_string());
        let is_ip = record.source.is_some();
        let number = |number: u64| is_ip.then(|| number.to_string());
        match field {
            Field::Version => Some(self.version().to_string()),
            Field::AccountId => None,
            Field::InterfaceId => Some(record.interface.clone()),
            Field::SrcAddr | Field::PktSrcAddr => address(record.source),
            Field::DstAddr | Field::PktDstAddr => address(record.destination),
            Field::SrcPort => number(port(record.protocol, record.source_port)),
            Field::DstPort => number(port(record.protocol, record.destination_port)),
            Field::Protocol => number(record.protocol.into()),
            Field::Packets => Some(record.packets.to_string()),
            Field::Bytes => Some(record.bytes.to_string()),
            Field::Start => Some(record.start.to_string()),
            Field::End => Some(record.end.to_string()),
            Field::Action => Some(match record.reason.verdict() {
                Verdict::Pass => "ACCEPT".to_owned(),
                Verdict::Drop => "REJECT".to_owned(),
            }),
            Field::LogStatus => Some("OK".to_owned()),
            Field::TcpFlags => number(flags(record.tcp_flags).into()),
            Field::Type => record.source.map(|source| match source {
                IpAddr::V4(_) => "IPv4".to_owned(),
                IpAddr::V6(_) => "IPv6".to_owned(),
            }),
            Field::FlowDirection => Some(match record.direction {
                Direction::Inbound => "ingress".to_owned(),
                Direction::Outbound => "egress".to_owned(),
            }),
            Field::SgRuleId => record.rule.clone(),
            Field::SgName => record.group.clone(),
            Field::Reason => Some(record.reason.name().to_owned()),
        }
        .unwrap_or_default()
    }
}

const fn port(protocol: u8, port: u16) -> u64 {
    match protocol {
        TCP | UDP => port as u64,
        _ => 0,
    }
}

/// Flags as AWS records them: ACK only together with SYN.
const fn flags(flags: u8) -> u8 {
    let kept = flags & (tcp_flags::FIN | tcp_flags::SYN | tcp_flags::RST);
    if flags & tcp_flags::SYN != 0 {
        kept | flags & tcp_flags::ACK
    } else {
        kept
    }
}

impl fmt::Display for Format {
    /// Writes the names of the columns, as a heading.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|field| field.name()).collect();
        f.write_str(&names.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(source: &str, destination: &str, ports: (u16, u16), protocol: u8) -> Record {
        Record {
            interface: "eth0".to_owned(),
            direction: Direction::Inbound,
            source: Some(source.parse().expect("address")),
            destination: Some(destination.parse().expect("address")),
            source_port: ports.0,
            destination_port: ports.1,
            protocol,
            packets: 3,
            bytes: 180,
            start: 1_760_000_000,
            end: 1_760_000_058,
            reason: Reason::NoRule,
            tcp_flags: 0x02,
            rule: None,
            group: None,
        }
    }

    #[test]
    fn the_default_line_is_that_of_version_2() {
        let rejected = record("198.51.100.44", "10.0.2.30", (40112, 3389), 6);
        let icmp = Record {
            reason: Reason::New,
            ..record("203.0.113.9", "10.0.2.30", (7, 8), 1)
        };
        let v6 = Record {
            reason: Reason::Established,
            ..record("2001:db8:1::10", "2001:db8:2::20", (45000, 443), 6)
        };
        for (record, line) in [
            (
                rejected,
                "2 - eth0 198.51.100.44 10.0.2.30 40112 3389 6 3 180 1760000000 1760000058 REJECT OK",
            ),
            (
                icmp,
                "2 - eth0 203.0.113.9 10.0.2.30 0 0 1 3 180 1760000000 1760000058 ACCEPT OK",
            ),
            (
                v6,
                "2 - eth0 2001:db8:1::10 2001:db8:2::20 45000 443 6 3 180 1760000000 1760000058 ACCEPT OK",
            ),
        ] {
            assert_eq!(Format::default().line(&record), line);
        }
    }

    #[test]
    fn gaps_keep_their_times() {
        let line = Format::default().gap("eth0", 1_760_000_060, 1_760_000_118, Gap::SkipData);
        assert_eq!(
            line,
            "2 - eth0 - - - - - - - 1760000060 1760000118 - SKIPDATA"
        );
        let line = Format::default().gap("eth0", 1, 2, Gap::NoData);
        assert!(line.ends_with("NODATA"));
    }

    #[test]
    fn custom_formats_name_their_fields() {
        let format: Format =
            "${version} ${type} srcaddr,tcp-flags flow-direction sg-rule-id sg-name sg-reason"
                .parse()
                .expect("fields");
        let record = Record {
            rule: Some("sgr-1".to_owned()),
            group: Some("web tier".to_owned()),
            tcp_flags: 0x18,
            ..record("198.51.100.44", "10.0.2.30", (1, 2), 6)
        };
        assert_eq!(
            format.line(&record),
            "5 IPv4 198.51.100.44 0 ingress sgr-1 web_tier no-rule"
        );
        assert_eq!(
            format.to_string(),
            "version type srcaddr tcp-flags flow-direction sg-rule-id sg-name sg-reason"
        );
        assert_eq!("".parse::<Format>(), Err(InvalidFormat::Empty));
        let unknown = "${vpc-id}".parse::<Format>().expect_err("no such field");
        assert!(
            unknown
                .to_string()
                .contains("`vpc-id`; the fields are version account-id")
        );
    }

    #[test]
    fn flags_are_recorded_as_aws_does() {
        for (wire, recorded) in [
            (0x02, 2),
            (0x12, 18),
            (0x10, 0),
            (0x11, 1),
            (0x14, 4),
            (0x03, 3),
        ] {
            assert_eq!(flags(wire), recorded, "{wire:#x}");
        }
    }
}
