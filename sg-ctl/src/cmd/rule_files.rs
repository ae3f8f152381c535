//! Rule files as verbs take them.

use std::path::PathBuf;

use sg_ctl::rulefile::Source;

use crate::failure::refusal;

/// Reads the text of rule files.
///
/// # Errors
/// When one cannot be read.
pub(super) fn open(files: &[PathBuf]) -> anyhow::Result<Vec<Source>> {
    files
        .iter()
        .map(|file| {
            Source::open(file).map_err(|error| {
                refusal(
                    format!("cannot read {}: {error}", file.display()),
                    "name rule files that exist and may be read; `-` is standard input",
                )
            })
        })
        .collect()
}
