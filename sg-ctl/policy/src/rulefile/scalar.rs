//! Scalars without a meaning of their own: text, numbers, switches.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use sg_common::settings::{MAX_FLOWS, MIN_FLOWS};

use super::decode::{Cursor, Decode, Field};
use super::error::Problems;

/// Gives a type that reads one scalar its JSON schema.
macro_rules! scalar_schema {
    ($([$($generics:tt)*])? $name:ty, $schema_name:expr, $schema:tt) => {
        impl $(<$($generics)*>)? schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $schema_name.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}

pub(super) use scalar_schema;

/// Text. Numbers and words such as `yes` are taken as they are written.
#[derive(Clone, Debug)]
pub(super) struct Text(pub(super) String);

scalar_schema!(Text, "Text", { "type": ["string", "number", "boolean"] });

impl Decode for Text {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        Some(Self(cursor.scalar("text", problems)?.to_owned()))
    }
}

/// `true` or `false`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bool(pub(super) bool);

scalar_schema!(Bool, "Bool", { "type": "boolean" });

impl Decode for Bool {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        match cursor.scalar("`true` or `false`", problems)? {
            "true" => Some(Self(true)),
            "false" => Some(Self(false)),
            other => cursor.refuse(
                problems,
                format!("`{other}` is no truth value"),
                "write `true` or `false`",
            ),
        }
    }
}

/// `on` or `off`; `true` and `false` mean the same, for tools that convert one into the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Switch(pub(super) bool);

scalar_schema!(Switch, "Switch", { "enum": ["on", "off", true, false] });

impl Decode for Switch {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        match cursor.scalar("`on` or `off`", problems)? {
            "on" | "true" => Some(Self(true)),
            "off" | "false" => Some(Self(false)),
            other => cursor.refuse(
                problems,
                format!("`{other}` is no switch"),
                "write `on` or `off`",
            ),
        }
    }
}

/// `on`, `off`, or `auto` for what the host decides.
#[derive(Clone, Copy, Debug)]
pub(super) struct SwitchOrAuto(pub(super) Option<bool>);

scalar_schema!(SwitchOrAuto, "SwitchOrAuto", { "enum": ["on", "off", "auto", true, false] });

impl Decode for SwitchOrAuto {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        match cursor.scalar("`on`, `off` or `auto`", problems)? {
            "auto" => Some(Self(None)),
            "on" | "true" => Some(Self(Some(true))),
            "off" | "false" => Some(Self(Some(false))),
            other => cursor.refuse(
                problems,
                format!("`{other}` is no switch"),
                "write `on`, `off` or `auto`",
            ),
        }
    }
}

/// A number written in decimal digits and nothing else.
pub(super) fn digits<T: FromStr>(text: &str) -> Option<T> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

/// A whole number from `least` to `most`.
fn number(cursor: Cursor<'_>, least: u32, most: u32, problems: &mut Problems<'_>) -> Option<u32> {
    let expected = format!("a whole number from {least} to {most}");
    let text = cursor.scalar(&expected, problems)?;
    match digits(text) {
        Some(number) if (least..=most).contains(&number) => Some(number),
        _ => cursor.refuse(
            problems,
            format!("`{text}` is not a number from {least} to {most}"),
            format!("write {expected}"),
        ),
    }
}

/// A quota or size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count(pub(super) u32);

impl Count {
    /// The largest quota: what fits the rule numbers and more than any map holds.
    const MOST: u32 = 10_000_000;
}

scalar_schema!(Count, "Count", { "type": "integer", "minimum": 1, "maximum": Count::MOST });

impl Decode for Count {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        number(cursor, 1, Self::MOST, problems).map(Self)
    }
}

/// A number of flows that a table can be made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlowCount(pub(super) u32);

scalar_schema!(FlowCount, "FlowCount",
    { "type": "integer", "minimum": MIN_FLOWS, "maximum": MAX_FLOWS });

impl Decode for FlowCount {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        number(cursor, MIN_FLOWS, MAX_FLOWS, problems).map(Self)
    }
}

/// A number of flows that have a share of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlowShare(pub(super) u32);

scalar_schema!(FlowShare, "FlowShare", { "type": "integer", "minimum": 1, "maximum": MAX_FLOWS });

impl Decode for FlowShare {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        number(cursor, 1, MAX_FLOWS, problems).map(Self)
    }
}

/// A number of flows, or `off` for no limit, which is 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlowLimit(pub(super) u32);

scalar_schema!(FlowLimit, "FlowLimit", { "anyOf": [
    { "type": "integer", "minimum": 0, "maximum": MAX_FLOWS },
    { "enum": ["off", false] },
] });

impl Decode for FlowLimit {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        match cursor.scalar("a number of flows, or `off`", problems)? {
            "off" | "false" => Some(Self(0)),
            _ => number(cursor, 0, MAX_FLOWS, problems).map(Self),
        }
    }
}

/// A number of events per second, or `off` for no limit, which is 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogLimit(pub(super) u32);

impl LogLimit {
    /// More than any reader writes.
    const MOST: u32 = 1_000_000;
}

scalar_schema!(LogLimit, "LogLimit", { "anyOf": [
    { "type": "integer", "minimum": 0, "maximum": LogLimit::MOST },
    { "enum": ["off", false] },
] });

impl Decode for LogLimit {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        match cursor.scalar("a number of events per second, or `off`", problems)? {
            "off" | "false" => Some(Self(0)),
            _ => number(cursor, 0, Self::MOST, problems).map(Self),
        }
    }
}

/// A time in whole seconds from `LEAST` to `MOST`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seconds<const LEAST: u32, const MOST: u32>(u32);

impl<const LEAST: u32, const MOST: u32> JsonSchema for Seconds<LEAST, MOST> {
    fn schema_name() -> Cow<'static, str> {
        format!("SecondsFrom{LEAST}To{MOST}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": LEAST, "maximum": MOST })
    }
}

impl<const LEAST: u32, const MOST: u32> Decode for Seconds<LEAST, MOST> {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        number(cursor, LEAST, MOST, problems).map(Self)
    }
}

impl<const LEAST: u32, const MOST: u32> Field<Seconds<LEAST, MOST>> {
    /// The time given, or `default`.
    pub(super) fn seconds_or(&self, default: u32) -> u32 {
        self.given().map_or(default, |seconds| seconds.0)
    }
}
