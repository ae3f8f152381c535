//! What an operation changes, at the level of named things.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::diff::{PartDiff, PartKind, diff, interfaces};
use sg_policy::model::Model;

/// Names that come, go or mean something else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Difference {
    /// New names.
    pub added: Vec<String>,
    /// Names that are gone.
    pub removed: Vec<String>,
    /// Names that stay, with another content.
    pub changed: Vec<String>,
}

impl Difference {
    /// Sorts the names of all parts of a kind by which side has them.
    fn of<V>(kind: PartKind, parts: &[PartDiff], [old, new]: [&BTreeMap<String, V>; 2]) -> Self {
        let mut difference = Self::default();
        for PartDiff { name, .. } in parts.iter().filter(|part| part.kind == kind) {
            let names = match (old.contains_key(name), new.contains_key(name)) {
                (false, _) => &mut difference.added,
                (true, false) => &mut difference.removed,
                (true, true) => &mut difference.changed,
            };
            names.push(name.clone());
        }
        difference
    }
}

/// How one model differs from another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Changes {
    /// Security groups.
    pub groups: Difference,
    /// Prefix lists.
    pub prefix_lists: Difference,
    /// Groups by their members on other hosts.
    pub members: Difference,
    /// Interfaces.
    pub interfaces: Difference,
    /// All of it line by line, and the limits.
    pub diff: Vec<PartDiff>,
}

impl Changes {
    /// Compares two models.
    pub fn between(old: &Model, new: &Model) -> Self {
        use PartKind::{Group, Interface, Members, PrefixList};
        let diff = diff(old, new);
        let entries = [old, new].map(interfaces);
        Self {
            groups: Difference::of(Group, &diff, [&old.groups, &new.groups]),
            prefix_lists: Difference::of(PrefixList, &diff, [&old.prefix_lists, &new.prefix_lists]),
            members: Difference::of(Members, &diff, [&old.members, &new.members]),
            interfaces: Difference::of(Interface, &diff, entries.each_ref().map(AsRef::as_ref)),
            diff,
        }
    }

    /// Whether nothing differs.
    pub const fn is_empty(&self) -> bool {
        self.diff.is_empty()
    }
}

/// Names in a sentence; of many only the first few.
pub(super) fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        text.push_str(", …");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use sg_policy::model::DEFAULT_GROUP;

    #[test]
    fn names_what_came_went_and_changed() {
        let old = Model::new();
        let mut new = Model::new();
        assert!(Changes::between(&old, &new).is_empty());
        let mut group = new.groups[DEFAULT_GROUP].clone();
        group.name = "web".to_owned();
        new.groups.insert("web".to_owned(), group);
        let default = new.groups.get_mut(DEFAULT_GROUP).unwrap();
        default.inbound.clear();
        let forth = Changes::between(&old, &new);
        assert_eq!(forth.groups.added, ["web"]);
        assert_eq!(forth.groups.changed, [DEFAULT_GROUP]);
        let back = Changes::between(&new, &old);
        assert_eq!(back.groups.removed, ["web"]);
        assert!(back.prefix_lists == Difference::default() && !back.is_empty());
    }
}
