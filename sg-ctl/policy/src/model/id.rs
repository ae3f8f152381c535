//! Ids of groups and rules: AWS's shape, derived from content unless given.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Hexadecimal digits in an id that we derive, as in those AWS gives today.
const DERIVED_DIGITS: usize = 17;
/// Hexadecimal digits in the ids AWS gave until 2018.
const LEAST_DIGITS: usize = 8;

/// A text that is not an id of the expected kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id of the form {prefix}0123456789abcdef0")]
pub struct InvalidId {
    text: String,
    prefix: &'static str,
}

/// The first 17 hexadecimal digits of the SHA-256 of `parts`, each preceded by its length.
fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let nibbles = hash
        .finalize()
        .into_iter()
        .flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles
        .take(DERIVED_DIGITS)
        .filter_map(|nibble| char::from_digit(nibble.into(), 16))
        .collect()
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The id of these bits, of which 68 count.
            pub fn of_bits(bits: u128) -> Self {
                let digits = format!("{bits:032x}");
                Self(format!("{}{}", $prefix, &digits[digits.len() - DERIVED_DIGITS..]))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                match text.strip_prefix($prefix) {
                    Some(digits)
                        if (LEAST_DIGITS..=DERIVED_DIGITS).contains(&digits.len())
                            && digits.bytes().all(is_digit) =>
                    {
                        Ok(Self(text.to_owned()))
                    }
                    _ => Err(InvalidId { text: text.to_owned(), prefix: $prefix }),
                }
            }
        }
    };
}

id!(
    /// `sg-` and 8 to 17 hexadecimal digits.
    GroupId,
    "sg-"
);
id!(
    /// `sgr-` and 8 to 17 hexadecimal digits.
    RuleId,
    "sgr-"
);
id!(
    /// `pl-` and 8 to 17 hexadecimal digits.
    PrefixListId,
    "pl-"
);

impl GroupId {
    /// The id of the group called `name` when none is given.
    pub fn derived(name: &str) -> Self {
        Self(format!("sg-{}", digest(&["group", name])))
    }
}

impl PrefixListId {
    /// The id of the prefix list called `name` when none is given.
    pub fn derived(name: &str) -> Self {
        Self(derived_id("pl-", "prefix list", name))
    }
}

/// The AWS id of something that has only a name here: `prefix` and 17 hexadecimal digits.
pub fn derived_id(prefix: &str, kind: &str, name: &str) -> String {
    format!("{prefix}{}", digest(&[kind, name]))
}

impl RuleId {
    /// The id of the rule with this identity (AWS I1) when none is given.
    /// `identity` is direction, service and peer as text.
    pub(super) fn derived(group: &GroupId, identity: &[String; 3]) -> Self {
        let [direction, service, peer] = identity;
        Self(format!(
            "sgr-{}",
            digest(&["rule", group.as_str(), direction, service, peer])
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_are_ids_and_stay_the_same() {
        let id = GroupId::derived("web");
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
        assert_eq!(id, GroupId::derived("web"));
        assert_ne!(id, GroupId::derived("db"));
    }

    #[test]
    fn any_bits_make_an_id() {
        for bits in [0, 1, u128::MAX, 0xabc << 60] {
            let id = RuleId::of_bits(bits);
            assert_eq!(id.as_str().parse(), Ok(id.clone()));
        }
        assert_ne!(GroupId::of_bits(1), GroupId::of_bits(2));
    }

    #[test]
    fn lengths_keep_neighbouring_parts_apart() {
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
    }

    #[test]
    fn ids_have_a_prefix_and_8_to_17_lower_case_digits() {
        assert!("sg-903004f8".parse::<GroupId>().is_ok());
        for wrong in [
            "sg-903004f",
            "sg-0123456789abcdef01",
            "sg-903004F8",
            "sgr-903004f8",
            "web",
        ] {
            assert!(wrong.parse::<GroupId>().is_err(), "{wrong}");
        }
    }
}
