//! The words for parts of packets.

use std::net::{IpAddr, SocketAddr};

use sg_common::proto::{self, tcp_flags};

/// A protocol as rule files name it: `tcp`, `udp`, `icmp`, `icmpv6`, or its number.
pub(crate) fn protocol(number: u8) -> String {
    match number {
        proto::TCP => "tcp".to_owned(),
        proto::UDP => "udp".to_owned(),
        proto::ICMP => "icmp".to_owned(),
        proto::ICMPV6 => "icmpv6".to_owned(),
        other => other.to_string(),
    }
}

/// The number of a protocol by the name that [`protocol`] gives it.
pub(crate) fn protocol_number(name: &str) -> Option<u8> {
    let known = [proto::TCP, proto::UDP, proto::ICMP, proto::ICMPV6];
    let number = known.into_iter().find(|number| protocol(*number) == name);
    number.or_else(|| name.parse().ok())
}

/// Whether a protocol has ports.
pub(crate) const fn has_ports(number: u8) -> bool {
    matches!(number, proto::TCP | proto::UDP)
}

/// Whether a protocol has types and codes.
pub(crate) const fn is_icmp(number: u8) -> bool {
    matches!(number, proto::ICMP | proto::ICMPV6)
}

/// An address with its port, if it has one: `10.0.1.5:443`, `[2001:db8::1]:443`, `10.0.1.5`.
pub(crate) fn endpoint(address: IpAddr, port: Option<u16>) -> String {
    match port {
        Some(port) => SocketAddr::new(address, port).to_string(),
        None => address.to_string(),
    }
}

/// TCP flags in the order of a connection.
const TCP_FLAGS: [(u8, &str); 6] = [
    (tcp_flags::SYN, "SYN"),
    (tcp_flags::FIN, "FIN"),
    (tcp_flags::RST, "RST"),
    (0x08, "PSH"),
    (tcp_flags::ACK, "ACK"),
    (0x20, "URG"),
];

/// The TCP flag with a name.
pub(crate) fn tcp_flag(name: &str) -> Option<u8> {
    let found = TCP_FLAGS
        .into_iter()
        .find(|(_, known)| known.eq_ignore_ascii_case(name));
    found.map(|(bit, _)| bit)
}

/// The names of the TCP flags that are set, in the order of a connection: `SYN,ACK`.
pub(crate) fn tcp_flag_names(flags: u8) -> Vec<&'static str> {
    TCP_FLAGS
        .into_iter()
        .filter(|(bit, _)| flags & bit != 0)
        .map(|(_, name)| name)
        .collect()
}

/// The VLAN ids of a frame, outer first, without the tags that are not there.
pub(crate) fn vlan_ids(vlan: [u16; 2]) -> Vec<u16> {
    vlan.into_iter().filter(|id| *id != 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_show_ports_where_there_are_any() {
        let text = |address: &str, port| endpoint(address.parse().expect("address"), port);
        assert_eq!(text("10.0.1.5", Some(443)), "10.0.1.5:443");
        assert_eq!(text("2001:db8::1", Some(53)), "[2001:db8::1]:53");
        assert_eq!(text("10.0.1.5", None), "10.0.1.5");
    }

    #[test]
    fn flags_have_names() {
        assert_eq!(tcp_flag_names(0x12), ["SYN", "ACK"]);
        assert_eq!(tcp_flag_names(0x19), ["FIN", "PSH", "ACK"]);
        assert!(tcp_flag_names(0).is_empty());
    }
}
