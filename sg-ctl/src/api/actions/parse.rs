//! From the texts of a request to what they mean: protocols, ports, ranges, tags.

use std::collections::BTreeMap;

use ipnet::IpNet;
use sg_common::proto::{ICMP, ICMPV6, TCP, UDP};
use sg_policy::model::text::{self, MAX_LENGTH, MAX_TAG_KEY, MAX_TAG_VALUE, MAX_TAGS};
use sg_policy::model::{Family, Icmp, IcmpMessage, Service, Transport};

use crate::api::form::{Form, Part};
use crate::api::refusal::Refusal;

/// A protocol as requests name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Every protocol.
    All,
    /// One, by IANA number.
    Number(u8),
}

/// The protocol that a text names.
pub(super) fn protocol(text: &str) -> Result<Protocol, Refusal> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "-1" | "all" => Protocol::All,
        "tcp" => Protocol::Number(TCP),
        "udp" => Protocol::Number(UDP),
        "icmp" => Protocol::Number(ICMP),
        "icmpv6" => Protocol::Number(ICMPV6),
        lower => {
            let is_number = !lower.is_empty() && lower.bytes().all(|byte| byte.is_ascii_digit());
            match lower.parse() {
                Ok(number) if is_number => Protocol::Number(number),
                _ => {
                    return Err(Refusal::bad(format!(
                        "Invalid value '{text}' for IP protocol. Unknown protocol."
                    )));
                }
            }
        }
    })
}

/// A number within bounds.
pub(super) fn number(text: &str, least: i64, most: i64, what: &str) -> Result<i64, Refusal> {
    let number = text.parse().ok().filter(|_| text.len() <= 7);
    let number = number.filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| {
        let shown: String = text.chars().take(20).collect();
        Refusal::bad(format!(
            "Invalid value '{shown}' for {what}. Must be between {least} and {most}"
        ))
    })
}

/// What a rule admits, from protocol and ports as requests give them.
pub(super) fn service(
    protocol: Protocol,
    first: Option<&str>,
    last: Option<&str>,
) -> Result<Service, Refusal> {
    match protocol {
        // As on AWS: ports of all protocols are none.
        Protocol::All => Ok(Service::All),
        Protocol::Number(TCP) => ports(Transport::Tcp, first, last),
        Protocol::Number(UDP) => ports(Transport::Udp, first, last),
        Protocol::Number(ICMP) => messages(Icmp::V4, first, last),
        Protocol::Number(ICMPV6) => match (first, last) {
            (None, None) => Ok(Service::protocol(ICMPV6)),
            _ => messages(Icmp::V6, first, last),
        },
        Protocol::Number(number) => Ok(Service::protocol(number)),
    }
}

fn ports(protocol: Transport, first: Option<&str>, last: Option<&str>) -> Result<Service, Refusal> {
    let (Some(first), Some(last)) = (first, last) else {
        return Err(Refusal::bad(
            "Invalid value for portRange. Must specify both from and to ports with TCP/UDP.",
        ));
    };
    let port = |text: &str, end: &str| {
        let number = text.parse::<i64>().ok().filter(|_| text.len() <= 7);
        number
            .and_then(|number| u16::try_from(number).ok())
            .ok_or_else(|| {
                let shown: String = text.chars().take(20).collect();
                Refusal::bad(format!(
                    "TCP/UDP ({end}) port ({shown}) out of range; all ports are 0-65535"
                ))
            })
    };
    let (from, to) = (port(first, "from")?, port(last, "to")?);
    if from > to {
        return Err(Refusal::bad(format!(
            "Invalid TCP/UDP port range ({from}:{to})"
        )));
    }
    Ok(Service::Ports { protocol, from, to })
}

