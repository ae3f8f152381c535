//! Addresses on other hosts that carry a group.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::decode::{Cursor, Decode, each_item};
use super::error::Problems;
use super::scalar::scalar_schema;

/// The addresses of one group. There may be a million, so they do not remember their places.
#[derive(Debug)]
pub(super) struct MemberSet(pub(super) BTreeSet<IpAddr>);

impl JsonSchema for MemberSet {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Members".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<MemberAddress>::json_schema(generator)
    }
}

impl Decode for MemberSet {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        // Long lists come sorted as a rule, and appending costs far less than inserting. `others`
        // are those below the last one of `ascending`.
        let mut ascending = Vec::new();
        let mut others = BTreeSet::new();
        each_item(cursor, problems, |cursor, problems| {
            let MemberAddress(address) = MemberAddress::decode(cursor, problems)?;
            let is_new = if ascending.last().is_none_or(|last| *last < address) {
                ascending.push(address);
                true
            } else {
                ascending.binary_search(&address).is_err() && others.insert(address)
            };
            if is_new {
                return Some(());
            }
            cursor.refuse(
                problems,
                format!("{address} is listed twice"),
                "keep one of them",
            )
        })?;
        Some(Self(ascending.into_iter().chain(others).collect()))
    }
}

/// One address of a member.
struct MemberAddress(IpAddr);

scalar_schema!(MemberAddress, "MemberAddress", {
    "type": "string",
    "pattern": "^[0-9A-Fa-f:.]+$",
    "examples": ["10.0.1.10", "2001:db8::10"],
});

impl Decode for MemberAddress {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        let text = cursor.scalar("an address", problems)?;
        let host = text
            .strip_suffix("/32")
            .or_else(|| text.strip_suffix("/128"));
        match (text.parse::<IpAddr>(), host) {
            (Ok(IpAddr::V6(address)), _) if address.to_ipv4_mapped().is_some() => cursor.refuse(
                problems,
                format!("`{text}` is an IPv4 address in IPv6 clothes"),
                format!("write {}", address.to_canonical()),
            ),
            (Ok(address), _) => Some(Self(address)),
            (Err(_), Some(host)) if host.parse::<IpAddr>().is_ok() => cursor.refuse(
                problems,
                format!("`{text}` is a range"),
                format!("members are single addresses: write {host}"),
            ),
            (Err(_), _) => cursor.refuse(
                problems,
                format!("`{text}` is not an address"),
                "write a single IPv4 or IPv6 address, such as 10.0.1.10",
            ),
        }
    }
}
