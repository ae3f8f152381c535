//! What `openstack security group …` and `openstack port …` print as JSON, and Neutron's API.
//!
//! The model is the same: rules allow, groups are stateful, a remote group is a peer. Three things
//! differ: a rule speaks of one family also where it names a group, outbound rules are all stated,
//! and groups may be stateless.

mod rules;

use std::collections::HashMap;
use std::net::IpAddr;

use super::draft::{Draft, Group, Member, Reference};
use super::view::View;
use crate::text::document::Value;
use crate::text::report::Problems;
use rules::Rule;

/// What an item describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rule,
    Port,
    Group,
}

impl Kind {
    /// What an item describes, by the keys that only its kind has.
    fn of(item: &View<'_>) -> Option<Self> {
        let has = |keys: &[&str]| any(item, keys).is_some();
        if has(&["ethertype", "Ethertype", "IP Protocol"]) {
            Some(Self::Rule)
        } else if has(&["fixed_ips", "Fixed IP Addresses"]) {
            Some(Self::Port)
        } else if has(&["id", "ID"])
            && has(&["name", "Name"])
            && has(&["project_id", "Project", "rules", "security_group_rules"])
        {
            Some(Self::Group)
        } else {
            None
        }
    }
}

/// The value under the first of several keys that is there: the client and the API name columns
/// differently.
fn any<'a>(item: &View<'a>, keys: &[&str]) -> Option<View<'a>> {
    keys.iter().find_map(|key| item.get(key))
}

/// The text under the first of several keys; an empty one is none.
fn text<'a>(item: &View<'a>, keys: &[&str]) -> Option<&'a str> {
    any(item, keys)?.as_text().filter(|text| !text.is_empty())
}

/// The lists of the API's answers.
const ANSWERS: [&str; 3] = ["security_groups", "security_group_rules", "ports"];

/// The items of a document.
fn items<'a>(root: &View<'a>) -> Vec<View<'a>> {
    let lists = ANSWERS.iter().filter_map(|key| root.get(key));
    let found: Vec<_> = lists.flat_map(|list| list.items()).collect();
    match root.value() {
        Value::List(_) => root.items(),
        _ if found.is_empty() => vec![root.clone()],
        _ => found,
    }
}

/// Whether a document looks like an answer of the client or the API.
pub(super) fn is_known(root: &View<'_>) -> bool {
    let items = items(root);
    items.first().is_some_and(|item| Kind::of(item).is_some())
}

/// Reads one document.
pub(super) fn read(root: &View<'_>, draft: &mut Draft, problems: &mut Problems<'_>) {
    let mut reader = Reader {
        rules: Vec::new(),
        draft,
        problems,
    };
    for item in items(root) {
        match Kind::of(&item) {
            Some(Kind::Rule) => reader.rule(&item, None),
            Some(Kind::Port) => reader.port(&item),
            Some(Kind::Group) => reader.group(&item),
            None => {
                let help = "import whole answers of `openstack security group list`, `security \
                            group show`, `security group rule list --long` and `port list --long`";
                let message = "this is no group, rule or port";
                reader.problems.error(&item.at(), message, help);
            }
        }
    }
    reader.finish();
}

struct Reader<'d, 'p, 's> {
    /// Rules so far: those of both families that name a group are one.
    rules: Vec<Rule>,
    draft: &'d mut Draft,
    problems: &'p mut Problems<'s>,
}

impl Reader<'_, '_, '_> {
    fn group(&mut self, item: &View<'_>) {
        let (Some(id), Some(name)) = (text(item, &["id", "ID"]), text(item, &["name", "Name"]))
        else {
            let help = "this is not what the client writes: was the file edited?";
            self.problems
                .error(&item.at(), "the group has no id or no name", help);
            return;
        };
        let description = text(item, &["description", "Description"]).unwrap_or_default();
        self.draft.groups.push(Group {
            at: item.at(),
            keys: vec![id.into(), format!("name:{name}").into()],
            id: None,
            name: name.into(),
            description: description.into(),
            tags: Vec::new(),
            vpc: None,
            default_outbound: false,
        });
        if text(item, &["stateful", "Stateful"]).is_some_and(|it| it.eq_ignore_ascii_case("false"))
        {
            let message = "the group is stateless: its rules are not carried over";
            let help = "here replies always pass; write the rules by hand where that is meant";
            self.problems.warning(&item.at(), message, help);
            return;
        }
        let Some(rules) = any(item, &["rules", "security_group_rules"]) else {
            self.draft.without_rules.push((item.at(), id.to_owned()));
            return;
        };
        if !matches!(rules.value(), Value::List(_)) {
            let help = "the client is old: import `openstack security group rule list --long`, too";
            self.problems
                .error(&rules.at(), "a list of rules should stand here", help);
        }
        for rule in rules.items() {
            self.rule(&rule, Some(id));
        }
    }

    /// The addresses of a port, for each of its groups.
    fn port(&mut self, item: &View<'_>) {
        let fixed = any(item, &["fixed_ips", "Fixed IP Addresses"]);
        let mut addresses: Vec<IpAddr> = Vec::new();
        for entry in fixed.iter().flat_map(View::items) {
            let address = text(&entry, &["ip_address"]);
            if let Some(address) = address.and_then(|text| text.parse().ok()) {
                addresses.push(address);
            } else {
                let help = "the client gives one IPv4 or IPv6 address";
                self.problems.error(&entry.at(), "this is no address", help);
            }
        }
        let keys = ["security_groups", "security_group_ids", "Security Groups"];
        let Some(groups) = any(item, &keys) else {
            let help = "import `openstack port list --long`";
            self.problems
                .warning(&item.at(), "the port's groups are not given", help);
            return;
        };
        for group in groups.items() {
            for address in &addresses {
                self.draft.members.extend(group.as_text().map(|id| Member {
                    at: item.at(),
                    group: Reference::new(id),
                    address: *address,
                }));
            }
        }
    }

    /// Hands over the rules. One that names a group speaks of one family there and of both here:
    /// it is carried over where the same rule of the other family stands, too.
    fn finish(&mut self) {
        let mut families: HashMap<String, u8> = HashMap::new();
        for rule in &self.rules {
            if let Some(pair) = rule.pair() {
                *families.entry(pair).or_default() |= rule.family();
            }
        }
        for rule in std::mem::take(&mut self.rules) {
            if rule.pair().is_some_and(|pair| families[&pair] != 3) {
                let message = "the rule allows a group in one family only: not carried over";
                let help = "here a group's members count with all their addresses; add the same \
                            rule for the other family, or list ranges";
                self.problems.warning(&rule.draft.at, message, help);
                continue;
            }
            self.draft.rules.push(rule.draft);
        }
    }
}
