//! `sg-ctl import`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ValueEnum, ValueHint};
use schemars::JsonSchema;
use serde::Serialize;
use sg_policy::import::{self, Imported};
use sg_policy::rulefile::{self, Diagnostic, Report};

use crate::failure::{REFUSED, refusal};
use crate::verb::output::{self, counted, note};
use crate::verb::shared::rule_files;

/// What the help of `import` says beyond the options.
const HELP: &str = "\
JSON: an object with these fields:
  rules     the rule file as JSON, or null after an error
  findings  errors and warnings: severity, file, line, column, field, message, help
  omitted_findings
            how many more there are: of very many only the first are told

EXAMPLES:
  From an AWS account; all files together are one description:
    aws ec2 describe-security-groups > groups.json
    aws ec2 describe-security-group-rules > rules.json         (ids of rules)
    aws ec2 describe-managed-prefix-lists > lists.json
    aws ec2 get-managed-prefix-list-entries --prefix-list-id pl-0a1b2c3d4e5f60718 \\
        > pl-0a1b2c3d4e5f60718.json                            (named after the list)
    aws ec2 describe-network-interfaces > interfaces.json      (members of groups)
    sg-ctl import *.json -o rules.yaml

  From the state of Terraform, or from a plan:
    terraform show -json | sg-ctl import - -o rules.yaml
    terraform plan -out=plan && terraform show -json plan | sg-ctl import -

  From OpenStack:
    openstack security group list -f json > groups.json
    openstack security group rule list --long -f json > rules.json
    openstack port list --long -f json > ports.json             (members of groups)
    sg-ctl import groups.json rules.json ports.json -o rules.yaml

  From a CloudFormation template, refusing whatever does not fit:
    sg-ctl import --strict template.yaml --parameter Stage=prod -o rules.yaml
    sg-ctl check rules.yaml

  From several, which export to each other, and import from stacks that are not here:
    sg-ctl import network.yaml db.yaml --import vpn-range=10.8.0.0/16";

/// Make a rule file of security groups from AWS, Terraform, CloudFormation or OpenStack.
///
/// Reads all files as one description and prints a rule file. What AWS itself would refuse is an
/// error; what cannot be carried over, or only differently, is a warning with file, line and path:
/// nothing is left out in silence, and nothing that the files leave open is guessed. Needs no privileges and changes nothing.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// File to import; `-` is standard input.
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// What the files are; `auto` looks into each.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Auto)]
    pub(crate) format: Format,

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
pub(crate) enum Format {
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

impl From<&Args> for import::Options {
    fn from(args: &Args) -> Self {
        let format = match args.format {
            Format::Auto => None,
            Format::Aws => Some(import::Format::Aws),
            Format::Terraform => Some(import::Format::Terraform),
            Format::CloudFormation => Some(import::Format::CloudFormation),
            Format::OpenStack => Some(import::Format::OpenStack),
        };
        Self {
            format,
            parameters: args.parameters.iter().cloned().collect(),
            imports: args.imports.iter().cloned().collect(),
        }
    }
}

/// The answer as JSON.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Answer<'a> {
    rules: Option<serde_json::Value>,
    findings: &'a [Diagnostic],
    /// Findings that are left out of `findings`: of very many only the first are told.
    omitted_findings: usize,
}

/// Makes a rule file of what other tools wrote.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let sources = rule_files::open(&args.files)?;
    let result = import::import(&sources, &args.into());
    if args.json {
        return print_json(args, result.as_ref());
    }
    let Imported { model, warnings } = result?;
    rule_files::warn(&warnings);
    if args.strict && warnings.warnings() > 0 {
        return Err(refused(&warnings));
    }
    let text = rulefile::to_yaml(&model)?;
    match &args.output {
        None => output::text(text)?,
        Some(path) => {
            fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
            note(format!(
                "{} written; next: sg-ctl check {0}",
                path.display()
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn refused(warnings: &Report) -> anyhow::Error {
    let count = counted(warnings.warnings() as u64, "warning");
    refusal(
        format!("{count} with --strict; nothing was written"),
        "correct what they name, or leave out --strict",
    )
}

fn print_json(args: &Args, result: Result<&Imported, &Report>) -> anyhow::Result<ExitCode> {
    let (report, model) = match result {
        Ok(imported) => (&imported.warnings, Some(&imported.model)),
        Err(report) => (report, None),
    };
    let model = model.filter(|_| !args.strict || report.warnings() == 0);
    output::json(&Answer {
        rules: model.map(rulefile::to_json),
        findings: &report.diagnostics,
        omitted_findings: report.omitted(),
    })?;
    Ok(match model {
        Some(_) => ExitCode::SUCCESS,
        None => ExitCode::from(REFUSED),
    })
}
