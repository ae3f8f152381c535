//! From drafts to the model: names, references, duplicates and quotas.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::rc::Rc;

use super::draft::{Draft, Entry, Group, List, Member, Peer, Reference, Rule};
use super::limits;
use super::names::{self, Names};
use super::repeated::{Known, add};
use crate::model::{self, DEFAULT_GROUP, GroupId, Location, Model, PrefixList, SecurityGroup};
use crate::text::report::{At, Problems};

/// Builds the model; whatever does not fit into it is reported.
pub(super) fn model(draft: Draft, problems: &mut Problems<'_>) -> Model {
    let keys = draft.groups.iter().map(|group| group.keys.len()).sum();
    let mut join = Join {
        model: Model::new(),
        groups: HashMap::with_capacity(keys),
        lists: HashMap::new(),
        vpcs: HashMap::new(),
        names: Names::default(),
        list_names: Names::default(),
        without_default: draft.without_default,
    };
    join.add_groups(draft.groups, problems);
    join.add_lists(draft.lists, draft.entries, problems);
    join.warn_of_rules_elsewhere(&draft.rules, &draft.without_rules, problems);
    join.add_rules(draft.rules, problems);
    join.add_members(draft.members, problems);
    limits::raise(&mut join.model, problems);
    join.model
}

struct Join {
    model: Model,
    /// Names of groups by what references call them. Several for a name that is not unique.
    groups: HashMap<Rc<str>, Vec<Rc<str>>>,
    /// Names of lists by what references call them.
    lists: HashMap<String, String>,
    /// The VPC of each group, by the group's name.
    vpcs: HashMap<String, String>,
    /// Names of groups that are taken.
    names: Names,
    /// Names of lists that are taken.
    list_names: Names,
    /// Keys of groups that have no default outbound rules.
    without_default: BTreeSet<String>,
}

impl Join {
    fn add_groups(&mut self, groups: Vec<Group>, problems: &mut Problems<'_>) {
        let shared = shared_names(&groups);
        for group in groups {
            // Names are shared, ids and addresses are not.
            let mut own = group.keys.iter().filter(|key| !key.starts_with("name:"));
            let known = own.find_map(|key| self.groups.get(&**key));
            if let Some([name]) = known.map(Vec::as_slice) {
                // Described twice, such as by two dumps of one account.
                let name = name.clone();
                self.refer(&group.keys, &name);
                continue;
            }
            let is_shared = shared.contains(&group.name.trim_end().to_lowercase());
            let name = self.name_for(&group, is_shared, problems);
            self.refer(&group.keys, &Rc::from(name.as_str()));
            if let Some(vpc) = group.vpc {
                self.vpcs.insert(name.clone(), vpc);
            }
            let id = group.id.unwrap_or_else(|| GroupId::derived(&name));
            let mut keys = group.keys.iter();
            let has_others = keys.any(|key| self.without_default.contains(&**key));
            let outbound = if group.default_outbound && !has_others {
                SecurityGroup::default_outbound(&id)
            } else {
                Vec::new()
            };
            let group = SecurityGroup {
                description: names::clean(&group.description, "description", &group.at, problems),
                tags: names::tags(&group.tags, &group.at, problems),
                name: name.clone(),
                inbound: Vec::new(),
                outbound,
                id,
            };
            self.model.groups.insert(name, group);
        }
    }

    fn refer(&mut self, keys: &[Rc<str>], name: &Rc<str>) {
        for key in keys {
            let names = self.groups.entry(Rc::clone(key)).or_default();
            if !names.iter().any(|known| **known == **name) {
                names.push(Rc::clone(name));
            }
        }
    }

    /// The name of a group: its own, unless another group has it too.
    fn name_for(&mut self, group: &Group, shared: bool, problems: &mut Problems<'_>) -> String {
        // AWS N4: spaces at the end of a name do not count.
        let name = group.name.trim_end();
        let mut name = names::clean(name, "name of the group", &group.at, problems);
        if name.is_empty() || name.starts_with("sg-") {
            name = names::cut(&format!("group:{name}"));
        }
        if name.eq_ignore_ascii_case(DEFAULT_GROUP) {
            DEFAULT_GROUP.clone_into(&mut name);
        }
        if !shared && self.names.take(&name) {
            return name;
        }
        let own = group.id.as_ref().map(ToString::to_string);
        let first = group.keys.first().map(|key| names::short(key));
        let places = [group.vpc.clone(), own, first];
        let found = self.names.place(&name, places.into_iter().flatten());
        let message = format!("several groups are called `{name}`");
        let help = format!("this one is imported as `{found}`: names are unique on a host");
        problems.warning(&group.at, message, help);
        found
    }

