//! CloudFormation templates (aws-semantics §8.3).

mod evaluate;
mod rules;

use std::collections::{BTreeMap, BTreeSet};

use super::draft::{Draft, Entry, Group, List};
use super::values;
use super::view::View;
use crate::text::report::Problems;
use evaluate::{Meaning, Template};

/// The names of a template's parameters.
pub(super) fn parameters(root: &View<'_>) -> Vec<String> {
    let parameters = root.get("Parameters");
    let entries = parameters.iter().flat_map(View::entries);
    entries.map(|(name, _)| name.to_owned()).collect()
}

/// Reads a template, from a file of this name and with these values of parameters.
pub(super) fn read(
    root: &View<'_>,
    (file, given): (&str, &BTreeMap<String, String>),
    draft: &mut Draft,
    problems: &mut Problems<'_>,
) {
    let mut reader = Reader {
        template: Template::new(root.clone(), given),
        file,
        with_egress: BTreeSet::new(),
        draft,
        problems,
    };
    let Some(resources) = root.get("Resources") else {
        let help = "a template has a section `Resources`";
        reader
            .problems
            .error(&root.at(), "the template has no resources", help);
        return;
    };
    let resources: Vec<_> = resources
        .entries()
        .into_iter()
        .filter(|(_, resource)| reader.is_made(resource))
        .collect();
    for (_, resource) in &resources {
        reader.note_egress(resource);
    }
    for (id, resource) in &resources {
        reader.resource(id, resource);
    }
}

struct Reader<'a, 'd, 'p, 's> {
    template: Template<'a>,
    /// The name of the file: logical ids are unique in it.
    file: &'d str,
    /// Groups to which resources of their own add outbound rules.
    with_egress: BTreeSet<String>,
    draft: &'d mut Draft,
    problems: &'p mut Problems<'s>,
}

