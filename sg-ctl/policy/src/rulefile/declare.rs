//! Macros that declare the shape of rule files: names to choose from, mappings with fixed keys.
//!
//! One declaration gives the type, its decoder and its JSON schema, so that they cannot differ.

use std::fmt;

use serde::de::{DeserializeOwned, IntoDeserializer};

use super::decode::{Cursor, nearest};
use super::error::Problems;

/// A text that is not one of the names of an enumeration.
#[derive(Debug)]
struct UnknownName(&'static [&'static str]);

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write one of {}", self.0.join(", "))
    }
}

impl std::error::Error for UnknownName {}

impl serde::de::Error for UnknownName {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(&[])
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self(expected)
    }
}

/// Reads one of the names of an enumeration, as serde knows them.
pub(super) fn name<T: DeserializeOwned>(
    cursor: Cursor<'_>,
    problems: &mut Problems<'_>,
) -> Option<T> {
    let text = cursor.scalar("one word", problems)?;
    let known: Result<T, UnknownName> = T::deserialize(text.into_deserializer());
    match known {
        Ok(value) => Some(value),
        Err(UnknownName(names)) => {
            let help = match nearest(text, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => UnknownName(names).to_string(),
            };
            cursor.refuse(problems, format!("`{text}` is not known here"), help)
        }
    }
}

/// Implements `Decode` for enumerations of names.
macro_rules! decode_names {
    ($($name:ty),* $(,)?) => {$(
        impl $crate::rulefile::decode::Decode for $name {
            fn decode(
                cursor: $crate::rulefile::decode::Cursor<'_>,
                problems: &mut $crate::rulefile::error::Problems<'_>,
            ) -> Option<Self> {
                $crate::rulefile::declare::name(cursor, problems)
            }
        }
    )*};
}

/// Defines a mapping with fixed keys: the struct, its decoder and its JSON schema.
macro_rules! mapping {
    ($(
        $(#[$doc:meta])*
        $name:ident { $( $(#[$key_doc:meta])* $key:ident: $type:ty, )* }
    )*) => {$(
        #[derive(Debug, Default, schemars::JsonSchema)]
        $(#[$doc])*
        #[schemars(default, deny_unknown_fields)]
        pub(super) struct $name {
            $( $(#[$key_doc])* pub(super) $key: $crate::rulefile::decode::Field<$type>, )*
        }

        impl $crate::rulefile::decode::Decode for $name {
            fn decode(
                cursor: $crate::rulefile::decode::Cursor<'_>,
                problems: &mut $crate::rulefile::error::Problems<'_>,
            ) -> Option<Self> {
                use $crate::rulefile::decode::{Cursor, Field, Path, distinct_keys, refuse_key};
                let known = [$( stringify!($key).trim_start_matches("r#") ),*];
                let mut decoded = Self::default();
                for (name, key, value) in distinct_keys(cursor, problems)? {
                    let path = Path::Key(cursor.path, name);
                    let value = Cursor { node: value, path: &path };
                    match name {
                        $( _ if name == stringify!($key).trim_start_matches("r#") => {
                            decoded.$key = Field::decode(value, problems);
                        } )*
                        _ => refuse_key(Cursor { node: key, path: &path }, name, &known, problems),
                    }
                }
                Some(decoded)
            }
        }
    )*};
}

pub(super) use {decode_names, mapping};
