//! Arguments of the verbs that tell about sg-ctl itself and about what rule files may say.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use clap_complete::Shell;

use crate::verb::Format;
use crate::verb::arguments::help;

/// Print the JSON schema of rule files.
///
/// Editors that know the schema complete keys and mark mistakes while a rule file is written.
#[derive(Args, Debug)]
#[command(after_long_help = help::SCHEMA)]
pub(crate) struct SchemaArgs {}

/// Print a completion script for a shell.
///
/// The script completes verbs, options and their values: names of interfaces and groups, and ids of
/// rules, are those of this host at that moment. It asks sg-ctl, so that it need not be written anew
/// for another version. Names that are in the state directory only who may read that is offered.
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

/// List the names that stand for protocol and ports in rules.
///
/// A rule says `type: HTTPS` or `template: kafka-broker-tcp` in place of protocol and ports. Types
/// are those of the AWS console; templates are the named rules of the Terraform module
/// terraform-aws-modules/security-group.
#[derive(Args, Debug)]
#[command(after_long_help = help::TEMPLATES)]
pub(crate) struct TemplatesArgs {
    /// Only names that contain this word, or that stand for this port.
    #[arg(value_name = "WORD|PORT")]
    pub(crate) wanted: Option<String>,

    #[command(flatten)]
    pub(crate) format: Format,
}
