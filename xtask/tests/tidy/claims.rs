//! What the documentation claims is true: every decision and every vector has a test, and operators
//! find every reason.

use std::collections::BTreeSet;

use super::{
    report,
    source::{File, repository},
};

/// Every decision, each with its tests, in the last column of its table.
const SEMANTICS: &str = "docs/semantics.md";
/// The vectors, whose ids begin the names of their tests.
const VECTORS: &str = "docs/vectors.md";

/// What operators do about each reason.
const OPERATIONS: &str = "docs/operations.md";
/// The reasons, by name.
const REASONS: &str = "sg-common/src/reason.rs";

/// How many vectors of each letter there are.
const COUNTS: [(char, usize); 6] = [('R', 24), ('S', 22), ('M', 3), ('N', 7), ('G', 7), ('Q', 5)];

/// Names of all functions that are tests.
fn tests(files: &[File]) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for file in files.iter().filter(|file| file.is("rs")) {
        let mut is_test = false;
        for line in file.text.lines().map(str::trim_start) {
            if ["#[test]", "#[rstest]", "#[apply("]
                .iter()
                .any(|attribute| line.starts_with(attribute))
            {
                is_test = true;
            } else if line.starts_with("#[template]") {
                is_test = false;
            } else if let Some(rest) = line.strip_prefix("fn ") {
                let end = rest.find(['(', '<']).unwrap_or(rest.len());
                if std::mem::take(&mut is_test) {
                    names.insert(&rest[..end]);
                }
            }
        }
    }
    names
}

/// The rows of a file's tables, each with its line number and whether it is a table's heading.
fn rows(file: &File) -> impl Iterator<Item = (usize, bool, Vec<&str>)> {
    let mut inside = false;
    (1..)
        .zip(file.text.lines())
        .filter_map(move |(number, line)| {
            let Some(row) = line.strip_prefix("| ") else {
                inside &= line.starts_with("|---");
                return None;
            };
            let is_heading = !inside;
            inside = true;
            let cells = row.trim_end().trim_end_matches('|').split(" | ");
            Some((number, is_heading, cells.map(str::trim).collect()))
        })
}

/// Whether a word is the id of a vector.
fn is_vector(word: &str) -> bool {
    let mut letters = word.chars();
    letters
        .next()
        .is_some_and(|first| COUNTS.iter().any(|(letter, _)| *letter == first))
        && letters.clone().count() == 2
        && letters.all(|digit| digit.is_ascii_digit())
}

/// Whether a test is named after a vector.
fn has_test(vector: &str, tests: &BTreeSet<&str>) -> bool {
    let prefix = format!("{}_", vector.to_lowercase());
    tests.iter().any(|name| name.starts_with(&prefix))
}

fn file<'a>(files: &'a [File], path: &str) -> &'a File {
    let found = files.iter().find(|file| file.path == path);
    found.unwrap_or_else(|| panic!("no {path}"))
}

#[test]
fn every_decision_names_the_tests_that_prove_it() {
    let files = repository();
    let tests = tests(&files);
    let mut violations = Vec::new();
    let mut decisions = 0;
    for (number, is_heading, cells) in rows(file(&files, SEMANTICS)) {
        let last = cells.last().copied().unwrap_or_default();
        let mut complain = |what: String| violations.push(format!("{SEMANTICS}:{number}: {what}"));
        if is_heading {
            if last != "test" {
                complain("a table whose last column is not `test`".to_owned());
            }
            continue;
        }
        decisions += 1;
        for name in last.split(", ") {
            let test = name
                .strip_prefix('`')
                .and_then(|name| name.strip_suffix('`'));
            let exists = match test {
                Some(test) => tests.contains(test),
                None => is_vector(name) && has_test(name, &tests),
            };
            if !exists {
                complain(format!("no test {name}"));
            }
        }
    }
    assert!(decisions > 100, "only {decisions} decisions were read");
    report(&violations);
}

#[test]
fn every_vector_has_a_test_that_is_named_after_it() {
    let files = repository();
    let tests = tests(&files);
    let listed: Vec<&str> = rows(file(&files, VECTORS))
        .filter(|(_, is_heading, _)| !is_heading)
        .map(|(_, _, cells)| cells[0])
        .collect();
    let all: Vec<String> = COUNTS
        .iter()
        .flat_map(|(letter, count)| (1..=*count).map(move |number| format!("{letter}{number:02}")))
        .collect();
    assert_eq!(listed, all, "{VECTORS} lists every vector once, in order");
    let missing: Vec<_> = all
        .iter()
        .filter(|vector| !has_test(vector, &tests))
        .collect();
    assert!(missing.is_empty(), "vectors without a test: {missing:?}");
    let strange: Vec<_> = tests
        .iter()
        .filter_map(|name| Some(name.split_once('_')?.0.to_uppercase()))
        .filter(|id| is_vector(id) && !all.contains(id))
        .collect();
    assert!(
        strange.is_empty(),
        "tests of vectors that are not listed: {strange:?}"
    );
}

#[test]
fn operators_find_every_reason() {
    let files = repository();
    // `NoRule = 32 Drop "no-rule",`: in the table of its verdict.
    let defined: BTreeSet<_> = file(&files, REASONS)
        .text
        .lines()
        .filter_map(|line| {
            let mut words = line.trim().trim_end_matches(',').split(' ').skip(3);
            let (verdict, name) = (words.next()?, words.next()?);
            let name = name.strip_prefix('"')?.strip_suffix('"')?;
            Some((verdict, name))
        })
        .collect();
    assert!(
        defined.len() > 20,
        "only {} reasons were read",
        defined.len()
    );
    let (_, reasons) = file(&files, OPERATIONS)
        .text
        .split_once("### Passes")
        .expect("a table of passes");
    let (passes, drops) = reasons.split_once("### Drops").expect("a table of drops");
    let drops = drops.split("\n## ").next().unwrap_or_default();
    let explained: BTreeSet<_> = [("Pass", passes), ("Drop", drops)]
        .into_iter()
        .flat_map(|(verdict, table)| {
            let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
            rows.filter_map(move |row| Some((verdict, row.split_once('`')?.0)))
        })
        .collect();
    assert_eq!(
        explained, defined,
        "the reasons of {OPERATIONS}, and those of {REASONS}"
    );
}
