//! Tags of groups, rules and prefix lists.

use std::collections::BTreeMap;

use super::lookup::{list_id, rules_mut, rules_of};
use super::{Call, parse};
use crate::api::filters::{Filtered, Filters};
use crate::api::form::Form;
use crate::api::refusal::Refusal;
use crate::api::xml::Node;
use crate::vpc::Owned;

type Tags = BTreeMap<String, String>;

/// `CreateTags`: sets and overwrites.
pub(super) fn create(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let resources = form.list("ResourceId")?;
    let tags = parse::tags(&form.parts("Tag")?)?;
    if resources.is_empty() || tags.is_empty() {
        return Err(Refusal::missing("resourceIdSet and tagSet"));
    }
    for resource in resources {
        change(call, resource, |held| {
            held.extend(tags.clone());
            parse::check_tags(held)
        })?;
    }
    Ok(Node::done())
}

/// `DeleteTags`: by key, by key and value, or all.
pub(super) fn delete(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let resources = form.list("ResourceId")?;
    if resources.is_empty() || resources.contains(&"") {
        return Err(Refusal::missing("resourceIdSet"));
    }
    let parts = form.parts("Tag")?;
    let tags: Vec<_> = parts
        .iter()
        .map(|part| (part.get("Key").unwrap_or_default(), part.get("Value")))
        .collect();
    for resource in resources {
        change(call, resource, |held| {
            if tags.is_empty() {
                held.clear();
            }
            for (key, value) in &tags {
                if value.is_none_or(|value| held.get(*key).is_some_and(|held| held == value)) {
                    held.remove(*key);
                }
            }
            Ok(())
        })?;
    }
    Ok(Node::done())
}

/// Changes the tags of what has this id.
fn change(
    call: &mut Call<'_>,
    id: &str,
    act: impl FnOnce(&mut Tags) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let kind = id.split_once('-').map(|(kind, _)| kind);
    match kind {
        Some("sg") => {
            let group = call.group(id)?;
            call.check_group_is_api(group)?;
            let name = group.name.clone();
            call.change()
                .group_mut(&name)
                .map_or(Ok(()), |group| act(&mut group.tags))
        }
        Some("sgr") => {
            let placed = call.rule(id)?;
            call.check_group_is_api(placed.group)?;
            let (name, direction) = (placed.group.name.clone(), placed.direction);
            let rule = call.change().group_mut(&name).and_then(|group| {
                let mut rules = rules_mut(group, direction).iter_mut();
                rules.find(|rule| rule.id.as_str() == id)
            });
            rule.map_or(Ok(()), |rule| act(&mut rule.tags))
        }
        Some("pl") => {
            let name = call.list(id)?.to_owned();
            let what = format!("The prefix list '{id}' ({name})");
            call.check_owner(Owned::PrefixList, &name, &what)?;
            let Some(mut list) = call.document.managed_lists().get(&name).cloned() else {
                return Ok(());
            };
            act(&mut list.tags)?;
            let size = call.document.model().prefix_lists[&name].max_entries;
            call.change()
                .put_list(&name, list, size.unwrap_or_default());
            Ok(())
        }
        Some("vpc" | "subnet" | "eni") => Err(Refusal::unsupported(format!(
            "'{id}' is a host's and has no tags: groups, rules and prefix lists have"
        ))),
        _ => {
            let shown: String = id.chars().take(60).collect();
            let message = format!("The ID '{shown}' is not valid");
            Err(Refusal::new("InvalidID", message))
        }
    }
}

/// One tag of something.
struct Tagged {
    id: String,
    kind: &'static str,
    key: String,
    value: String,
}

impl Filtered for Tagged {
    fn values(&self, name: &str) -> Option<Vec<String>> {
        Some(vec![match name {
            "resource-id" => self.id.clone(),
            "resource-type" => self.kind.to_owned(),
            "key" => self.key.clone(),
            "value" => self.value.clone(),
            // `tag:KEY` asks for the key and for its value.
            _ if name.strip_prefix("tag:") == Some(&self.key) => self.value.clone(),
            _ if name.starts_with("tag:") => return Some(Vec::new()),
            _ => return None,
        }])
    }
}

/// `DescribeTags`.
pub(super) fn describe(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let mut all = Vec::new();
    let mut add = |id: String, kind: &'static str, tags: &Tags| {
        all.extend(tags.iter().map(|(key, value)| Tagged {
            id: id.clone(),
            kind,
            key: key.clone(),
            value: value.clone(),
        }));
    };
    let document = &call.document;
    for group in document.model().groups.values() {
        let tags = Call::group_tags(document, group);
        add(group.id.to_string(), "security-group", &tags);
        for placed in rules_of(group) {
            add(
                placed.rule.id.to_string(),
                "security-group-rule",
                &placed.rule.tags,
            );
        }
    }
    for (name, list) in document.managed_lists() {
        add(
            list_id(document, name).to_string(),
            "prefix-list",
            &list.tags,
        );
    }
    let known = ["resource-id", "resource-type", "key", "value"];
    let tags = Filters::of(form)?.select(all, &known)?;
    let key = |tag: &Tagged| format!("{}\n{}", tag.id, tag.key);
    let (tags, next) = call.tokens.page(form, tags, (5, 1000), key)?;
    let shown = tags.into_iter().map(|tag| {
        Node::fields([
            ("resourceId", Node::Text(tag.id)),
            ("resourceType", Node::text(tag.kind)),
            ("key", Node::Text(tag.key)),
            ("value", Node::Text(tag.value)),
        ])
    });
    Ok(Node::fields([("tagSet", Node::list(shown))]).with_some("nextToken", next))
}
