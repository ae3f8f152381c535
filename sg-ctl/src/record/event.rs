//! A logged verdict, typed: lines, JSON, flow records and comments of captures are made of it.

use std::net::IpAddr;

use sg_common::addr::Addr;
use sg_common::event::{self, EVENT_AUDITED};
use sg_common::flow::Direction;
use sg_common::proto;
use sg_common::reason::{Reason, Verdict};

use super::flowlog::Record;
use super::rule::RuleRef;

/// What became of one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds since 1970.
    pub unix_ns: u64,
    /// Name of the interface.
    pub interface: String,
    /// From the protected side's view.
    pub direction: Direction,
    /// Why it passed or was dropped; the number, when it is of programs of another version.
    pub reason: Result<Reason, u8>,
    /// Whether the interface only audits: what was denied passed all the same.
    pub audited: bool,
    /// IANA protocol number; `None` for what is not IP.
    pub protocol: Option<u8>,
    /// The sender.
    pub source: Option<End>,
    /// The receiver.
    pub destination: Option<End>,
    /// Flags of a TCP segment, byte 13 of its header.
    pub tcp_flags: Option<u8>,
    /// ICMP type and code.
    pub icmp: Option<(u8, u8)>,
    /// VLAN ids, outer first.
    pub vlan: Vec<u16>,
    /// Bytes on the wire, from the Ethernet header on.
    pub length: u32,
    /// The rule that decided.
    pub rule: Option<RuleRef>,
}

/// One end of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Its address.
    pub address: IpAddr,
    /// Its port, if the protocol has ports and the packet tells them.
    pub port: Option<u16>,
}

impl Event {
    /// Translates an event of the programs.
    pub fn new(
        event: &event::Event,
        unix_ns: u64,
        interface: String,
        rule: Option<RuleRef>,
    ) -> Self {
        let direction = Direction::from_code(event.direction);
        // Frames that are not IP, and those cut off before the addresses, have none; fragments
        // without a transport header have addresses but no ports.
        let is_ip = event.local != Addr::UNSPECIFIED || event.remote != Addr::UNSPECIFIED;
        let is_tcp = event.protocol == proto::TCP;
        let has_ports = (is_tcp || event.protocol == proto::UDP)
            && (event.local_port != 0 || event.remote_port != 0);
        let is_icmp = matches!(event.protocol, proto::ICMP | proto::ICMPV6);
        let end = |address: Addr, port: u16| {
            is_ip.then(|| End {
                address: address.into(),
                port: has_ports.then_some(port),
            })
        };
        let local = end(event.local, event.local_port);
        let remote = end(event.remote, event.remote_port);
        let (source, destination) = match direction {
            Direction::Inbound => (remote, local),
            Direction::Outbound => (local, remote),
        };
        Self {
            unix_ns,
            interface,
            direction,
            reason: Reason::from_code(event.reason).ok_or(event.reason),
            audited: event.flags & EVENT_AUDITED != 0,
            protocol: is_ip.then_some(event.protocol),
            source,
            destination,
            tcp_flags: (is_ip && is_tcp && event.tcp_flags != 0).then_some(event.tcp_flags),
            icmp: (is_ip && is_icmp).then_some((event.icmp_type, event.icmp_code)),
            vlan: event.vlan.into_iter().filter(|id| *id != 0).collect(),
            length: event.length,
            rule,
        }
    }

    /// Whether the packet was dropped, or would have been if the interface did not only audit.
    pub fn is_denied(&self) -> bool {
        !self
            .reason
            .is_ok_and(|reason| reason.verdict() == Verdict::Pass)
    }

    /// The word for the verdict, the same in text, JSON and metrics.
    pub fn verdict(&self) -> &'static str {
        verdict(!self.is_denied())
    }

    /// The name of the reason.
    pub fn reason_name(&self) -> String {
        match self.reason {
            Ok(reason) => reason.name().to_owned(),
            Err(code) => format!("reason-{code}"),
        }
    }

    /// The packet as a record of flow logs; `None` for what they do not record: what is not IP, and
    /// reasons of another version.
    pub fn record(&self) -> Option<Record> {
        let (source, destination) = (self.source?, self.destination?);
        let seconds = (self.unix_ns / 1_000_000_000).cast_signed();
        Some(Record {
            interface: self.interface.clone(),
            direction: self.direction,
            source: Some(source.address),
            destination: Some(destination.address),
            source_port: source.port.unwrap_or(0),
            destination_port: destination.port.unwrap_or(0),
            protocol: self.protocol?,
            packets: 1,
            bytes: u64::from(self.length),
            start: seconds,
            end: seconds,
            reason: self.reason.ok()?,
            tcp_flags: self.tcp_flags.unwrap_or(0),
            rule: self.rule.as_ref().and_then(|rule| rule.id.clone()),
            group: self.rule.as_ref().and_then(|rule| rule.group.clone()),
        })
    }
}

/// The word for a verdict.
pub const fn verdict(passes: bool) -> &'static str {
    if passes { "allow" } else { "deny" }
}
