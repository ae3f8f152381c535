//! From the document tree to typed values, reporting everything that does not fit.
//!
//! Decoding goes on after an error, so that one run reports all of them. A value that was refused
//! stays known as [`Field::Refused`]: nobody then complains that it is missing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::document::{Node, Value};
use super::error::{At, Problems};

/// The keys that lead to a node, rendered only when something is reported.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path<'a> {
    /// The document itself.
    Root,
    /// A key of a mapping.
    Key(&'a Path<'a>, &'a str),
    /// An item of a list, from 0.
    Item(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |key: &str| {
            !key.is_empty()
                && key
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_-/".contains(&b))
        };
        match *self {
            Self::Root => Ok(()),
            Self::Key(Self::Root, key) => f.write_str(key),
            Self::Key(parent, key) if is_plain(key) => write!(f, "{parent}.{key}"),
            Self::Key(parent, key) => write!(f, "{parent}.{key:?}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// A node and how it was reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    /// The node.
    pub(super) node: &'a Node,
    /// The keys that lead to it.
    pub(super) path: &'a Path<'a>,
}

impl Cursor<'_> {
    /// The place for reports.
    pub(super) fn at(&self) -> At {
        At {
            span: self.node.span,
            field: self.path.to_string(),
        }
    }

    /// Reports an error in this place.
    pub(super) fn refuse<T>(
        &self,
        problems: &mut Problems<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Option<T> {
        problems.error(&self.at(), message, help);
        None
    }

    /// The text of a scalar, or a report that `expected` should stand here.
    pub(super) fn scalar(&self, expected: &str, problems: &mut Problems<'_>) -> Option<&str> {
        match &self.node.value {
            Value::Scalar(text) => Some(text),
            Value::Null => self.refuse_null(expected, problems),
            Value::List(_) => self.refuse(problems, "is a list", format!("write {expected}")),
            Value::Mapping(_) => self.refuse(problems, "is a mapping", format!("write {expected}")),
        }
    }

    fn refuse_null<T>(&self, expected: &str, problems: &mut Problems<'_>) -> Option<T> {
        self.refuse(
            problems,
            "has no value",
            format!("write {expected}, or leave the key out"),
        )
    }
}

/// A value that stands in a rule file.
pub(super) trait Decode: Sized {
    /// Reads the value; `None` after a report.
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self>;
}

/// A key of a mapping.
#[derive(Debug, Default)]
pub(super) enum Field<T> {
    /// The key was left out.
    #[default]
    Absent,
    /// The key is there, its value was reported as wrong.
    Refused,
    /// The key's value.
    Given(T),
}

impl<T> Field<T> {
    /// Reads the value of a key that is there.
    pub(super) fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Self
    where
        T: Decode,
    {
        T::decode(cursor, problems).map_or(Self::Refused, Self::Given)
    }

    /// The value, if there is a good one.
    pub(super) const fn given(&self) -> Option<&T> {
        match self {
            Self::Given(value) => Some(value),
            Self::Absent | Self::Refused => None,
        }
    }

    /// The value, if there is a good one.
    pub(super) fn into_given(self) -> Option<T> {
        match self {
            Self::Given(value) => Some(value),
            Self::Absent | Self::Refused => None,
        }
    }

    /// Whether the key was left out.
    pub(super) const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Whether the key is there with a value that was reported.
    pub(super) const fn is_refused(&self) -> bool {
        matches!(self, Self::Refused)
    }
}

/// A value that remembers its place.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    /// The value.
    pub(super) value: T,
    /// Its place.
    pub(super) at: At,
}

impl<T: Decode> Decode for Located<T> {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        Some(Self {
            value: T::decode(cursor, problems)?,
            at: cursor.at(),
        })
    }
}

/// A mapping whose keys are names that the user chose, in the order of the file. An entry whose
/// value was refused keeps its name, so that nobody complains about an unknown one.
#[derive(Debug)]
pub(super) struct Entries<T>(pub(super) Vec<(Located<String>, Option<T>)>);

impl<T: Decode> Decode for Entries<T> {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        let mut entries = Vec::new();
        for (name, key, value) in distinct_keys(cursor, problems)? {
            let path = Path::Key(cursor.path, name);
            let at = Cursor {
                node: key,
                path: &path,
            }
            .at();
            let value = T::decode(
                Cursor {
                    node: value,
                    path: &path,
                },
                problems,
            );
            entries.push((
                Located {
                    value: name.to_owned(),
                    at,
                },
                value,
            ));
        }
        Some(Self(entries))
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        each_item(cursor, problems, T::decode)
    }
}

