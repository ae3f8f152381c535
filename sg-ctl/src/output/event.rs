//! Verdicts: one line, or one line of JSON, per logged packet.

mod line;

use std::net::IpAddr;

use serde::Serialize;
use sg_common::addr::Addr;
use sg_common::event::{EVENT_AUDITED, Event};
use sg_common::flow::Direction;
use sg_common::proto;
use sg_common::reason::{Reason, Verdict};
use sg_ctl::record::flowlog::Record;

use super::Tone;
use super::names::{Names, RuleRef};
use super::packet;
use super::time::WallClock;

/// A logged verdict as it is shown. The names of the fields are those of the JSON form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct EventView {
    pub(super) time: String,
    #[serde(skip)]
    unix_seconds: i64,
    interface: String,
    pub(super) direction: &'static str,
    verdict: &'static str,
    audited: bool,
    pub(super) reason: String,
    pub(super) protocol: Option<String>,
    source: Option<IpAddr>,
    source_port: Option<u16>,
    destination: Option<IpAddr>,
    destination_port: Option<u16>,
    tcp_flags: Option<Vec<&'static str>>,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
    vlan: Vec<u16>,
    pub(super) length: u32,
    rule: Option<RuleRef>,
}

impl EventView {
    /// Translates an event of the programs.
    pub(crate) fn new(event: &Event, clock: &WallClock, names: &Names) -> Self {
        let direction = Direction::from_code(event.direction);
        let reason = Reason::from_code(event.reason);
        // Frames that are not IP, and those cut off before the addresses, have none; fragments
        // without a transport header have addresses but no ports.
        let is_ip = event.local != Addr::UNSPECIFIED || event.remote != Addr::UNSPECIFIED;
        let has_ports =
            packet::has_ports(event.protocol) && (event.local_port != 0 || event.remote_port != 0);
        let local = (event.local, event.local_port);
        let remote = (event.remote, event.remote_port);
        let (source, destination) = match direction {
            Direction::Inbound => (remote, local),
            Direction::Outbound => (local, remote),
        };
        let is_icmp = is_ip && packet::is_icmp(event.protocol);
        let is_tcp = is_ip && event.protocol == proto::TCP && event.tcp_flags != 0;
        Self {
            time: clock.text(event.time_ns),
            unix_seconds: clock.unix_seconds(event.time_ns),
            interface: match names.interface(u32::from(event.zone), event.ifindex) {
                Some(name) => name.to_owned(),
                None => format!("ifindex:{}", event.ifindex),
            },
            direction: direction.name(),
            verdict: match reason.map(Reason::verdict) {
                Some(Verdict::Pass) => "allow",
                Some(Verdict::Drop) | None => "deny",
            },
            audited: event.flags & EVENT_AUDITED != 0,
            reason: reason.map_or_else(
                || format!("reason-{}", event.reason),
                |reason| reason.name().to_owned(),
            ),
            protocol: is_ip.then(|| packet::protocol(event.protocol)),
            source: is_ip.then(|| source.0.into()),
            source_port: has_ports.then_some(source.1),
            destination: is_ip.then(|| destination.0.into()),
            destination_port: has_ports.then_some(destination.1),
            tcp_flags: is_tcp.then(|| packet::tcp_flag_names(event.tcp_flags)),
            icmp_type: is_icmp.then_some(event.icmp_type),
            icmp_code: is_icmp.then_some(event.icmp_code),
            vlan: packet::vlan_ids(event.vlan),
            length: event.length,
            rule: names.rule(event.rule),
        }
    }

    /// The interface's name.
    pub(crate) fn interface(&self) -> &str {
        &self.interface
    }

    /// Whether the packet was dropped, or would have been if the interface did not only audit.
    pub(crate) fn is_denied(&self) -> bool {
        self.verdict == "deny"
    }

    /// What became of the packet, as a comment in a capture: direction, verdict, reason, VLAN ids (a
    /// tag may have been beside the frame) and rule.
    pub(crate) fn comment(&self) -> String {
        let (_, verdict) = self.verdict_text();
        let vlan = if self.vlan.is_empty() {
            String::new()
        } else {
            let ids: Vec<_> = self.vlan.iter().map(u16::to_string).collect();
            format!(" vlan={}", ids.join("."))
        };
        let rule = self.rule.as_ref();
        let rule = rule.map_or_else(String::new, |rule| format!(" {rule}"));
        format!("{} {verdict} {}{vlan}{rule}", self.direction, self.reason)
    }

    /// The packet as a record of flow logs; `None` for what they do not record: what is not IP.
    pub(crate) fn record(&self) -> Option<Record> {
        let flags = self.tcp_flags.iter().flatten();
        let rule = self.rule.as_ref();
        Some(Record {
            interface: self.interface.clone(),
            direction: Direction::ALL
                .into_iter()
                .find(|direction| direction.name() == self.direction)?,
            source: Some(self.source?),
            destination: self.destination,
            source_port: self.source_port.unwrap_or(0),
            destination_port: self.destination_port.unwrap_or(0),
            protocol: packet::protocol_number(self.protocol.as_deref()?)?,
            packets: 1,
            bytes: u64::from(self.length),
            start: self.unix_seconds,
            end: self.unix_seconds,
            reason: *Reason::ALL
                .iter()
                .find(|reason| reason.name() == self.reason)?,
            tcp_flags: flags
                .filter_map(|name| packet::tcp_flag(name))
                .fold(0, |all, bit| all | bit),
            rule: rule.and_then(|rule| rule.id.clone()),
            group: rule.and_then(|rule| rule.group.clone()),
        })
    }

    /// Source and destination as on the wire.
    pub(super) fn ends(&self) -> Option<[String; 2]> {
        Some([
            packet::endpoint(self.source?, self.source_port),
            packet::endpoint(self.destination?, self.destination_port),
        ])
    }

