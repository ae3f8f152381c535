//! Every check of rule files, with the place it reports.

mod documents;
mod faults;
mod groups;
mod interfaces;
mod lists;
mod peers;
mod quotas;
mod round_trip;
mod services;

use super::{Parsed, Severity, Source, read};
use crate::model::Model;

/// Sources `a.yaml`, `b.yaml`, ….
fn sources(texts: &[&str]) -> Vec<Source> {
    ('a'..='z')
        .zip(texts)
        .map(|(name, text)| Source {
            name: format!("{name}.yaml"),
            text: (*text).to_owned(),
        })
        .collect()
}

/// The model of a text that has nothing wrong with it.
fn model(text: &str) -> Model {
    let Parsed {
        model, warnings, ..
    } = read(&sources(&[text])).unwrap_or_else(|e| panic!("{e}"));
    assert!(warnings.diagnostics.is_empty(), "{warnings}");
    model
}

/// The findings of `severity` as `file:line:column field: message (help)`.
fn findings(texts: &[&str], severity: Severity) -> Vec<String> {
    let report = match read(&sources(texts)) {
        Ok(parsed) => parsed.warnings,
        Err(report) => report,
    };
    let matching = report
        .diagnostics
        .into_iter()
        .filter(|found| found.severity == severity);
    matching
        .map(|found| {
            format!(
                "{}:{}:{} {}: {} ({})",
                found.file, found.line, found.column, found.field, found.message, found.help
            )
        })
        .collect()
}

/// Asserts the errors of one text, each as `line:column field: message (help)`.
#[track_caller]
fn assert_errors(text: &str, expected: &[&str]) {
    let expected: Vec<String> = expected
        .iter()
        .map(|error| format!("a.yaml:{error}"))
        .collect();
    assert_eq!(findings(&[text], Severity::Error), expected);
}

/// Asserts the errors of a file whose only rule has these keys, each as `field: message (help)`
/// with the field from the rule on.
#[track_caller]
fn assert_rule_errors(keys: &str, expected: &[&str]) {
    let text = format!("security_groups: {{web: {{inbound: [{{{keys}}}]}}}}");
    let place = " security_groups.web.inbound[0]";
    let found = findings(&[&text], Severity::Error);
    let fields: Vec<&str> = found
        .iter()
        .filter_map(|error| Some(error.split_once(place)?.1))
        .collect();
    assert_eq!(fields, expected);
}
