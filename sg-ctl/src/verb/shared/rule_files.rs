//! Rule files as verbs take them.

use std::io::ErrorKind;
use std::path::PathBuf;

use sg_policy::model::Model;
use sg_policy::rulefile::{self, Origins, Parsed, Report, Source};

use crate::failure::refusal;
use crate::verb::output::note;

/// Reads the text of rule files, or of what is imported.
///
/// # Errors
/// When one cannot be read.
pub(crate) fn open(files: &[PathBuf]) -> anyhow::Result<Vec<Source>> {
    files
        .iter()
        .map(|file| {
            Source::open(file).map_err(|error| {
                let help = match error.kind() {
                    ErrorKind::InvalidData => "give it as text in UTF-8",
                    ErrorKind::FileTooLarge => "split it: several files make one model",
                    _ => "name files that exist and may be read; `-` is standard input",
                };
                refusal(format!("cannot read {}: {error}", file.display()), help)
            })
        })
        .collect()
}

/// Reads rule files into a model; warnings go to standard error.
///
/// # Errors
/// When one cannot be read, or anything in them is wrong.
pub(crate) fn model(files: &[PathBuf]) -> anyhow::Result<Model> {
    Ok(rules(files)?.0)
}

/// Reads rule files into a model, and which file defines what; warnings go to standard error.
///
/// # Errors
/// When one cannot be read, or anything in them is wrong.
pub(crate) fn rules(files: &[PathBuf]) -> anyhow::Result<(Model, Origins)> {
    let Parsed {
        model,
        origins,
        warnings,
    } = rulefile::read(&open(files)?)?;
    warn(&warnings);
    Ok((model, origins))
}

/// Refuses the rules of a VPC on a host of none.
///
/// # Errors
/// When they are.
pub(crate) fn check_is_of_one_host(model: &Model) -> anyhow::Result<()> {
    if model.hosts.is_empty() {
        return Ok(());
    }
    Err(refusal(
        "the rule files have `hosts`, and this host belongs to no VPC",
        "`sg-ctl vpc join` makes it belong to one; the rules of one host have `interfaces`",
    ))
}

/// Prints warnings to standard error.
pub(crate) fn warn(warnings: &Report) {
    if !warnings.diagnostics.is_empty() {
        note(warnings.to_string().trim_end());
    }
}
