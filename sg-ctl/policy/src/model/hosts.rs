//! Interfaces of the hosts of a VPC: which groups an interface of a host carries.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::pattern::{MAX_INTERFACE_NAME, MAX_PATTERN, best};
use super::{InterfaceSpec, Model, Pattern, Shared, is_pattern};

/// Characters that the name of a host has at most (POSIX, `HOST_NAME_MAX`).
const MAX_HOST: usize = 64;

/// A name or pattern of hosts, and one of their interfaces: `app-*/eth0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern {
    host: String,
    interface: String,
}

/// A text that is not a [`HostPattern`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHostPattern {
    /// There is no `/`, or more than one.
    #[error("`{0}` is not HOST/INTERFACE")]
    Shape(String),
    /// The host cannot be one.
    #[error("`{0}` cannot be a host")]
    Host(String),
    /// The interface cannot be one.
    #[error("`{0}` cannot be an interface")]
    Interface(String),
    /// Brackets that do not close, and the like.
    #[error("`{0}` is no pattern")]
    Pattern(String),
}

impl HostPattern {
    /// The name or pattern of hosts.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The name or pattern of interfaces.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Whether a name can be that of a host.
    pub fn is_host(name: &str) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        (1..=MAX_HOST).contains(&name.len())
            && name.bytes().all(is_plain)
            && !matches!(name, "." | "..")
    }
}

impl FromStr for HostPattern {
    type Err = InvalidHostPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        use InvalidHostPattern::{Host, Interface, Shape};
        let (host, interface) = text.split_once('/').ok_or_else(|| Shape(text.to_owned()))?;
        if interface.contains('/') {
            return Err(Shape(text.to_owned()));
        }
        let is_part = |part: &str, max: usize| {
            let max = if is_pattern(part) { MAX_PATTERN } else { max };
            (1..=max).contains(&part.len())
                && !matches!(part, "." | "..")
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b':')
        };
        if !is_part(host, MAX_HOST) || !(is_pattern(host) || Self::is_host(host)) {
            return Err(Host(host.to_owned()));
        }
        if !is_part(interface, MAX_INTERFACE_NAME) {
            return Err(Interface(interface.to_owned()));
        }
        let mut patterns = [host, interface]
            .into_iter()
            .filter(|part| is_pattern(part));
        if let Some(part) = patterns.find(|part| Pattern::new(part).is_err()) {
            return Err(InvalidHostPattern::Pattern(part.to_owned()));
        }
        Ok(Self {
            host: host.to_owned(),
            interface: interface.to_owned(),
        })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.interface)
    }
}

impl TryFrom<String> for HostPattern {
    type Error = InvalidHostPattern;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.to_string()
    }
}

/// What is said of the interfaces of all hosts of a VPC.
pub type Hosts = BTreeMap<HostPattern, InterfaceSpec>;

/// The interfaces of all hosts of a VPC, ready to be asked about many of them.
#[derive(Clone, Debug)]
pub struct Assignments<'m> {
    all: &'m Hosts,
    by_pattern: Vec<(Pattern, &'m str, &'m InterfaceSpec)>,
}

impl<'m> Assignments<'m> {
    /// The interfaces of a host, by name or by pattern. Of two entries for one name or pattern, that
    /// of the host's name counts, else that of the longest pattern of hosts, else the first in
    /// alphabetical order.
    pub fn of(&self, host: &str) -> HostInterfaces<'m> {
        let first = HostPattern {
            host: host.to_owned(),
            interface: String::new(),
        };
        let named = self.all.range(first..);
        let named = named.take_while(|(name, _)| name.host == host);
        let named = named.map(|(name, spec)| (&*name.interface, spec));
        let matching = self.by_pattern.iter();
        let matching = matching.filter(|(pattern, _, _)| pattern.matches(host));
        let mut interfaces = BTreeMap::new();
        for (interface, spec) in named.chain(matching.map(|(_, name, spec)| (*name, *spec))) {
            interfaces.entry(interface).or_insert(spec);
        }
        HostInterfaces(interfaces)
    }
}

/// The interfaces of one host of a VPC.
#[derive(Clone, Debug, Default)]
pub struct HostInterfaces<'m>(BTreeMap<&'m str, &'m InterfaceSpec>);

impl<'m> HostInterfaces<'m> {
    /// How an interface is guarded: see [`Model::interface`].
    pub fn interface(&self, name: &str) -> Option<&'m InterfaceSpec> {
        best(self.0.iter().map(|(key, spec)| (*key, *spec)), name)
    }

    /// All entries, by name or pattern.
    pub fn entries(&self) -> impl Iterator<Item = (&'m str, &'m InterfaceSpec)> {
        self.0.iter().map(|(name, spec)| (*name, *spec))
    }
}

