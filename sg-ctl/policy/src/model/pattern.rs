//! Entries of `interfaces` that stand for every interface whose name matches.

pub use glob::{Pattern, PatternError};

use super::{InterfaceSpec, Model};

/// Most bytes of an interface name (the kernel's `IFNAMSIZ`, less the final zero).
pub(crate) const MAX_INTERFACE_NAME: usize = 15;
/// Most bytes of a pattern of names: room for a class in place of most characters.
pub(crate) const MAX_PATTERN: usize = 64;

/// Whether a name of rule files stands for every interface that matches it, and not for one.
pub fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

fn matches(pattern: &str, name: &str) -> bool {
    is_pattern(pattern) && Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(name))
}

/// The entry that counts for a name: its own, else the longest pattern that matches it; of patterns as
/// long, the first in alphabetical order, in which they come.
pub(super) fn best<'m>(
    entries: impl DoubleEndedIterator<Item = (&'m str, &'m InterfaceSpec)>,
    name: &str,
) -> Option<&'m InterfaceSpec> {
    let entries = entries.rev();
    let matching = entries.filter(|(key, _)| *key == name || matches(key, name));
    // Of equals the last one, and these come backwards.
    let best = matching.max_by_key(|(key, _)| (*key == name, key.len()));
    best.map(|(_, spec)| spec)
}

impl Model {
    /// How the rules guard an interface: as the entry of its name says, else as the longest pattern
    /// that matches it; of patterns as long, the first in alphabetical order.
    pub fn interface(&self, name: &str) -> Option<&InterfaceSpec> {
        let exact = self.interfaces.get(name);
        let entries = || {
            self.interfaces
                .iter()
                .map(|(key, spec)| (key.as_str(), spec))
        };
        exact.or_else(|| best(entries(), name))
    }

    /// Whether the rules ask that an interface be guarded. No pattern means a loopback.
    pub fn wants(&self, interface: &str, is_loopback: bool) -> bool {
        if is_loopback {
            self.interfaces.contains_key(interface)
        } else {
            self.interface(interface).is_some()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(names: &[&str]) -> Model {
        let mut model = Model::new();
        for name in names {
            let spec = InterfaceSpec {
                groups: vec![(*name).to_owned()],
                ..InterfaceSpec::default()
            };
            model.interfaces.insert((*name).to_owned(), spec);
        }
        model
    }

    #[test]
    fn a_name_wins_over_patterns_and_the_longest_of_these() {
        let model = model(&["*", "tap*", "tap[0-9]", "tap[1-9]", "tap?", "tap7", "xtap"]);
        let entry = |name: &str| Some(model.interface(name)?.groups[0].as_str());
        assert_eq!(entry("tap7"), Some("tap7"));
        assert_eq!(entry("tap8"), Some("tap[0-9]"));
        assert_eq!(entry("tap0"), Some("tap[0-9]"));
        assert_eq!(entry("tapx"), Some("tap*"));
        assert_eq!(entry("tap10"), Some("tap*"));
        assert_eq!(entry("xtap"), Some("xtap"));
        assert_eq!(entry("xtap0"), Some("*"));
    }

    #[test]
    fn names_match_as_a_whole() {
        let model = model(&["tap*", "eth[!0]"]);
        assert!(model.interface("xtap0").is_none());
        assert!(model.interface("Tap0").is_none());
        assert!(model.interface("eth0").is_none());
        assert!(model.interface("eth1").is_some());
    }

    #[test]
    fn a_loopback_is_asked_for_by_its_name() {
        assert!(!model(&["*"]).wants("lo", true));
        assert!(model(&["*", "lo"]).wants("lo", true));
        assert!(model(&["*"]).wants("eth0", false));
        assert!(!model(&["tap*"]).wants("eth0", false));
    }
}