    fn verdict_text(&self) -> (Tone, &'static str) {
        match (self.is_denied(), self.audited) {
            (false, _) => (Tone::Good, "ALLOW"),
            (true, false) => (Tone::Bad, "DENY"),
            (true, true) => (Tone::Notable, "AUDIT-DENY"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::names::tests::names;
    use super::*;

    fn addr(text: &str) -> Addr {
        text.parse::<IpAddr>().expect("address").into()
    }

    /// A SYN from 203.0.113.7:40000 to port 443 of 10.0.1.5, not admitted.
    pub(crate) fn denied() -> Event {
        Event {
            time_ns: 1_500_000_000,
            local: addr("10.0.1.5"),
            remote: addr("203.0.113.7"),
            rule: 0,
            length: 74,
            ifindex: 2,
            zone: 0,
            local_port: 443,
            remote_port: 40000,
            vlan: [0; 2],
            protocol: 6,
            direction: Direction::Inbound as u8,
            reason: Reason::NoRule as u8,
            flags: 0,
            tcp_flags: 0x02,
            icmp_type: 0,
            icmp_code: 0,
            pad: [0; 3],
        }
    }

    /// The same, admitted by rule 1.
    pub(crate) fn passed() -> Event {
        Event {
            rule: 1,
            reason: Reason::New as u8,
            ..denied()
        }
    }

    /// The view of a denied packet.
    pub(crate) fn view() -> EventView {
        view_of(&denied())
    }

    fn view_of(event: &Event) -> EventView {
        EventView::new(
            event,
            &WallClock::starting_at("2026-03-01T12:00:00Z"),
            &names(),
        )
    }

    fn line(event: &Event) -> String {
        let line = view_of(event).to_string();
        let plain = anstream::adapter::strip_str(&line).to_string();
        let rest = plain.strip_prefix("2026-03-01T12:00:01.500+00:00 ");
        rest.expect("time").to_owned()
    }

    #[test]
    fn a_denied_packet_reads_as_on_the_wire() {
        assert_eq!(
            line(&denied()),
            "eth0 inbound  DENY  no-rule tcp 203.0.113.7:40000 -> 10.0.1.5:443 flags=SYN length=74"
        );
    }

    #[test]
    fn a_passed_packet_names_its_rule() {
        let event = Event {
            rule: 1,
            direction: Direction::Outbound as u8,
            reason: Reason::New as u8,
            ..denied()
        };
        assert_eq!(
            line(&event),
            "eth0 outbound ALLOW new tcp 10.0.1.5:443 -> 203.0.113.7:40000 flags=SYN length=74 \
             rule=sgr-0123456789abcdef0 group=web"
        );
        assert_eq!(
            view_of(&event).comment(),
            "outbound ALLOW new rule=sgr-0123456789abcdef0 group=web"
        );
    }

    #[test]
    fn an_audited_packet_says_so() {
        let event = Event {
            flags: EVENT_AUDITED,
            ..denied()
        };
        assert!(line(&event).starts_with("eth0 inbound  AUDIT-DENY no-rule tcp "));
        assert!(view_of(&event).is_denied());
    }

    #[test]
    fn icmp_shows_type_and_code_in_place_of_ports() {
        let event = Event {
            protocol: 1,
            icmp_type: 8,
            local_port: 0,
            remote_port: 0,
            tcp_flags: 0,
            vlan: [100, 7],
            ..denied()
        };
        assert_eq!(
            line(&event),
            "eth0 inbound  DENY  no-rule icmp 203.0.113.7 -> 10.0.1.5 type=8 code=0 \
             vlan=100.7 length=74"
        );
    }

    #[test]
    fn a_later_fragment_has_no_ports() {
        let event = Event {
            protocol: 17,
            local_port: 0,
            remote_port: 0,
            reason: Reason::FragmentUnknown as u8,
            ..denied()
        };
        assert_eq!(
            line(&event),
            "eth0 inbound  DENY  fragment-unknown udp 203.0.113.7 -> 10.0.1.5 length=74"
        );
    }

    #[test]
    fn frames_without_addresses_show_what_is_known() {
        let event = Event {
            local: Addr::UNSPECIFIED,
            remote: Addr::UNSPECIFIED,
            protocol: 0,
            reason: Reason::InfraArp as u8,
            zone: 9,
            ..denied()
        };
        assert_eq!(line(&event), "ifindex:2 inbound  ALLOW infra-arp length=74");
    }

    #[test]
    fn json_has_every_field() {
        let event = Event {
            rule: 1,
            reason: Reason::New as u8,
            ..denied()
        };
        assert_eq!(
            serde_json::to_value(view_of(&event)).expect("JSON"),
            serde_json::json!({
                "time": "2026-03-01T12:00:01.500+00:00",
                "interface": "eth0",
                "direction": "inbound",
                "verdict": "allow",
                "audited": false,
                "reason": "new",
                "protocol": "tcp",
                "source": "203.0.113.7",
                "source_port": 40000,
                "destination": "10.0.1.5",
                "destination_port": 443,
                "tcp_flags": ["SYN"],
                "icmp_type": null,
                "icmp_code": null,
                "vlan": [],
                "length": 74,
                "rule": {
                    "number": 1,
                    "id": "sgr-0123456789abcdef0",
                    "group": "web",
                    "group_id": "sg-0123456789abcdef0",
                },
            })
        );
    }

    #[test]
    fn codes_of_another_version_are_shown_as_numbers() {
        let event = Event {
            reason: 63,
            rule: 99,
            ..denied()
        };
        let line = line(&event);
        assert!(line.contains("DENY  reason-63"), "{line}");
        assert!(line.ends_with("rule=#99"), "{line}");
    }
}
