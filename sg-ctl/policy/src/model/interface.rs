//! How an interface is guarded.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::ser::{Error as _, SerializeMap as _};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::DEFAULT_GROUP;

/// Which side of the interface is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The host behind the interface: what the interface receives is inbound.
    #[default]
    Nic,
    /// The workload at the far end of a veth or tap: what the interface receives is outbound.
    Workload,
}

/// Where the programs are attached on the receiving path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// The best hook for the driver.
    #[default]
    Auto,
    /// XDP in the driver.
    Xdp,
    /// XDP in the generic path, for drivers without support.
    XdpGeneric,
    /// TC: TCX where the kernel has it, else clsact.
    Tc,
}

/// Which verdicts are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogMode {
    /// None; counters still count.
    Off,
    /// Packets that are dropped.
    Denied,
    /// New flows that are allowed.
    Allowed,
    /// Dropped packets and new flows.
    #[default]
    All,
}

/// Events per second that an interface logs at most unless told otherwise: what a reader keeps up
/// with, and a small part of what the buffer holds.
const DEFAULT_LOG_LIMIT: u32 = 10_000;

/// Which ICMP errors pass because they quote a live flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Related {
    /// None: they need a rule, as the AWS documentation has said since 2022.
    Off,
    /// Path-MTU messages: ICMP 3/4, ICMPv6 2.
    Pmtud,
    /// Errors: ICMP 3, 11, 12; ICMPv6 1 to 4.
    #[default]
    Errors,
    /// Every message that quotes a flow.
    All,
}

/// Whether TCP segments without SYN open a flow when a rule admits them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TcpPickup {
    /// For a while after attach, so that older connections are known.
    #[default]
    Attach,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Traffic below or beside IP that groups never filter; each kind can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
// A state of an older version lacks the newer kinds.
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, named as users know them"
)]
pub struct Infrastructure {
    /// ARP.
    pub arp: bool,
    /// Every other protocol below IP.
    pub non_ip: bool,
    /// IPv6 neighbour discovery.
    pub nd: bool,
    /// IPv6 multicast listener discovery.
    pub mld: bool,
    /// IPv4 multicast membership.
    pub igmp: bool,
    /// The host's DHCP client.
    pub dhcp4: bool,
    /// The host's DHCPv6 client.
    pub dhcp6: bool,
    /// The link-local services of EC2; null: on if the host runs there.
    pub ec2: Option<bool>,
}

impl Default for Infrastructure {
    fn default() -> Self {
        Self {
            arp: true,
            non_ip: true,
            nd: true,
            mld: true,
            igmp: true,
            dhcp4: true,
            dhcp6: true,
            ec2: None,
        }
    }
}

/// Idle times after which a flow is forgotten, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// TCP after the handshake.
    pub tcp_established: u32,
    /// TCP before the handshake is complete.
    pub tcp_half_open: u32,
    /// TCP after the FIN of one side.
    pub tcp_half_closed: u32,
    /// TCP after the FIN of both sides, or RST.
    pub tcp_closing: u32,
    /// UDP before the second exchange.
    pub udp: u32,
    /// UDP after the second exchange.
    pub udp_stream: u32,
    /// ICMP queries.
    pub icmp: u32,
    /// Every other protocol.
    pub other: u32,
}

impl Default for Timeouts {
    /// AWS's documented times; those that AWS does not publish are ours.
    fn default() -> Self {
        Self {
            tcp_established: 432_000,
            tcp_half_open: 60,
            tcp_half_closed: 120,
            tcp_closing: 10,
            udp: 30,
            udp_stream: 180,
            icmp: 30,
            other: 600,
        }
    }
}

/// How one interface is guarded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InterfaceSpec {
    /// Names of the groups it carries, at least one. What any of them allows is allowed; where
    /// several do, the first group's rule is named as the deciding one.
    pub groups: Vec<String>,
    /// Where the addresses of the protected side lie, anywhere if empty: an address elsewhere makes
    /// it no member of its groups. Of a workload, single addresses are those that it has.
    pub addresses: Vec<IpNet>,
    /// Which side is protected.
    pub side: Side,
    /// Where to attach.
    pub hook: Hook,
    /// Judge and log, but drop nothing.
    pub audit: bool,
    /// Which verdicts are logged.
    pub log: LogMode,
    /// Events that are logged per second at most, beyond bursts of that many; 0 = no limit.
    pub log_limit: u32,
    /// Which ICMP errors pass with their flow.
    pub related: Related,
    /// Whether TCP flows may be picked up midway.
    pub tcp_pickup: TcpPickup,
    /// Traffic that is never filtered.
    #[serde(rename = "infra")]
    pub infrastructure: Infrastructure,
    /// Idle times of flows.
    pub timeouts: Timeouts,
    /// Flows that the flow table keeps room for, whatever other interfaces hold; `None`: as many as
    /// for every other interface of which nothing is said.
    pub flow_share: Option<u32>,
}

