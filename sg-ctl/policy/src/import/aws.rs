//! What `aws ec2 describe-…` prints (aws-semantics §8.1).

mod rules;

use std::net::IpAddr;

use super::draft::{Draft, Entry, Group, List, Member, Reference};
use super::values;
use super::view::View;
use crate::model::Direction;
use crate::text::document::{Node, Value};
use crate::text::report::Problems;

/// Keys of answers, in the order of reading: the flat rules come first, because only they have
/// ids, and an order that is not one of protocols and ports.
const ANSWERS: [(&str, Kind); 5] = [
    ("SecurityGroupRules", Kind::Rule),
    ("SecurityGroups", Kind::Group),
    ("PrefixLists", Kind::List),
    ("Entries", Kind::Entry),
    ("NetworkInterfaces", Kind::Interface),
];

/// What an item describes.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Rule,
    Group,
    List,
    Entry,
    Interface,
}

impl Kind {
    /// What an item describes, by the key that only its kind has.
    fn of(item: &View<'_>) -> Option<Self> {
        let has = |key: &str| item.get(key).is_some();
        let kinds = [
            ("SecurityGroupRuleId", Self::Rule),
            ("NetworkInterfaceId", Self::Interface),
            ("GroupName", Self::Group),
            ("PrefixListName", Self::List),
            ("Cidr", Self::Entry),
        ];
        let (_, kind) = kinds.into_iter().find(|(key, _)| has(key))?;
        Some(kind)
    }
}

/// Whether a document looks like an answer of EC2, or the list that `--query` leaves of one.
pub(super) fn is_known(root: &View<'_>) -> bool {
    let answers = ANSWERS.iter().any(|(key, _)| root.get(key).is_some());
    answers
        || Kind::of(root).is_some()
        || root
            .each()
            .next()
            .is_some_and(|item| Kind::of(&item).is_some())
}

/// Reads one document; entries of a prefix list belong to the one that the file is named after.
///
/// An account's groups are the largest documents that there are: what was read of the tree is gone.
pub(super) fn read(mut root: Node, file: &str, draft: &mut Draft, problems: &mut Problems<'_>) {
    let mut reader = Reader {
        list: list_id(file),
        draft,
        problems,
    };
    if Kind::of(&View::root(&root)).is_some() {
        reader.any(&View::root(&root));
    } else if let Value::List(items) = root.value {
        for (number, node) in items.into_iter().enumerate() {
            reader.any(&View::of(&node, format!("[{number}]")));
        }
    } else {
        reader.answer(&mut root);
    }
}

/// The id of a prefix list in the name of a file.
fn list_id(file: &str) -> Option<String> {
    let (_, rest) = file.rsplit_once("pl-")?;
    let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
    (digits >= 8).then(|| format!("pl-{}", &rest[..digits]))
}

struct Reader<'d, 'p, 's> {
    list: Option<String>,
    draft: &'d mut Draft,
    problems: &'p mut Problems<'s>,
}

