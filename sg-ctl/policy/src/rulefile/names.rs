//! What names, descriptions and tags may look like (aws-semantics §1.6).

use std::collections::BTreeMap;

use super::decode::{Entries, Located};
use super::error::{At, Problems};
use super::scalar::Text;
use crate::model::text::{self, MAX_LENGTH, MAX_TAG_KEY, MAX_TAG_VALUE, MAX_TAGS, SIGNS};
use crate::model::{
    DEFAULT_GROUP, GroupId, HostPattern, InvalidId, MAX_INTERFACE_NAME, MAX_PATTERN, Pattern,
    is_pattern,
};

/// Reports a text that is too long or holds a sign that AWS does not take.
fn check_text(text: &str, at: &At, what: &str, problems: &mut Problems<'_>) {
    let length = text.chars().count();
    if length > MAX_LENGTH {
        let help = format!("{MAX_LENGTH} are allowed: shorten it");
        problems.error(at, format!("the {what} has {length} characters"), help);
    }
    if let Some(sign) = text.chars().find(|sign| !text::is_allowed(*sign)) {
        let help = format!("allowed are a-z A-Z 0-9, space and {}", SIGNS.trim_start());
        problems.error(at, format!("the {what} holds the sign {sign:?}"), help);
    }
}

/// The name of a `what`, without spaces at its end (AWS N4); reports what AWS would not take.
pub(super) fn name(given: &Located<String>, what: &str, problems: &mut Problems<'_>) -> String {
    let name = given.value.trim_end();
    if name.is_empty() {
        let message = format!("the name of the {what} is empty");
        problems.error(&given.at, message, "give it a name");
    }
    check_text(name, &given.at, &format!("name of the {what}"), problems);
    name.to_owned()
}

/// The name of a group (AWS N2–N5); reports what AWS would not take.
pub(super) fn group_name(given: &Located<String>, problems: &mut Problems<'_>) -> String {
    let name = name(given, "group", problems);
    if name.starts_with("sg-") {
        let message = "the name of the group begins with `sg-`, like an id";
        let help =
            "choose another name; an id that AWS gave is kept by `id: sg-…` inside the group";
        problems.error(&given.at, message, help);
    }
    if name != DEFAULT_GROUP && name.eq_ignore_ascii_case(DEFAULT_GROUP) {
        let message = format!("`{name}` differs from the built-in group only in case");
        let help = format!("write `{DEFAULT_GROUP}` to define its rules");
        problems.error(&given.at, message, help);
    }
    name
}

/// A description, empty if left out; reports what AWS would not take.
pub(super) fn description(given: Option<&Located<Text>>, problems: &mut Problems<'_>) -> String {
    let Some(Located {
        value: Text(text),
        at,
    }) = given
    else {
        return String::new();
    };
    check_text(text, at, "description", problems);
    text.clone()
}

/// What tags should be.
const PLAIN: &str = "write one line of text that can be seen";

/// The tags of a group or rule (AWS N10).
pub(super) fn tags(
    given: Option<Entries<Located<Text>>>,
    problems: &mut Problems<'_>,
) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    for (index, (key, value)) in given.into_iter().flat_map(|entries| entries.0).enumerate() {
        if index == MAX_TAGS {
            let help = "remove tags that nobody reads";
            problems.error(
                &key.at,
                format!("there are more than {MAX_TAGS} tags"),
                help,
            );
        }
        if !text::is_tag_key(&key.value) {
            let help = format!("keys have 1 to {MAX_TAG_KEY} characters");
            problems.error(&key.at, "the key of the tag is empty or too long", help);
        }
        if !text::is_tag_text(&key.value) {
            problems.error(&key.at, "the key of the tag has control characters", PLAIN);
        }
        if text::is_reserved(&key.value) {
            let help = "choose another key: those with `aws:` belong to AWS";
            problems.error(&key.at, "the key of the tag begins with `aws:`", help);
        }
        let Some(Located {
            value: Text(value),
            at,
        }) = value
        else {
            continue;
        };
        if value.chars().count() > MAX_TAG_VALUE {
            let help = format!("values have at most {MAX_TAG_VALUE} characters");
            problems.error(&at, "the value of the tag is too long", help);
        }
        if !text::is_tag_text(&value) {
            problems.error(&at, "the value of the tag has control characters", PLAIN);
        }
        tags.insert(key.value, value);
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

/// The name of an interface, or a pattern of names; reports what the kernel would not take, and
/// patterns that mean nothing.
pub(super) fn interface_name(given: Located<String>, problems: &mut Problems<'_>) -> String {
    let Located { value: name, at } = given;
    let max = if is_pattern(&name) {
        MAX_PATTERN
    } else {
        MAX_INTERFACE_NAME
    };
    let has_shape = (1..=max).contains(&name.len())
        && !matches!(name.as_str(), "." | "..")
        && name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"/:".contains(&byte));
    if !has_shape {
        let help = format!(
            "interface names have 1 to {MAX_INTERFACE_NAME} characters without `/`, `:` and \
             spaces, patterns of names up to {MAX_PATTERN}"
        );
        problems.error(&at, format!("`{name}` cannot be an interface"), help);
    } else if let Err(error) = Pattern::new(&name) {
        let help = "`*` stands for any characters, `?` for one, `[0-9]` for one of these";
        problems.error(&at, format!("`{name}` is no pattern: {}", error.msg), help);
    }
    name
}

/// A name or pattern of hosts and their interfaces.
pub(super) fn host_pattern(
    given: &Located<String>,
    problems: &mut Problems<'_>,
) -> Option<HostPattern> {
    match given.value.parse() {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let help = format!(
                "write HOST/INTERFACE, such as `app-*/eth0`: host names have letters, digits, `.`, \
                 `-` and `_`, interface names 1 to {MAX_INTERFACE_NAME} characters; in both, `*` \
                 stands for any characters, `?` for one, `[0-9]` for one of these"
            );
            let error: crate::model::InvalidHostPattern = error;
            problems.error(&given.at, error.to_string(), help);
            None
        }
    }
}
