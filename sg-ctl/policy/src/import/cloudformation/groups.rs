//! Groups with their inline rules.

use super::meaning::Meaning;
use super::{Reader, Truth, kind};
use crate::import::draft::Group;
use crate::import::view::View;
use crate::model::Direction;
use crate::text::document::Value;

impl<'a> Reader<'a, '_, '_, '_> {
    /// Notes the groups that get outbound rules by a resource of its own, or may: the default one,
    /// which allows everything, goes when there is another.
    pub(super) fn note_outbound(&mut self, resource: &View<'a>) {
        const EGRESS: &str = "AWS::EC2::SecurityGroupEgress";
        if kind(resource).is_none() && mentions(resource, EGRESS) {
            // A loop: whatever it names may get such rules.
            self.note_mentioned(resource);
            return;
        }
        if kind(resource) != Some(EGRESS)
            || self.template.is_made(resource, self.problems) == Truth::No
        {
            return;
        }
        let keys = resource.get("Properties");
        let Some(group) = keys.and_then(|keys| keys.get("GroupId")) else {
            return;
        };
        match self.template.meaning(&group, self.problems) {
            Meaning::Resource(key) => {
                self.draft.without_default.insert(key);
            }
            Meaning::Unknown(_) => self.note_mentioned(&group),
            Meaning::Text(_) | Meaning::List(_) | Meaning::Nothing => {}
        }
    }

    /// Notes every resource of the template that an expression names.
    fn note_mentioned(&mut self, view: &View<'a>) {
        match view.value() {
            Value::Scalar(text) => {
                let words = text.split(|sign: char| !sign.is_ascii_alphanumeric());
                for word in words {
                    if self.template.resources.contains_key(word) {
                        let key = self.template.key(word);
                        self.draft.without_default.insert(key);
                    }
                }
            }
            Value::List(_) => view
                .items()
                .iter()
                .for_each(|item| self.note_mentioned(item)),
            Value::Mapping(_) => {
                for (_, item) in view.entries() {
                    self.note_mentioned(&item);
                }
            }
            Value::Null => {}
        }
    }

    /// A group with its inline rules. AWS's default outbound rule goes only when there is another.
    pub(super) fn group(&mut self, id: &str, keys: &View<'a>) {
        const KNOWN: [&str; 6] = [
            "GroupDescription",
            "GroupName",
            "VpcId",
            "Tags",
            "SecurityGroupIngress",
            "SecurityGroupEgress",
        ];
        keys.warn_of_others(&KNOWN, self.problems);
        let is_whole = !keys
            .entries()
            .iter()
            .any(|(key, _)| key.starts_with("Fn::"));
        let key = self.template.key(id);
        let (name, alias) = self.name(id, keys);
        let mut tags = Vec::new();
        for tag in self.list(keys, "Tags", "a tag").known {
            let pair = (self.text(&tag, "Key"), self.text(&tag, "Value"));
            if let (Some(key), Some(value)) = pair {
                tags.push((key, value));
            }
        }
        let outbound = self.list(keys, "SecurityGroupEgress", "a rule");
        let vpc = self.text(keys, "VpcId");
        let description = self.text(keys, "GroupDescription").unwrap_or_default();
        self.draft.groups.push(Group {
            at: keys.at(),
            keys: vec![key.as_str().into(), alias.into()],
            id: None,
            name: name.into(),
            description: description.into(),
            tags,
            vpc,
            default_outbound: self.default_outbound && is_whole && outbound.is_empty(),
        });
        let inbound = self.list(keys, "SecurityGroupIngress", "a rule");
        for (direction, rules) in [
            (Direction::Inbound, inbound),
            (Direction::Outbound, outbound),
        ] {
            for rule in rules.known {
                self.inline(&key, &rule, direction);
            }
        }
    }

    /// The name of a group, the logical id if the template leaves it to the stack; and the key by
    /// which references use it.
    fn name(&mut self, id: &str, keys: &View<'a>) -> (String, String) {
        let value = keys.get("GroupName");
        let meaning = value
            .as_ref()
            .map(|value| self.template.meaning(value, self.problems));
        match (value, meaning) {
            (_, Some(Meaning::Text(name))) => (name.clone(), format!("name:{name}")),
            (Some(value), Some(Meaning::Unknown(unknown))) => {
                let alias = format!("name:{}", unknown.key);
                let name = Meaning::Unknown(unknown).into_text();
                let message = "the name of the group is not known from the template";
                let help = format!("it is imported as `{name}`");
                self.problems.warning(&value.at(), message, help);
                (name, alias)
            }
            _ => (id.to_owned(), self.template.key(id)),
        }
    }
}

/// Whether a text stands anywhere in a value.
fn mentions(view: &View<'_>, text: &str) -> bool {
    match view.value() {
        Value::Scalar(found) => **found == *text,
        Value::List(_) => view.items().iter().any(|item| mentions(item, text)),
        Value::Mapping(_) => {
            let entries = view.entries();
            entries.iter().any(|(_, item)| mentions(item, text))
        }
        Value::Null => false,
    }
}
