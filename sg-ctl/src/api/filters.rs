//! Filters: which of the things that a call describes are shown.

use std::collections::BTreeMap;

use super::form::Form;
use super::refusal::Refusal;

/// Most values of one filter.
const MOST_VALUES: usize = 200;
/// Bytes of the longest value: EC2 takes 255 characters.
const MOST_BYTES: usize = 255 * 4;

/// The tags of a thing.
pub type Tags = BTreeMap<String, String>;

/// What a filter can ask of a thing.
pub trait Filtered {
    /// The values of a filter's name; `None` for a name that is not known.
    fn values(&self, name: &str) -> Option<Vec<String>>;

    /// The tags.
    fn tags(&self) -> Option<&Tags> {
        None
    }
}

/// One filter.
struct Filter<'f> {
    name: &'f str,
    values: Vec<&'f str>,
}

impl Filter<'_> {
    fn is_met(&self, value: &str) -> bool {
        self.values.iter().any(|pattern| matches(pattern, value))
    }

    fn takes(&self, thing: &impl Filtered) -> Result<bool, Refusal> {
        if let Some(tags) = thing.tags() {
            if let Some(key) = self.name.strip_prefix("tag:") {
                return Ok(tags.get(key).is_some_and(|value| self.is_met(value)));
            }
            match self.name {
                "tag-key" => return Ok(tags.keys().any(|key| self.is_met(key))),
                "tag-value" => return Ok(tags.values().any(|value| self.is_met(value))),
                _ => {}
            }
        }
        let values = thing.values(self.name);
        let values = values.ok_or_else(|| Refusal::filter(self.name))?;
        Ok(values.iter().any(|value| self.is_met(value)))
    }
}

/// The filters of a call: a thing is shown if it meets all of them, by any value of each.
pub struct Filters<'f>(Vec<Filter<'f>>);

impl<'f> Filters<'f> {
    /// Reads `Filter.N.Name` and `Filter.N.Value.M`.
    ///
    /// # Errors
    /// When one has no name or too many values.
    pub fn of(form: &'f Form) -> Result<Self, Refusal> {
        let mut filters = Vec::new();
        for part in form.parts("Filter")? {
            let name = part
                .get("Name")
                .ok_or_else(|| Refusal::missing("Filter.Name"))?;
            let values = part.list("Value")?;
            if values.len() > MOST_VALUES {
                return Err(Refusal::bad(format!(
                    "The filter '{name}' has more than {MOST_VALUES} values"
                )));
            }
            if values.iter().any(|value| value.len() > MOST_BYTES) {
                return Err(Refusal::bad(format!(
                    "The filter '{name}' has a value of more than {MOST_BYTES} bytes"
                )));
            }
            filters.push(Filter { name, values });
        }
        Ok(Self(filters))
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'f str, &[&'f str])> {
        self.0
            .iter()
            .map(|each| (each.name, each.values.as_slice()))
    }

    /// Those that meet all filters; `example` is one that knows every name, for when there are none.
    ///
    /// # Errors
    /// When a filter's name is not known.
    pub fn select<T: Filtered>(&self, things: Vec<T>, known: &[&str]) -> Result<Vec<T>, Refusal> {
        for Filter { name, .. } in &self.0 {
            let is_tag = name.starts_with("tag:") || matches!(*name, "tag-key" | "tag-value");
            if !is_tag && !known.contains(name) {
                return Err(Refusal::filter(name));
            }
        }
        let mut selected = Vec::new();
        'things: for thing in things {
            for filter in &self.0 {
                if !filter.takes(&thing)? {
                    continue 'things;
                }
            }
            selected.push(thing);
        }
        Ok(selected)
    }
}

/// Whether a value matches a pattern: `*` stands for any characters, `?` for one, `\` takes the meaning
/// from the next. Linear in both but for patterns with many stars, where it is their product.
fn matches(pattern: &str, value: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let value: Vec<char> = value.chars().collect();
    let (mut p, mut v) = (0, 0);
    // Where to go on when what follows the last star does not match.
    let mut again: Option<(usize, usize)> = None;
    while v < value.len() {
        match pattern.get(p) {
            Some('*') => {
                again = Some((p + 1, v));
                p += 1;
                continue;
            }
            Some('?') => {
                p += 1;
                v += 1;
                continue;
            }
            Some('\\') if pattern.get(p + 1) == Some(&value[v]) => {
                p += 2;
                v += 1;
                continue;
            }
            Some(sign) if *sign == value[v] => {
                p += 1;
                v += 1;
                continue;
            }
            _ => {}
        }
        let Some((after, from)) = again else {
            return false;
        };
        again = Some((after, from + 1));
        (p, v) = (after, from + 1);
    }
    pattern[p..].iter().all(|sign| *sign == '*')
}

#[cfg(test)]
mod tests {
    use super::{Filters, Form, MOST_BYTES, MOST_VALUES, matches};

    #[test]
    fn filters_of_many_or_long_values_are_refused() {
        let filters = |values: Vec<String>| {
            let name = ("Filter.1.Name".to_owned(), "group-name".to_owned());
            let numbered = values.into_iter().enumerate();
            let values = numbered.map(|(i, value)| (format!("Filter.1.Value.{}", i + 1), value));
            let form = Form::of(std::iter::once(name).chain(values)).unwrap();
            Filters::of(&form)
                .map(|_| ())
                .map_err(|refusal| refusal.message)
        };
        let of = |values: usize, bytes: usize| filters(vec!["a".repeat(bytes); values]);
        assert_eq!(of(MOST_VALUES, MOST_BYTES), Ok(()));
        assert!(of(MOST_VALUES + 1, 1).unwrap_err().contains("200 values"));
        assert!(of(1, MOST_BYTES + 1).unwrap_err().contains("1020 bytes"));
    }

    #[test]
    fn patterns_match_as_on_aws() {
        for (pattern, value, is_match) in [
            ("web", "web", true),
            ("web", "Web", false),
            ("web*", "web-1", true),
            ("*-1", "web-1", true),
            ("w*b*1", "web-b-1", true),
            ("w?b", "web", true),
            ("w?b", "wb", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("[a]", "a", false),
            ("*a", "aab", false),
        ] {
            assert_eq!(matches(pattern, value), is_match, "{pattern} {value}");
        }
    }
}
