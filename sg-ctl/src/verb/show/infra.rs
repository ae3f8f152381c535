//! Traffic that groups never filter, and how much of it there was.

use comfy_table::Cell;
use schemars::JsonSchema;
use serde::Serialize;
use sg_common::counters::ZoneCounters;
use sg_common::flow::Direction;
use sg_common::reason::Reason;
use sg_common::settings::{
    INFRA_ARP, INFRA_DHCP4, INFRA_DHCP6, INFRA_EC2, INFRA_IGMP, INFRA_MLD, INFRA_ND, INFRA_NON_IP,
};

use crate::verb::output::table::Table;

/// Traffic that is never filtered, on one interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct InfraView {
    interface: String,
    traffic: &'static str,
    description: &'static str,
    on: bool,
    packets_in: u64,
    bytes_in: u64,
    packets_out: u64,
    bytes_out: u64,
}

/// Switch, name in rule files, counter and meaning of each kind.
const INFRASTRUCTURE: [(u32, &str, Reason, &str); 8] = [
    (INFRA_ARP, "arp", Reason::InfraArp, "ARP"),
    (
        INFRA_NON_IP,
        "non_ip",
        Reason::InfraNonIp,
        "other protocols below IP (LLDP, spanning tree)",
    ),
    (
        INFRA_ND,
        "nd",
        Reason::InfraNd,
        "IPv6 neighbour discovery with hop limit 255",
    ),
    (
        INFRA_MLD,
        "mld",
        Reason::InfraMld,
        "IPv6 multicast listener discovery",
    ),
    (
        INFRA_IGMP,
        "igmp",
        Reason::InfraIgmp,
        "IPv4 multicast membership",
    ),
    (
        INFRA_DHCP4,
        "dhcp4",
        Reason::InfraDhcp4,
        "DHCP between this host and its servers",
    ),
    (
        INFRA_DHCP6,
        "dhcp6",
        Reason::InfraDhcp6,
        "DHCPv6 between this host and its servers",
    ),
    (
        INFRA_EC2,
        "ec2",
        Reason::InfraEc2,
        "link-local services of EC2: resolver, metadata, time",
    ),
];

impl InfraView {
    /// Every kind on an interface with these switches (`INFRA_…` bits) and counters.
    pub(crate) fn all(interface: &str, switches: u32, counters: &ZoneCounters) -> Vec<Self> {
        INFRASTRUCTURE
            .iter()
            .map(|(bit, traffic, reason, description)| {
                let [inbound, outbound] = Direction::ALL
                    .map(|direction| counters.reasons[direction as usize][*reason as usize]);
                Self {
                    interface: interface.to_owned(),
                    traffic,
                    description,
                    on: switches & bit != 0,
                    packets_in: inbound.packets,
                    bytes_in: inbound.bytes,
                    packets_out: outbound.packets,
                    bytes_out: outbound.bytes,
                }
            })
            .collect()
    }

    /// The table of all kinds and interfaces.
    pub(crate) fn table(kinds: &[Self]) -> Table {
        let mut table = Table::new(&[
            "INTERFACE",
            "TRAFFIC",
            "FILTERED",
            ">PACKETS-IN",
            ">PACKETS-OUT",
            "DESCRIPTION",
        ])
        .giving_way(&["DESCRIPTION", "PACKETS-OUT"]);
        for kind in kinds {
            table.push([
                Cell::new(&kind.interface),
                Cell::new(kind.traffic),
                Cell::new(if kind.on { "no" } else { "yes" }),
                Cell::new(kind.packets_in),
                Cell::new(kind.packets_out),
                Cell::new(kind.description),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use sg_common::counters::Tally;

    use super::*;

    #[test]
    fn every_infrastructure_reason_has_a_switch() {
        let listed: Vec<_> = INFRASTRUCTURE
            .iter()
            .map(|(_, _, reason, _)| *reason)
            .collect();
        for reason in Reason::ALL {
            let is_infrastructure = reason.name().starts_with("infra-");
            assert_eq!(listed.contains(reason), is_infrastructure, "{reason:?}");
        }
    }

    #[test]
    fn every_kind_shows_switch_and_packets() {
        let mut counters = ZoneCounters::ZERO;
        counters.reasons[Direction::Inbound as usize][Reason::InfraArp as usize] = Tally {
            packets: 2,
            bytes: 84,
        };
        let kinds = InfraView::all("eth0", INFRA_ARP, &counters);
        assert!(kinds[0].on && kinds[0].packets_in == 2 && kinds[0].bytes_in == 84);
        assert!(kinds[1..].iter().all(|kind| !kind.on));
    }
}
