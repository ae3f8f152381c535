//! Texts that rule files do not take: shortened or cleaned, and reported.

use std::collections::{BTreeMap, HashMap};

use crate::model::text;
use crate::text::report::{At, Problems};

/// `given` as a name or description may be; `what` it is.
pub(super) fn clean(given: &str, what: &str, at: &At, problems: &mut Problems<'_>) -> String {
    let cleaned: String = given
        .chars()
        .map(|sign| if text::is_allowed(sign) { sign } else { '_' })
        .take(text::MAX_LENGTH)
        .collect();
    if cleaned != given {
        let message = format!("the {what} holds signs that AWS does not take, or too many");
        problems.warning(at, message, format!("it is imported as `{cleaned}`"));
    }
    cleaned
}

/// The tags that a rule file takes; the others are reported.
pub(super) fn tags(
    given: &[(String, String)],
    at: &At,
    problems: &mut Problems<'_>,
) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    let mut left_out = Vec::new();
    for (key, value) in given {
        if kept.len() < text::MAX_TAGS && text::is_tag(key, value) {
            kept.insert(key.clone(), value.clone());
        } else {
            left_out.push(key.as_str());
        }
    }
    if !left_out.is_empty() {
        let message = format!("tags not carried over: {}", left_out.join(", "));
        let help = "keys with `aws:` belong to AWS; a group has at most 50 tags, with keys of at \
                    most 127 and values of at most 256 characters";
        problems.warning(at, message, help);
    }
    kept
}

/// Names that are taken: names differ in more than upper and lower case.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// How often each was asked for.
    taken: HashMap<String, u32>,
}

impl Names {
    /// Takes a name if it is free.
    pub(super) fn take(&mut self, name: &str) -> bool {
        let asked = self.taken.entry(name.to_lowercase()).or_default();
        *asked += 1;
        *asked == 1
    }

    /// Takes the first free name of `NAME@PLACE` for places that tell groups of one name apart,
    /// else one with a number.
    pub(super) fn place(&mut self, name: &str, places: impl Iterator<Item = String>) -> String {
        for place in places {
            let candidate = fit(name, &place);
            if self.take(&candidate) {
                return candidate;
            }
        }
        loop {
            let asked = self.taken.entry(name.to_lowercase()).or_default();
            *asked += 1;
            let candidate = match *asked {
                1 => name.to_owned(),
                number => fit(name, &number.to_string()),
            };
            if candidate == name || self.take(&candidate) {
                return candidate;
            }
        }
    }
}

/// A key without the file that it is of.
pub(super) fn short(key: &str) -> String {
    let id = key.rsplit_once('#').map_or(key, |(_, id)| id);
    id.strip_prefix("name:").unwrap_or(id).to_owned()
}

/// A name as long as names may be.
pub(super) fn cut(name: &str) -> String {
    name.chars().take(text::MAX_LENGTH).collect()
}

/// `name@suffix`, both as long as a name may be.
fn fit(name: &str, suffix: &str) -> String {
    let suffix: String = suffix
        .chars()
        .filter(|sign| text::is_allowed(*sign))
        .take(100)
        .collect();
    let room = text::MAX_LENGTH - suffix.len() - 1;
    let name: String = name.chars().take(room).collect();
    format!("{name}@{suffix}").trim_end().to_owned()
}
