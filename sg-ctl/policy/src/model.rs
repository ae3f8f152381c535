//! What the user wants: security groups, prefix lists, members and interfaces.
//!
//! The model is plain data. Whoever builds one (the rule-file reader, an importer) has checked it:
//! every name that it refers to exists, no group holds a rule twice, prefix lists are flat.
//! It serialises to JSON for the state file and for `--json`.

mod addresses;
#[cfg(test)]
pub(crate) mod arbitrary;
pub mod check;
mod hosts;
mod id;
mod interface;
mod limits;
mod merged;
mod pattern;
mod rule;
mod service;
mod shared;
pub mod text;

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use addresses::Addresses;
pub use hosts::{Assignments, HostInterfaces, HostPattern, Hosts, InvalidHostPattern};
pub use id::{GroupId, InvalidId, PrefixListId, RuleId, derived_id};
pub use interface::{
    Hook, Infrastructure, InterfaceSpec, LogMode, Related, Side, TcpPickup, Timeouts,
};
pub use limits::Limits;
pub use merged::MergedRule;
pub(crate) use pattern::{MAX_INTERFACE_NAME, MAX_PATTERN};
pub use pattern::{Pattern, PatternError, is_pattern};
pub use rule::{Family, InvalidPeer, Location, Peer, Rule};
pub use service::{Icmp, IcmpMessage, Service, Transport};
pub use sg_common::flow::Direction;
pub use shared::Shared;

/// The name of the one built-in group.
pub const DEFAULT_GROUP: &str = "default";

/// Everything that rule files say about one host, or about the hosts of a VPC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// Security groups by name; [`DEFAULT_GROUP`] is always among them.
    pub groups: Shared<BTreeMap<String, SecurityGroup>>,
    /// Prefix lists by name.
    pub prefix_lists: BTreeMap<String, PrefixList>,
    /// Addresses on other hosts that carry a group, by the group's name.
    pub members: BTreeMap<String, Addresses>,
    /// Interfaces to guard, by name or by pattern; [`interface`](Self::interface) knows which counts.
    #[serde(serialize_with = "interface::by_difference")]
    pub interfaces: BTreeMap<String, InterfaceSpec>,
    /// Interfaces of the hosts of a VPC, in place of `interfaces`; [`on_host`](Self::on_host) says
    /// what they are on one of them.
    #[serde(
        default,
        skip_serializing_if = "is_empty",
        serialize_with = "interface::by_difference"
    )]
    pub hosts: Shared<Hosts>,
    /// The quotas that the model was checked against.
    pub limits: Limits,
}

/// A security group. Rules only ever allow, so their order decides nothing but which of several
/// matching rules is named as the deciding one: the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// Given, or derived from the name.
    pub id: GroupId,
    /// Unique without regard to case.
    pub name: String,
    /// Free text, possibly empty.
    pub description: String,
    /// Free key-value pairs.
    pub tags: BTreeMap<String, String>,
    /// What may reach the protected side.
    pub inbound: Vec<Rule>,
    /// What may leave the protected side.
    pub outbound: Vec<Rule>,
}

impl SecurityGroup {
    /// The rules of one direction.
    pub fn rules(&self, direction: Direction) -> &[Rule] {
        match direction {
            Direction::Inbound => &self.inbound,
            Direction::Outbound => &self.outbound,
        }
    }

    /// The outbound rules of a group that states none: everything, IPv4 and IPv6 (AWS G4).
    pub fn default_outbound(id: &GroupId) -> Vec<Rule> {
        [Family::V4, Family::V6]
            .map(|family| {
                Rule::new(
                    id,
                    Direction::Outbound,
                    Service::All,
                    Peer::Cidr(family.everything()),
                )
            })
            .to_vec()
    }

    /// Whether this is the built-in group as it is without any rule file.
    pub fn is_built_in(&self) -> bool {
        *self == Self::built_in()
    }

    /// The built-in group (AWS G2): members reach each other, everything may leave.
    pub fn built_in() -> Self {
        let id = GroupId::derived(DEFAULT_GROUP);
        let itself = Peer::Group(DEFAULT_GROUP.to_owned());
        Self {
            name: DEFAULT_GROUP.to_owned(),
            description: "default VPC security group".to_owned(),
            tags: BTreeMap::new(),
            inbound: vec![Rule::new(&id, Direction::Inbound, Service::All, itself)],
            outbound: Self::default_outbound(&id),
            id,
        }
    }
}

/// A named set of address ranges, nested lists already resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixList {
    /// The ranges, without host bits.
    pub entries: BTreeSet<IpNet>,
    /// The size the list counts as in quotas; without it, the number of entries.
    pub max_entries: Option<u32>,
}

impl PrefixList {
    /// How many rules of `family` a reference to this list counts as (AWS: its maximum size).
    ///
    /// A list counts only in the families that it holds entries of; an empty one in both.
    pub fn weight(&self, family: Family) -> u32 {
        let entries = self
            .entries
            .iter()
            .filter(|net| Family::of(net) == family)
            .count() as u32;
        match self.max_entries {
            Some(max) if entries > 0 || self.entries.is_empty() => max,
            _ => entries,
        }
    }
}

/// Whether nothing is said of any host.
fn is_empty(hosts: &Hosts) -> bool {
    hosts.is_empty()
}

impl Model {
    /// A model that holds the built-in group and nothing else.
    pub fn new() -> Self {
        let mut model = Self::default();
        model
            .groups
            .insert(DEFAULT_GROUP.to_owned(), SecurityGroup::built_in());
        model
    }

    /// The group with this name or this id.
    pub fn group(&self, name_or_id: &str) -> Option<&SecurityGroup> {
        self.groups.get(name_or_id).or_else(|| {
            self.groups
                .values()
                .find(|group| group.id.as_str() == name_or_id)
        })
    }
}
