//! Rules, in groups and as resources.

use super::Reader;
use super::evaluate::Meaning;
use crate::import::draft::{GroupRef, Peer, Rule};
use crate::import::values;
use crate::import::view::View;
use crate::model::{Direction, Service};

/// Keys of rules of either direction.
const KNOWN: [&str; 14] = [
    "IpProtocol",
    "FromPort",
    "ToPort",
    "CidrIp",
    "CidrIpv6",
    "Description",
    "GroupId",
    "GroupName",
    "SourcePrefixListId",
    "SourceSecurityGroupId",
    "SourceSecurityGroupName",
    "SourceSecurityGroupOwnerId",
    "DestinationPrefixListId",
    "DestinationSecurityGroupId",
];

impl<'a> Reader<'a, '_, '_, '_> {
    /// An item of `SecurityGroupIngress`.
    pub(super) fn inline_ingress(&mut self, group: &str, rule: &View<'a>) {
        let group = GroupRef::new(self.key(group));
        self.rule(&group, rule, Direction::Inbound);
    }

    /// An item of `SecurityGroupEgress`.
    pub(super) fn inline_egress(&mut self, group: &str, rule: &View<'a>) {
        let group = GroupRef::new(self.key(group));
        self.rule(&group, rule, Direction::Outbound);
    }

    /// `AWS::EC2::SecurityGroupIngress`.
    pub(super) fn ingress(&mut self, keys: &View<'a>) {
        self.resource_rule(keys, Direction::Inbound);
    }

    /// `AWS::EC2::SecurityGroupEgress`.
    pub(super) fn egress(&mut self, keys: &View<'a>) {
        self.resource_rule(keys, Direction::Outbound);
    }

    fn resource_rule(&mut self, keys: &View<'a>, direction: Direction) {
        let group = match self.group_under(keys, "GroupId") {
            Some(group) => Some(group),
            None => self
                .text(keys, "GroupName")
                .map(|name| GroupRef::new(format!("name:{name}"))),
        };
        if let Some(group) = group {
            self.rule(&group, keys, direction);
        } else {
            let help = "give `GroupId`";
            self.problems
                .error(&keys.at(), "the rule belongs to no group", help);
        }
    }

    fn rule(&mut self, group: &GroupRef, keys: &View<'a>, direction: Direction) {
        keys.warn_of_others(&KNOWN, self.problems);
        let Some(service) = self.service(keys) else {
            return;
        };
        let description = self.text(keys, "Description").unwrap_or_default();
        let mut peers = Vec::new();
        for key in ["CidrIp", "CidrIpv6"] {
            let Some(value) = self.template.get(keys, key, self.problems) else {
                continue;
            };
            match self.template.meaning(&value, self.problems) {
                Meaning::Text(text) => {
                    let range = values::range(&text, &value.at(), self.problems);
                    peers.push(range.map(Peer::Range));
                }
                Meaning::Resource(words) | Meaning::Unknown(words) => {
                    self.not_known(&value, &words);
                    peers.push(None);
                }
            }
        }
        let (words, list, other) = match direction {
            Direction::Inbound => ("Source", "SourcePrefixListId", "SourceSecurityGroupId"),
            Direction::Outbound => (
                "Destination",
                "DestinationPrefixListId",
                "DestinationSecurityGroupId",
            ),
        };
        if let Some(value) = self.template.get(keys, list, self.problems) {
            let key = match self.template.meaning(&value, self.problems) {
                Meaning::Resource(id) => self.key(&id),
                Meaning::Text(key) | Meaning::Unknown(key) => key,
            };
            peers.push(Some(Peer::List(key)));
        }
        if let Some(other) = self.group_under(keys, other) {
            peers.push(Some(Peer::Group(other)));
        } else if direction == Direction::Inbound
            && let Some(name) = self.text(keys, "SourceSecurityGroupName")
        {
            let owner = self.text(keys, "SourceSecurityGroupOwnerId");
            let about = owner.map_or_else(String::new, |owner| format!("of account {owner}"));
            let key = format!("name:{name}");
            peers.push(Some(Peer::Group(GroupRef { key, about })));
        }
        let is_stated = |key: &&str| key.contains("Cidr") || key.starts_with(words);
        if peers.is_empty() && !keys.entries().iter().any(|(key, _)| is_stated(key)) {
            let help = "give a range, a prefix list or a group";
            self.problems
                .error(&keys.at(), "the rule has no source or destination", help);
        }
        for peer in peers.into_iter().flatten() {
            self.draft.rules.push(Rule {
                at: keys.at(),
                group: group.clone(),
                direction,
                service,
                peer,
                id: None,
                description: description.clone(),
            });
        }
    }

    /// Protocol and ports; `None` after a report.
    fn service(&mut self, keys: &View<'a>) -> Option<Service> {
        let mut texts = [None, None, None];
        for (text, key) in texts.iter_mut().zip(["IpProtocol", "FromPort", "ToPort"]) {
            let Some(value) = self.template.get(keys, key, self.problems) else {
                continue;
            };
            match self.template.meaning(&value, self.problems) {
                Meaning::Text(found) => *text = Some((found, value)),
                Meaning::Resource(words) | Meaning::Unknown(words) => {
                    self.not_known(&value, &words);
                    return None;
                }
            }
        }
        let [protocol, from, to] = texts;
        let Some((protocol, _)) = protocol else {
            let help = "give `IpProtocol`";
            self.problems
                .error(&keys.at(), "the rule names no protocol", help);
            return None;
        };
        let mut numbers = [None, None];
        for (number, port) in numbers.iter_mut().zip([from, to]) {
            let Some((text, value)) = port else { continue };
            match text.parse() {
                Ok(parsed) => *number = Some(parsed),
                Err(_not_a_number) => {
                    let message = format!("`{text}` is not a number");
                    self.problems
                        .error(&value.at(), message, "write the number in digits");
                    return None;
                }
            }
        }
        let [from, to] = numbers;
        values::service(&protocol, from, to, &keys.at(), self.problems)
    }

    /// The group under a key: one of the template, one by its id, or what a parameter or an
    /// import will name.
    fn group_under(&mut self, keys: &View<'a>, key: &str) -> Option<GroupRef> {
        let value = self.template.get(keys, key, self.problems)?;
        Some(match self.template.meaning(&value, self.problems) {
            Meaning::Resource(id) => GroupRef::new(self.key(&id)),
            Meaning::Text(text) => GroupRef::new(text),
            Meaning::Unknown(words) => GroupRef::new(format!("name:{words}")),
        })
    }
}