/// Writes interfaces by what differs from the default: of the thousand interfaces of a VPC little else is
/// to be read by each of its hosts, whenever the rules change.
pub(super) fn by_difference<K: Serialize, S: Serializer>(
    interfaces: &BTreeMap<K, InterfaceSpec>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let fields = |spec: &InterfaceSpec| match serde_json::to_value(spec) {
        Ok(Value::Object(fields)) => Ok(fields),
        other => Err(S::Error::custom(format!("{other:?} is no interface"))),
    };
    let default = fields(&InterfaceSpec::default())?;
    let mut map = serializer.serialize_map(Some(interfaces.len()))?;
    for (name, spec) in interfaces {
        let mut fields = fields(spec)?;
        fields.retain(|name, value| default.get(name) != Some(value));
        map.serialize_entry(name, &fields)?;
    }
    map.end()
}

impl Default for InterfaceSpec {
    /// An interface that carries the built-in group (AWS G5).
    ///
    /// Models that are kept mean these values by what they do not say: whoever changes one changes what
    /// hosts enforce, and makes a new format.
    fn default() -> Self {
        Self {
            groups: vec![DEFAULT_GROUP.to_owned()],
            addresses: Vec::new(),
            side: Side::default(),
            hook: Hook::default(),
            audit: false,
            log: LogMode::default(),
            log_limit: DEFAULT_LOG_LIMIT,
            related: Related::default(),
            tcp_pickup: TcpPickup::default(),
            infrastructure: Infrastructure::default(),
            timeouts: Timeouts::default(),
            flow_share: None,
        }
    }
}

impl InterfaceSpec {
    /// Whether an address of the protected side makes it a member of its groups.
    pub fn counts(&self, address: IpAddr) -> bool {
        self.addresses.is_empty() || self.addresses.iter().any(|net| net.contains(&address))
    }

    /// The addresses that are stated one by one.
    pub fn stated_addresses(&self) -> Vec<IpAddr> {
        let single = |net: &&IpNet| net.prefix_len() == net.max_prefix_len();
        self.addresses
            .iter()
            .filter(single)
            .map(IpNet::addr)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_from_the_default_is_written() {
        let kept = serde_json::json!({
            "groups": ["default"], "addresses": [], "side": "nic", "hook": "auto", "audit": false,
            "log": "all", "log_limit": 10_000, "related": "errors", "tcp_pickup": "attach",
            "infra": {
                "arp": true, "non_ip": true, "nd": true, "mld": true, "igmp": true, "dhcp4": true,
                "dhcp6": true, "ec2": null
            },
            "timeouts": {
                "tcp_established": 432_000, "tcp_half_open": 60, "tcp_half_closed": 120,
                "tcp_closing": 10, "udp": 30, "udp_stream": 180, "icmp": 30, "other": 600
            },
            "flow_share": null
        });
        let default = serde_json::to_value(InterfaceSpec::default()).unwrap();
        assert_eq!(default, kept, "kept models mean the old values");

        let mut model = crate::model::Model::new();
        let spec = InterfaceSpec {
            groups: Vec::new(),
            log_limit: 0,
            audit: true,
            ..InterfaceSpec::default()
        };
        model
            .interfaces
            .insert("eth0".to_owned(), InterfaceSpec::default());
        model.interfaces.insert("eth1".to_owned(), spec);
        let written = serde_json::to_value(&model).unwrap();
        assert_eq!(
            written["interfaces"],
            serde_json::json!({
                "eth0": {}, "eth1": { "groups": [], "audit": true, "log_limit": 0 }
            })
        );
        let read: crate::model::Model = serde_json::from_value(written).unwrap();
        assert_eq!(read, model);
    }
}
