//! Prefix lists: nested ones are resolved, so that the model holds flat sets.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ipnet::IpNet;

use super::decode::{Cursor, Decode, Field, Located, nearest};
use super::document::Value;
use super::error::{At, Problems};
use super::merge::Section;
use super::names;
use super::peer::ListEntry;
use super::scalar::Count;
use super::syntax;
use crate::model::{Limits, PrefixList};

/// Lists that may stand in each other.
const MAX_DEPTH: usize = 16;

impl Decode for syntax::PrefixList {
    fn decode(cursor: Cursor<'_>, problems: &mut Problems<'_>) -> Option<Self> {
        match cursor.node.value {
            Value::Mapping(_) => {
                let sized = syntax::SizedPrefixList::decode(cursor, problems)?;
                if sized.entries.is_absent() {
                    let help = "write `entries: [203.0.113.0/24]`";
                    return cursor.refuse(problems, "the list has no entries", help);
                }
                Some(Self::Sized(sized))
            }
            _ => Vec::decode(cursor, problems).map(Self::Entries),
        }
    }
}

/// A list as written.
struct Written {
    at: At,
    entries: Vec<Located<ListEntry>>,
    max_entries: Option<Located<Count>>,
}

/// All prefix lists, by name.
#[derive(Default)]
pub(super) struct Lists(pub(super) BTreeMap<String, PrefixList>);

impl Lists {
    /// Resolves all lists. `written` holds names that differ.
    pub(super) fn new(
        written: Section<Located<syntax::PrefixList>>,
        limits: &Limits,
        problems: &mut Problems<'_>,
    ) -> Self {
        let mut lists = BTreeMap::new();
        for (given, list) in written {
            let name = names::name(&given, "prefix list", problems);
            let (entries, max_entries) = match list.map(|list| list.value) {
                None => (Vec::new(), None),
                Some(syntax::PrefixList::Entries(entries)) => (entries, None),
                Some(syntax::PrefixList::Sized(sized)) => (
                    sized.entries.into_given().unwrap_or_default(),
                    sized.max_entries.into_given(),
                ),
            };
            report_repeated(&entries, problems);
            lists.insert(
                name,
                Written {
                    at: given.at,
                    entries,
                    max_entries,
                },
            );
        }
        let mut resolver = Resolver {
            written: &lists,
            flat: HashMap::new(),
            trail: Vec::new(),
        };
        for (name, list) in &lists {
            resolver.flatten(name, &list.at, problems);
        }
        let mut flat = resolver.flat;
        let sized = lists.iter().map(|(name, list)| {
            let entries = flat.remove(name.as_str()).unwrap_or_default();
            (name.clone(), sized(list, entries, limits, problems))
        });
        Self(sized.collect())
    }

    /// The name of the list called `text`; reports if there is none.
    pub(super) fn resolve(
        &self,
        text: &str,
        at: &At,
        problems: &mut Problems<'_>,
    ) -> Option<String> {
        if self.0.contains_key(text) {
            return Some(text.to_owned());
        }
        report_unknown(text, at, self.0.keys(), problems);
        None
    }
}

fn report_unknown<'n>(
    name: &str,
    at: &At,
    known: impl Iterator<Item = &'n String>,
    problems: &mut Problems<'_>,
) {
    let help = match nearest(name, known.map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "define it under `prefix_lists`".to_owned(),
    };
    problems.error(at, format!("there is no prefix list `{name}`"), help);
}

/// Reports entries that stand in a list twice.
fn report_repeated(entries: &[Located<ListEntry>], problems: &mut Problems<'_>) {
    let mut seen = BTreeSet::new();
    for entry in entries {
        if let ListEntry::Range(net) = entry.value
            && !seen.insert(net)
        {
            problems.error(
                &entry.at,
                format!("{net} stands in the list twice"),
                "keep one of them",
            );
        }
    }
}

/// The list with its size, which must hold its entries and keep the quota.
fn sized(
    list: &Written,
    entries: BTreeSet<IpNet>,
    limits: &Limits,
    problems: &mut Problems<'_>,
) -> PrefixList {
    let count = entries.len() as u32;
    let max_entries = list.max_entries.as_ref().map(|max| max.value.0);
    let at = list.max_entries.as_ref().map_or(&list.at, |max| &max.at);
    if let Some(max) = max_entries
        && max < count
    {
        let message = format!("the list has {count} entries, more than its size {max}");
        problems.error(
            at,
            message,
            format!("write `max_entries: {count}`, or more"),
        );
    }
    let size = max_entries.unwrap_or(count);
    if size > limits.prefix_list_entries {
        let limit = limits.prefix_list_entries;
        let message = format!("the list's size {size} exceeds the limit of {limit} entries");
        problems.error(
            at,
            message,
            format!("set `limits: {{prefix_list_entries: {size}}}`"),
        );
    }
    PrefixList {
        entries,
        max_entries,
    }
}

/// Flattens lists, each once.
struct Resolver<'l> {
    written: &'l BTreeMap<String, Written>,
    flat: HashMap<&'l str, BTreeSet<IpNet>>,
    /// The lists that are being flattened, the outermost first.
    trail: Vec<&'l str>,
}

impl Resolver<'_> {
    /// Makes sure that `flat` holds the list called `name`, which `at` refers to.
    fn flatten(&mut self, name: &str, at: &At, problems: &mut Problems<'_>) {
        if self.flat.contains_key(name) {
            return;
        }
        let written = self.written;
        let Some((name, list)) = written.get_key_value(name) else {
            return report_unknown(name, at, written.keys(), problems);
        };
        if self.trail.contains(&name.as_str()) {
            let trail = [&self.trail[..], &[name.as_str()]].concat().join(" → ");
            let help = format!("remove one of the references: {trail}");
            return problems.error(
                at,
                format!("the prefix list `{name}` contains itself"),
                help,
            );
        }
        if self.trail.len() == MAX_DEPTH {
            let help = "list the ranges themselves";
            let message = format!("prefix lists stand in each other more than {MAX_DEPTH} deep");
            return problems.error(at, message, help);
        }
        self.trail.push(name);
        let mut entries = BTreeSet::new();
        for entry in &list.entries {
            match &entry.value {
                ListEntry::Range(net) => {
                    entries.insert(*net);
                }
                ListEntry::List(inner) => {
                    self.flatten(inner, &entry.at, problems);
                    entries.extend(self.flat.get(inner.as_str()).into_iter().flatten());
                }
            }
        }
        self.trail.pop();
        self.flat.insert(name, entries);
    }
}

impl Field<Located<Count>> {
    /// The number given, or `default`.
    pub(super) fn count_or(&self, default: u32) -> u32 {
        self.given().map_or(default, |count| count.value.0)
    }
}
