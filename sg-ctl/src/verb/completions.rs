//! `sg-ctl completions`, and what its scripts ask sg-ctl.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::env::{CompleteEnv, Shells};

use crate::verb::{Cli, CompletionsArgs, output};

/// The variable by which scripts ask for completions.
const VARIABLE: &str = "SG_CTL_COMPLETE";

/// Prints the completion script of a shell.
pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let shells = Shells::builtins();
    let shell = args.shell.to_string();
    let completer = shells.completer(&shell);
    let completer = completer.with_context(|| format!("{shell} has no completions"))?;
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, "sg-ctl", "sg-ctl", "sg-ctl", &mut script)?;
    output::text(String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Answers a shell that asks how a command line may go on, and ends the process then.
pub(crate) fn answer() {
    CompleteEnv::with_factory(Cli::command)
        .var(VARIABLE)
        .complete();
}
