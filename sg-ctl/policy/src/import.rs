//! Security groups that users have elsewhere, as a model: what the AWS CLI, Terraform,
//! CloudFormation and OpenStack write.
//!
//! A reader for each format turns documents into a [`draft::Draft`], `join` makes the model of it.
//! What AWS would refuse, or cannot be understood, is an error; what is valid and cannot be carried
//! over, or only differently, is a warning. Nothing is left out in silence.

mod aws;
mod cloudformation;
mod draft;
mod formats;
mod join;
mod limits;
mod names;
mod openstack;
mod repeated;
mod terraform;
mod values;
mod view;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::Model;
use crate::text::document::{self, Tags};
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
    /// What `openstack security group …` and `openstack port …` print, as JSON.
    OpenStack,
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
    let draft = read(sources, options, &mut problems);
    if draft.is_empty() && problems.is_empty() {
        let message = "there is no security group in the files";
        let help = "`sg-ctl import --help` tells which commands write what can be imported";
        problems.error(&At::NOWHERE, message, help);
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

/// Reads all documents; their trees are gone before the model is built.
fn read(sources: &[Source], options: &Options, problems: &mut Problems<'_>) -> Draft {
    let mut draft = Draft::default();
    // Templates are read together, what is exported in one and used in another; the tree of any other
    // document may go while it is read.
    let (mut trees, mut others) = (Vec::new(), BTreeMap::new());
    for (file, source) in sources.iter().enumerate() {
        if let Some((message, help)) = formats::of_text(&source.text) {
            let at = problems.start_of(file);
            problems.error(&at, message, help);
        } else if let Some(root) = document::parse(file, source, Tags::Functions, problems) {
            let format = options.format.or_else(|| formats::of(&View::root(&root)));
            if format == Some(Format::CloudFormation) {
                trees.push((file, root));
            } else {
                others.insert(file, (format, root));
            }
        }
    }
    let templates: Vec<_> = trees
        .iter()
        .map(|(file, root)| (View::root(root), sources[*file].name.as_str()))
        .collect();
    let used = RefCell::default();
    let said = cloudformation::Said {
        parameters: &options.parameters,
        imports: &options.imports,
        used: &used,
    };
    let exports = cloudformation::Exports::of(&templates, said);
    let mut unread = trees
        .iter()
        .map(|(file, _)| file)
        .zip(&templates)
        .peekable();
    for (file, source) in sources.iter().enumerate() {
        if let Some((_, template)) = unread.next_if(|(its_file, _)| **its_file == file) {
            let (root, name) = template;
            cloudformation::read((root, name), said, &exports, &mut draft, problems);
        }
        let Some((format, root)) = others.remove(&file) else {
            continue;
        };
        match format {
            Some(Format::Aws) => aws::read(root, &source.name, &mut draft, problems),
            Some(Format::Terraform) => {
                terraform::read(&View::root(&root), &mut draft, problems);
            }
            Some(Format::OpenStack) => {
                openstack::read(&View::root(&root), &mut draft, problems);
            }
            Some(Format::CloudFormation) | None => {
                formats::report_unknown(&View::root(&root), problems);
            }
        }
    }
    check_parameters(&templates, options, problems);
    let used = used.borrow();
    for name in options.imports.keys().filter(|name| !used.contains(*name)) {
        // Not an error: what asks for it may hang on a condition that does not hold.
        let message = format!("nothing that was read imports the value `{name}`");
        let help = "look whether the name is right: --import NAME=VALUE";
        problems.warning(&At::NOWHERE, message, help);
    }
    draft
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
            problems.error(&At::NOWHERE, message, help);
        }
    }
}

#[cfg(test)]
mod tests;
