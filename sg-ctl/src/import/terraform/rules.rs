//! Rules, inline and as resources.

use super::resources::{Attribute, Resource};
use super::{Reader, group_ref};
use crate::import::draft::{GroupRef, Peer, Rule};
use crate::import::values;
use crate::import::view::View;
use crate::model::{Direction, Service};
use crate::text::report::At;

/// What a rule resource or an inline rule says besides its peers.
struct Common {
    at: At,
    group: GroupRef,
    direction: Direction,
    service: Service,
    id: Option<String>,
    description: String,
}

impl Reader<'_, '_, '_, '_> {
    /// A rule inside a group.
    pub(super) fn inline(
        &mut self,
        resource: &Resource<'_>,
        key: &str,
        index: usize,
        rule: &View<'_>,
        direction: Direction,
    ) {
        const KNOWN: [&str; 9] = [
            "from_port",
            "to_port",
            "protocol",
            "cidr_blocks",
            "ipv6_cidr_blocks",
            "prefix_list_ids",
            "security_groups",
            "self",
            "description",
        ];
        rule.warn_of_others(&KNOWN, self.problems);
        let unknown = resource.unknown_item(key, index);
        let inner = resource.part(rule, unknown);
        let group = GroupRef::new(resource.address);
        let Some(common) = self.common(&inner, "protocol", direction, group) else {
            return;
        };
        self.ranges_and_lists(resource, &inner, key, &common);
        let groups = self.many(resource, &inner, "security_groups", key, "group");
        for group in groups {
            self.push(&common, Peer::Group(group_ref(&group)));
        }
        self.itself(&inner, &common);
    }

    /// `aws_security_group_rule`.
    pub(super) fn rule(&mut self, resource: &Resource<'_>) {
        let direction = match resource.text("type") {
            Some("ingress") => Direction::Inbound,
            Some("egress") => Direction::Outbound,
            _ => {
                let help = "it is `ingress` or `egress`";
                let message = "the `type` of the rule is missing";
                self.problems.error(&resource.at(), message, help);
                return;
            }
        };
        let Some(group) = self.owner(resource) else {
            return;
        };
        let Some(mut common) = self.common(resource, "protocol", direction, group) else {
            return;
        };
        let first = self.draft.rules.len();
        common.id = None;
        self.ranges_and_lists(resource, resource, "", &common);
        let key = "source_security_group_id";
        if let Some(other) = self.one(resource, key, "group") {
            self.push(&common, Peer::Group(group_ref(&other)));
        }
        self.itself(resource, &common);
        // Older providers give one id to what AWS keeps as several rules.
        if let [only] = &mut self.draft.rules[first..] {
            only.id = resource.text("security_group_rule_id").map(str::to_owned);
        }
    }

    /// `aws_vpc_security_group_ingress_rule` and its sister.
    pub(super) fn single_rule(&mut self, resource: &Resource<'_>, direction: Direction) {
        let Some(group) = self.owner(resource) else {
            return;
        };
        let Some(mut common) = self.common(resource, "ip_protocol", direction, group) else {
            return;
        };
        common.id = resource.text("security_group_rule_id").map(str::to_owned);
        if let Some(tags) = resource
            .attribute("tags")
            .known()
            .filter(|tags| !tags.is_empty())
        {
            let help = "put what matters into the description of the rule";
            let message = "rules have no tags here: not carried over";
            self.problems.warning(&tags.at(), message, help);
        }
        let mut peers = Vec::new();
        for key in ["cidr_ipv4", "cidr_ipv6"] {
            match resource.attribute(key) {
                Attribute::Known(view) => {
                    let text = view.as_text().unwrap_or_default();
                    let range = values::range(text, &view.at(), self.problems);
                    peers.extend(range.map(Peer::Range));
                }
                Attribute::Unknown => self.not_known(&common.at, &format!("`{key}` is")),
                Attribute::Absent => {}
            }
        }
        peers.extend(self.one(resource, "prefix_list_id", "list").map(Peer::List));
        let group = self.one(resource, "referenced_security_group_id", "group");
        peers.extend(group.map(|group| Peer::Group(group_ref(&group))));
        for peer in peers {
            self.push(&common, peer);
        }
    }

    /// The group that a rule resource adds to.
    fn owner(&mut self, resource: &Resource<'_>) -> Option<GroupRef> {
        let owner = self.one(resource, "security_group_id", "group");
        if owner.is_none() && matches!(resource.attribute("security_group_id"), Attribute::Absent) {
            let help = "this is not what Terraform writes: was the file edited?";
            let message = "the rule belongs to no group";
            self.problems.error(&resource.at(), message, help);
        }
        Some(group_ref(&owner?))
    }

    /// What every rule states; `None` after a report.
    fn common(
        &mut self,
        rule: &Resource<'_>,
        protocol: &str,
        direction: Direction,
        group: GroupRef,
    ) -> Option<Common> {
        let at = rule.at();
        for key in [protocol, "from_port", "to_port"] {
            if matches!(rule.attribute(key), Attribute::Unknown) {
                self.not_known(&at, &format!("`{key}` is"));
                return None;
            }
        }
        let values = &rule.values;
        let service = values::service(
            values.required(protocol, self.problems)?,
            values.number("from_port", self.problems),
            values.number("to_port", self.problems),
            &at,
            self.problems,
        )?;
        Some(Common {
            at,
            group,
            direction,
            service,
            id: None,
            description: rule.text("description").unwrap_or_default().to_owned(),
        })
    }

    fn ranges_and_lists(
        &mut self,
        resource: &Resource<'_>,
        rule: &Resource<'_>,
        block: &str,
        common: &Common,
    ) {
        for key in ["cidr_blocks", "ipv6_cidr_blocks"] {
            match rule.attribute(key) {
                Attribute::Known(ranges) => {
                    for range in ranges.items() {
                        match range.as_text() {
                            Some(text) => {
                                let range = values::range(text, &range.at(), self.problems);
                                if let Some(range) = range {
                                    self.push(common, Peer::Range(range));
                                }
                            }
                            None => self.not_known(&range.at(), &format!("a range in `{key}` is")),
                        }
                    }
                }
                Attribute::Unknown => self.not_known(&common.at, &format!("`{key}` is")),
                Attribute::Absent => {}
            }
        }
        for list in self.many(resource, rule, "prefix_list_ids", block, "list") {
            self.push(common, Peer::List(list));
        }
    }

    fn itself(&mut self, rule: &Resource<'_>, common: &Common) {
        match rule.attribute("self") {
            Attribute::Known(view) if view.as_text() == Some("true") => {
                self.push(common, Peer::Group(common.group.clone()));
            }
            Attribute::Unknown => self.not_known(&common.at, "`self` is"),
            _ => {}
        }
    }

    fn push(&mut self, common: &Common, peer: Peer) {
        self.draft.rules.push(Rule {
            at: common.at.clone(),
            group: common.group.clone(),
            direction: common.direction,
            service: common.service,
            peer,
            id: common.id.clone(),
            description: common.description.clone(),
        });
    }
}
