//! The command line: types for clap, no behaviour.
//!
//! The first line of a verb's comment is its summary in lists; the paragraph below it and the
//! examples of [`help`] are what `--help` and the manual pages teach.

mod help;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

/// AWS-style security groups for any Linux interface, enforced in the kernel.
///
/// sg judges every packet of an interface by the security groups that the interface carries:
/// rules only allow, what no rule allows is dropped, and answers of allowed connections pass by
/// themselves. The programs stay in the kernel: no process has to run, and what was attached
/// keeps judging packets after sg-ctl has ended.
#[derive(Parser, Debug)]
#[command(
    name = "sg-ctl",
    version,
    propagate_version = true,
    max_term_width = 100
)]
#[command(after_help = help::EXIT_STATUS, after_long_help = help::SG_CTL)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Options of every verb.
#[derive(Args, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// When to use colours. `auto`: on a terminal, unless `NO_COLOR` is set.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    #[arg(hide_possible_values = true, long_help = help::COLOR)]
    pub(crate) color: Color,

    /// Show more: rule numbers, every cause of an error, what was chosen and why.
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

/// When to use colours.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Verb {
    Check(CheckArgs),
    Schema(SchemaArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// The switch of every verb that prints data.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Format {
    /// Print one JSON document in place of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Check rule files and show what they come to.
///
/// Reads the files as `apply` would and reports every mistake with its place and remedy. Needs no
/// privileges and touches nothing. Without mistakes it prints the merged rules of each interface:
/// what may come in and what may go out, group by group.
#[derive(Args, Debug)]
#[command(after_long_help = help::CHECK)]
pub(crate) struct CheckArgs {
    /// Rule file (YAML or JSON).
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Print the JSON schema of rule files.
///
/// Editors that know the schema complete keys and mark mistakes while a rule file is written.
#[derive(Args, Debug)]
#[command(after_long_help = help::SCHEMA)]
pub(crate) struct SchemaArgs {}

/// Print a completion script for a shell.
///
/// The script completes verbs, options and their values.
#[derive(Args, Debug)]
#[command(after_long_help = help::COMPLETIONS)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// Print the manual page, or write all pages into a directory.
///
/// There is one page for sg-ctl and one for each verb, in the format of man(7).
#[derive(Args, Debug)]
#[command(after_long_help = help::MAN)]
pub(crate) struct ManArgs {
    /// Directory for the pages, made if it is not there; without it the page of sg-ctl is printed.
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) directory: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
