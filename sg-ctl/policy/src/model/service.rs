//! What a rule admits besides the peer: protocol with ports or ICMP messages.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sg_common::proto::{ICMP, ICMPV6, TCP, UDP};

/// A protocol with ports that rules can name.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// IANA protocol number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => TCP,
            Self::Udp => UDP,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A protocol of control messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Icmp {
    /// ICMP for IPv4.
    #[serde(rename = "icmp")]
    V4,
    /// ICMP for IPv6.
    #[serde(rename = "icmpv6")]
    V6,
}

impl Icmp {
    /// IANA protocol number.
    pub const fn number(self) -> u8 {
        match self {
            Self::V4 => ICMP,
            Self::V6 => ICMPV6,
        }
    }
}

impl fmt::Display for Icmp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V4 => "icmp",
            Self::V6 => "icmpv6",
        })
    }
}

/// Which control messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IcmpMessage {
    /// Every type and code.
    Any,
    /// One type, every code.
    Type(u8),
    /// One type and one code.
    TypeAndCode(u8, u8),
}

/// What a rule admits besides the peer, in the one form that each meaning has.
///
/// All of TCP is `Ports { Tcp, 0, 65535 }` and never `Protocol(6)`; likewise UDP, ICMP, ICMPv6.
/// Build from a protocol number with [`Service::protocol`] to keep it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Every protocol (AWS `-1`).
    All,
    /// Destination ports `from..=to` of TCP or UDP.
    Ports {
        /// TCP or UDP.
        protocol: Transport,
        /// First destination port.
        from: u16,
        /// Last destination port, not less than `from`.
        to: u16,
    },
    /// Control messages.
    Icmp {
        /// ICMP or ICMPv6.
        protocol: Icmp,
        /// Which of them.
        message: IcmpMessage,
    },
    /// Every packet of another protocol, by IANA number.
    Protocol(u8),
}

impl Service {
    /// Every packet of the protocol with this IANA number.
    pub const fn protocol(number: u8) -> Self {
        match number {
            TCP => Self::Ports {
                protocol: Transport::Tcp,
                from: 0,
                to: u16::MAX,
            },
            UDP => Self::Ports {
                protocol: Transport::Udp,
                from: 0,
                to: u16::MAX,
            },
            ICMP => Self::Icmp {
                protocol: Icmp::V4,
                message: IcmpMessage::Any,
            },
            ICMPV6 => Self::Icmp {
                protocol: Icmp::V6,
                message: IcmpMessage::Any,
            },
            other => Self::Protocol(other),
        }
    }

    /// Whether every port of `transport` is admitted.
    pub const fn admits_all_of(self, transport: Transport) -> bool {
        match self {
            Self::All => true,
            Self::Ports { protocol, from, to } => {
                protocol as u8 == transport as u8 && from == 0 && to == u16::MAX
            }
            Self::Icmp { .. } | Self::Protocol(_) => false,
        }
    }

    /// Whether some port of `transport` is admitted.
    pub const fn admits_some_of(self, transport: Transport) -> bool {
        match self {
            Self::All => true,
            Self::Ports { protocol, .. } => protocol as u8 == transport as u8,
            Self::Icmp { .. } | Self::Protocol(_) => false,
        }
    }

    /// The protocol as rule files write it: `tcp`, `all`, `47`.
    pub fn protocol_text(self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::Ports { protocol, .. } => protocol.to_string(),
            Self::Icmp { protocol, .. } => protocol.to_string(),
            Self::Protocol(number) => number.to_string(),
        }
    }

    /// The ports, or the ICMP type and code, as tables show them: `443`, `8000-8100`, `8/0`, `all`.
    pub fn ports_text(self) -> String {
        match self {
            Self::Ports {
                from: 0,
                to: u16::MAX,
                ..
            }
            | Self::Icmp {
                message: IcmpMessage::Any,
                ..
            }
            | Self::All
            | Self::Protocol(_) => "all".to_owned(),
            Self::Ports { from, to, .. } if from == to => from.to_string(),
            Self::Ports { from, to, .. } => format!("{from}-{to}"),
            Self::Icmp {
                message: IcmpMessage::Type(kind),
                ..
            } => kind.to_string(),
            Self::Icmp {
                message: IcmpMessage::TypeAndCode(kind, code),
                ..
            } => {
                format!("{kind}/{code}")
            }
        }
    }
}

impl fmt::Display for Service {
    /// Writes protocol and ports: `tcp 443`, `icmp 8/0`, `47 all`, and `all` alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.pad("all"),
            _ => f.pad(&format!("{} {}", self.protocol_text(), self.ports_text())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_protocols_have_one_form() {
        assert_eq!(Service::protocol(6).to_string(), "tcp all");
        assert_eq!(Service::protocol(17).to_string(), "udp all");
        assert_eq!(Service::protocol(1).to_string(), "icmp all");
        assert_eq!(Service::protocol(58).to_string(), "icmpv6 all");
        assert_eq!(Service::protocol(47), Service::Protocol(47));
    }

    #[test]
    fn all_of_a_transport_is_its_whole_range_or_every_protocol() {
        let most = Service::Ports {
            protocol: Transport::Tcp,
            from: 1,
            to: u16::MAX,
        };
        assert!(Service::All.admits_all_of(Transport::Udp));
        assert!(Service::protocol(6).admits_all_of(Transport::Tcp));
        assert!(!Service::protocol(6).admits_all_of(Transport::Udp));
        assert!(!most.admits_all_of(Transport::Tcp));
        assert!(most.admits_some_of(Transport::Tcp));
        assert!(!Service::protocol(1).admits_some_of(Transport::Tcp));
    }
}
