//! What `terraform show -json` prints of a state or a plan (aws-semantics §8.2), and state files.
//!
//! `resources` finds the resources and what of them is unknown before apply, `references` finds
//! out which resource an unknown id will be that of, and this file reads each type of resource.

mod address;
mod complete;
mod configuration;
mod lists;
mod members;
mod references;
mod resources;
mod rules;
mod state;

use std::collections::HashMap;

use std::rc::Rc;

use super::draft::{Draft, Group, Member, Reference};
use super::view::View;
use crate::model::{DEFAULT_GROUP, Direction};
use crate::text::report::{At, Problems};
use references::{References, Target};
use resources::{Attribute, Resource, resources};

/// What to do about values that only an apply makes known.
const APPLY_FIRST: &str = "apply, and import what `terraform show -json` prints of the state";

/// Reads a state or a plan.
pub(super) fn read(root: &View<'_>, draft: &mut Draft, problems: &mut Problems<'_>) {
    let resources = resources(root, problems);
    let mut reader = Reader {
        references: References::new(root, &resources),
        addresses: HashMap::new(),
        draft,
        problems,
    };
    // Interfaces first: attachments of groups refer to them.
    for resource in &resources {
        reader.interface(resource);
    }
    for resource in &resources {
        reader.resource(resource);
    }
}

struct Reader<'r, 'd, 'p, 's> {
    references: References<'r>,
    /// Ids of interfaces with their addresses.
    addresses: HashMap<String, Vec<std::net::IpAddr>>,
    draft: &'d mut Draft,
    problems: &'p mut Problems<'s>,
}

impl Reader<'_, '_, '_, '_> {
    fn resource(&mut self, resource: &Resource<'_>) {
        match (resource.is_data, resource.kind) {
            (false, "aws_security_group") => self.group(resource, None),
            (false, "aws_default_security_group") => self.group(resource, Some(DEFAULT_GROUP)),
            (true, "aws_security_group") => self.known_group(resource),
            (false, "aws_security_group_rule") => self.rule(resource),
            (false, "aws_vpc_security_group_ingress_rule") => {
                self.single_rule(resource, Direction::Inbound);
            }
            (false, "aws_vpc_security_group_egress_rule") => {
                self.single_rule(resource, Direction::Outbound);
            }
            (_, "aws_ec2_managed_prefix_list") => self.list(resource, "entry", "entries"),
            (true, "aws_prefix_list") => self.list(resource, "cidr_blocks", "cidr_blocks"),
            (false, "aws_ec2_managed_prefix_list_entry") => self.entry(resource),
            (false, "aws_network_interface_sg_attachment") => self.attachment(resource),
            (false, kind) if kind.starts_with("aws_") && kind.contains("security_group") => {
                let message = format!("`{kind}` is not carried over");
                let help = "look whether it changes what is allowed";
                self.problems.warning(&resource.at(), message, help);
            }
            _ => {}
        }
    }

    /// A group with its inline rules. Terraform removes AWS's default outbound rule: no `egress`
    /// is none.
    fn group(&mut self, resource: &Resource<'_>, fixed_name: Option<&str>) {
        let name = fixed_name.map(str::to_owned);
        let name = name.unwrap_or_else(|| self.name(resource));
        let mut keys = vec![resource.address.to_string()];
        let id = resource.text("id");
        keys.extend(id.map(str::to_owned));
        let tags = resource.attribute("tags_all").known();
        let tags = tags.filter(|tags| !tags.is_empty());
        let tags = tags.or_else(|| resource.attribute("tags").known());
        let tags = tags.iter().flat_map(View::entries);
        let tags =
            tags.filter_map(|(key, value)| Some((key.to_owned(), value.as_text()?.to_owned())));
        self.draft.groups.push(Group {
            at: resource.at(),
            keys: keys.into_iter().map(Rc::from).collect(),
            id: id.and_then(|id| id.parse().ok()),
            name: name.into(),
            description: resource.text("description").unwrap_or_default().into(),
            tags: tags.collect(),
            vpc: resource.text("vpc_id").map(str::to_owned),
            default_outbound: false,
        });
        for (key, direction) in [
            ("ingress", Direction::Inbound),
            ("egress", Direction::Outbound),
        ] {
            match resource.attribute(key) {
                Attribute::Known(rules) => {
                    for rule in resource.blocks(key, &rules) {
                        self.inline(&rule, direction);
                    }
                }
                // Left out of the configuration: rules come from elsewhere, or there are none.
                Attribute::Unknown if !self.references.is_stated(resource, key) => {}
                Attribute::Unknown => {
                    self.not_known(&resource.at(), &format!("the rules in `{key}` are"));
                }
                Attribute::Absent => {}
            }
        }
    }