impl Reader<'_, '_, '_> {
    fn answer(&mut self, tree: &mut Node) {
        let root = View::root(tree);
        if let Some(more) = root.get("NextToken") {
            let help = "leave out `--max-items` and `--no-paginate`";
            let message = "there is more than this file holds: the answer was cut into pages";
            self.problems.warning(&more.at(), message, help);
        }
        let mut known: Vec<&str> = ANSWERS.iter().map(|(key, _)| *key).collect();
        known.extend(["NextToken", "ResponseMetadata"]);
        root.warn_of_others(&known, self.problems);
        for (key, kind) in ANSWERS {
            // What is no list is reported.
            drop(View::root(tree).list(key, self.problems));
            for (number, node) in tree.take_list(key).into_iter().enumerate() {
                self.item(kind, &View::of(&node, format!("{key}[{number}]")));
            }
        }
    }

    fn any(&mut self, item: &View<'_>) {
        if let Some(kind) = Kind::of(item) {
            self.item(kind, item);
        } else {
            let help = "import whole answers of `aws ec2 describe-…`, or lists of whole items";
            self.problems
                .error(&item.at(), "this is no item of an answer", help);
        }
    }

    fn item(&mut self, kind: Kind, item: &View<'_>) {
        match kind {
            Kind::Rule => self.rule(item),
            Kind::Group => self.group(item),
            Kind::List => self.prefix_list(item),
            Kind::Entry => {
                let list = self.list.clone();
                self.entry(item, "Cidr", list);
            }
            Kind::Interface => self.interface(item),
        }
    }

    fn group(&mut self, item: &View<'_>) {
        let (Some(id), Some(name)) = (
            item.required("GroupId", self.problems),
            item.required("GroupName", self.problems),
        ) else {
            return;
        };
        let text = |key: &str, problems: &mut _| item.text(key, problems).unwrap_or_default();
        let given = match id.parse() {
            Ok(given) => Some(given),
            Err(error) => {
                let error: crate::model::InvalidId = error;
                let help = "the group gets an id of its own";
                self.problems.warning(&item.at(), error.to_string(), help);
                None
            }
        };
        // What is no text is reported.
        text("Description", self.problems);
        let description = item.shared("Description");
        self.draft.groups.push(Group {
            at: item.at(),
            keys: vec![
                item.shared("GroupId").unwrap_or_default(),
                format!("name:{name}").into(),
            ],
            id: given,
            name: item.shared("GroupName").unwrap_or_default(),
            description: description.unwrap_or_default(),
            tags: tags(item, self.problems),
            vpc: item.text("VpcId", self.problems).map(str::to_owned),
            default_outbound: false,
        });
        let owner = text("OwnerId", self.problems);
        if item.get("IpPermissions").is_none() && item.get("IpPermissionsEgress").is_none() {
            self.draft.without_rules.push((item.at(), id.to_owned()));
        }
        for (key, direction) in [
            ("IpPermissions", Direction::Inbound),
            ("IpPermissionsEgress", Direction::Outbound),
        ] {
            for permission in item.list(key, self.problems) {
                self.permission(&permission, id, owner, direction);
            }
        }
    }

    fn prefix_list(&mut self, item: &View<'_>) {
        let (Some(id), Some(name)) = (
            item.required("PrefixListId", self.problems),
            item.required("PrefixListName", self.problems),
        ) else {
            return;
        };
        let max = item.number("MaxEntries", self.problems);
        self.draft.lists.push(List {
            at: item.at(),
            keys: vec![id.to_owned()],
            name: name.to_owned(),
            max_entries: max.and_then(|max| u32::try_from(max).ok()),
        });
        for entry in item.list("Entries", self.problems) {
            self.entry(&entry, "Cidr", Some(id.to_owned()));
        }
        // What describe-prefix-lists calls them.
        for cidr in item.list("Cidrs", self.problems) {
            let text = cidr.as_text().unwrap_or_default();
            let range = values::range(text, &cidr.at(), self.problems);
            self.draft.entries.extend(range.map(|range| Entry {
                list: Some(id.to_owned()),
                at: cidr.at(),
                range,
            }));
        }
    }

    fn entry(&mut self, item: &View<'_>, key: &str, list: Option<String>) {
        let text = item.required(key, self.problems);
        let range = text.and_then(|text| values::range(text, &item.at(), self.problems));
        self.draft.entries.extend(range.map(|range| Entry {
            list,
            at: item.at(),
            range,
        }));
    }

    /// The addresses of an interface, all of them (AWS E4), for each of its groups.
    fn interface(&mut self, item: &View<'_>) {
        let mut addresses: Vec<IpAddr> = Vec::new();
        for (list, key) in [
            ("PrivateIpAddresses", "PrivateIpAddress"),
            ("Ipv6Addresses", "Ipv6Address"),
        ] {
            for entry in item.list(list, self.problems) {
                let text = entry.required(key, self.problems);
                let address = text.and_then(|text| text.parse().ok());
                if let Some(address) = address {
                    addresses.push(address);
                } else {
                    let help = "AWS gives one IPv4 or IPv6 address";
                    self.problems.error(&entry.at(), "this is no address", help);
                }
            }
        }
        for key in ["Ipv4Prefixes", "Ipv6Prefixes"] {
            if let Some(prefixes) = item.get(key).filter(|prefixes| !prefixes.is_empty()) {
                let help = "list the addresses in use under `members`";
                let message = "members are single addresses: delegated prefixes not carried over";
                self.problems.warning(&prefixes.at(), message, help);
            }
        }
        for group in item.list("Groups", self.problems) {
            let Some(id) = group.required("GroupId", self.problems) else {
                continue;
            };
            for address in &addresses {
                self.draft.members.push(Member {
                    at: group.at(),
                    group: Reference::new(id),
                    address: *address,
                });
            }
        }
    }
}

/// `Tags` as AWS and CloudFormation write them.
fn tags(item: &View<'_>, problems: &mut Problems<'_>) -> Vec<(String, String)> {
    let list = item.list("Tags", problems);
    let pairs = list.filter_map(|tag| {
        let key = tag.required("Key", problems)?.to_owned();
        let value = tag.text("Value", problems).unwrap_or_default().to_owned();
        Some((key, value))
    });
    pairs.collect()
}
