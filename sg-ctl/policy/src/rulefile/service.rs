//! Protocol, ports and ICMP messages of a rule, and the one [`Service`] they add up to.

use super::console::Meaning;
use super::decode::{Cursor, Decode, Located};
use super::document::Value;
use super::error::{At, Problems};
use super::icmp;
use super::scalar::{digits, scalar_schema};
use super::syntax::Rule;
use crate::model::{Icmp, Service, Transport};

/// What may stand as protocol.
const PROTOCOLS: &str = "tcp, udp, icmp, icmpv6, all, or a number from 0 to 255";
/// What may stand as ports.
const PORTS: &str = "ports go from 0 to 65535: a single port (443), a range (8000-8100) or `all`";

/// The protocol of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Every protocol.
    All,
    /// TCP or UDP.
    Transport(Transport),
    /// ICMP or ICMPv6.
    Icmp(Icmp),
    /// Another protocol, by IANA number.
    Number(u8),
}

scalar_schema!(Protocol, "Protocol", {
    "description": "The protocol: `tcp`, `udp`, `icmp`, `icmpv6`, a number, or `all`.",
    "anyOf": [
        { "type": "string", "pattern": "^([Tt][Cc][Pp]|[Uu][Dd][Pp]|[Ii][Cc][Mm][Pp]([Vv]6)?|[Aa][Ll][Ll])$" },
        { "type": "string", "pattern": "^[0-9]{1,3}$" },
        { "type": "integer", "minimum": 0, "maximum": 255 },
    ],
    "examples": ["tcp", "udp", "icmp", "icmpv6", 47, "all"],
});

impl Protocol {
    /// The protocol that a service is of.
    const fn of(service: Service) -> Self {
        match service {
            Service::All => Self::All,
            Service::Ports { protocol, .. } => Self::Transport(protocol),
            Service::Icmp { protocol, .. } => Self::Icmp(protocol),
            Service::Protocol(number) => Self::Number(number),
        }
    }
}

impl Decode for Protocol {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        let text = cursor.scalar(PROTOCOLS, problems)?;
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Some(Self::Transport(Transport::Tcp)),
            "udp" => Some(Self::Transport(Transport::Udp)),
            "icmp" => Some(Self::Icmp(Icmp::V4)),
            "icmpv6" => Some(Self::Icmp(Icmp::V6)),
            "all" => Some(Self::All),
            "-1" => cursor.refuse(problems, "`-1` is AWS's word for `all`", "write `all`"),
            other => match digits(other) {
                Some(number) => Some(Self::of(Service::protocol(number))),
                None => cursor.refuse(
                    problems,
                    format!("`{text}` is not a protocol"),
                    format!("write {PROTOCOLS}"),
                ),
            },
        }
    }
}

/// Destination ports, `from..=to`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    from: u16,
    to: u16,
}

scalar_schema!(Ports, "Ports", {
    "description": "A single port, a range `FROM-TO`, or `all`.",
    "anyOf": [
        { "type": "integer", "minimum": 0, "maximum": 65535 },
        { "type": "string", "pattern": "^([0-9]{1,5}( *- *[0-9]{1,5})?|all)$" },
    ],
    "examples": [443, "8000-8100", "all"],
});

impl Decode for Ports {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        if matches!(cursor.node.value, Value::List(_)) {
            return cursor.refuse(
                problems,
                "is a list",
                "write one rule for each port or range",
            );
        }
        let text = cursor.scalar(PORTS, problems)?;
        if text == "all" {
            return Some(Self {
                from: 0,
                to: u16::MAX,
            });
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (digits(first.trim()), digits(last.trim())) {
            (Some(from), Some(to)) if from <= to => Some(Self { from, to }),
            (Some(from), Some(to)) => cursor.refuse(
                problems,
                format!("the range {from}-{to} ends before it begins"),
                format!("write {to}-{from}"),
            ),
            (None, _) => cursor.refuse(problems, format!("{first} is not a port"), PORTS),
            (_, None) => cursor.refuse(problems, format!("{last} is not a port"), PORTS),
        }
    }
}

/// What a rule allows, from its `type` or `template`, `protocol`, `ports` and `icmp`; `None` after a report.
pub(super) fn service(rule: &Located<Rule>, problems: &mut Problems<'_>) -> Option<Service> {
    let Located { value: keys, at } = rule;
    let refused = [
        keys.r#type.is_refused(),
        keys.template.is_refused(),
        keys.protocol.is_refused(),
        keys.ports.is_refused(),
        keys.icmp.is_refused(),
    ];
    if refused.contains(&true) {
        return None;
    }
    let preset = preset(keys, problems)?;
    let protocol = protocol(keys, preset.as_ref(), at, problems)?;
    let stated = stated(keys, protocol, problems)?;
    let key = preset.as_ref().map_or("type", |preset| preset.key);
    let preset = match preset.map(|preset| preset.meaning) {
        Some(Meaning::Service(service)) => Some(service),
        _ => None,
    };
    match (preset, stated) {
        (None, Some(service)) => Some(service),
        (Some(preset), None) => Some(preset),
        (Some(preset), Some(service)) if preset == service => Some(preset),
        (Some(preset), Some(service)) => {
            let message = format!("the {key} means {preset}, but the rule says {service}");
            let detail = keys.ports.given().map(|ports| &ports.at);
            let detail = detail
                .or_else(|| keys.icmp.given().map(|icmp| &icmp.at))
                .unwrap_or(at);
            let help = format!("leave out `{key}`, or what contradicts it");
            problems.error(detail, message, help);
            None
        }
        (None, None) => whole_protocol(protocol, at, problems),
    }
}