    fn add_lists(&mut self, lists: Vec<List>, entries: Vec<Entry>, problems: &mut Problems<'_>) {
        let mut places: BTreeMap<String, At> = BTreeMap::new();
        for list in lists {
            if list
                .keys
                .first()
                .is_some_and(|key| self.lists.contains_key(key))
            {
                continue;
            }
            let name = list.name.trim_end();
            let mut name = names::clean(name, "name of the prefix list", &list.at, problems);
            if name.is_empty() || !self.list_names.take(&name) {
                let message = format!("several prefix lists are called `{name}`");
                let first = list.keys.first().map(|key| names::short(key));
                name = self.list_names.place(&name, first.into_iter());
                let help = format!("this one is imported as `{name}`: names are unique on a host");
                problems.warning(&list.at, message, help);
            }
            for key in list.keys {
                self.lists.insert(key, name.clone());
            }
            places.insert(name.clone(), list.at);
            let max_entries = list.max_entries.filter(|max| *max > 0);
            let list = PrefixList {
                max_entries,
                ..PrefixList::default()
            };
            self.model.prefix_lists.insert(name, list);
        }
        self.add_entries(entries, problems);
        for (name, at) in places {
            let list = self.model.prefix_lists.get_mut(&name);
            let Some(list) = list else { continue };
            if list.entries.is_empty() {
                let message = format!("the entries of the prefix list `{name}` are not given");
                let help = "until they are listed under `prefix_lists`, rules that name it allow \
                            nothing";
                problems.warning(&at, message, help);
            }
            let entries = list.entries.len() as u32;
            if list.max_entries.is_some_and(|max| max < entries) {
                list.max_entries = None;
            }
        }
    }

    fn add_entries(&mut self, entries: Vec<Entry>, problems: &mut Problems<'_>) {
        let lists = &mut self.model.prefix_lists;
        let keys = entries.iter().filter_map(|entry| entry.list.as_ref());
        let stated: HashSet<_> = keys.filter_map(|key| self.lists.get(key)).collect();
        let mut without = lists.iter().filter(|(name, _)| !stated.contains(name));
        let only = match (without.next(), without.next()) {
            (Some((name, _)), None) => Some(name.clone()),
            _ => None,
        };
        let mut homeless: Option<At> = None;
        for entry in entries {
            let name = match &entry.list {
                Some(key) => {
                    let name = self.lists.entry(key.clone());
                    let place = || self.list_names.place(key, std::iter::empty());
                    Some(name.or_insert_with(place).clone())
                }
                None => only.clone(),
            };
            match name {
                Some(name) => {
                    lists.entry(name).or_default().entries.insert(entry.range);
                }
                None => homeless = homeless.or(Some(entry.at)),
            }
        }
        if let Some(at) = homeless {
            let message = "these entries do not say which prefix list they are of";
            let help = "name the file after the list, such as pl-0123456789abcdef0.json";
            problems.error(&at, message, help);
        }
    }

    /// Warns of groups whose rules are not in any of the files.
    fn warn_of_rules_elsewhere(
        &self,
        rules: &[Rule],
        without: &[(At, String)],
        problems: &mut Problems<'_>,
    ) {
        let named = |key: &str| self.groups.get(key).and_then(|names| names.first());
        let with: HashSet<_> = rules
            .iter()
            .filter_map(|rule| named(&rule.group.key))
            .collect();
        for (at, key) in without {
            if named(key).is_some_and(|name| !with.contains(name)) {
                let message = "the group's rules are not in the files: it allows nothing";
                let help = "import what lists the rules, too, or the whole answer";
                problems.warning(at, message, help);
            }
        }
    }

    fn add_rules(&mut self, rules: Vec<Rule>, problems: &mut Problems<'_>) {
        let mut known = Known::default();
        for rule in rules {
            let Some(group) = self.group(&rule.group, None, &rule.at, problems) else {
                continue;
            };
            let peer = match &rule.peer {
                Peer::Range(net) => model::Peer::Cidr(*net),
                Peer::List(list) => model::Peer::PrefixList(self.list(list, &rule.at, problems)),
                Peer::Group(reference) => {
                    let vpc = self.vpcs.get(&group).cloned();
                    match self.group(reference, vpc.as_deref(), &rule.at, problems) {
                        Some(name) => model::Peer::Group(name),
                        None => continue,
                    }
                }
            };
            let description = names::clean(&rule.description, "description", &rule.at, problems);
            let location = Location {
                file: problems.file(&rule.at).to_owned(),
                line: problems.line(&rule.at),
            };
            let Some(group) = self.model.groups.get_mut(&group) else {
                continue;
            };
            let made = model::Rule {
                description,
                location: Some(location),
                ..model::Rule::new(&group.id, rule.direction, rule.service, peer)
            };
            add(group, made, &rule, &mut known, problems);
        }
    }

