//! `sg-ctl schema`.

use std::process::ExitCode;

use sg_policy::rulefile;

use crate::verb::output;

/// What the help of `schema` says beyond the options.
const HELP: &str = "\
EXAMPLES:
    sg-ctl schema > sg.schema.json

  In the first line of a rule file, for editors with a YAML language server:
    # yaml-language-server: $schema=sg.schema.json";

/// Print the JSON schema of rule files.
///
/// Editors that know the schema complete keys and mark mistakes while a rule file is written.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {}

/// Prints the JSON schema of rule files.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    output::json(&rulefile::schema())?;
    Ok(ExitCode::SUCCESS)
}
