//! Sources and destinations, and the entries of prefix lists.

use std::net::IpAddr;

use ipnet::IpNet;

use super::decode::{Cursor, Decode};
use super::error::Problems;
use super::scalar::scalar_schema;
use crate::model::{Family, Peer};

/// What may stand as source or destination.
const PEERS: &str =
    "an address range (10.0.0.0/8), sg:NAME, pl:NAME, anywhere-ipv4 or anywhere-ipv6";

/// A peer whose names are not resolved yet: a group may be given by id.
#[derive(Clone, Debug)]
pub(super) struct PeerText(pub(super) Peer);

scalar_schema!(PeerText, "Peer", {
    "type": "string",
    "description": "An address range without host bits, `sg:NAME` or `sg:ID` for whoever carries a \
        group, `pl:NAME` for a prefix list, `anywhere-ipv4` or `anywhere-ipv6`.",
    "anyOf": [
        { "pattern": "^[0-9.]+/[0-9]{1,2}$" },
        { "pattern": "^[0-9A-Fa-f:.]+/[0-9]{1,3}$" },
        { "pattern": "^(sg|pl):." },
        { "enum": ["anywhere-ipv4", "anywhere-ipv6"] },
    ],
    "examples": ["203.0.113.0/24", "sg:web", "pl:office", "anywhere-ipv4"],
});

impl Decode for PeerText {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        let text = cursor.scalar(PEERS, problems)?;
        let peer = match (text, text.split_once(':')) {
            ("anywhere-ipv4", _) => Peer::Cidr(Family::V4.everything()),
            ("anywhere-ipv6", _) => Peer::Cidr(Family::V6.everything()),
            (_, Some(("sg", name))) => Peer::Group(named(name, cursor, problems)?),
            (_, Some(("pl", name))) => Peer::PrefixList(named(name, cursor, problems)?),
            _ => Peer::Cidr(range(text, cursor, problems)?),
        };
        Some(Self(peer))
    }
}

/// An entry of a prefix list.
#[derive(Clone, Debug)]
pub(super) enum ListEntry {
    /// An address range.
    Range(IpNet),
    /// All entries of another list.
    List(String),
}

scalar_schema!(ListEntry, "PrefixListEntry", {
    "type": "string",
    "description": "An address range without host bits, or `pl:NAME` for all entries of another list.",
    "anyOf": [
        { "pattern": "^[0-9.]+/[0-9]{1,2}$" },
        { "pattern": "^[0-9A-Fa-f:.]+/[0-9]{1,3}$" },
        { "pattern": "^pl:." },
    ],
    "examples": ["203.0.113.0/24", "pl:branches"],
});

impl Decode for ListEntry {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        let text = cursor.scalar("an address range (10.0.0.0/8) or pl:NAME", problems)?;
        match text.strip_prefix("pl:") {
            Some(name) => Some(Self::List(named(name, cursor, problems)?)),
            None if text.starts_with("sg:") => cursor.refuse(
                problems,
                "a prefix list cannot hold a security group",
                "name the group as the source or destination of a rule instead",
            ),
            None => range(text, cursor, problems).map(Self::Range),
        }
    }
}

/// A single address, or a range of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct AddressText(pub(super) IpNet);

scalar_schema!(AddressText, "Address", {
    "type": "string",
    "description": "A single address, or an address range without host bits.",
    "pattern": "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$",
    "examples": ["10.0.1.10", "10.0.1.0/24", "2001:db8::10"],
});

impl Decode for AddressText {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        let text = cursor.scalar("an address or an address range (10.0.1.0/24)", problems)?;
        match text.parse::<IpAddr>() {
            Ok(address) => range(&IpNet::from(address).to_string(), cursor, problems).map(Self),
            Err(_) if text.contains('/') => range(text, cursor, problems).map(Self),
            Err(_) => cursor.refuse(
                problems,
                format!("`{text}` is not an address"),
                "write an address (10.0.1.5) or a range of them (10.0.1.0/24)",
            ),
        }
    }
}

/// A name behind `sg:` or `pl:`, without spaces at its end (AWS N4).
fn named(name: &str, cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<String> {
    match name.trim_end() {
        "" => cursor.refuse(
            problems,
            "the name is missing",
            "write it right after the colon",
        ),
        name => Some(name.to_owned()),
    }
}

/// An address range without host bits (AWS C1–C4; unlike AWS we correct nothing silently).
fn range(text: &str, cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<IpNet> {
    let Ok(net) = text.parse::<IpNet>() else {
        let (message, help) = not_a_range(text);
        return cursor.refuse(problems, message, help);
    };
    if let IpNet::V6(v6) = net
        && let Some(mapped) = v6.addr().to_ipv4_mapped()
        && let Some(length) = v6.prefix_len().checked_sub(96)
    {
        let message = format!("`{text}` is an IPv4 range in IPv6 clothes");
        return cursor.refuse(problems, message, format!("write {mapped}/{length}"));
    }
    if net.addr() != net.network() {
        return cursor.refuse(
            problems,
            format!("`{text}` has bits set beyond its prefix length"),
            format!(
                "write {} for the whole range, or {} for the one address",
                net.trunc(),
                IpNet::from(net.addr()),
            ),
        );
    }
    Some(net)
}

/// Why `text` is not an address range, and what was probably meant.
fn not_a_range(text: &str) -> (String, String) {
    let message = format!("`{text}` is not an address range");
    if let Ok(address) = text.parse::<IpAddr>() {
        let single = format!("`{text}` is a bare address");
        return (single, format!("write {}", IpNet::from(address)));
    }
    let help = match text.split_once('/') {
        Some((address, _)) => match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => "the length of an IPv4 prefix is a number from 0 to 32".to_owned(),
            Ok(IpAddr::V6(_)) => {
                "the length of an IPv6 prefix is a number from 0 to 128".to_owned()
            }
            Err(_) => format!("write {PEERS}"),
        },
        None if text.eq_ignore_ascii_case("anywhere") => {
            "write anywhere-ipv4 or anywhere-ipv6: a rule speaks about one family".to_owned()
        }
        None if text.starts_with("sg-") => format!("write sg:{text}"),
        None if text.starts_with("pl-") => format!("write pl:{text}"),
        None => format!("write {PEERS}; host names cannot be peers"),
    };
    (message, help)
}
