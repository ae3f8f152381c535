//! Security groups that users have elsewhere, as a model: what the AWS CLI, Terraform and
//! CloudFormation write.
//!
//! A reader for each format turns documents into a [`draft::Draft`], `join` makes the model of it.
//! What AWS would refuse, or cannot be understood, is an error; what is valid and cannot be carried
//! over, or only differently, is a warning. Nothing is left out in silence.

mod aws;
mod cloudformation;
mod draft;
mod join;
mod limits;
mod names;
mod repeated;
mod terraform;
mod values;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Model;
use crate::text::document::{self, Tags, Value};
use crate::text::report::{At, Problems};
use crate::text::{Report, Source};
use draft::Draft;
use view::View;

/// A kind of document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// What `aws ec2 describe-…` prints, as JSON or YAML.
    Aws,
    /// What `terraform show -json` prints of a state or a plan.
    Terraform,
    /// A CloudFormation template, JSON or YAML.
    CloudFormation,
}

/// How to read documents.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The format of all of them; without it, each shows its own.
    pub format: Option<Format>,
    /// Values of a stack's parameters, in place of the defaults of CloudFormation templates; of
    /// pseudo parameters (`AWS::Region`), too.
    pub parameters: BTreeMap<String, String>,
    /// Values that stacks export, for `Fn::ImportValue`, where no template of the files says.
    pub imports: BTreeMap<String, String>,
}

/// What documents came to.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The model. A rule file made of it is accepted.
    pub model: Model,
    /// What was not carried over, or only differently.
    pub warnings: Report,
}

/// Reads documents together: names and ids of one may be used in another.
///
/// # Errors
///
/// Everything that is wrong in any of them, and the warnings.
pub fn import(sources: &[Source], options: &Options) -> Result<Imported, Report> {
    let mut problems = Problems::new(sources);
    let mut draft = Draft::default();
    let mut documents = Vec::new();
    for (file, source) in sources.iter().enumerate() {
        if let Some(root) = document::parse(file, source, Tags::Functions, &mut problems) {
            documents.push((root, source.name.as_str()));
        }
    }
    let documents: Vec<_> = documents
        .iter()
        .map(|(root, name)| (View::root(root), *name))
        .map(|(root, name)| (options.format.or_else(|| format_of(&root)), root, name))
        .collect();
    let templates = documents
        .iter()
        .filter(|(format, ..)| *format == Some(Format::CloudFormation))
        .map(|(_, root, name)| (root.clone(), *name));
    let templates: Vec<_> = templates.collect();
    let said = cloudformation::Said {
        parameters: &options.parameters,
        imports: &options.imports,
    };
    let exports = cloudformation::Exports::of(&templates, said);
    for (format, root, name) in &documents {
        match format {
            Some(Format::Aws) => aws::read(root, name, &mut draft, &mut problems),
            Some(Format::Terraform) => terraform::read(root, &mut draft, &mut problems),
            Some(Format::CloudFormation) => {
                cloudformation::read((root, name), said, &exports, &mut draft, &mut problems);
            }
            None => report_unknown(root, &mut problems),
        }
    }
    check_parameters(&templates, options, &mut problems);
    if draft.is_empty() && problems.is_empty() {
        let message = "there is no security group in the files";
        let help = "`sg-ctl import --help` tells which commands write what can be imported";
        problems.error(&At::of_file(0), message, help);
    }
    let model = join::model(draft, &mut problems);
    let report = problems.finish();
    if report.errors() > 0 {
        Err(report)
    } else {
        Ok(Imported {
            model,
            warnings: report,
        })
    }
}

/// Reports values of parameters that no template has.
fn check_parameters(
    templates: &[(View<'_>, &str)],
    options: &Options,
    problems: &mut Problems<'_>,
) {
    let names = templates
        .iter()
        .flat_map(|(root, _)| cloudformation::parameters(root));
    let declared: BTreeSet<String> = names.collect();
    for name in options.parameters.keys() {
        if !declared.contains(name) && !name.starts_with("AWS::") {
            let message = format!("no template has the parameter `{name}`");
            let help = if declared.is_empty() {
                "parameters are those of CloudFormation templates".to_owned()
            } else {
                let names: Vec<_> = declared.iter().map(String::as_str).collect();
                format!("there are: {}", names.join(", "))
            };
            problems.error(&At::of_file(0), message, help);
        }
    }
}

/// The format that a document shows.
fn format_of(root: &View<'_>) -> Option<Format> {
    let has = |keys: &[&str]| keys.iter().any(|key| root.get(key).is_some());
    if has(&["Resources", "AWSTemplateFormatVersion"]) {
        Some(Format::CloudFormation)
    } else if has(&["values", "planned_values", "resource_changes"]) {
        Some(Format::Terraform)
    } else if aws::is_known(root) {
        Some(Format::Aws)
    } else {
        None
    }
}

/// Says what a document is instead, where that shows.
fn report_unknown(root: &View<'_>, problems: &mut Problems<'_>) {
    let has = |key: &str| root.get(key).is_some();
    let (message, help) = if has("terraform_version") && has("lineage") {
        (
            "this is a state file as Terraform keeps it",
            "import what `terraform show -json` prints",
        )
    } else if has("terraform_version") || has("format_version") {
        (
            "this state or plan of Terraform holds nothing",
            "import what `terraform show -json` prints after an apply",
        )
    } else if has("security_groups") {
        (
            "this is a rule file already",
            "`sg-ctl check` and `sg-ctl apply` take it as it is",
        )
    } else if matches!(root.value(), Value::Scalar(_)) {
        (
            "this is neither JSON nor a template",
            "for HCL, import what `terraform show -json` prints of the plan or the state",
        )
    } else {
        (
            "this is none of the formats that can be imported",
            "give `--format`, or see `sg-ctl import --help` for the commands that write them",
        )
    };
    problems.error(&root.at(), message, help);
}

#[cfg(test)]
mod tests;