impl Model {
    /// The interfaces of all hosts.
    pub fn assignments(&self) -> Assignments<'_> {
        let patterns = self.hosts.iter().filter(|(name, _)| is_pattern(&name.host));
        let mut by_pattern: Vec<_> = patterns
            .filter_map(|(HostPattern { host, interface }, spec)| {
                Some((Pattern::new(host).ok()?, interface.as_str(), spec))
            })
            .collect();
        // Stable: of patterns as long, the first in alphabetical order stays the first.
        by_pattern.sort_by_key(|(pattern, _, _)| std::cmp::Reverse(pattern.as_str().len()));
        Assignments {
            all: &self.hosts,
            by_pattern,
        }
    }

    /// Whether the same interfaces of hosts are said the same of as by another model, and groups have the
    /// same names and ids: then it makes the same of every claim.
    pub fn assigns_as(&self, other: &Self) -> bool {
        let (own, others) = (self.groups.values(), other.groups.values());
        self.hosts == other.hosts
            && own
                .map(|group| (&group.id, &group.name))
                .eq(others.map(|group| (&group.id, &group.name)))
    }

    /// The rules of a VPC as one of its hosts has them.
    #[must_use]
    pub fn on_host(&self, host: &str) -> Cow<'_, Self> {
        if self.hosts.is_empty() {
            return Cow::Borrowed(self);
        }
        let interfaces = self.assignments().of(host);
        let interfaces = interfaces
            .entries()
            .map(|(name, spec)| (name.to_owned(), spec.clone()));
        Cow::Owned(Self {
            groups: self.groups.clone(),
            prefix_lists: self.prefix_lists.clone(),
            members: self.members.clone(),
            interfaces: interfaces.collect(),
            hosts: Shared::default(),
            limits: self.limits,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GroupId, SecurityGroup};

    fn model(names: &[&str]) -> Model {
        let mut model = Model::new();
        for name in names {
            let spec = InterfaceSpec {
                groups: vec![(*name).to_owned()],
                ..InterfaceSpec::default()
            };
            let pattern = name.parse().expect("a pattern of hosts");
            model.hosts.insert(pattern, spec);
        }
        model
    }

    #[test]
    fn a_hosts_name_wins_over_patterns_and_the_longest_of_these() {
        let model = model(&[
            "*/eth0",
            "app-*/eth0",
            "app-1/eth0",
            "app-?/eth1",
            "db/eth0",
        ]);
        let groups = |host: &str, interface: &str| {
            let model = model.on_host(host);
            model
                .interface(interface)
                .map(|spec| spec.groups[0].clone())
        };
        assert_eq!(groups("app-1", "eth0").as_deref(), Some("app-1/eth0"));
        assert_eq!(groups("app-2", "eth0").as_deref(), Some("app-*/eth0"));
        assert_eq!(groups("app-2", "eth1").as_deref(), Some("app-?/eth1"));
        assert_eq!(groups("web", "eth0").as_deref(), Some("*/eth0"));
        assert_eq!(groups("web", "eth1"), None);
    }

    #[test]
    fn an_interfaces_name_wins_whatever_names_the_host() {
        let model = model(&["*/tap7", "app-1/tap*"]);
        let model = model.on_host("app-1");
        assert_eq!(
            model.interface("tap7").map(|spec| &*spec.groups[0]),
            Some("*/tap7")
        );
        assert_eq!(
            model.interface("tap8").map(|spec| &*spec.groups[0]),
            Some("app-1/tap*")
        );
    }

    #[test]
    fn other_rules_assign_the_same_and_other_assignments_do_not() {
        let one = model(&["app-*/eth0", "db/eth0"]);
        let mut other_rules = one.clone();
        for group in other_rules.groups.values_mut() {
            group.outbound.clear();
            group.description = "other".to_owned();
        }
        assert!(one.assigns_as(&other_rules));
        let changed = |change: fn(&mut SecurityGroup)| {
            let mut model = one.clone();
            model.groups.values_mut().for_each(change);
            model
        };
        assert!(!one.assigns_as(&changed(|group| group.name.push('x'))));
        assert!(!one.assigns_as(&changed(|group| group.id = GroupId::derived("x"))));
        let mut other_addresses = one.clone();
        for spec in other_addresses.hosts.values_mut() {
            spec.addresses = vec!["10.0.0.0/8".parse().unwrap()];
        }
        assert!(!one.assigns_as(&other_addresses));
        assert!(!one.assigns_as(&model(&["app-*/eth0"])));
    }

    #[test]
    fn only_a_host_and_an_interface_make_a_pattern() {
        for good in ["a/eth0", "*/*", "app-[0-9]/tap*", "a.example.org/eth0.5"] {
            assert_eq!(
                good.parse::<HostPattern>().map(String::from),
                Ok(good.to_owned())
            );
        }
        for bad in [
            "eth0",
            "/eth0",
            "a/",
            "a/b/c",
            "a b/eth0",
            "a/an-interface-too-long",
            "[/x",
            "ä/x",
        ] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad}");
        }
    }
}
