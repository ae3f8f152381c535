//! Rules, in groups and as resources.

use super::Reader;
use super::meaning::{Causes, Meaning};
use crate::import::draft::{Peer, Reference, Rule};
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

/// Something that a rule names, or why not.
enum Named<T> {
    Known(T),
    /// The key is not there.
    Nothing,
    /// It is not known, which was reported.
    Unknown,
}

impl<'a> Reader<'a, '_, '_, '_> {
    /// An item of `SecurityGroupIngress` or `SecurityGroupEgress`.
    pub(super) fn inline(&mut self, group: &str, rule: &View<'a>, direction: Direction) {
        self.rule(&Reference::new(group), rule, direction);
    }

    /// `AWS::EC2::SecurityGroupIngress`.
    pub(super) fn ingress(&mut self, _id: &str, keys: &View<'a>) {
        self.resource_rule(keys, Direction::Inbound);
    }

    /// `AWS::EC2::SecurityGroupEgress`.
    pub(super) fn egress(&mut self, _id: &str, keys: &View<'a>) {
        self.resource_rule(keys, Direction::Outbound);
    }

    fn resource_rule(&mut self, keys: &View<'a>, direction: Direction) {
        let group = match self.by_id(keys, "GroupId") {
            Named::Nothing => self.group_by_name(keys, "GroupName", None),
            found => found,
        };
        match group {
            Named::Known(group) => self.rule(&group, keys, direction),
            Named::Nothing => {
                let help = "give `GroupId`";
                self.problems
                    .error(&keys.at(), "the rule belongs to no group", help);
            }
            Named::Unknown => {}
        }
    }

    fn rule(&mut self, group: &Reference, keys: &View<'a>, direction: Direction) {
        keys.warn_of_others(&KNOWN, self.problems);
        if keys
            .entries()
            .iter()
            .any(|(key, _)| key.starts_with("Fn::"))
        {
            // A macro would have its say: the whole rule is unknown, as was reported.
            return;
        }
        let Some(service) = self.service(keys) else {
            return;
        };
        let description = self.text(keys, "Description").unwrap_or_default();
        let mut peers = Vec::new();
        for key in ["CidrIp", "CidrIpv6"] {
            peers.push(self.range(keys, key));
        }
        let (list, other) = match direction {
            Direction::Inbound => ("SourcePrefixListId", "SourceSecurityGroupId"),
            Direction::Outbound => ("DestinationPrefixListId", "DestinationSecurityGroupId"),
        };
        peers.push(match self.by_id(keys, list) {
            Named::Known(list) => Named::Known(Peer::List(list.into())),
            Named::Nothing => Named::Nothing,
            Named::Unknown => Named::Unknown,
        });
        let other = match self.by_id(keys, other) {
            Named::Nothing if direction == Direction::Inbound => {
                let owner = self.text(keys, "SourceSecurityGroupOwnerId");
                self.group_by_name(keys, "SourceSecurityGroupName", owner.as_deref())
            }
            found => found,
        };
        peers.push(match other {
            Named::Known(group) => Named::Known(Peer::Group(group.into())),
            Named::Nothing => Named::Nothing,
            Named::Unknown => Named::Unknown,
        });
        if peers.iter().all(|peer| matches!(peer, Named::Nothing)) {
            values::no_peer(&keys.at(), self.problems);
        }
        for peer in peers {
            let Named::Known(peer) = peer else { continue };
            self.draft.rules.push(Rule {
                at: keys.at(),
                group: group.clone().into(),
                direction,
                service,
                peer,
                id: None,
                description: description.clone(),
            });
        }
    }

    fn range(&mut self, keys: &View<'a>, key: &str) -> Named<Peer> {
        let Some(value) = keys.get(key) else {
            return Named::Nothing;
        };
        match self.template.meaning(&value, self.problems) {
            Meaning::Text(text) => {
                let range = if key == "CidrIp" {
                    values::range_v4(&text, &value.at(), self.problems)
                } else {
                    values::range_v6(&text, &value.at(), self.problems)
                };
                range.map_or(Named::Unknown, |range| Named::Known(Peer::Range(range)))
            }
            Meaning::Nothing => Named::Nothing,
            meaning => {
                self.unclear(&value, &meaning);
                Named::Unknown
            }
        }
    }

    /// Protocol and ports; `None` after a report.
    fn service(&mut self, keys: &View<'a>) -> Option<Service> {
        let mut texts = [None, None, None];
        for (text, key) in texts.iter_mut().zip(["IpProtocol", "FromPort", "ToPort"]) {
            let Some(value) = keys.get(key) else {
                continue;
            };
            match self.template.meaning(&value, self.problems) {
                Meaning::Text(found) => *text = Some((found, value)),
                Meaning::Nothing => {}
                meaning => {
                    self.unclear(&value, &meaning);
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
            *number = Some(values::number(&text, &value.at(), self.problems)?);
        }
        let [from, to] = numbers;
        values::service(&protocol, from, to, &keys.at(), self.problems)
    }

    /// The group or list under a key: one of the templates, one by its id, or what a parameter or
    /// an import will name.
    fn by_id(&mut self, keys: &View<'a>, key: &str) -> Named<Reference> {
        self.reference(keys, key, str::to_owned)
    }

    /// The group that is called by its name, which `Ref` gives, too.
    fn group_by_name(
        &mut self,
        keys: &View<'a>,
        key: &str,
        owner: Option<&str>,
    ) -> Named<Reference> {
        let mut found = self.reference(keys, key, |name| format!("name:{name}"));
        if let (Named::Known(group), Some(owner)) = (&mut found, owner) {
            group.about = format!("of account {owner}");
        }
        found
    }

    fn reference(
        &mut self,
        keys: &View<'a>,
        key: &str,
        as_key: impl Fn(&str) -> String,
    ) -> Named<Reference> {
        let Some(value) = keys.get(key) else {
            return Named::Nothing;
        };
        match self.template.meaning(&value, self.problems) {
            Meaning::Resource(key) => Named::Known(Reference::new(key)),
            Meaning::Text(text) => Named::Known(Reference::new(as_key(&text)).called(&text)),
            Meaning::Nothing => Named::Nothing,
            Meaning::Unknown(unknown) if !unknown.is_unmade => {
                let reference = Reference::new(as_key(&unknown.key));
                Named::Known(reference.called(&unknown.words))
            }
            meaning => {
                self.unclear(&value, &meaning);
                Named::Unknown
            }
        }
    }

    /// Reports a value that is no text.
    pub(super) fn unclear(&mut self, view: &View<'_>, meaning: &Meaning) {
        match meaning {
            Meaning::Unknown(unknown) => {
                let words = format!("`{}`", unknown.words);
                self.not_known(&view.at(), &words, &unknown.causes);
            }
            Meaning::List(_) => {
                let help = "CloudFormation refuses a list here";
                self.problems
                    .error(&view.at(), "one value should stand here", help);
            }
            Meaning::Resource(_) | Meaning::Text(_) | Meaning::Nothing => {
                let words = format!("`{}`", meaning.clone().into_text());
                self.not_known(&view.at(), &words, &Causes::default());
            }
        }
    }
}
