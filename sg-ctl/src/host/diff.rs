//! What changes line by line, in the words of rule files.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use sg_policy::model::{
    Addresses, Direction, InterfaceSpec, Model, PrefixList, Rule, SecurityGroup,
};

/// What a part of the rules is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PartKind {
    /// A security group: rules, description, tags.
    Group,
    /// A prefix list: its entries.
    PrefixList,
    /// The members of a group on other hosts: their addresses.
    Members,
    /// An interface: its settings.
    Interface,
    /// The quotas.
    Limits,
}

impl PartKind {
    /// The words that go before the name.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::PrefixList => "prefix list",
            Self::Members => "members of",
            Self::Interface => "interface",
            Self::Limits => "limits",
        }
    }
}

/// How one part of the rules differs, by lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PartDiff {
    /// What it is.
    pub kind: PartKind,
    /// Its name; empty for the limits.
    pub name: String,
    /// Lines that only the old rules have.
    pub removed: Vec<String>,
    /// Lines that only the new rules have.
    pub added: Vec<String>,
}

/// Every part that differs.
pub(super) fn diff(old: &Model, new: &Model) -> Vec<PartDiff> {
    let mut parts = Vec::new();
    compare(
        PartKind::Group,
        (&old.groups, &new.groups),
        by_lines(group),
        &mut parts,
    );
    compare(
        PartKind::PrefixList,
        (&old.prefix_lists, &new.prefix_lists),
        prefix_list,
        &mut parts,
    );
    compare(
        PartKind::Members,
        (&old.members, &new.members),
        members,
        &mut parts,
    );
    compare(
        PartKind::Interface,
        (&interfaces(old), &interfaces(new)),
        by_lines(interface),
        &mut parts,
    );
    let limits = |model: &Model| BTreeMap::from([(String::new(), model.limits)]);
    compare(
        PartKind::Limits,
        (&limits(old), &limits(new)),
        by_lines(|limits| settings(&serde_json::to_value(limits).unwrap_or_default())),
        &mut parts,
    );
    parts
}

/// The interfaces of a host, or those of the hosts of a VPC.
pub(super) fn interfaces(model: &Model) -> Cow<'_, BTreeMap<String, InterfaceSpec>> {
    if model.hosts.is_empty() {
        return Cow::Borrowed(&model.interfaces);
    }
    let hosts = model.hosts.iter();
    let hosts = hosts.map(|(name, spec)| (name.to_string(), spec.clone()));
    let interfaces = model.interfaces.clone().into_iter();
    Cow::Owned(interfaces.chain(hosts).collect())
}

/// Compares what both sides have under a name; `lines` tells what only the old one and what only the
/// new one says.
fn compare<V: PartialEq>(
    kind: PartKind,
    (old, new): (&BTreeMap<String, V>, &BTreeMap<String, V>),
    lines: impl Fn(Option<&V>, Option<&V>) -> [Vec<String>; 2],
    parts: &mut Vec<PartDiff>,
) {
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for name in names {
        let (before, after) = (old.get(name), new.get(name));
        if before == after {
            continue;
        }
        let [removed, added] = lines(before, after);
        parts.push(PartDiff {
            kind,
            name: name.clone(),
            removed,
            added,
        });
    }
}

/// Compares line by line; what only one side has differs in all lines.
fn by_lines<V>(
    lines: impl Fn(&V) -> Vec<String>,
) -> impl Fn(Option<&V>, Option<&V>) -> [Vec<String>; 2] {
    move |old, new| {
        let [old, new] = [old, new].map(|value| value.map(&lines).unwrap_or_default());
        let missing = |from: &[String], others: &[String]| {
            let others: BTreeSet<_> = others.iter().collect();
            let is_missing = |line: &&String| !others.contains(line);
            from.iter().filter(is_missing).cloned().collect()
        };
        [missing(&old, &new), missing(&new, &old)]
    }
}

/// Compares sets, both ascending, of which there are large ones that differ little: only what differs
/// becomes text.
fn by_entries<'a, T: Ord + ToString + 'a>(
    old: impl IntoIterator<Item = &'a T>,
    new: impl IntoIterator<Item = &'a T>,
) -> [Vec<String>; 2] {
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    let mut lines = [Vec::new(), Vec::new()];
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return lines,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.cmp(other),
        };
        let one = old.next_if(|_| order.is_le());
        let other = new.next_if(|_| order.is_ge());
        if order.is_ne() {
            for (lines, only) in lines.iter_mut().zip([one, other]) {
                lines.extend(only.map(T::to_string));
            }
        }
    }
}

fn members(old: Option<&Addresses>, new: Option<&Addresses>) -> [Vec<String>; 2] {
    by_entries(old.into_iter().flatten(), new.into_iter().flatten())
}

fn prefix_list(old: Option<&PrefixList>, new: Option<&PrefixList>) -> [Vec<String>; 2] {
    let size = |list: &PrefixList| {
        let size = list.max_entries.map(|size| format!("max_entries: {size}"));
        size.into_iter().collect()
    };
    let mut lines = by_lines(size)(old, new);
    let [old, new] = [old, new].map(|list| list.into_iter().flat_map(|list| &list.entries));
    for (lines, entries) in lines.iter_mut().zip(by_entries(old, new)) {
        lines.extend(entries);
    }
    lines
}

