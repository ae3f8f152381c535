//! `sg-ctl completions`.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_complete::env::{CompleteEnv, Shells};

use crate::verb::{Cli, output};

/// What the help of `completions` says beyond the options.
const HELP: &str = "\
EXAMPLES:
    sg-ctl completions bash > /etc/bash_completion.d/sg-ctl
    sg-ctl completions fish > ~/.config/fish/completions/sg-ctl.fish
    sg-ctl completions zsh > /usr/local/share/zsh/site-functions/_sg-ctl";

/// Print a completion script for a shell.
///
/// The script completes verbs, options and their values: names of interfaces and groups, and ids of
/// rules, are those of this host at that moment. It asks sg-ctl, so that it need not be written anew
/// for another version. Names from the state directory are offered only to those who may read it.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// The variable by which scripts ask for completions.
const VARIABLE: &str = "SG_CTL_COMPLETE";

/// Prints the completion script of a shell.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
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
