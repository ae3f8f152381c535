//! Protocols, ports and address ranges as AWS's API takes them (aws-semantics §1.3, §1.4).

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::{Icmp, IcmpMessage, Service, Transport};
use crate::text::report::{At, Problems};

/// The service that protocol and ports mean to AWS; `None` after a report.
///
/// For ICMP the ports are type and code. Ports that AWS ignores are reported: the rule allows more
/// than it seems to.
pub(super) fn service(
    protocol: &str,
    from: Option<i64>,
    to: Option<i64>,
    at: &At,
    problems: &mut Problems<'_>,
) -> Option<Service> {
    let protocol = protocol.to_ascii_lowercase();
    let ports = (from, to);
    match protocol.as_str() {
        "-1" | "all" => {
            warn_of_ignored(ports, "every port of every protocol", at, problems);
            Some(Service::All)
        }
        "tcp" | "6" => transport(Transport::Tcp, ports, at, problems),
        "udp" | "17" => transport(Transport::Udp, ports, at, problems),
        "icmp" | "1" => icmp(Icmp::V4, ports, at, problems),
        "icmpv6" | "58" => icmp(Icmp::V6, ports, at, problems),
        other => {
            let number = other.parse::<u8>().ok();
            let Some(number) = number.filter(|number| number.to_string() == other) else {
                let help = "AWS takes tcp, udp, icmp, icmpv6, -1 and numbers from 0 to 255";
                problems.error(at, format!("`{protocol}` is not a protocol"), help);
                return None;
            };
            warn_of_ignored(ports, "the whole protocol", at, problems);
            Some(Service::Protocol(number))
        }
    }
}

/// Reports ports that say something and mean nothing.
fn warn_of_ignored(
    ports: (Option<i64>, Option<i64>),
    allowed: &str,
    at: &At,
    problems: &mut Problems<'_>,
) {
    // What tools write for "no ports": nothing, -1, Terraform's 0, the whole range.
    let range = (ports.0.unwrap_or(-1), ports.1.unwrap_or(-1));
    if !matches!(range, (-1, -1) | (0, 0 | 65535)) {
        let message = format!(
            "AWS ignores the ports {}-{} here: the rule allows {allowed}",
            range.0, range.1
        );
        let help = "if that is not meant, write the rule with `protocol: tcp` or `protocol: udp`";
        problems.warning(at, message, help);
    }
}

fn transport(
    protocol: Transport,
    ports: (Option<i64>, Option<i64>),
    at: &At,
    problems: &mut Problems<'_>,
) -> Option<Service> {
    let (Some(from), Some(to)) = ports else {
        let help = "AWS refuses such a rule; for all ports give 0 and 65535";
        problems.error(at, format!("{protocol} needs both ports"), help);
        return None;
    };
    match (u16::try_from(from), u16::try_from(to)) {
        (Ok(from), Ok(to)) if from <= to => Some(Service::Ports { protocol, from, to }),
        _ => {
            let help = "ports go from 0 to 65535, the first not above the last";
            let message = format!("{from}-{to} is not a range of ports");
            problems.error(at, message, help);
            None
        }
    }
}

fn icmp(
    protocol: Icmp,
    ports: (Option<i64>, Option<i64>),
    at: &At,
    problems: &mut Problems<'_>,
) -> Option<Service> {
    let message = match ports {
        (Some(-1), Some(-1)) => Some(IcmpMessage::Any),
        (None, None) if protocol == Icmp::V6 => Some(IcmpMessage::Any),
        (Some(kind), Some(-1)) => u8::try_from(kind).ok().map(IcmpMessage::Type),
        (Some(kind), Some(code)) => match (u8::try_from(kind), u8::try_from(code)) {
            (Ok(kind), Ok(code)) => Some(IcmpMessage::TypeAndCode(kind, code)),
            _ => None,
        },
        _ => None,
    };
    if message.is_none() {
        let text = |number: Option<i64>| number.map_or("none".to_owned(), |n| n.to_string());
        let message = format!(
            "type {} and code {} name no {protocol} message",
            text(ports.0),
            text(ports.1)
        );
        let help =
            "AWS takes numbers from 0 to 255, -1 as any code, and -1 for both as any message";
        problems.error(at, message, help);
    }
    message.map(|message| Service::Icmp { protocol, message })
}

/// A number in digits; `None` after a report. YAML's older readers take `022` for 18, newer ones
/// for 22.
pub(super) fn number(text: &str, at: &At, problems: &mut Problems<'_>) -> Option<i64> {
    let Ok(number) = text.parse::<i64>() else {
        let help = "write the number in digits";
        problems.error(at, format!("`{text}` is not a number"), help);
        return None;
    };
    if number.to_string() != text {
        let help = format!("write {number}, if that is meant");
        problems.error(at, format!("the number `{text}` is ambiguous"), help);
        return None;
    }
    Some(number)
}

/// Reports a rule that names nobody: AWS refuses it.
pub(super) fn no_peer(at: &At, problems: &mut Problems<'_>) {
    let help = "give a range, a prefix list or a group";
    problems.error(at, "the rule has no source or destination", help);
}

/// The address range that AWS stores for `text`: without bits beyond the prefix length, which is
/// reported. `None` after a report.
pub(super) fn range(text: &str, at: &At, problems: &mut Problems<'_>) -> Option<IpNet> {
    let mut digits = text.split(|sign: char| !sign.is_ascii_digit());
    if !text.contains(':') && digits.any(|part| part.len() > 1 && part.starts_with('0')) {
        let help = "some tools read numbers with a leading zero as octal: leave it out";
        problems.error(at, format!("the range `{text}` is ambiguous"), help);
        return None;
    }
    let Ok(net) = text.trim().parse::<IpNet>() else {
        let help = match text.trim().parse::<IpAddr>() {
            Ok(address) => format!("AWS refuses a bare address: write {}", IpNet::from(address)),
            Err(_not_an_address) => "write it as 10.0.0.0/8 or 2001:db8::/32".to_owned(),
        };
        problems.error(at, format!("`{text}` is not an address range"), help);
        return None;
    };
    if let IpNet::V6(v6) = net
        && v6.prefix_len() >= 96
        && v6.addr().to_ipv4_mapped().is_some()
    {
        let message = format!("`{text}` is an IPv4 range in IPv6 clothes: not carried over");
        problems.warning(at, message, "no packet has such an address; remove it");
        return None;
    }
    let canonical = net.trunc();
    if canonical != net {
        let message = format!("`{text}` has bits set beyond its prefix length");
        let help = format!("it is imported as {canonical}, as AWS does");
        problems.warning(at, message, help);
    }
    Some(canonical)
}

/// An IPv4 range, as [`range`] takes it.
pub(super) fn range_v4(text: &str, at: &At, problems: &mut Problems<'_>) -> Option<IpNet> {
    let found = range(text, at, problems)?;
    if matches!(found, IpNet::V6(_)) {
        let help = "IPv6 ranges stand under a key of their own; AWS refuses this";
        problems.error(at, format!("`{text}` is no IPv4 range"), help);
        return None;
    }
    Some(found)
}

/// An IPv6 range, as [`range`] takes it.
pub(super) fn range_v6(text: &str, at: &At, problems: &mut Problems<'_>) -> Option<IpNet> {
    let found = range(text, at, problems)?;
    if matches!(found, IpNet::V4(_)) {
        let help = "IPv4 ranges stand under a key of their own; AWS refuses this";
        problems.error(at, format!("`{text}` is no IPv6 range"), help);
        return None;
    }
    Some(found)
}
