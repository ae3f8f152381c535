//! Values of options that need more than `FromStr`.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use sg_common::proto;

use crate::verb::output::packet;

/// Reads a protocol by name or IANA number.
pub(crate) fn protocol(text: &str) -> Result<u8, String> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Ok(proto::TCP),
        "udp" => Ok(proto::UDP),
        "icmp" => Ok(proto::ICMP),
        "icmpv6" => Ok(proto::ICMPV6),
        other => other.parse().map_err(|_not_a_number| {
            "expected tcp, udp, icmp, icmpv6 or a number from 0 to 255".to_owned()
        }),
    }
}

/// Reads an address or an address range; host bits are taken as a range that contains them.
pub(crate) fn range(text: &str) -> Result<IpNet, String> {
    text.parse::<IpAddr>()
        .map(IpNet::from)
        .or_else(|_not_an_address| text.parse::<IpNet>().map(|net| net.trunc()))
        .map_err(|_neither| "expected an address or a range like 10.0.0.0/8".to_owned())
}

/// Reads the type of an ICMP message, and its code, 0 unless given: `8`, `3/4`.
pub(crate) fn message(text: &str) -> Result<[u8; 2], String> {
    let (kind, code) = text.split_once('/').unwrap_or((text, "0"));
    match (kind.parse(), code.parse()) {
        (Ok(kind), Ok(code)) => Ok([kind, code]),
        _ => Err("expected TYPE or TYPE/CODE, as in 3/4".to_owned()),
    }
}

/// Reads names of TCP flags, joined by commas.
pub(crate) fn tcp_flags(text: &str) -> Result<u8, String> {
    let flags = text.split(',').map(|name| packet::tcp_flag(name.trim()));
    flags
        .into_iter()
        .try_fold(0, |all, flag| Some(all | flag?))
        .ok_or_else(|| "expected SYN, ACK, FIN, RST, PSH or URG, joined by commas".to_owned())
}

/// Reads an account: twelve digits.
pub(crate) fn account(text: &str) -> Result<String, String> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err("expected twelve digits".to_owned())
}

/// The longest time that an option takes: a day.
const LONGEST: u64 = 86_400;

/// Reads a time of at least a second: `60s`, `5m`, `2h`; seconds without a unit.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.find(|letter: char| !letter.is_ascii_digit()) {
        Some(end) => text.split_at(end),
        None => (text, "s"),
    };
    let unit = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    number
        .parse::<u64>()
        .ok()
        .zip(unit)
        .and_then(|(number, unit)| number.checked_mul(unit))
        .filter(|seconds| (1..=LONGEST).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| "expected a time from 1s to 24h, like 60s, 5m or 2h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_have_names_and_numbers() {
        assert_eq!(protocol("TCP"), Ok(6));
        assert_eq!(protocol("47"), Ok(47));
        assert!(protocol("256").is_err());
        assert!(protocol("http").is_err());
    }

    #[test]
    fn messages_and_flags_are_read() {
        assert_eq!(message("8"), Ok([8, 0]));
        assert_eq!(message("3/4"), Ok([3, 4]));
        assert!(message("echo").is_err());
        assert_eq!(tcp_flags("syn,ACK"), Ok(0x12));
        assert!(tcp_flags("SYN,XYZ").is_err());
    }

    #[test]
    fn times_have_units() {
        for (text, seconds) in [("60s", 60), ("5m", 300), ("24h", 86_400), ("90", 90)] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)));
        }
        for text in [
            "",
            "s",
            "0s",
            "25h",
            "-1s",
            "1d",
            "1.5m",
            "99999999999999999999h",
        ] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_is_a_range_of_one() {
        assert_eq!(range("10.0.0.1").expect("range").to_string(), "10.0.0.1/32");
        assert_eq!(
            range("10.0.0.1/8").expect("range").to_string(),
            "10.0.0.0/8"
        );
        assert_eq!(
            range("2001:db8::1").expect("range").to_string(),
            "2001:db8::1/128"
        );
        assert!(range("example.com").is_err());
    }
}
