//! Reads a line that `sg-ctl logs` has printed, text or JSON.

use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;
use sg_common::flow::Direction;
use sg_common::proto;
use sg_policy::explain::Probe;

use crate::verb::output::packet;

/// What a line says of a packet.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct LogLine {
    pub(crate) interface: String,
    direction: String,
    protocol: Option<String>,
    source: Option<IpAddr>,
    source_port: Option<u16>,
    destination: Option<IpAddr>,
    destination_port: Option<u16>,
    tcp_flags: Option<Vec<String>>,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
}

impl LogLine {
    /// Reads a line; `None` if it is not one of a packet.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        if line.starts_with('{') {
            return serde_json::from_str(line).ok();
        }
        Self::parse_text(line)
    }

    /// `TIME INTERFACE DIRECTION VERDICT REASON PROTOCOL SOURCE -> DESTINATION NAME=VALUE…`
    fn parse_text(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace().skip(1);
        let mut read = Self {
            interface: words.next()?.to_owned(),
            direction: words.next()?.to_owned(),
            ..Self::default()
        };
        let mut words = words.skip(2);
        read.protocol = Some(words.next()?.to_owned());
        let source = end(words.next()?)?;
        if words.next()? != "->" {
            return None;
        }
        let destination = end(words.next()?)?;
        (read.source, read.source_port) = (Some(source.0), source.1);
        (read.destination, read.destination_port) = (Some(destination.0), destination.1);
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or(("", word));
            match name {
                // A narrow terminal has no room for the name.
                "" if value
                    .split(',')
                    .all(|flag| packet::tcp_flag(flag).is_some()) =>
                {
                    read.tcp_flags = Some(value.split(',').map(str::to_owned).collect());
                }
                "flags" => read.tcp_flags = Some(value.split(',').map(str::to_owned).collect()),
                "type" => read.icmp_type = value.parse().ok(),
                "code" => read.icmp_code = value.parse().ok(),
                _ => {}
            }
        }
        Some(read)
    }

    /// The packet; `None` if the line lacks what decides, as that of a fragment or a malformed frame
    /// does.
    pub(crate) fn probe(&self) -> Option<Probe> {
        let direction = Direction::ALL
            .into_iter()
            // A narrow terminal has `in` and `out`.
            .find(|it| {
                [it.name(), it.name().trim_end_matches("bound")].contains(&&*self.direction)
            })?;
        let protocol = packet::protocol_number(self.protocol.as_deref()?)?;
        let has_ports = packet::has_ports(protocol);
        if has_ports && (self.source_port.is_none() || self.destination_port.is_none()) {
            return None;
        }
        let source = (self.source?, self.source_port.unwrap_or(0));
        let destination = (self.destination?, self.destination_port.unwrap_or(0));
        let (local, remote) = match direction {
            Direction::Inbound => (destination, source),
            Direction::Outbound => (source, destination),
        };
        let flags = self.tcp_flags.iter().flatten();
        Some(Probe {
            direction,
            protocol,
            remote: remote.0,
            remote_port: remote.1,
            local: Some(local.0),
            local_port: local.1,
            tcp_flags: if protocol == proto::TCP {
                flags
                    .filter_map(|name| packet::tcp_flag(name))
                    .fold(0, |all, bit| all | bit)
            } else {
                0
            },
            message: [self.icmp_type.unwrap_or(0), self.icmp_code.unwrap_or(0)],
            // Not logged; what kept a message on its link would have passed as infrastructure.
            hop_limit: Some(64),
        })
    }
}

fn end(text: &str) -> Option<(IpAddr, Option<u16>)> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some((socket.ip(), Some(socket.port())));
    }
    text.parse().ok().map(|address| (address, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verb::output::event::tests::view;

    #[test]
    fn both_forms_of_a_line_give_the_packet_back() {
        let text = anstream::adapter::strip_str(&view().to_string()).to_string();
        let json = serde_json::to_string(&view()).expect("JSON");
        for line in [text, json] {
            let read = LogLine::parse(&line).expect("a line of the log");
            assert_eq!(read.interface, "eth0");
            let probe = read.probe().expect("a packet");
            assert_eq!(
                probe.to_string(),
                "inbound tcp 203.0.113.7:40000 -> 10.0.1.5:443"
            );
            assert_eq!(probe.tcp_flags, 2);
        }
    }

    #[test]
    fn what_is_no_line_of_a_packet_is_nothing() {
        for line in [
            "",
            "no events",
            "{}",
            "2026-03-01T12:00:00Z eth0 inbound ALLOW infra-arp length=42",
        ] {
            assert!(
                LogLine::parse(line).and_then(|read| read.probe()).is_none(),
                "{line}"
            );
        }
    }
}
