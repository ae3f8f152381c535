//! Arguments of the verbs that exchange rules with other tools.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use sg_policy::import;

use crate::verb::arguments::help;

/// Make a rule file of security groups from AWS, Terraform, CloudFormation or OpenStack.
///
/// Reads all files as one description and prints a rule file. What AWS itself would refuse is an
/// error; what cannot be carried over, or only differently, is a warning with file, line and path:
/// nothing is left out in silence, and nothing that the files leave open is guessed. Needs no privileges and changes nothing.
#[derive(Args, Debug)]
#[command(after_long_help = help::IMPORT)]
pub(crate) struct ImportArgs {
    /// File to import; `-` is standard input.
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// What the files are; `auto` looks into each.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = ImportFormat::Auto)]
    pub(crate) format: ImportFormat,

    /// Value of a parameter of a CloudFormation stack, in place of the template's default; may be
    /// repeated. Pseudo parameters can be given, too: `AWS::Region=eu-west-1`.
    #[arg(long = "parameter", value_name = "KEY=VALUE", value_parser = parameter)]
    pub(crate) parameters: Vec<(String, String)>,

    /// Value that another stack exports, for `Fn::ImportValue` of CloudFormation templates; may be
    /// repeated. What templates given together export to each other needs none.
    #[arg(long = "import", value_name = "NAME=VALUE", value_parser = parameter)]
    pub(crate) imports: Vec<(String, String)>,

    /// Write the rule file here in place of standard output.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,

    /// Refuse to import what cannot be carried over as it is: warnings are errors.
    #[arg(long)]
    pub(crate) strict: bool,

    /// Print rules and findings as one JSON document.
    #[arg(long, conflicts_with = "output")]
    pub(crate) json: bool,
}

/// What can be imported.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImportFormat {
    /// Whatever each file is.
    Auto,
    /// Answers of `aws ec2 describe-security-groups` and the like.
    Aws,
    /// What `terraform show -json` prints of a state or a plan, or a state file.
    Terraform,
    /// CloudFormation templates, YAML or JSON.
    #[value(name = "cloudformation")]
    CloudFormation,
    /// Answers of `openstack security group` and `openstack port`, as JSON.
    #[value(name = "openstack")]
    OpenStack,
}

/// Reads `KEY=VALUE`; the value may be empty, as a parameter's may.
fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

impl From<&ImportArgs> for import::Options {
    fn from(args: &ImportArgs) -> Self {
        let format = match args.format {
            ImportFormat::Auto => None,
            ImportFormat::Aws => Some(import::Format::Aws),
            ImportFormat::Terraform => Some(import::Format::Terraform),
            ImportFormat::CloudFormation => Some(import::Format::CloudFormation),
            ImportFormat::OpenStack => Some(import::Format::OpenStack),
        };
        Self {
            format,
            parameters: args.parameters.iter().cloned().collect(),
            imports: args.imports.iter().cloned().collect(),
        }
    }
}

/// Print rules for other tools, or as one rule file.
///
/// Takes the rules of the given files, and without files those that were applied last. What the
/// format cannot hold is told on standard error.
#[derive(Args, Debug)]
#[command(after_long_help = help::EXPORT)]
pub(crate) struct ExportArgs {
    /// Rule file to export; may be repeated.
    #[arg(short, long = "file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// What to print.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = ExportFormat::Yaml)]
    pub(crate) format: ExportFormat,
}

/// What can be exported.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExportFormat {
    /// One rule file.
    Yaml,
    /// One rule file in JSON.
    Json,
    /// The answers of `aws ec2 describe-security-groups`, `describe-security-group-rules`,
    /// `describe-managed-prefix-lists` and `describe-network-interfaces` in one document.
    AwsJson,
}
