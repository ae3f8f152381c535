//! The "Type" menu of the AWS console (aws-semantics §8.5).

use super::decode::{Cursor, Decode, nearest};
use super::error::Problems;
use super::scalar::scalar_schema;
use super::service::Protocol;
use crate::model::{Icmp, Service, Transport};

/// What a type of the console settles.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meaning {
    /// Protocol and ports.
    Service(Service),
    /// The protocol alone: ports or messages stand in the rule.
    Protocol(Protocol),
    /// Nothing: the rule gives the protocol by number.
    Nothing,
}

/// A type of the console.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConsoleType {
    /// The name in the console.
    pub(super) name: &'static str,
    /// What it settles.
    pub(super) meaning: Meaning,
}

const fn tcp(name: &'static str, port: u16) -> ConsoleType {
    port_of(name, Transport::Tcp, port)
}

const fn port_of(name: &'static str, protocol: Transport, port: u16) -> ConsoleType {
    service(
        name,
        Service::Ports {
            protocol,
            from: port,
            to: port,
        },
    )
}

const fn service(name: &'static str, service: Service) -> ConsoleType {
    ConsoleType {
        name,
        meaning: Meaning::Service(service),
    }
}

const fn protocol(name: &'static str, protocol: Protocol) -> ConsoleType {
    ConsoleType {
        name,
        meaning: Meaning::Protocol(protocol),
    }
}

/// Every type, in the console's order.
const TYPES: [ConsoleType; 34] = [
    protocol("Custom TCP", Protocol::Transport(Transport::Tcp)),
    protocol("Custom UDP", Protocol::Transport(Transport::Udp)),
    protocol("Custom ICMP - IPv4", Protocol::Icmp(Icmp::V4)),
    protocol("Custom ICMP - IPv6", Protocol::Icmp(Icmp::V6)),
    ConsoleType {
        name: "Custom Protocol",
        meaning: Meaning::Nothing,
    },
    service("All TCP", Service::protocol(Transport::Tcp.number())),
    service("All UDP", Service::protocol(Transport::Udp.number())),
    service("All ICMP - IPv4", Service::protocol(Icmp::V4.number())),
    service("All ICMP - IPv6", Service::protocol(Icmp::V6.number())),
    service("All traffic", Service::All),
    tcp("SSH", 22),
    tcp("SMTP", 25),
    port_of("DNS (UDP)", Transport::Udp, 53),
    tcp("DNS (TCP)", 53),
    tcp("HTTP", 80),
    tcp("POP3", 110),
    tcp("IMAP", 143),
    tcp("LDAP", 389),
    tcp("HTTPS", 443),
    tcp("SMB", 445),
    tcp("SMTPS", 465),
    tcp("IMAPS", 993),
    tcp("POP3S", 995),
    tcp("MSSQL", 1433),
    tcp("Oracle-RDS", 1521),
    tcp("Elastic Graphics", 2007),
    tcp("NFS", 2049),
    tcp("MySQL/Aurora", 3306),
    tcp("RDP", 3389),
    tcp("Redshift", 5439),
    tcp("PostgreSQL", 5432),
    tcp("WinRM-HTTP", 5985),
    tcp("WinRM-HTTPS", 5986),
    tcp("CQLSH / CASSANDRA", 9042),
];

scalar_schema!(ConsoleType, "ConsoleType", {
    "type": "string",
    "description": "A type of the AWS console. Upper and lower case are the same.",
    "examples": TYPES.map(|each| each.name).to_vec(),
});

impl Decode for ConsoleType {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        let text = cursor.scalar("a type of the AWS console, such as HTTPS", problems)?;
        if let Some(known) = TYPES
            .iter()
            .find(|each| each.name.eq_ignore_ascii_case(text.trim()))
        {
            return Some(*known);
        }
        let help = match nearest(text, TYPES.iter().map(|each| each.name)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write `protocol` and `ports` instead".to_owned(),
        };
        cursor.refuse(
            problems,
            format!("`{text}` is no type of the AWS console"),
            help,
        )
    }
}

/// The names of the types of the console, each with the service that it settles, if it does.
pub fn console_types() -> impl Iterator<Item = (&'static str, Option<Service>)> {
    TYPES.iter().map(|each| match each.meaning {
        Meaning::Service(service) => (each.name, Some(service)),
        Meaning::Protocol(_) | Meaning::Nothing => (each.name, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_without_regard_to_case() {
        let mut names: Vec<String> = TYPES.iter().map(|each| each.name.to_lowercase()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TYPES.len());
    }
}
