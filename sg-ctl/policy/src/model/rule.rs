//! One rule: what it admits, from or to whom.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};
use sg_common::flow::Direction;

use super::{GroupId, PrefixList, RuleId, Service};

/// An address family. Rules speak about one family at a time (AWS E8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both families.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address range.
    pub const fn of(net: &IpNet) -> Self {
        match net {
            IpNet::V4(_) => Self::V4,
            IpNet::V6(_) => Self::V6,
        }
    }

    /// The range of all addresses of the family.
    pub fn everything(self) -> IpNet {
        match self {
            Self::V4 => IpNet::V4(Ipv4Net::default()),
            Self::V6 => IpNet::V6(Ipv6Net::default()),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// The other end that a rule speaks of: source of inbound, destination of outbound rules.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Peer {
    /// An address range without host bits.
    Cidr(IpNet),
    /// A prefix list, by name.
    PrefixList(String),
    /// Whoever carries the group of this name.
    Group(String),
}

impl Peer {
    /// The family of which this peer is every address, if it is.
    ///
    /// Only the literal `0.0.0.0/0` and `::/0` count (AWS's untracked rule speaks of nothing else).
    pub fn whole_family(&self) -> Option<Family> {
        match self {
            Self::Cidr(net) if net.prefix_len() == 0 => Some(Family::of(net)),
            _ => None,
        }
    }

    /// How many rules of `family` a rule with this peer counts as in quotas. A group has members
    /// of both families.
    pub fn weight(&self, family: Family, lists: &BTreeMap<String, PrefixList>) -> u32 {
        match self {
            Self::Cidr(net) => u32::from(Family::of(net) == family),
            Self::Group(_) => 1,
            Self::PrefixList(name) => lists.get(name).map_or(0, |list| list.weight(family)),
        }
    }
}

impl fmt::Display for Peer {
    /// Writes the peer as rule files do: `10.0.0.0/8`, `pl:office`, `sg:web`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cidr(net) => f.pad(&net.to_string()),
            Self::PrefixList(name) => f.pad(&format!("pl:{name}")),
            Self::Group(name) => f.pad(&format!("sg:{name}")),
        }
    }
}

impl From<Peer> for String {
    fn from(peer: Peer) -> Self {
        peer.to_string()
    }
}

/// A text that is none of `sg:NAME`, `pl:NAME` and an address range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an address range (10.0.0.0/8) nor sg:NAME nor pl:NAME")]
pub struct InvalidPeer(String);

impl FromStr for Peer {
    type Err = InvalidPeer;

    fn from_str(text: &str) -> Result<Self, InvalidPeer> {
        if let Some(name) = text.strip_prefix("sg:") {
            return Ok(Self::Group(name.to_owned()));
        }
        if let Some(name) = text.strip_prefix("pl:") {
            return Ok(Self::PrefixList(name.to_owned()));
        }
        match text.parse::<IpNet>() {
            Ok(net) => Ok(Self::Cidr(net)),
            Err(_not_a_range) => Err(InvalidPeer(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Peer {
    type Error = InvalidPeer;

    fn try_from(text: String) -> Result<Self, InvalidPeer> {
        text.parse()
    }
}

/// Where a rule was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The file as it was named to us.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One rule with one peer; a rule written with several sources is several of these, as on AWS.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// Given, or derived from the rule's identity: group, direction, service and peer (AWS I1).
    pub id: RuleId,
    /// Protocol and ports.
    pub service: Service,
    /// From or to whom.
    pub peer: Peer,
    /// Free text, possibly empty.
    pub description: String,
    /// Free key-value pairs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Where the rule was written; `None` for built-in rules. Not part of what the rule is.
    pub location: Option<Location>,
}

impl PartialEq for Rule {
    /// Compares everything but [`Rule::location`].
    fn eq(&self, other: &Self) -> bool {
        let Self {
            id,
            service,
            peer,
            description,
            tags,
            location: _,
        } = self;
        *id == other.id
            && *service == other.service
            && *peer == other.peer
            && *description == other.description
            && *tags == other.tags
    }
}

impl Eq for Rule {}

impl Rule {
    /// A rule of `group` with derived id and without description.
    pub fn new(group: &GroupId, direction: Direction, service: Service, peer: Peer) -> Self {
        let identity = [
            direction.name().to_owned(),
            service.to_string(),
            peer.to_string(),
        ];
        Self {
            id: RuleId::derived(group, &identity),
            service,
            peer,
            description: String::new(),
            tags: BTreeMap::new(),
            location: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_survive_their_text() {
        for text in ["10.0.0.0/8", "2001:db8::/32", "sg:web: v2", "pl:office"] {
            assert_eq!(text.parse::<Peer>().expect(text).to_string(), text);
        }
        assert!("10.0.0.1".parse::<Peer>().is_err());
    }

    #[test]
    fn rule_ids_depend_on_the_identity_alone() {
        let group = GroupId::derived("web");
        let peer = || Peer::Group("web".to_owned());
        let rule = Rule::new(&group, Direction::Inbound, Service::All, peer());
        assert_eq!(
            rule,
            Rule::new(&group, Direction::Inbound, Service::All, peer())
        );
        let others = [
            Rule::new(
                &GroupId::derived("db"),
                Direction::Inbound,
                Service::All,
                peer(),
            ),
            Rule::new(&group, Direction::Outbound, Service::All, peer()),
            Rule::new(&group, Direction::Inbound, Service::protocol(6), peer()),
            Rule::new(
                &group,
                Direction::Inbound,
                Service::All,
                Peer::PrefixList("web".into()),
            ),
        ];
        for other in others {
            assert_ne!(rule.id, other.id, "{other:?}");
        }
    }
}
