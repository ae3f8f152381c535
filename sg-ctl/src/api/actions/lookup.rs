//! From the ids and names of a request to what they mean.

use std::borrow::Cow;

use sg_policy::model::{
    DEFAULT_GROUP, Direction, GroupId, PrefixListId, Rule, RuleId, SecurityGroup,
};

use super::Call;
use crate::api::form::{Form, Part};
use crate::api::refusal::Refusal;
use crate::vpc::{Document, Owned};

/// A rule and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed<'d> {
    /// Its group.
    pub(super) group: &'d SecurityGroup,
    /// Which of the group's rules.
    pub(super) direction: Direction,
    /// The rule.
    pub(super) rule: &'d Rule,
}

/// Every rule of a group.
pub(super) fn rules_of(group: &SecurityGroup) -> impl Iterator<Item = Placed<'_>> {
    Direction::ALL.into_iter().flat_map(move |direction| {
        let rules = group.rules(direction).iter();
        rules.map(move |rule| Placed {
            group,
            direction,
            rule,
        })
    })
}

/// The rules of one direction of a group, to change.
pub(super) fn rules_mut(group: &mut SecurityGroup, direction: Direction) -> &mut Vec<Rule> {
    match direction {
        Direction::Inbound => &mut group.inbound,
        Direction::Outbound => &mut group.outbound,
    }
}

/// The id of a prefix list.
pub(super) fn list_id(document: &Document, name: &str) -> PrefixListId {
    let managed = document.managed_lists().get(name);
    managed.map_or_else(|| PrefixListId::derived(name), |list| list.id.clone())
}