/// What a rule says by one name.
struct Preset<'r> {
    /// The key that holds the name.
    key: &'static str,
    name: &'static str,
    meaning: Meaning,
    at: &'r At,
}

/// What the `type` or the `template` of a rule settles, if it has one of them. The outer `None`
/// comes after a report.
#[expect(
    clippy::option_option,
    reason = "refused, left out and stated are three different things"
)]
fn preset<'r>(rule: &'r Rule, problems: &mut Problems<'_>) -> Option<Option<Preset<'r>>> {
    match (rule.r#type.given(), rule.template.given()) {
        (Some(_), Some(template)) => {
            let message = "both `type` and `template` are given";
            problems.error(&template.at, message, "keep one of them");
            None
        }
        (Some(kind), None) => Some(Some(Preset {
            key: "type",
            name: kind.value.name,
            meaning: kind.value.meaning,
            at: &kind.at,
        })),
        (None, Some(template)) => Some(Some(Preset {
            key: "template",
            name: template.value.name,
            meaning: Meaning::Service(template.value.service),
            at: &template.at,
        })),
        (None, None) => Some(None),
    }
}

/// The protocol of a rule, on which `protocol` and the preset must agree.
fn protocol(
    rule: &Rule,
    preset: Option<&Preset<'_>>,
    at: &At,
    problems: &mut Problems<'_>,
) -> Option<Protocol> {
    let by_name = preset.and_then(|preset| match preset.meaning {
        Meaning::Service(service) => Some(Protocol::of(service)),
        Meaning::Protocol(protocol) => Some(protocol),
        Meaning::Nothing => None,
    });
    match (by_name, rule.protocol.given(), preset) {
        (Some(by_name), Some(stated), Some(Preset { key, name, .. }))
            if by_name != stated.value =>
        {
            let message = format!("the protocol is not that of {key} `{name}`");
            let help = format!("leave out `protocol`, or `{key}`");
            problems.error(&stated.at, message, help);
            None
        }
        (Some(protocol), ..) => Some(protocol),
        (None, Some(stated), _) => Some(stated.value),
        (None, None, Some(preset)) => {
            let help = "give `protocol: NUMBER`, such as `protocol: 47` for GRE";
            problems.error(preset.at, "a custom protocol needs its number", help);
            None
        }
        (None, None, None) => {
            let help = "write `type: HTTPS`, or `protocol: tcp` and `ports: 443`";
            problems.error(at, "the rule does not say what it allows", help);
            None
        }
    }
}

/// The service that `ports` or `icmp` state, if one of them stands in the rule and fits the
/// protocol. The outer `None` comes after a report.
#[expect(
    clippy::option_option,
    reason = "refused, left out and stated are three different things"
)]
fn stated(rule: &Rule, protocol: Protocol, problems: &mut Problems<'_>) -> Option<Option<Service>> {
    if let Some(ports) = rule.ports.given()
        && !matches!(protocol, Protocol::Transport(_))
    {
        let (message, help) = match protocol {
            Protocol::All => (
                "protocol `all` has no ports: every port of every protocol would be open",
                "leave out `ports`, or write `protocol: tcp` or `protocol: udp`",
            ),
            Protocol::Icmp(_) => (
                "control messages have no ports",
                "write `icmp: {type: 8, code: any}` instead",
            ),
            Protocol::Number(_) | Protocol::Transport(_) => (
                "a protocol given by number has no ports here",
                "leave out `ports`: the whole protocol is allowed",
            ),
        };
        problems.error(&ports.at, message, help);
        return None;
    }
    if let Some(icmp) = rule.icmp.given()
        && !matches!(protocol, Protocol::Icmp(_))
    {
        let help = "leave out `icmp`, or write `protocol: icmp` or `protocol: icmpv6`";
        problems.error(&icmp.at, "only `icmp` and `icmpv6` have messages", help);
        return None;
    }
    Some(match (protocol, rule.ports.given(), rule.icmp.given()) {
        (Protocol::Transport(protocol), Some(ports), _) => {
            let Ports { from, to } = ports.value;
            Some(Service::Ports { protocol, from, to })
        }
        (Protocol::Icmp(protocol), _, Some(icmp)) => {
            let message = icmp::meaning(icmp, protocol, problems)?;
            Some(Service::Icmp { protocol, message })
        }
        _ => None,
    })
}

/// The service of a rule that states a protocol and nothing more: whole protocols are never
/// allowed by omission where parts of them can be named.
fn whole_protocol(protocol: Protocol, at: &At, problems: &mut Problems<'_>) -> Option<Service> {
    match protocol {
        Protocol::All => Some(Service::All),
        Protocol::Number(number) => Some(Service::protocol(number)),
        Protocol::Transport(transport) => {
            let message = format!("{transport} needs `ports`");
            problems.error(
                at,
                message,
                "write `ports: 443`, `ports: 8000-8100` or `ports: all`",
            );
            None
        }
        Protocol::Icmp(icmp) => {
            let help = "write `icmp: {type: 8, code: any}`, `icmp: echo-request` or `icmp: all`";
            problems.error(at, format!("{icmp} needs `icmp`"), help);
            None
        }
    }
}
