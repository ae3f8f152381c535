//! From drafts to the model: names, references, duplicates and quotas.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::draft::{Draft, Entry, Group, GroupRef, List, Member, Peer, Rule};
use super::{limits, names};
use crate::model::{
    self, DEFAULT_GROUP, Direction, GroupId, Location, Model, PrefixList, SecurityGroup,
};
use crate::text::report::{At, Problems};

/// Builds the model; whatever does not fit into it is reported.
pub(super) fn model(draft: Draft, problems: &mut Problems<'_>) -> Model {
    let mut join = Join {
        model: Model::new(),
        groups: HashMap::new(),
        lists: HashMap::new(),
        vpcs: HashMap::new(),
    };
    join.add_groups(draft.groups, problems);
    join.add_lists(draft.lists, draft.entries, problems);
    join.add_rules(draft.rules, problems);
    join.add_members(draft.members, problems);
    limits::raise(&mut join.model, problems);
    join.model
}

struct Join {
    model: Model,
    /// Names of groups by what references call them. Several for a name that is not unique.
    groups: HashMap<String, Vec<String>>,
    /// Names of lists by what references call them.
    lists: HashMap<String, String>,
    /// The VPC of each group, by the group's name.
    vpcs: HashMap<String, String>,
}

impl Join {
    fn add_groups(&mut self, groups: Vec<Group>, problems: &mut Problems<'_>) {
        let mut uses: HashMap<String, BTreeSet<Option<String>>> = HashMap::new();
        for group in &groups {
            let id = group.id.as_ref().map(ToString::to_string);
            let identity = id.or_else(|| group.keys.first().cloned());
            uses.entry(group.name.trim_end().to_lowercase())
                .or_default()
                .insert(identity);
        }
        for group in groups {
            // Names are shared, ids and addresses are not.
            let mut own = group.keys.iter().filter(|key| !key.starts_with("name:"));
            let known = own.find_map(|key| self.groups.get(key));
            if let Some([name]) = known.map(Vec::as_slice) {
                // Described twice, such as by two dumps of one account.
                let name = name.clone();
                self.refer(&group.keys, &name);
                continue;
            }
            let shared = uses[&group.name.trim_end().to_lowercase()].len() > 1;
            let name = self.name_for(&group, shared, problems);
            self.refer(&group.keys, &name);
            if let Some(vpc) = group.vpc {
                self.vpcs.insert(name.clone(), vpc);
            }
            let id = group.id.unwrap_or_else(|| GroupId::derived(&name));
            let outbound = if group.default_outbound {
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

    fn refer(&mut self, keys: &[String], name: &str) {
        for key in keys {
            let names = self.groups.entry(key.clone()).or_default();
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }

    /// The name of a group: its own, unless another group has it too.
    fn name_for(&self, group: &Group, shared: bool, problems: &mut Problems<'_>) -> String {
        // AWS N4: spaces at the end of a name do not count.
        let name = group.name.trim_end();
        let mut name = names::clean(name, "name of the group", &group.at, problems);
        if name.is_empty() || name.starts_with("sg-") {
            name = format!("group:{name}");
        }
        if name.eq_ignore_ascii_case(DEFAULT_GROUP) {
            DEFAULT_GROUP.clone_into(&mut name);
        }
        if !shared {
            return name;
        }
        let own = group.id.as_ref().map(ToString::to_string);
        let place = group.vpc.clone().or_else(|| own.clone());
        let place = place.or_else(|| group.keys.first().cloned());
        let mut candidate = names::fit(&name, &place.unwrap_or_default());
        if self.is_taken(&candidate) {
            candidate = names::fit(&name, &own.unwrap_or_default());
        }
        let mut number = 2;
        while self.is_taken(&candidate) {
            candidate = names::fit(&name, &number.to_string());
            number += 1;
        }
        let message = format!("several groups are called `{name}`");
        let help = format!("this one is imported as `{candidate}`: names are unique on a host");
        problems.warning(&group.at, message, help);
        candidate
    }

    fn is_taken(&self, name: &str) -> bool {
        let mut names = self.model.groups.keys();
        names.any(|known| known.eq_ignore_ascii_case(name))
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
            if name.is_empty() || self.model.prefix_lists.contains_key(&name) {
                let message = format!("several prefix lists are called `{name}`");
                name = names::fit(&name, list.keys.first().map_or("", String::as_str));
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
        let mut without = lists.iter().filter(|(name, _)| {
            let mut stated = entries.iter().filter_map(|entry| entry.list.as_ref());
            !stated.any(|key| self.lists.get(key) == Some(name))
        });
        let only = match (without.next(), without.next()) {
            (Some((name, _)), None) => Some(name.clone()),
            _ => None,
        };
        let mut homeless: Option<At> = None;
        for entry in entries {
            let name = match &entry.list {
                Some(key) => Some(
                    self.lists
                        .entry(key.clone())
                        .or_insert_with(|| key.clone())
                        .clone(),
                ),
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

    fn add_rules(&mut self, rules: Vec<Rule>, problems: &mut Problems<'_>) {
        let mut ids = BTreeMap::new();
        for rule in rules {
            let Some(group) = self.group(&rule.group, None, &rule.at, problems) else {
                continue;
            };
            let peer = match &rule.peer {
                Peer::Range(net) => model::Peer::Cidr(*net),
                Peer::List(key) => model::Peer::PrefixList(self.list(key, &rule.at, problems)),
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
                line: rule.at.span.line,
            };
            let Some(group) = self.model.groups.get_mut(&group) else {
                continue;
            };
            let made = model::Rule {
                description,
                location: Some(location),
                ..model::Rule::new(&group.id, rule.direction, rule.service, peer)
            };
            add(group, made, &rule, &mut ids, problems);
        }
    }

    fn add_members(&mut self, members: Vec<Member>, problems: &mut Problems<'_>) {
        let mut unknown = BTreeSet::new();
        for member in members {
            let key = member.group.key;
            if let Some([name]) = self.groups.get(&key).map(Vec::as_slice) {
                let addresses = self.model.members.entry(name.clone()).or_default();
                addresses.insert(member.address);
            } else if unknown.insert(key.clone()) {
                let message = format!("the group `{key}` is not in the files");
                let help = "no rule speaks of it: its members are not carried over";
                problems.warning(&member.at, message, help);
            }
        }
    }

    /// The name of the group that a reference means. One that is not in the files becomes a group
    /// without rules and members, so that the rule stays.
    fn group(
        &mut self,
        reference: &GroupRef,
        vpc: Option<&str>,
        at: &At,
        problems: &mut Problems<'_>,
    ) -> Option<String> {
        match self.groups.get(&reference.key).map(Vec::as_slice) {
            Some([name]) => return Some(name.clone()),
            Some(names) => {
                // By name: AWS looks in the VPC of the group that holds the rule.
                let mut near = names.iter().filter(|name| {
                    vpc.is_some() && self.vpcs.get(*name).map(String::as_str) == vpc
                });
                if let (Some(name), None) = (near.next(), near.next()) {
                    return Some(name.clone());
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
        let text = reference.key.trim_start_matches("name:");
        let group = Group {
            at: at.clone(),
            keys: vec![reference.key.clone()],
            name: if id.is_some() {
                format!("elsewhere:{text}")
            } else {
                text.to_owned()
            },
            id,
            description: reference.about.clone(),
            tags: Vec::new(),
            vpc: None,
            default_outbound: false,
        };
        let message = format!("the group `{text}` is not in the files");
        self.add_groups(vec![group], problems);
        let name = self.groups.get(&reference.key)?.first()?.clone();
        let help = format!(
            "it is imported as `{name}`, without rules; list the addresses that carry it under \
             `members`"
        );
        problems.warning(at, message, help);
        Some(name)
    }

    /// The name of the list that a reference means. One that is not in the files becomes empty.
    fn list(&mut self, key: &str, at: &At, problems: &mut Problems<'_>) -> String {
        if let Some(name) = self.lists.get(key) {
            return name.clone();
        }
        let list = List {
            at: at.clone(),
            keys: vec![key.to_owned()],
            name: key.to_owned(),
            max_entries: None,
        };
        self.add_lists(vec![list], Vec::new(), problems);
        self.lists.get(key).cloned().unwrap_or_default()
    }
}

/// Adds a rule to a group. The same rule may come twice, from two dumps or because Terraform shows
/// it inline and as a resource: then it is one, with what both say of it.
fn add(
    group: &mut SecurityGroup,
    mut made: model::Rule,
    draft: &Rule,
    ids: &mut BTreeMap<model::RuleId, String>,
    problems: &mut Problems<'_>,
) {
    let identity = made.id.clone();
    if let Some(given) = &draft.id {
        match given.parse::<model::RuleId>() {
            Ok(id) => made.id = id,
            Err(error) => {
                let help = "the rule gets an id of its own";
                problems.warning(&draft.at, error.to_string(), help);
            }
        }
    }
    let (group_id, derived) = (group.id.clone(), |rule: &model::Rule, id: &GroupId| {
        model::Rule::new(id, draft.direction, rule.service, rule.peer.clone()).id
    });
    let rules = match draft.direction {
        Direction::Inbound => &mut group.inbound,
        Direction::Outbound => &mut group.outbound,
    };
    let same = rules
        .iter_mut()
        .find(|rule| rule.service == made.service && rule.peer == made.peer);
    let Some(known) = same else {
        let owner = format!("{group_id} {identity}");
        if let Some(other) = ids.insert(made.id.clone(), owner.clone())
            && other != owner
        {
            let message = format!("two rules have the id {}", made.id);
            problems.warning(&draft.at, message, "this one gets an id of its own");
            made.id = identity;
        }
        rules.push(made);
        return;
    };
    if known.id == derived(known, &group_id) && made.id != identity {
        ids.insert(made.id.clone(), format!("{group_id} {identity}"));
        known.id = made.id;
    }
    if known.description.is_empty() {
        known.description = made.description;
    } else if !made.description.is_empty() && known.description != made.description {
        let message = format!("{} {} is stated twice", made.service, made.peer);
        let help = format!("the description `{}` is kept", known.description);
        problems.warning(&draft.at, message, help);
    }
}