impl<'a> Reader<'a, '_, '_, '_> {
    /// Whether a resource is made: it may depend on a condition.
    fn is_made(&mut self, resource: &View<'a>) -> bool {
        let is_ours = kind(resource).is_some_and(|kind| kind.starts_with("AWS::EC2::"));
        let Some(condition) = resource.get("Condition").filter(|_| is_ours) else {
            return true;
        };
        let name = condition.as_text().unwrap_or_default();
        let (message, is_made) = match self.template.condition(name, self.problems) {
            Some(true) => return true,
            Some(false) => (
                "does not hold by the template's defaults: not carried over",
                false,
            ),
            None => ("is not known: the resource is imported as if it held", true),
        };
        let help = "look what the stack does";
        let message = format!("the condition `{name}` {message}");
        self.problems.warning(&condition.at(), message, help);
        is_made
    }

    fn note_egress(&mut self, resource: &View<'a>) {
        if kind(resource) == Some("AWS::EC2::SecurityGroupEgress")
            && let Some(group) = resource
                .get("Properties")
                .and_then(|keys| keys.get("GroupId"))
            && let Meaning::Resource(id) = self.template.meaning(&group, self.problems)
        {
            self.with_egress.insert(id);
        }
    }

    fn resource(&mut self, id: &str, resource: &View<'a>) {
        let Some(kind) = kind(resource) else {
            let help = "loops and macros are not expanded here: import the processed template";
            self.problems.warning(
                &resource.at(),
                "this is no resource: not carried over",
                help,
            );
            return;
        };
        let Some(keys) = resource.get("Properties") else {
            return;
        };
        match kind {
            "AWS::EC2::SecurityGroup" => self.group(id, &keys),
            "AWS::EC2::SecurityGroupIngress" => self.ingress(&keys),
            "AWS::EC2::SecurityGroupEgress" => self.egress(&keys),
            "AWS::EC2::PrefixList" => self.prefix_list(id, &keys),
            _ if kind.contains("SecurityGroup") => {
                let message = format!("`{kind}` is not carried over");
                let help = "look whether it changes what is allowed";
                self.problems.warning(&resource.at(), message, help);
            }
            _ => {}
        }
    }

    /// A group with its inline rules. AWS's default outbound rule goes only when there is another.
    fn group(&mut self, id: &str, keys: &View<'a>) {
        const KNOWN: [&str; 6] = [
            "GroupDescription",
            "GroupName",
            "VpcId",
            "Tags",
            "SecurityGroupIngress",
            "SecurityGroupEgress",
        ];
        keys.warn_of_others(&KNOWN, self.problems);
        let name = self.name(id, keys);
        let mut tags = Vec::new();
        for tag in self.template.list(keys, "Tags", self.problems) {
            let pair = (self.text(&tag, "Key"), self.text(&tag, "Value"));
            if let (Some(key), Some(value)) = pair {
                tags.push((key, value));
            }
        }
        let egress = self
            .template
            .list(keys, "SecurityGroupEgress", self.problems);
        let vpc = self.text(keys, "VpcId");
        let description = self.text(keys, "GroupDescription").unwrap_or_default();
        self.draft.groups.push(Group {
            at: keys.at(),
            keys: vec![self.key(id), format!("name:{name}")],
            id: None,
            name,
            description,
            tags,
            vpc,
            default_outbound: egress.is_empty() && !self.with_egress.contains(id),
        });
        for rule in self
            .template
            .list(keys, "SecurityGroupIngress", self.problems)
        {
            self.inline_ingress(id, &rule);
        }
        for rule in egress {
            self.inline_egress(id, &rule);
        }
    }

    /// The name of a group: the logical id if the template leaves it to the stack.
    fn name(&mut self, id: &str, keys: &View<'a>) -> String {
        let Some(value) = self.template.get(keys, "GroupName", self.problems) else {
            return id.to_owned();
        };
        let meaning = self.template.meaning(&value, self.problems);
        let is_known = matches!(meaning, Meaning::Text(_));
        let name = meaning.into_text();
        if !is_known {
            let message = "the name of the group is not known from the template";
            self.problems
                .warning(&value.at(), message, format!("it is imported as `{name}`"));
        }
        name
    }

    fn prefix_list(&mut self, id: &str, keys: &View<'a>) {
        let name = self
            .text(keys, "PrefixListName")
            .unwrap_or_else(|| id.to_owned());
        let max = self
            .text(keys, "MaxEntries")
            .and_then(|max| max.parse().ok());
        self.draft.lists.push(List {
            at: keys.at(),
            keys: vec![self.key(id)],
            name,
            max_entries: max,
        });
        for entry in self.template.list(keys, "Entries", self.problems) {
            let Some(cidr) = self.template.get(&entry, "Cidr", self.problems) else {
                continue;
            };
            match self.template.meaning(&cidr, self.problems) {
                Meaning::Text(text) => {
                    let range = values::range(&text, &cidr.at(), self.problems);
                    let list = Some(self.key(id));
                    self.draft.entries.extend(range.map(|range| Entry {
                        list,
                        at: cidr.at(),
                        range,
                    }));
                }
                Meaning::Resource(words) | Meaning::Unknown(words) => {
                    self.not_known(&cidr, &words);
                }
            }
        }
    }

    /// The text under a key, with words for what only a stack knows.
    fn text(&mut self, view: &View<'a>, key: &str) -> Option<String> {
        let value = self.template.get(view, key, self.problems)?;
        Some(self.template.meaning(&value, self.problems).into_text())
    }

    /// What references to a resource of this template are called.
    fn key(&self, id: &str) -> String {
        format!("{}#{id}", self.file)
    }

    /// Reports what only a stack knows.
    fn not_known(&mut self, view: &View<'_>, words: &str) {
        let message = format!("`{words}` is not known from the template: not carried over");
        let help = "give the parameter's value with --parameter, or import what `aws ec2 \
                    describe-security-groups` prints of the stack";
        self.problems.warning(&view.at(), message, help);
    }
}

/// The type of a resource.
fn kind<'a>(resource: &View<'a>) -> Option<&'a str> {
    resource.get("Type")?.as_text()
}