    fn add_members(&mut self, members: Vec<Member>, problems: &mut Problems<'_>) {
        let mut unknown = BTreeSet::new();
        let mut known: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for member in members {
            let key = member.group.key;
            if let Some([name]) = self.groups.get(&*key).map(Vec::as_slice) {
                known
                    .entry(name.to_string())
                    .or_default()
                    .push(member.address);
            } else if unknown.insert(key.clone()) {
                let message = format!("the group `{key}` is not in the files");
                let help = "no rule speaks of it: its members are not carried over";
                problems.warning(&member.at, message, help);
            }
        }
        for (group, addresses) in known {
            let members = self.model.members.entry(group).or_default();
            members.join(&addresses.into_iter().collect());
        }
    }

    /// The name of the group that a reference means. One that is not in the files becomes a group
    /// without rules and members, so that the rule stays.
    fn group(
        &mut self,
        reference: &Reference,
        vpc: Option<&str>,
        at: &At,
        problems: &mut Problems<'_>,
    ) -> Option<String> {
        match self.groups.get(&*reference.key).map(Vec::as_slice) {
            Some([name]) => {
                let is_by_name = reference.key.starts_with("name:");
                let theirs = self.vpcs.get(&**name).map(String::as_str);
                let (Some(own), Some(_), true) = (vpc, theirs, is_by_name && vpc != theirs) else {
                    return Some(name.to_string());
                };
                // Of another VPC: AWS does not look there.
                let elsewhere = Reference {
                    key: format!("{}#{own}", reference.key).into(),
                    ..reference.clone()
                };
                return self.group(&elsewhere, None, at, problems);
            }
            Some(names) => {
                // By name: AWS looks in the VPC of the group that holds the rule.
                let mut near = names.iter().filter(|name| {
                    vpc.is_some() && self.vpcs.get(&***name).map(String::as_str) == vpc
                });
                if let (Some(name), None) = (near.next(), near.next()) {
                    return Some(name.to_string());
                }
                let key = reference.key.trim_start_matches("name:");
                let message = format!(
                    "`{key}` may mean {}: the rule is not carried over",
                    names.join(" or ")
                );
                problems.warning(at, message, "add a rule that names one of them");
                return None;
            }
            None => {}
        }
        let id = reference.key.parse::<GroupId>().ok();
        let text = &reference.name;
        let is_default = text.trim_end().eq_ignore_ascii_case(DEFAULT_GROUP);
        let group = Group {
            at: at.clone(),
            keys: vec![Rc::clone(&reference.key)],
            // The host has a group `default` of its own.
            name: if id.is_some() || is_default {
                format!("elsewhere:{text}").into()
            } else {
                Rc::clone(text)
            },
            id,
            description: reference.about.as_str().into(),
            tags: Vec::new(),
            vpc: None,
            default_outbound: false,
        };
        let message = format!("the group `{text}` is not in the files");
        self.add_groups(vec![group], problems);
        let name = self.groups.get(&*reference.key)?.first()?.to_string();
        let help = format!(
            "it is imported as `{name}`, with no rules but those of these files; list the \
             addresses that carry it under `members`"
        );
        problems.warning(at, message, help);
        Some(name)
    }

    /// The name of the list that a reference means. One that is not in the files becomes empty.
    fn list(&mut self, reference: &Reference, at: &At, problems: &mut Problems<'_>) -> String {
        if let Some(name) = self.lists.get(&*reference.key) {
            return name.clone();
        }
        let list = List {
            at: at.clone(),
            keys: vec![reference.key.to_string()],
            name: reference.name.to_string(),
            max_entries: None,
        };
        self.add_lists(vec![list], Vec::new(), problems);
        self.lists.get(&*reference.key).cloned().unwrap_or_default()
    }
}

/// The names that several groups have, as they are compared.
fn shared_names(groups: &[Group]) -> HashSet<String> {
    let identity = |group: &Group| -> Option<Rc<str>> {
        let id = group.id.as_ref().map(|id| id.as_str().into());
        id.or_else(|| group.keys.first().cloned())
    };
    let name = |group: &Group| group.name.trim_end().to_lowercase();
    // Sorted, not hashed: a table of an account's names would be as large as what they name.
    let mut sorted: Vec<&Group> = groups.iter().collect();
    sorted.sort_by_cached_key(|group| name(group));
    let pairs = sorted.windows(2);
    let shared = pairs
        .filter(|pair| name(pair[0]) == name(pair[1]) && identity(pair[0]) != identity(pair[1]));
    shared.map(|pair| name(pair[0])).collect()
}
