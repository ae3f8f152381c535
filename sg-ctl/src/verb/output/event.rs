//! Verdicts: one line, or one line of JSON, per logged packet.

mod line;

use std::borrow::Cow;
use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};
use sg_common::event::Event as Logged;
use sg_ctl::record::event::{End, Event};

use crate::verb::output::names::{Names, RuleRef};
use crate::verb::output::time::WallClock;
use crate::verb::output::{Tone, packet};

/// A logged verdict as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventView {
    pub(crate) time: String,
    pub(crate) event: Event,
}

impl EventView {
    /// The view of an event of the programs.
    pub(crate) fn new(event: &Logged, clock: &WallClock, names: &Names) -> Self {
        let interface = match names.interface(u32::from(event.zone), event.ifindex) {
            Some(name) => name.to_owned(),
            None => format!("ifindex:{}", event.ifindex),
        };
        let rule = names.rule(event.rule);
        Self {
            time: clock.text(event.time_ns),
            event: Event::new(event, clock.unix_ns(event.time_ns), interface, rule),
        }
    }

    /// What became of the packet, as a comment in a capture: direction, verdict, reason, VLAN ids (a
    /// tag may have been beside the frame) and rule.
    pub(crate) fn comment(&self) -> String {
        let (_, verdict) = self.verdict_text();
        let Event {
            direction, vlan, ..
        } = &self.event;
        let vlan = if vlan.is_empty() {
            String::new()
        } else {
            let ids: Vec<_> = vlan.iter().map(u16::to_string).collect();
            format!(" vlan={}", ids.join("."))
        };
        let rule = self.event.rule.as_ref();
        let rule = rule.map_or_else(String::new, |rule| format!(" {rule}"));
        let reason = self.event.reason_name();
        format!("{} {verdict} {reason}{vlan}{rule}", direction.name())
    }

    /// The protocol's name.
    pub(crate) fn protocol(&self) -> Option<String> {
        self.event.protocol.map(packet::protocol)
    }

    /// Source and destination as on the wire.
    pub(crate) fn ends(&self) -> Option<[String; 2]> {
        let text = |end: End| packet::endpoint(end.address, end.port);
        Some([text(self.event.source?), text(self.event.destination?)])
    }

    fn verdict_text(&self) -> (Tone, &'static str) {
        match (self.event.is_denied(), self.event.audited) {
            (false, _) => (Tone::Good, "ALLOW"),
            (true, false) => (Tone::Bad, "DENY"),
            (true, true) => (Tone::Notable, "AUDIT-DENY"),
        }
    }
}

impl Serialize for EventView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { time, event } = self;
        Fields {
            time,
            interface: &event.interface,
            direction: event.direction.name(),
            verdict: event.verdict(),
            audited: event.audited,
            reason: event.reason_name(),
            protocol: self.protocol(),
            source: event.source.map(|end| end.address),
            source_port: event.source.and_then(|end| end.port),
            destination: event.destination.map(|end| end.address),
            destination_port: event.destination.and_then(|end| end.port),
            tcp_flags: event.tcp_flags.map(packet::tcp_flag_names),
            icmp_type: event.icmp.map(|(kind, _)| kind),
            icmp_code: event.icmp.map(|(_, code)| code),
            vlan: &event.vlan,
            length: event.length,
            rule: event.rule.as_ref(),
        }
        .serialize(serializer)
    }
}

impl JsonSchema for EventView {
    fn schema_name() -> Cow<'static, str> {
        Fields::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Fields::json_schema(generator)
    }
}

/// A verdict.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Verdict")]
struct Fields<'a> {
    time: &'a str,
    interface: &'a str,
    #[schemars(extend("enum" = ["inbound", "outbound"]))]
    direction: &'static str,
    #[schemars(extend("enum" = ["allow", "deny"]))]
    verdict: &'static str,
    audited: bool,
    reason: String,
    protocol: Option<String>,
    source: Option<IpAddr>,
    source_port: Option<u16>,
    destination: Option<IpAddr>,
    destination_port: Option<u16>,
    tcp_flags: Option<Vec<&'static str>>,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
    vlan: &'a [u16],
    length: u32,
    rule: Option<&'a RuleRef>,
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::verb::output::names::tests::names;
    use sg_common::addr::Addr;
    use sg_common::event::{EVENT_AUDITED, Event};
    use sg_common::flow::Direction;
    use sg_common::reason::Reason;

    use crate::verb::output::event::{EventView, IpAddr, WallClock};

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
        assert!(view_of(&event).event.is_denied());
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
