//! The rule files of tests.

use std::fmt::Write as _;

use sg_policy::{
    model::Model,
    rulefile::{self, Source},
};

/// Reads the text of a rule file.
pub(crate) fn read(rules: &str) -> Model {
    let source = Source {
        name: "rules.yaml".to_owned(),
        text: rules.to_owned(),
    };
    let parsed = rulefile::read(&[source]).unwrap_or_else(|report| panic!("{report}"));
    parsed.model
}

/// A rule file with one group, `tested`, which `eth0` carries.
pub(super) fn rules_of_one_group(group: &str) -> String {
    let mut rules = String::from("security_groups:\n  tested:\n");
    for line in unindented(group) {
        let _ = writeln!(rules, "    {line}");
    }
    rules.push_str("interfaces: { eth0: { groups: [tested] } }\n");
    rules
}

/// The lines of a text without the indentation that they have in common.
fn unindented(text: &str) -> impl Iterator<Item = &str> {
    let lines = || text.lines().filter(|line| !line.trim().is_empty());
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let common = lines().map(indentation).min().unwrap_or(0);
    lines().map(move |line| &line[common..])
}
