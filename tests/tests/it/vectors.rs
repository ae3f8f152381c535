//! No vector is silently left out.

use std::{collections::BTreeSet, env, process::Command};

/// The vectors that must have a test, or a line that says why not.
fn all() -> impl Iterator<Item = String> {
    [('r', 24), ('n', 7), ('g', 7), ('s', 22), ('m', 3)]
        .into_iter()
        .flat_map(|(letter, last)| (1..=last).map(move |number| format!("{letter}{number:02}")))
}

/// The vectors that tests of this program are named after.
fn tested() -> BTreeSet<String> {
    let output = Command::new(env::current_exe().expect("this test"))
        .arg("--list")
        .output()
        .expect("this test runs");
    let list = String::from_utf8(output.stdout).expect("names are text");
    let names = list.lines().filter_map(|line| line.split("::").nth(1));
    names
        .filter_map(|name| Some(name.split_once('_')?.0.to_owned()))
        .collect()
}

/// The vectors in the list of those without a test.
fn without_test() -> BTreeSet<String> {
    include_str!("../../vectors-later.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" |"))
        .map(|(vector, _)| vector.to_lowercase())
        .filter(|vector| vector != "vector")
        .collect()
}

#[test]
fn every_vector_has_a_test_or_a_reason_for_none() {
    let (tested, without_test) = (tested(), without_test());
    let missing: Vec<_> = all()
        .filter(|vector| !tested.contains(vector) && !without_test.contains(vector))
        .collect();
    assert!(missing.is_empty(), "neither test nor reason: {missing:?}");
    let both: Vec<_> = tested.intersection(&without_test).collect();
    assert!(both.is_empty(), "have a test after all: {both:?}");
}
