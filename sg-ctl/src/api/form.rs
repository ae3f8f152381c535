//! The parameters of a call: numbered keys such as `IpPermissions.1.IpRanges.2.CidrIp`, as a tree.
//!
//! A form remembers what it was asked for. What nobody asked for is refused: a parameter that nobody
//! understands may be the one that was to keep something closed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::refusal::Refusal;

/// Most entries of one list.
const MOST_ENTRIES: usize = 1000;
/// Most parameters of one call.
const MOST_PARAMETERS: usize = 20_000;

/// The parameters of a call.
#[derive(Debug, Default)]
pub struct Form {
    values: BTreeMap<String, String>,
    used: Mutex<BTreeSet<String>>,
}

impl Form {
    /// Reads pairs from the texts of a query and of a body.
    ///
    /// # Errors
    /// When a parameter is given twice, or when there are too many.
    pub fn parse(query: &str, body: &[u8]) -> Result<Self, Refusal> {
        let pairs = form_urlencoded::parse(query.as_bytes()).chain(form_urlencoded::parse(body));
        Self::of(pairs.map(|(key, value)| (key.into_owned(), value.into_owned())))
    }

    /// The form of these pairs.
    ///
    /// # Errors
    /// When a parameter is given twice, or when there are too many.
    pub fn of(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, Refusal> {
        let mut values = BTreeMap::new();
        for (key, value) in pairs {
            if values.len() == MOST_PARAMETERS {
                return Err(Refusal::bad("The request has too many parameters"));
            }
            let name = key.clone();
            if values.insert(key, value).is_some() {
                return Err(Refusal::bad(format!(
                    "The parameter {name} may only be given once"
                )));
            }
        }
        Ok(Self {
            values,
            used: Mutex::default(),
        })
    }

    fn used(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The whole form as a part of itself.
    pub fn root(&self) -> Part<'_> {
        Part {
            form: self,
            prefix: String::new(),
        }
    }

    /// The value of a parameter.
    pub fn get(&self, key: &str) -> Option<&str> {
        let value = self.values.get(key)?;
        self.used().insert(key.to_owned());
        Some(value)
    }

    /// The value of a parameter that must be there.
    ///
    /// # Errors
    /// `MissingParameter` when it is not, or is empty.
    pub fn need(&self, key: &str) -> Result<&str, Refusal> {
        match self.get(key) {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(Refusal::missing(key)),
        }
    }

    /// The texts of a list.
    ///
    /// # Errors
    /// When it is too long or its numbers are none.
    pub fn list(&self, key: &str) -> Result<Vec<&str>, Refusal> {
        self.root_list("", key)
    }

    /// The structures of a list.
    ///
    /// # Errors
    /// When it is too long or its numbers are none.
    pub fn parts(&self, key: &str) -> Result<Vec<Part<'_>>, Refusal> {
        self.root().parts(key)
    }

    /// Whether a switch is on.
    pub fn flag(&self, key: &str) -> bool {
        self.get(key) == Some("true")
    }

    /// The first parameter that nobody asked for.
    pub fn unused(&self) -> Option<&str> {
        let used = self.used();
        let mut keys = self.values.keys();
        keys.find(|key| !used.contains(*key)).map(String::as_str)
    }

    /// All parameters, in order.
    pub fn pairs(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    fn root_list(&self, prefix: &str, key: &str) -> Result<Vec<&str>, Refusal> {
        let prefix = format!("{prefix}{key}.");
        let mut found = Vec::new();
        for number in self.numbers(&prefix)? {
            found.extend(self.get(&format!("{prefix}{number}")));
        }
        Ok(found)
    }

    /// The numbers that follow a prefix, in their order; gaps lose nothing.
    fn numbers(&self, prefix: &str) -> Result<BTreeSet<u32>, Refusal> {
        let mut numbers = BTreeSet::new();
        let range = self.values.range(prefix.to_owned()..);
        for (key, _) in range.take_while(|(key, _)| key.starts_with(prefix)) {
            let rest = &key[prefix.len()..];
            let digits = rest.split_once('.').map_or(rest, |(digits, _)| digits);
            // `1` and `01` would be two names of one thing.
            let is_number = !digits.starts_with('0')
                && digits.len() <= 9
                && digits.bytes().all(|byte| byte.is_ascii_digit());
            if let (true, Ok(number)) = (is_number, digits.parse()) {
                numbers.insert(number);
            }
        }
        if numbers.len() > MOST_ENTRIES {
            let list = prefix.trim_end_matches('.');
            return Err(Refusal::bad(format!(
                "The list {list} has more than {MOST_ENTRIES} entries"
            )));
        }
        Ok(numbers)
    }
}

/// What stands below a prefix of a form.
#[derive(Clone, Debug)]
pub struct Part<'f> {
    form: &'f Form,
    prefix: String,
}

impl<'f> Part<'f> {
    /// The value of a parameter.
    pub fn get(&self, key: &str) -> Option<&'f str> {
        self.form.get(&format!("{}{key}", self.prefix))
    }

    /// The texts of a list.
    ///
    /// # Errors
    /// When it is too long.
    pub fn list(&self, key: &str) -> Result<Vec<&'f str>, Refusal> {
        self.form.root_list(&self.prefix, key)
    }

    /// The structures of a list.
    ///
    /// # Errors
    /// When it is too long.
    pub fn parts(&self, key: &str) -> Result<Vec<Self>, Refusal> {
        let prefix = format!("{}{key}.", self.prefix);
        let numbers = self.form.numbers(&prefix)?.into_iter();
        Ok(numbers
            .map(|number| Self {
                form: self.form,
                prefix: format!("{prefix}{number}."),
            })
            .collect())
    }

    /// What stands below one key.
    #[must_use]
    pub fn part(&self, key: &str) -> Self {
        Self {
            form: self.form,
            prefix: format!("{}{key}.", self.prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Form {
        Form::parse(text, b"").expect("a form")
    }

    #[test]
    fn lists_are_read_in_the_order_of_their_numbers_across_gaps() {
        let form = form("A.10=ten&A.2=two&A.x=no&A=bare");
        assert_eq!(form.list("A").expect("a list"), ["two", "ten"]);
        assert_eq!(form.unused(), Some("A"));
    }

    #[test]
    fn structures_know_their_parts() {
        let form = form("P.1.R.1.C=a&P.1.R.3.C=b&P.2.N=n");
        let parts = form.parts("P").expect("a list");
        let inner = parts[0].parts("R").expect("a list");
        let texts: Vec<_> = inner.iter().filter_map(|part| part.get("C")).collect();
        assert_eq!(texts, ["a", "b"]);
        assert_eq!(form.unused(), Some("P.2.N"));
        assert_eq!(parts[1].get("N"), Some("n"));
        assert_eq!(form.unused(), None);
    }

    #[test]
    fn what_is_said_twice_or_too_often_is_refused() {
        assert!(Form::parse("A=1", b"A=2").is_err());
        let many: String = (1..=1001).fold(String::new(), |text, n| format!("{text}&A.{n}=x"));
        assert!(form(&many).list("A").is_err());
    }
}
