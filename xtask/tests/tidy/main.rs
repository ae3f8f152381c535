//! The rules of the code base that compiler and clippy cannot know.
//!
//! The rules are data, in `rules`; a rule about a path that is gone fails too, so none rots.

mod claims;
mod rules;
mod source;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use rules::{Boundary, DEPENDENCIES, LONG_FILES, MAX_LINES, MOST_ARCHITECTURE, WORDS};
use serde_json::Value;
use source::{File, Word, repository, words};

/// Fails with all violations at once, one a line.
fn report(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

fn rust_files() -> impl Iterator<Item = File> {
    repository().into_iter().filter(|file| file.is("rs"))
}

#[test]
fn modules_keep_their_boundaries() {
    let mut violations = Vec::new();
    for file in rust_files() {
        let rules: Vec<_> = WORDS
            .iter()
            .filter(|rule| rule.covers(&file.path))
            .collect();
        for Word { word, line } in words(&file) {
            for rule in rules
                .iter()
                .filter(|rule| rule.banned.contains(&word.as_str()))
            {
                violations.push(format!("{}:{line}: `{word}`: {}", file.path, rule.why));
            }
        }
    }
    report(&violations);
}

#[test]
fn rules_name_paths_that_exist() {
    let files = repository();
    let exists = |path: &str| files.iter().any(|file| file.path.starts_with(path));
    let paths = WORDS
        .iter()
        .flat_map(|Boundary { within, except, .. }| [*within, *except]);
    let long = LONG_FILES.iter().map(|(path, _)| *path);
    let gone = paths
        .flatten()
        .copied()
        .chain(long)
        .filter(|path| !exists(path));
    report(
        &gone
            .map(|path| format!("{path}: named by a rule, but gone"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn packages_depend_on_what_they_may() {
    let mut violations = Vec::new();
    for package in packages() {
        let name = package["name"].as_str().expect("a package has a name");
        let Some((_, allowed)) = DEPENDENCIES.iter().find(|(known, _)| *known == name) else {
            continue;
        };
        for dependency in package["dependencies"].as_array().expect("a list") {
            let needed = dependency["name"]
                .as_str()
                .expect("a dependency has a name");
            if dependency["kind"].is_null() && !allowed.contains(&needed) {
                violations.push(format!(
                    "{name}/Cargo.toml: {name} may not depend on {needed}"
                ));
            }
        }
    }
    report(&violations);
}

#[test]
fn the_architecture_describes_every_package() {
    let architecture = std::fs::read_to_string(root().join("ARCHITECTURE.md"))
        .expect("ARCHITECTURE.md is there to be read");
    assert!(
        architecture.len() <= MOST_ARCHITECTURE,
        "ARCHITECTURE.md: {} bytes: it is a map, histories are in docs/design",
        architecture.len()
    );
    let packages = packages();
    // By directory, as people look for it.
    let directory = |package: &Value| {
        let manifest = Path::new(package["manifest_path"].as_str()?);
        manifest.parent()?.file_name()?.to_str().map(str::to_owned)
    };
    let directories = packages.iter().filter_map(directory);
    let missing = directories.filter(|name| !architecture.contains(&format!("`{name}`")));
    report(
        &missing
            .map(|name| format!("ARCHITECTURE.md: no `{name}`"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn files_open_with_their_purpose() {
    let silent = rust_files().filter(|file| !file.text.starts_with("//! "));
    report(
        &silent
            .map(|file| format!("{}: does not open with //!", file.path))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn files_are_short_enough_to_read() {
    let mut violations = Vec::new();
    for file in rust_files() {
        // Unit tests at the end of a file do not make it harder to read.
        let lines = file
            .text
            .lines()
            .take_while(|line| *line != "#[cfg(test)]")
            .count();
        let listed = LONG_FILES.iter().any(|(path, _)| *path == file.path);
        if lines > MAX_LINES && !listed {
            violations.push(format!(
                "{}: {lines} lines, more than {MAX_LINES}",
                file.path
            ));
        }
        if lines <= MAX_LINES && listed {
            violations.push(format!(
                "{}: {lines} lines, no longer an exception",
                file.path
            ));
        }
    }
    report(&violations);
}

#[test]
fn files_name_no_registry_no_machine_and_no_loose_end() {
    // Joined here, so that this file does not contain what it forbids.
    let registries = [
        ["crates", "io"],
        ["debian", "org"],
        ["static.rust-lang", "org"],
    ]
    .map(|parts| (parts.join("."), "names a registry: its client knows it"));
    let machine = [["/wo", "rk/"], ["/ro", "ot/"]]
        .map(|parts| (parts.concat(), "names a path of one machine"));
    let loose_ends = [["TO", "DO"], ["FIX", "ME"], ["X", "XX"]]
        .map(|parts| (parts.concat(), "leaves something undone"));
    let banned: Vec<_> = [&registries[..], &machine, &loose_ends].concat();
    let mut violations = Vec::new();
    // Lock files are cargo's own and name its registry.
    for file in repository().into_iter().filter(|file| !file.is("lock")) {
        for (number, line) in (1..).zip(file.text.lines()) {
            for (text, why) in banned
                .iter()
                .filter(|(text, _)| line.contains(text.as_str()))
            {
                violations.push(format!("{}:{number}: `{text}` {why}", file.path));
            }
        }
    }
    report(&violations);
}

/// Returns every package's manifest, as cargo reads it.
fn packages() -> Vec<Value> {
    let mut packages = Vec::new();
    for manifest in ["Cargo.toml", "sg-ebpf/Cargo.toml"] {
        let output = Command::new(env!("CARGO"))
            .args([
                "metadata",
                "--no-deps",
                "--offline",
                "--format-version=1",
                "--manifest-path",
            ])
            .arg(root().join(manifest))
            .output()
            .expect("cargo runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
        packages.extend(
            metadata["packages"]
                .as_array()
                .expect("a list")
                .iter()
                .cloned(),
        );
    }
    let names: BTreeSet<_> = packages
        .iter()
        .filter_map(|package| package["name"].as_str())
        .collect();
    for (name, _) in DEPENDENCIES {
        assert!(names.contains(name), "no package {name}");
    }
    packages
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("inside the repository")
        .to_owned()
}