fn group(group: &SecurityGroup) -> Vec<String> {
    let mut lines = vec![format!("id: {}", group.id)];
    if !group.description.is_empty() {
        lines.push(format!("description: {}", group.description));
    }
    let tags = group.tags.iter();
    lines.extend(tags.map(|(key, value)| format!("tags.{key}: {value}")));
    for direction in Direction::ALL {
        let rules = group.rules(direction).iter();
        lines.extend(rules.map(|rule| rule_text(direction, rule)));
    }
    lines
}

/// A rule on one line: `inbound tcp 443 from 0.0.0.0/0 (sgr-…): the service`.
fn rule_text(direction: Direction, rule: &Rule) -> String {
    let preposition = match direction {
        Direction::Inbound => "from",
        Direction::Outbound => "to",
    };
    let mut text = format!(
        "{} {} {preposition} {} ({})",
        direction.name(),
        rule.service,
        rule.peer,
        rule.id
    );
    if !rule.description.is_empty() {
        text.push_str(": ");
        text.push_str(&rule.description);
    }
    text
}

fn interface(spec: &InterfaceSpec) -> Vec<String> {
    settings(&serde_json::to_value(spec).unwrap_or_default())
}

/// Settings as rule files write them, a line each: `log: denied`, `timeouts.udp: 30`.
fn settings(value: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    flatten("", value, &mut lines);
    lines
}

fn flatten(path: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                flatten(&format!("{path}{dot}{name}"), value, lines);
            }
        }
        Value::Null => {}
        Value::String(text) => lines.push(format!("{path}: {text}")),
        Value::Array(values) => {
            let texts: Vec<_> = values.iter().map(plain).collect();
            lines.push(format!("{path}: [{}]", texts.join(", ")));
        }
        Value::Bool(_) | Value::Number(_) => lines.push(format!("{path}: {value}")),
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sg_policy::model::{DEFAULT_GROUP, GroupId, LogMode, Peer, Service};

    #[test]
    fn every_kind_of_part_is_compared_line_by_line() {
        let old = Model::new();
        let mut new = old.clone();
        assert_eq!(diff(&old, &new), []);

        let group = new.groups.get_mut(DEFAULT_GROUP).unwrap();
        let peer = Peer::Cidr("198.51.100.0/24".parse().unwrap());
        let id = GroupId::derived(DEFAULT_GROUP);
        let mut rule = Rule::new(&id, Direction::Inbound, Service::protocol(6), peer);
        rule.description = "everything".to_owned();
        let rule_id = rule.id.clone();
        group.inbound = vec![rule];
        let list = PrefixList {
            entries: ["203.0.113.0/24".parse().unwrap()].into(),
            max_entries: Some(5),
        };
        new.prefix_lists.insert("office".to_owned(), list);
        let members = ["10.0.0.1".parse().unwrap()].into();
        new.members.insert(DEFAULT_GROUP.to_owned(), members);
        let quiet = InterfaceSpec {
            log: LogMode::Off,
            ..InterfaceSpec::default()
        };
        let (mut before, after) = (old, new);
        let (eth0, loud) = ("eth0".to_owned(), InterfaceSpec::default());
        before.interfaces.insert(eth0.clone(), loud);
        let mut after = after;
        after.interfaces.insert(eth0, quiet);
        after.limits.groups_per_interface = 6;

        let parts = diff(&before, &after);
        let lines = |kind: PartKind| {
            let part = parts.iter().find(|part| part.kind == kind).unwrap();
            (part.removed.clone(), part.added.clone())
        };
        assert_eq!(parts.len(), 5, "{parts:#?}");
        let (removed, added) = lines(PartKind::Group);
        assert_eq!(removed.len(), 1, "the rule that admits the group itself");
        let rule = format!("inbound tcp all from 198.51.100.0/24 ({rule_id}): everything");
        assert_eq!(added, [rule]);
        let list = ["max_entries: 5", "203.0.113.0/24"].map(str::to_owned);
        assert_eq!(lines(PartKind::PrefixList), (vec![], list.to_vec()));
        let member = vec!["10.0.0.1".to_owned()];
        assert_eq!(lines(PartKind::Members), (vec![], member));
        let log = |mode: &str| vec![format!("log: {mode}")];
        assert_eq!(lines(PartKind::Interface), (log("all"), log("off")));
        let limit = |limit: u32| vec![format!("groups_per_interface: {limit}")];
        assert_eq!(lines(PartKind::Limits), (limit(5), limit(6)));
    }

    #[test]
    fn what_comes_or_goes_differs_in_all_lines() {
        let old = Model::new();
        let mut new = old.clone();
        new.groups.clear();
        let parts = diff(&old, &new);
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].added, Vec::<String>::new());
        // Its id, its description, the group itself inbound, both families outbound.
        assert!(parts[0].removed.len() >= 4, "{parts:#?}");
    }
}