/// Reads a list item by item; a list with an item that was refused is refused.
pub(super) fn each_item<'s, T>(
    cursor: Cursor<'_>,
    problems: &mut Problems<'s>,
    mut decode: impl FnMut(Cursor<'_>, &mut Problems<'s>) -> Option<T>,
) -> Option<Vec<T>> {
    let items = match &cursor.node.value {
        Value::List(items) => items,
        Value::Null => return cursor.refuse_null("a list (`[]` if it is empty)", problems),
        _ => return cursor.refuse(problems, "is not a list", "write `[…]`, or lines with `-`"),
    };
    let mut decoded = Vec::with_capacity(items.len());
    for (index, node) in items.iter().enumerate() {
        let path = Path::Item(cursor.path, index);
        decoded.extend(decode(Cursor { node, path: &path }, problems));
    }
    (decoded.len() == items.len()).then_some(decoded)
}

/// The entries of a mapping as (key, key's node, value); repeated keys are reported and left out.
pub(super) fn distinct_keys<'n>(
    cursor: Cursor<'n>,
    problems: &mut Problems<'_>,
) -> Option<Vec<(&'n str, &'n Node, &'n Node)>> {
    let entries = match &cursor.node.value {
        Value::Mapping(entries) => entries,
        Value::Null => return cursor.refuse_null("a mapping (`{}` if it is empty)", problems),
        _ => return cursor.refuse(problems, "is not a mapping", "write lines of `key: value`"),
    };
    let mut first: HashMap<&str, &Node> = HashMap::new();
    let mut distinct = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let Value::Scalar(name) = &key.value else {
            let cursor = Cursor {
                node: key,
                path: cursor.path,
            };
            cursor.refuse::<()>(
                problems,
                "a key is not text",
                "write a name before the colon",
            );
            continue;
        };
        if let Some(earlier) = first.insert(name, key) {
            let path = Path::Key(cursor.path, name);
            let message = format!(
                "the key stands here twice, first in line {}",
                problems.places().find(earlier.span.start).line
            );
            let cursor = Cursor {
                node: key,
                path: &path,
            };
            cursor.refuse::<()>(problems, message, "keep one of the two");
            continue;
        }
        distinct.push((&**name, key, value));
    }
    Some(distinct)
}

/// Reports a key that means nothing here.
pub(super) fn refuse_key(
    cursor: Cursor<'_>,
    key: &str,
    known: &[&str],
    problems: &mut Problems<'_>,
) {
    let help = match nearest(key, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known keys here: {}", known.join(", ")),
    };
    cursor.refuse::<()>(problems, "unknown key", help);
}

/// The one of `candidates` that `text` is probably a misspelling of: a third of its letters may
/// differ, but not all of them.
pub(super) fn nearest<'c>(
    text: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let text = text.to_lowercase();
    let length = text.chars().count();
    let allowed = (length / 3).clamp(1, 3).min(length.saturating_sub(1));
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&text, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Forwards the JSON schema of a wrapper to what it wraps.
macro_rules! forward_schema {
    ($($wrapper:ident),*) => {$(
        impl<T: JsonSchema> JsonSchema for $wrapper<T> {
            fn inline_schema() -> bool {
                T::inline_schema()
            }

            fn schema_name() -> Cow<'static, str> {
                T::schema_name()
            }

            fn schema_id() -> Cow<'static, str> {
                T::schema_id()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                T::json_schema(generator)
            }
        }
    )*};
}

forward_schema!(Field, Located);

impl<T: JsonSchema> JsonSchema for Entries<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        HashMap::<String, T>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        HashMap::<String, T>::json_schema(generator)
    }
}