    /// The name of a group; one that AWS will make up is the prefix or the resource's own.
    fn name(&mut self, resource: &Resource<'_>) -> String {
        if let Some(name) = resource.text("name").filter(|name| !name.is_empty()) {
            return name.to_owned();
        }
        let prefix = resource.text("name_prefix").unwrap_or_default();
        let name = match prefix.trim_end_matches(['-', '_', ' ']) {
            "" => resource.address.to_string(),
            prefix => prefix.to_owned(),
        };
        let message = "the name of the group is not known before apply";
        let help = format!("it is imported as `{name}`");
        self.problems.warning(&resource.at(), message, help);
        name
    }

    /// A group that the configuration only looks up.
    fn known_group(&mut self, resource: &Resource<'_>) {
        let Some(id) = resource.text("id") else {
            return;
        };
        let message = "this group is made elsewhere: its rules are not in the file";
        let help = "it is imported without rules; import the state that makes it, too";
        self.problems.warning(&resource.at(), message, help);
        self.draft.groups.push(Group {
            at: resource.at(),
            keys: vec![id.into(), Rc::from(&*resource.address)],
            id: id.parse().ok(),
            name: resource.text("name").unwrap_or(&resource.address).into(),
            description: resource.text("description").unwrap_or_default().into(),
            tags: Vec::new(),
            vpc: resource.text("vpc_id").map(str::to_owned),
            default_outbound: false,
        });
    }

    /// What is under a key. What the provider fills in without the configuration's asking is
    /// nothing that a rule is made from.
    fn attribute<'a>(&self, resource: &Resource<'a>, key: &str) -> Attribute<'a> {
        match resource.attribute(key) {
            Attribute::Unknown if !self.references.is_stated(resource, key) => Attribute::Absent,
            attribute => attribute,
        }
    }

    /// The id, or the address, of the one resource under `key`.
    fn one(&mut self, resource: &Resource<'_>, key: &str, what: Target) -> Named {
        match self.attribute(resource, key) {
            Attribute::Known(view) => view.as_text().map_or(Named::Nothing, Named::known),
            Attribute::Absent => Named::Nothing,
            Attribute::Unknown => self.follow(resource, key, what, &format!("`{key}` is")),
        }
    }

    /// The ids, or the addresses, of the resources in the list under `key`.
    fn many(&mut self, resource: &Resource<'_>, key: &str, what: Target) -> Vec<Named> {
        let words = format!("a {} in `{key}` is", what.word());
        match self.attribute(resource, key) {
            Attribute::Absent => Vec::new(),
            Attribute::Unknown => vec![self.follow(resource, key, what, &words)],
            Attribute::Known(list) => {
                let items = list.items();
                let known = items.iter().filter_map(View::as_text);
                let mut found: Vec<_> = known.map(Named::known).collect();
                if found.len() < items.len() {
                    found.push(self.follow(resource, key, what, &words));
                }
                found
            }
        }
    }

    /// What the configuration says that an unknown value will be; `words` begin the report.
    fn follow(&mut self, resource: &Resource<'_>, key: &str, what: Target, words: &str) -> Named {
        if let Some(name) = self.references.find(resource, key, what) {
            return Named::Known(name);
        }
        self.not_known(&resource.at(), words);
        Named::Unknown
    }

    /// Reports what only an apply makes known.
    fn not_known(&mut self, at: &At, what: &str) {
        let message = format!("{what} not known before apply: not carried over");
        self.problems.warning(at, message, APPLY_FIRST);
    }
}

/// A group or list that an argument names.
enum Named {
    /// By its id or address.
    Known(String),
    /// The argument is not given.
    Nothing,
    /// Only an apply makes it known; it was reported.
    Unknown,
}

impl Named {
    fn known(text: &str) -> Self {
        Self::Known(text.to_owned())
    }

    /// The id or address, if it is known.
    fn name(self) -> Option<String> {
        match self {
            Self::Known(name) => Some(name),
            Self::Nothing | Self::Unknown => None,
        }
    }
}

/// A group by id or address; `ACCOUNT/sg-…` is one of another account.
fn group_ref(text: &str) -> Reference {
    match text.split_once('/') {
        Some((account, id)) if id.starts_with("sg-") => Reference {
            about: format!("of account {account}"),
            ..Reference::new(id)
        },
        _ => Reference::new(text),
    }
}
