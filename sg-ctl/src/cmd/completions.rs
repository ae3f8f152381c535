//! `sg-ctl completions`.

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::cli::{Cli, CompletionsArgs};
use crate::output;

/// Prints the completion script of a shell.
pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "sg-ctl", &mut script);
    output::text(String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
