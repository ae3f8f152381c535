//! Every format, with the place and words of every finding.

mod aws;
mod cloudformation;
mod foreign;
mod functions;
mod openstack;
mod plans;
mod round_trip;
mod stacks;
mod terraform;
mod unknown;

use super::{Imported, Options, import};
use crate::model::{Direction, Model};
use crate::text::{Report, Severity, Source};

/// A file of `data/`.
macro_rules! data {
    ($name:literal) => {
        crate::text::Source {
            name: $name.to_owned(),
            text: include_str!(concat!("data/", $name)).to_owned(),
        }
    };
}
use data;

fn source(text: &str) -> Source {
    Source {
        name: "a".to_owned(),
        text: text.to_owned(),
    }
}

fn imported(sources: &[Source]) -> Imported {
    let imported = import(sources, &Options::default()).unwrap_or_else(|report| panic!("{report}"));
    assert_accepted(&imported.model);
    imported
}

/// Asserts that rule files take the model, unchanged.
#[track_caller]
fn assert_accepted(model: &Model) {
    let text = crate::rulefile::to_yaml(model).expect("YAML");
    let source = source(&text);
    match crate::rulefile::read(&[source]) {
        Ok(parsed) => assert_eq!(parsed.model, *model),
        Err(report) => panic!("{report}\n{text}"),
    }
}

/// The rules of a group in one direction as `service peer`.
fn rules(model: &Model, group: &str, direction: Direction) -> Vec<String> {
    let rules = model.groups[group].rules(direction).iter();
    rules
        .map(|rule| format!("{} {}", rule.service, rule.peer))
        .collect()
}

/// Findings as `severity file:line field: message (help)`.
fn findings(report: &Report) -> Vec<String> {
    let found = report.diagnostics.iter();
    found
        .map(|found| {
            let severity = match found.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            format!(
                "{severity} {}:{} {}: {} ({})",
                found.file, found.line, found.field, found.message, found.help
            )
        })
        .collect()
}

/// The findings about one text.
fn findings_of(text: &str) -> Vec<String> {
    match import(&[source(text)], &Options::default()) {
        Ok(imported) => {
            assert_accepted(&imported.model);
            findings(&imported.warnings)
        }
        Err(report) => findings(&report),
    }
}
