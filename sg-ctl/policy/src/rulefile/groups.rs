//! Security groups: drafts of single groups, then references, duplicates and ids across all.

use std::collections::{BTreeMap, HashMap};

use super::decode::{Field, Located, nearest};
use super::error::{At, Problems};
use super::lists::Lists;
use super::merge::Section;
use super::names;
use super::rule::{Draft, expand};
use super::syntax;
use crate::model::{
    DEFAULT_GROUP, Direction, GroupId, Location, Peer, Rule, RuleId, SecurityGroup,
};

/// A group whose rules are not resolved yet.
struct GroupDraft {
    group: SecurityGroup,
    at: At,
    inbound: Vec<Draft>,
    /// `None`: left out.
    outbound: Option<Vec<Draft>>,
}

/// Groups whose rules are resolved, and where their rules stand.
#[derive(Default)]
pub(super) struct Groups {
    /// Groups by name, the built-in one included.
    pub(super) by_name: BTreeMap<String, SecurityGroup>,
    /// Where each written group stands.
    pub(super) places: BTreeMap<String, At>,
    /// Where the peer of each written rule stands.
    pub(super) peer_places: HashMap<RuleId, At>,
    by_id: HashMap<GroupId, String>,
}

impl Groups {
    /// Builds all groups. `written` holds names that differ.
    pub(super) fn new(
        written: Section<Located<syntax::Group>>,
        lists: &Lists,
        problems: &mut Problems<'_>,
    ) -> Self {
        let drafts: Vec<GroupDraft> = written
            .into_iter()
            .map(|(name, group)| {
                draft(
                    name,
                    group.map_or_else(Default::default, |group| group.value),
                    problems,
                )
            })
            .collect();
        let mut groups = Self::default();
        for draft in &drafts {
            groups.announce(draft, problems);
        }
        if !groups.by_name.contains_key(DEFAULT_GROUP) {
            let built_in = SecurityGroup::built_in();
            groups
                .by_id
                .insert(built_in.id.clone(), DEFAULT_GROUP.to_owned());
            groups.by_name.insert(DEFAULT_GROUP.to_owned(), built_in);
        }
        let mut rule_ids = HashMap::new();
        for draft in drafts {
            groups.complete(draft, lists, &mut rule_ids, problems);
        }
        groups
    }

    /// The name of the group that `text` names or whose id it is; reports if there is none.
    pub(super) fn resolve(
        &self,
        text: &str,
        at: &At,
        problems: &mut Problems<'_>,
    ) -> Option<String> {
        if self.by_name.contains_key(text) {
            return Some(text.to_owned());
        }
        if let Some(name) = text
            .parse()
            .ok()
            .and_then(|id: GroupId| self.by_id.get(&id))
        {
            return Some(name.clone());
        }
        let help = match nearest(text, self.by_name.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                "define it under `security_groups`; `NAME: {}` is enough for a group that only \
                     other hosts carry"
                    .to_owned()
            }
        };
        problems.error(at, format!("there is no group `{text}`"), help);
        None
    }

    /// Makes a group known, so that rules of all groups can refer to it.
    fn announce(&mut self, draft: &GroupDraft, problems: &mut Problems<'_>) {
        let name = &draft.group.name;
        if let Some(other) = self.by_id.insert(draft.group.id.clone(), name.clone()) {
            let message = format!("the groups `{other}` and `{name}` have the same id");
            problems.error(
                &draft.at,
                message,
                "give each its own id, or leave `id` out",
            );
        }
        self.by_name.insert(name.clone(), draft.group.clone());
        self.places.insert(name.clone(), draft.at.clone());
    }

    /// Resolves the rules of a group.
    fn complete(
        &mut self,
        draft: GroupDraft,
        lists: &Lists,
        rule_ids: &mut HashMap<RuleId, At>,
        problems: &mut Problems<'_>,
    ) {
        let GroupDraft {
            group: SecurityGroup { id, name, .. },
            inbound,
            outbound,
            ..
        } = draft;
        let mut resolve =
            |direction, drafts| self.rules(&id, direction, drafts, lists, rule_ids, problems);
        let inbound = resolve(Direction::Inbound, inbound);
        let outbound = outbound.map(|drafts| resolve(Direction::Outbound, drafts));
        if let Some(group) = self.by_name.get_mut(&name) {
            group.inbound = inbound;
            group.outbound = outbound.unwrap_or_else(|| SecurityGroup::default_outbound(&id));
        }
    }

    /// Resolves the rules of one direction; reports those stated twice (AWS I2).
    fn rules(
        &mut self,
        group: &GroupId,
        direction: Direction,
        drafts: Vec<Draft>,
        lists: &Lists,
        rule_ids: &mut HashMap<RuleId, At>,
        problems: &mut Problems<'_>,
    ) -> Vec<Rule> {
        let mut stated: HashMap<RuleId, At> = HashMap::new();
        let mut rules = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let at = &draft.peer.at;
            let peer = match draft.peer.value {
                Peer::Cidr(net) => Some(Peer::Cidr(net)),
                Peer::Group(text) => self.resolve(&text, at, problems).map(Peer::Group),
                Peer::PrefixList(text) => lists.resolve(&text, at, problems).map(Peer::PrefixList),
            };
            let Some(peer) = peer else { continue };
            let mut rule = Rule::new(group, direction, draft.service, peer);
            if let Some(earlier) = stated.insert(rule.id.clone(), at.clone()) {
                let message = format!("{} {} is allowed twice", rule.service, rule.peer);
                let help = format!(
                    "remove this rule or the one in {}",
                    problems.place(&earlier)
                );
                problems.error(at, message, help);
                continue;
            }
            if let Some(id) = draft.id {
                rule.id = id.value;
            }
            if let Some(earlier) = rule_ids.insert(rule.id.clone(), draft.at.clone()) {
                let message = format!("the id {} is taken", rule.id);
                let help = format!(
                    "the rule in {} has it: give another",
                    problems.place(&earlier)
                );
                problems.error(&draft.at, message, help);
            }
            rule.description = draft.description;
            rule.tags = draft.tags;
            rule.location = Some(Location {
                file: problems.file(&draft.at).to_owned(),
                line: problems.line(&draft.at),
            });
            self.peer_places.insert(rule.id.clone(), at.clone());
            rules.push(rule);
        }
        rules
    }
}

/// Checks what can be checked of a group alone.
fn draft(name: Located<String>, keys: syntax::Group, problems: &mut Problems<'_>) -> GroupDraft {
    let mut expand_all = |rules: Vec<Located<syntax::Rule>>, direction| {
        rules
            .into_iter()
            .flat_map(|rule| expand(rule, direction, problems))
            .collect::<Vec<_>>()
    };
    let inbound = expand_all(
        keys.inbound.into_given().unwrap_or_default(),
        Direction::Inbound,
    );
    let outbound = match keys.outbound {
        Field::Absent => None,
        Field::Refused => Some(Vec::new()),
        Field::Given(rules) => Some(expand_all(rules, Direction::Outbound)),
    };
    let group_name = names::group_name(&name, problems);
    let group = SecurityGroup {
        id: names::group_id(keys.id.given(), &group_name, problems),
        name: group_name,
        description: names::description(keys.description.given(), problems),
        tags: names::tags(keys.tags.into_given(), problems),
        inbound: Vec::new(),
        outbound: Vec::new(),
    };
    GroupDraft {
        group,
        at: name.at,
        inbound,
        outbound,
    }
}
