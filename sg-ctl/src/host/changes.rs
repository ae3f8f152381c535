//! What an operation changes, at the level of named things.

use std::collections::BTreeMap;

use serde::Serialize;

use super::diff::{PartDiff, diff};
use crate::model::Model;

/// Names that come, go or mean something else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// New names.
    pub added: Vec<String>,
    /// Names that are gone.
    pub removed: Vec<String>,
    /// Names that stay, with another content.
    pub changed: Vec<String>,
}

impl Difference {
    fn between<V: PartialEq>(old: &BTreeMap<String, V>, new: &BTreeMap<String, V>) -> Self {
        let names = |of: &BTreeMap<String, V>, is_wanted: &dyn Fn(&str, &V) -> bool| {
            of.iter()
                .filter(|(name, value)| is_wanted(name, value))
                .map(|(name, _)| name.clone())
                .collect()
        };
        Self {
            added: names(new, &|name, _| !old.contains_key(name)),
            removed: names(old, &|name, _| !new.contains_key(name)),
            changed: names(new, &|name, value| {
                old.get(name).is_some_and(|before| before != value)
            }),
        }
    }
}

/// How one model differs from another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
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
        Self {
            groups: Difference::between(&old.groups, &new.groups),
            prefix_lists: Difference::between(&old.prefix_lists, &new.prefix_lists),
            members: Difference::between(&old.members, &new.members),
            interfaces: Difference::between(&old.interfaces, &new.interfaces),
            diff: diff(old, new),
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
    use crate::model::DEFAULT_GROUP;

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
