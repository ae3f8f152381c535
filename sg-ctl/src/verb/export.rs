//! `sg-ctl export`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ValueEnum, ValueHint};
use sg_policy::model::Model;
use sg_policy::{export, rulefile};

use crate::verb::output::{self, note};
use crate::verb::shared::{Context, rule_files};

/// What the help of `export` says beyond the options.
const HELP: &str = "\
EXAMPLES:
  The rules in force, as one file:
    sg-ctl export > rules.yaml

  For tools that read what the AWS CLI prints:
    sg-ctl export -f rules.yaml --format aws-json | jq '.SecurityGroups[].GroupName'";

/// Print rules for other tools, or as one rule file.
///
/// Takes the rules of the given files, and without files those that were applied last. What the
/// format cannot hold is told on standard error.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Rule file to export; may be repeated.
    #[arg(short, long = "file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// What to print.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Yaml)]
    pub(crate) format: Format,
}

/// What can be exported.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One rule file.
    Yaml,
    /// One rule file in JSON.
    Json,
    /// The answers of `aws ec2 describe-security-groups`, `describe-security-group-rules`,
    /// `describe-managed-prefix-lists` and `describe-network-interfaces` in one document.
    AwsJson,
}

/// Prints rules for other tools.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let model = model(args, context)?;
    match args.format {
        Format::Yaml => output::text(rulefile::to_yaml(&model)?)?,
        Format::Json => output::json(&rulefile::to_json(&model))?,
        Format::AwsJson => {
            for loss in export::losses(&model) {
                note(format!("warning: {loss}"));
            }
            output::json(&export::aws_json(&model))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The model of the files, or the one that was applied last.
fn model(args: &Args, context: &Context) -> anyhow::Result<Model> {
    if args.files.is_empty() {
        Ok(context.host()?.state()?.model)
    } else {
        rule_files::model(&args.files)
    }
}
