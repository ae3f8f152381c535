//! `sg-ctl schema`.

use std::process::ExitCode;

use sg_policy::rulefile;

use crate::verb::output;

/// Prints the JSON schema of rule files.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    output::json(&rulefile::schema())?;
    Ok(ExitCode::SUCCESS)
}
