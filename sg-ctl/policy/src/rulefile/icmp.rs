//! ICMP and ICMPv6 messages, by number or name.

use super::declare::mapping;
use super::decode::{Cursor, Decode, Field, Located, nearest};
use super::document::Value;
use super::error::Problems;
use super::scalar::{digits, scalar_schema};
use crate::model::{Icmp, IcmpMessage};

/// Message names as IANA writes them, in kebab case, with their meaning in each protocol.
#[rustfmt::skip]
const MESSAGES: [(&str, Option<IcmpMessage>, Option<IcmpMessage>); 15] = {
    use IcmpMessage::{Type, TypeAndCode};
    [
        ("echo-request",            Some(Type(8)),           Some(Type(128))),
        ("echo-reply",              Some(Type(0)),           Some(Type(129))),
        ("destination-unreachable", Some(Type(3)),           Some(Type(1))),
        ("net-unreachable",         Some(TypeAndCode(3, 0)), None),
        ("no-route",                None,                    Some(TypeAndCode(1, 0))),
        ("host-unreachable",        Some(TypeAndCode(3, 1)), None),
        ("address-unreachable",     None,                    Some(TypeAndCode(1, 3))),
        ("port-unreachable",        Some(TypeAndCode(3, 3)), Some(TypeAndCode(1, 4))),
        ("fragmentation-needed",    Some(TypeAndCode(3, 4)), None),
        ("packet-too-big",          None,                    Some(Type(2))),
        ("redirect",                Some(Type(5)),           Some(Type(137))),
        ("time-exceeded",           Some(Type(11)),          Some(Type(3))),
        ("parameter-problem",       Some(Type(12)),          Some(Type(4))),
        ("timestamp-request",       Some(Type(13)),          None),
        ("timestamp-reply",         Some(Type(14)),          None),
    ]
};

/// Every message name.
fn names() -> impl Iterator<Item = &'static str> {
    MESSAGES.iter().map(|(name, ..)| *name)
}

/// The names that `protocol` knows.
fn names_in(protocol: Icmp) -> Vec<&'static str> {
    names()
        .filter(|name| by_name(protocol, name).is_some())
        .collect()
}

/// The message that `name` means in `protocol`.
fn by_name(protocol: Icmp, name: &str) -> Option<IcmpMessage> {
    let (_, v4, v6) = MESSAGES.iter().find(|(known, ..)| *known == name)?;
    match protocol {
        Icmp::V4 => *v4,
        Icmp::V6 => *v6,
    }
}

/// A type or code: a number, or `any`.
#[derive(Clone, Copy, Debug)]
pub(super) struct NumberOrAny(Option<u8>);

scalar_schema!(NumberOrAny, "NumberOrAny", {
    "anyOf": [{ "type": "integer", "minimum": 0, "maximum": 255 }, { "const": "any" }],
});

impl Decode for NumberOrAny {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        let text = cursor.scalar("a number from 0 to 255, or `any`", problems)?;
        match (text, digits(text)) {
            ("any", _) => Some(Self(None)),
            (_, Some(number)) => Some(Self(Some(number))),
            (_, None) => cursor.refuse(
                problems,
                format!("`{text}` is not a number from 0 to 255"),
                "write the number, or `any`",
            ),
        }
    }
}

mapping! {
    /// An ICMP message by numbers.
    IcmpNumbers {
        /// The type, or `any`.
        r#type: NumberOrAny,
        /// The code, or `any`. Left out: `any`.
        code: Located<NumberOrAny>,
    }
}

/// Control messages of a rule; what a name means depends on the protocol.
#[derive(Clone, Debug)]
pub(super) enum IcmpText {
    /// A message by name.
    Name(&'static str),
    /// A message by numbers, or all of them.
    Message(IcmpMessage),
}

impl schemars::JsonSchema for IcmpText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "IcmpMessage".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<&str> = names().chain(["all"]).collect();
        schemars::json_schema!({
            "description": "Type and code, a message by name, or `all`.",
            "anyOf": [{ "enum": names }, generator.subschema_for::<IcmpNumbers>()],
        })
    }
}

impl Decode for IcmpText {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        if matches!(cursor.node.value, Value::Mapping(_)) {
            let numbers = IcmpNumbers::decode(cursor, problems)?;
            return icmp_message(&numbers, cursor, problems).map(Self::Message);
        }
        let text = cursor.scalar("{type: 8, code: any}, a name or `all`", problems)?;
        if text == "all" {
            return Some(Self::Message(IcmpMessage::Any));
        }
        if let Some(name) = names().find(|name| *name == text) {
            return Some(Self::Name(name));
        }
        let help = match nearest(text, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write {type: 8, code: any}, a name such as echo-request, or `all`".to_owned(),
        };
        cursor.refuse(
            problems,
            format!("`{text}` is no message known by name"),
            help,
        )
    }
}

/// The message that type and code name (AWS: any type goes with any code only).
fn icmp_message(
    numbers: &IcmpNumbers,
    cursor: Cursor<'_>,
    problems: &mut Problems<'_>,
) -> Option<IcmpMessage> {
    if numbers.r#type.is_absent() {
        return cursor.refuse(
            problems,
            "the type is missing",
            "write `type: 8`, or `type: any`",
        );
    }
    let kind = numbers.r#type.given()?.0;
    let (code, code_at) = match &numbers.code {
        Field::Given(code) => (code.value.0, Some(&code.at)),
        Field::Absent => (None, None),
        Field::Refused => return None,
    };
    match (kind, code, code_at) {
        (None, Some(code), Some(at)) => {
            problems.error(
                at,
                format!("code {code} of any type means nothing"),
                "give the type too",
            );
            None
        }
        (None, ..) => Some(IcmpMessage::Any),
        (Some(kind), None, _) => Some(IcmpMessage::Type(kind)),
        (Some(kind), Some(code), _) => Some(IcmpMessage::TypeAndCode(kind, code)),
    }
}

/// The messages that the text means in `protocol`; `None` after a report.
pub(super) fn meaning(
    text: &Located<IcmpText>,
    protocol: Icmp,
    problems: &mut Problems<'_>,
) -> Option<IcmpMessage> {
    let name = match &text.value {
        IcmpText::Message(message) => return Some(*message),
        IcmpText::Name(name) => name,
    };
    let message = by_name(protocol, name);
    if message.is_none() {
        let help = format!("it has {}", names_in(protocol).join(", "));
        problems.error(
            &text.at,
            format!("{protocol} has no message `{name}`"),
            help,
        );
    }
    message
}
