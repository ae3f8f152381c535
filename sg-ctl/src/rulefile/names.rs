//! What names, descriptions and tags may look like (aws-semantics §1.6).

use std::collections::BTreeMap;

use super::decode::{Entries, Located};
use super::error::Problems;
use super::scalar::Text;
use crate::model::{DEFAULT_GROUP, GroupId, InvalidId};

/// Most characters of a name or description (AWS N2, N9).
const MAX_LENGTH: usize = 255;
/// Signs that names and descriptions may hold besides letters and digits (AWS N3).
const SIGNS: &str = " ._-:/()#,@[]+=&;{}!$*";
/// Most tags of a group (AWS N10).
const MAX_TAGS: usize = 50;
/// Most characters of a tag's key and of its value (AWS N10).
const MAX_TAG_LENGTHS: (usize, usize) = (127, 256);
/// Most bytes of an interface name (the kernel's `IFNAMSIZ`, less the final zero).
const MAX_INTERFACE_NAME: usize = 15;

/// Reports a text that is too long or holds a sign that AWS does not take.
fn check_text(text: &Located<&str>, what: &str, problems: &mut Problems<'_>) -> Option<()> {
    let length = text.value.chars().count();
    if length > MAX_LENGTH {
        let message = format!("the {what} has {length} characters");
        problems.error(
            &text.at,
            message,
            format!("{MAX_LENGTH} are allowed: shorten it"),
        );
        return None;
    }
    let is_allowed = |sign: char| sign.is_ascii_alphanumeric() || SIGNS.contains(sign);
    if let Some(sign) = text.value.chars().find(|sign| !is_allowed(*sign)) {
        let message = format!("the {what} holds the sign {sign:?}");
        let help = format!("allowed are a-z A-Z 0-9, space and {}", SIGNS.trim_start());
        problems.error(&text.at, message, help);
        return None;
    }
    Some(())
}

/// A name of `what` that has the shape AWS asks for, without spaces at its end (AWS N4).
pub(super) fn name(
    given: &Located<String>,
    what: &str,
    problems: &mut Problems<'_>,
) -> Option<String> {
    let name = given.value.trim_end();
    if name.is_empty() {
        problems.error(
            &given.at,
            format!("the name of the {what} is empty"),
            "give it a name",
        );
        return None;
    }
    let located = Located {
        value: name,
        at: given.at.clone(),
    };
    check_text(&located, &format!("name of the {what}"), problems)?;
    Some(name.to_owned())
}

/// The name of a group (AWS N2–N5).
pub(super) fn group_name(given: &Located<String>, problems: &mut Problems<'_>) -> Option<String> {
    let name = name(given, "group", problems)?;
    if name.starts_with("sg-") {
        let help =
            "choose another name; an id that AWS gave is kept by `id: sg-…` inside the group";
        problems.error(
            &given.at,
            "the name of the group begins with `sg-`, like an id",
            help,
        );
        return None;
    }
    if name != DEFAULT_GROUP && name.eq_ignore_ascii_case(DEFAULT_GROUP) {
        let message = format!("`{name}` differs from the built-in group only in case");
        problems.error(
            &given.at,
            message,
            format!("write `{DEFAULT_GROUP}` to define its rules"),
        );
        return None;
    }
    Some(name)
}

/// A description, or nothing.
pub(super) fn description(given: Option<&Located<Text>>, problems: &mut Problems<'_>) -> String {
    let Some(Located {
        value: Text(text),
        at,
    }) = given
    else {
        return String::new();
    };
    let located = Located {
        value: text.as_str(),
        at: at.clone(),
    };
    match check_text(&located, "description", problems) {
        Some(()) => text.clone(),
        None => String::new(),
    }
}

/// The tags of a group (AWS N10).
pub(super) fn tags(
    given: Option<Entries<Located<Text>>>,
    problems: &mut Problems<'_>,
) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    let (max_key, max_value) = MAX_TAG_LENGTHS;
    for (index, (key, value)) in given.into_iter().flat_map(|entries| entries.0).enumerate() {
        if index == MAX_TAGS {
            let help = "remove tags that nobody reads";
            problems.error(
                &key.at,
                format!("there are more than {MAX_TAGS} tags"),
                help,
            );
        }
        if key.value.is_empty() || key.value.chars().count() > max_key {
            let help = format!("keys have 1 to {max_key} characters");
            problems.error(&key.at, "the key of the tag is empty or too long", help);
        }
        if key.value.to_ascii_lowercase().starts_with("aws:") {
            let help = "choose another key: those with `aws:` belong to AWS";
            problems.error(&key.at, "the key of the tag begins with `aws:`", help);
        }
        if value.value.0.chars().count() > max_value {
            let help = format!("values have at most {max_value} characters");
            problems.error(&value.at, "the value of the tag is too long", help);
        }
        tags.insert(key.value, value.value.0);
    }
    tags
}

/// The id given to a group or rule.
pub(super) fn id<I>(
    given: Option<&Located<Text>>,
    problems: &mut Problems<'_>,
) -> Option<Located<I>>
where
    I: std::str::FromStr<Err = InvalidId>,
{
    let given = given?;
    match given.value.0.parse() {
        Ok(value) => Some(Located {
            value,
            at: given.at.clone(),
        }),
        Err(error) => {
            let help = "leave `id` out to have one derived";
            problems.error(&given.at, error.to_string(), help);
            None
        }
    }
}

/// The id of a group: given, or derived from its name.
pub(super) fn group_id(
    given: Option<&Located<Text>>,
    name: &str,
    problems: &mut Problems<'_>,
) -> GroupId {
    id(given, problems).map_or_else(|| GroupId::derived(name), |id| id.value)
}

/// The name of an interface, as the kernel takes it.
pub(super) fn interface_name(
    given: &Located<String>,
    problems: &mut Problems<'_>,
) -> Option<String> {
    let name = &given.value;
    let has_shape = (1..=MAX_INTERFACE_NAME).contains(&name.len())
        && !matches!(name.as_str(), "." | "..")
        && name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"/:".contains(&byte));
    if !has_shape {
        let help = format!(
            "interface names have 1 to {MAX_INTERFACE_NAME} characters without `/`, `:` and spaces"
        );
        problems.error(&given.at, format!("`{name}` cannot be an interface"), help);
        return None;
    }
    Some(name.clone())
}