impl Call<'_> {
    /// The document, to change.
    pub(super) fn change(&mut self) -> &mut Document {
        self.document.to_mut()
    }

    /// The group with an id.
    pub(super) fn group(&self, id: &str) -> Result<&SecurityGroup, Refusal> {
        if id.parse::<GroupId>().is_err() {
            let message = format!("The security group ID '{id}' is malformed");
            return Err(Refusal::new("InvalidGroupId.Malformed", message));
        }
        let mut groups = self.document.model().groups.values();
        let found = groups.find(|group| group.id.as_str() == id);
        found.ok_or_else(|| Refusal::no_group(id))
    }

    /// The group with a name.
    pub(super) fn group_named(&self, name: &str) -> Result<&SecurityGroup, Refusal> {
        let mut groups = self.document.model().groups.values();
        let found = groups.find(|group| group.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| {
            let vpc = self.world.place.vpc_id();
            let message =
                format!("The security group '{name}' does not exist in default VPC '{vpc}'");
            Refusal::new("InvalidGroup.NotFound", message)
        })
    }

    /// The group that a request means, by id or by name.
    pub(super) fn group_of(&self, form: &Form) -> Result<&SecurityGroup, Refusal> {
        let name = form.get("GroupName");
        match (form.get("GroupId"), name) {
            (Some(id), _) => self.group(id),
            (None, Some(name)) => self.group_named(name),
            (None, None) => Err(Refusal::missing("GroupName or GroupId")),
        }
    }

    /// The name of the group that a request means to change; those of rule files it may not.
    pub(super) fn own_group_of(&self, form: &Form) -> Result<String, Refusal> {
        let group = self.group_of(form)?;
        self.check_group_is_api(group)?;
        Ok(group.name.clone())
    }

    pub(super) fn check_group_is_api(&self, group: &SecurityGroup) -> Result<(), Refusal> {
        let what = format!("The security group '{}' ({})", group.id, group.name);
        self.check_owner(Owned::Group, &group.name, &what)
    }

    /// Refuses to change what a rule file defines.
    pub(super) fn check_owner(&self, owned: Owned, name: &str, what: &str) -> Result<(), Refusal> {
        match self.document.file_of(owned, name) {
            None => Ok(()),
            Some(file) => {
                let file = if file.is_empty() { "a rule file" } else { file };
                Err(Refusal::not_permitted(format!(
                    "{what} belongs to {file}: change it there"
                )))
            }
        }
    }

    /// The group that a source names. The VPC is the one there is, and so must the account be.
    pub(super) fn referenced(&self, part: &Part<'_>) -> Result<&SecurityGroup, Refusal> {
        let account = part.get("UserId").unwrap_or_default();
        let (vpc, name) = (part.get("VpcId"), part.get("GroupName"));
        let group = match part.get("GroupId") {
            Some(id) => self.group(id)?,
            None => self.group_named(name.unwrap_or_default())?,
        };
        let place = &self.world.place;
        let is_here = account.is_empty() || account == place.account;
        if !is_here || vpc.is_some_and(|vpc| !vpc.is_empty() && vpc != place.vpc_id()) {
            return Err(Refusal::no_group(group.id.as_str()));
        }
        Ok(group)
    }

    /// The rule with an id.
    pub(super) fn rule(&self, id: &str) -> Result<Placed<'_>, Refusal> {
        if id.parse::<RuleId>().is_err() {
            let message = format!("The security group rule ID '{id}' is malformed");
            return Err(Refusal::new(
                "InvalidSecurityGroupRuleId.Malformed",
                message,
            ));
        }
        let groups = self.document.model().groups.values();
        let mut rules = groups.flat_map(rules_of);
        let found = rules.find(|placed| placed.rule.id.as_str() == id);
        found.ok_or_else(|| Refusal::no_rule(id))
    }

    /// The rule with an id, if it is one of this group and direction.
    pub(super) fn rule_of(
        &self,
        group: &str,
        direction: Option<Direction>,
        id: &str,
    ) -> Result<Placed<'_>, Refusal> {
        let placed = self.rule(id)?;
        let is_other = direction.is_some_and(|direction| direction != placed.direction);
        if placed.group.name != group || is_other {
            return Err(Refusal::no_rule(id));
        }
        Ok(placed)
    }

    /// The name of the prefix list with an id.
    pub(super) fn list(&self, id: &str) -> Result<&str, Refusal> {
        if id.parse::<PrefixListId>().is_err() {
            let message = format!("The prefix list ID '{id}' is malformed");
            return Err(Refusal::new("InvalidPrefixListId.Malformed", message));
        }
        let mut names = self.document.model().prefix_lists.keys();
        let found = names.find(|name| list_id(&self.document, name).as_str() == id);
        found
            .map(String::as_str)
            .ok_or_else(|| Refusal::no_list(id))
    }

    /// The VPC, which is the one there is.
    pub(super) fn vpc(&self, id: &str) -> Result<String, Refusal> {
        let vpc = self.world.place.vpc_id();
        if vpc == id {
            return Ok(vpc);
        }
        Err(Refusal::no_vpc(id))
    }

    /// An id that no group has.
    pub(super) fn new_group_id(&mut self) -> GroupId {
        loop {
            let id = GroupId::of_bits((self.fresh)());
            if self.group(id.as_str()).is_err() {
                return id;
            }
        }
    }

    /// An id that no rule has.
    pub(super) fn new_rule_id(&mut self) -> RuleId {
        loop {
            let id = RuleId::of_bits((self.fresh)());
            if self.rule(id.as_str()).is_err() {
                return id;
            }
        }
    }

    /// An id that no prefix list has.
    pub(super) fn new_list_id(&mut self) -> PrefixListId {
        loop {
            let id = PrefixListId::of_bits((self.fresh)());
            if self.list(id.as_str()).is_err() {
                return id;
            }
        }
    }

    /// Whether a group is the built-in one.
    pub(super) fn is_default(group: &SecurityGroup) -> bool {
        group.name == DEFAULT_GROUP
    }

    /// The tags of a group as shown: those of a rule file with the file's name.
    pub(super) fn group_tags<'g>(
        document: &Document,
        group: &'g SecurityGroup,
    ) -> Cow<'g, std::collections::BTreeMap<String, String>> {
        match document.file_of(Owned::Group, &group.name) {
            Some(file) => {
                let mut tags = group.tags.clone();
                let file = if file.is_empty() { "(unknown)" } else { file };
                tags.insert("sg:file".to_owned(), file.to_owned());
                Cow::Owned(tags)
            }
            None => Cow::Borrowed(&group.tags),
        }
    }
}