fn messages(protocol: Icmp, first: Option<&str>, last: Option<&str>) -> Result<Service, Refusal> {
    let (Some(first), Some(last)) = (first, last) else {
        return Err(Refusal::bad(
            "Invalid value for ICMP. Must specify both type (from port) and code (to port); -1 \
             stands for all.",
        ));
    };
    let kind = number(first, -1, 255, "ICMP type")?;
    let code = number(last, -1, 255, "ICMP code")?;
    let message = match (u8::try_from(kind), u8::try_from(code)) {
        (Err(_), Err(_)) => IcmpMessage::Any,
        (Ok(kind), Err(_)) => IcmpMessage::Type(kind),
        (Ok(kind), Ok(code)) => IcmpMessage::TypeAndCode(kind, code),
        (Err(_), Ok(_)) => {
            return Err(Refusal::bad(
                "ICMP code cannot be specified when every type is meant",
            ));
        }
    };
    Ok(Service::Icmp { protocol, message })
}

/// A range in its one spelling, of one family.
pub(super) fn cidr(text: &str, family: Family) -> Result<IpNet, Refusal> {
    let net = text.split_once('/').and_then(|(address, length)| {
        let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        // Of an address with leading zeros nobody knows what it means.
        let address = address.parse().ok().filter(|_| is_number)?;
        IpNet::new(address, length.parse().ok()?).ok()
    });
    let net = net.filter(|net| Family::of(net) == family);
    let net = net.map(|net| net.trunc());
    let is_mapped = |net: &IpNet| match net {
        IpNet::V6(net) => net.prefix_len() >= 96 && net.network().to_ipv4_mapped().is_some(),
        IpNet::V4(_) => false,
    };
    net.filter(|net| !is_mapped(net)).ok_or_else(|| {
        let shown: String = text.chars().take(60).collect();
        Refusal::bad(format!("CIDR block {shown} is malformed"))
    })
}

/// A name or description that AWS takes.
pub(super) fn check_text(given: &str, what: &str) -> Result<(), Refusal> {
    if given.chars().count() <= MAX_LENGTH && given.chars().all(text::is_allowed) {
        return Ok(());
    }
    Err(Refusal::bad(format!(
        "Invalid {what}. Valid {what}s are strings less than 256 characters from the following \
         set: a-zA-Z0-9. _-:/()#,@[]+=&;{{}}!$*"
    )))
}

/// The description of a rule or entry; empty when none is given.
pub(super) fn description(given: Option<&str>, what: &str) -> Result<String, Refusal> {
    let given = given.unwrap_or_default();
    check_text(given, what)?;
    Ok(given.to_owned())
}

/// Keys and values of tags.
pub(super) fn tags(parts: &[Part<'_>]) -> Result<BTreeMap<String, String>, Refusal> {
    let mut tags = BTreeMap::new();
    for part in parts {
        let key = part.get("Key").unwrap_or_default();
        let value = part.get("Value").unwrap_or_default();
        let is_ours = key.to_ascii_lowercase().starts_with("sg:");
        if is_ours || text::is_reserved(key) {
            return Err(Refusal::bad(
                "Tag keys starting with 'aws:' or 'sg:' are reserved for internal use",
            ));
        }
        if !text::is_tag_key(key) || !text::is_tag_text(key) {
            return Err(Refusal::bad(format!(
                "Tag keys are one line of 1 to {MAX_TAG_KEY} characters"
            )));
        }
        if value.chars().count() > MAX_TAG_VALUE || !text::is_tag_text(value) {
            return Err(Refusal::bad(format!(
                "Tag values are one line of at most {MAX_TAG_VALUE} characters"
            )));
        }
        tags.insert(key.to_owned(), value.to_owned());
    }
    check_tags(&tags)?;
    Ok(tags)
}

/// No more tags than there may be.
pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), Refusal> {
    if tags.len() > MAX_TAGS {
        return Err(Refusal::tag_limit());
    }
    Ok(())
}

/// The tags that a call gives to what it makes.
pub(super) fn specified_tags(form: &Form, kind: &str) -> Result<BTreeMap<String, String>, Refusal> {
    let mut specified = BTreeMap::new();
    for part in form.parts("TagSpecification")? {
        let said = part.get("ResourceType").unwrap_or_default();
        if said != kind {
            return Err(Refusal::bad(format!(
                "'{said}' is not a valid taggable resource type for this operation."
            )));
        }
        specified.extend(tags(&part.parts("Tag")?)?);
    }
    check_tags(&specified)?;
    Ok(specified)
}
