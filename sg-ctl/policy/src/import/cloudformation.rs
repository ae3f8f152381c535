//! CloudFormation templates (aws-semantics §8.3).
//!
//! A template leaves much to its stack. What is not known is never guessed: what depends on it and
//! would allow something is left out, with a warning that says what would make it known.

mod conditions;
mod evaluate;
mod exports;
mod groups;
mod lists;
mod macros;
mod meaning;
mod members;
mod parameters;
mod rules;
mod template;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::draft::Draft;
use super::view::View;
use crate::text::document::Value;
use crate::text::report::{At, Problems};
use conditions::Decided;
pub(super) use exports::Exports;
use meaning::{Causes, Meaning};
use template::{Given, Template, Truth};

/// The names of a template's parameters.
pub(super) fn parameters(root: &View<'_>) -> Vec<String> {
    let parameters = root.get("Parameters");
    let entries = parameters.iter().flat_map(View::entries);
    entries.map(|(name, _)| name.to_owned()).collect()
}

/// What the user says of stacks.
#[derive(Clone, Copy)]
pub(super) struct Said<'a> {
    /// Values of parameters.
    pub(super) parameters: &'a BTreeMap<String, String>,
    /// Values of imports.
    pub(super) imports: &'a BTreeMap<String, String>,
    /// Names of those that templates asked for.
    pub(super) used: &'a RefCell<BTreeSet<String>>,
}

/// Reads a template from a file of this name.
pub(super) fn read(
    (root, file): (&View<'_>, &str),
    said: Said<'_>,
    exports: &Exports,
    draft: &mut Draft,
    problems: &mut Problems<'_>,
) {
    let given = Given {
        parameters: said.parameters,
        imports: said.imports,
        used: said.used,
        exports: &exports.0,
    };
    let mut reader = Reader {
        template: Template::new(root.clone(), file, given),
        default_outbound: true,
        draft,
        problems,
    };
    let Some(resources) = root.get("Resources") else {
        let help = "a template has a section `Resources`";
        reader
            .problems
            .error(&root.at(), "the template has no resources", help);
        return;
    };
    reader.macros(root);
    let resources = resources.entries();
    for (_, resource) in &resources {
        reader.note_outbound(resource);
    }
    for (id, resource) in &resources {
        reader.resource(id, resource);
    }
}

struct Reader<'a, 'd, 'p, 's> {
    template: Template<'a>,
    /// Whether groups that state no outbound rule have AWS's: macros may give them others.
    default_outbound: bool,
    draft: &'d mut Draft,
    problems: &'p mut Problems<'s>,
}

/// The items of a list that a template states.
#[derive(Default)]
struct Items<'a> {
    known: Vec<View<'a>>,
    /// Whether some are not known, which was reported.
    incomplete: bool,
}

impl Items<'_> {
    /// Whether the list is certainly empty.
    fn is_empty(&self) -> bool {
        self.known.is_empty() && !self.incomplete
    }
}

impl<'a> Reader<'a, '_, '_, '_> {
    fn resource(&mut self, id: &str, resource: &View<'a>) {
        let Some(kind) = kind(resource) else {
            self.no_resource(id, resource);
            return;
        };
        let read = match kind {
            "AWS::EC2::SecurityGroup" => Self::group,
            "AWS::EC2::SecurityGroupIngress" => Self::ingress,
            "AWS::EC2::SecurityGroupEgress" => Self::egress,
            "AWS::EC2::PrefixList" => Self::prefix_list,
            "AWS::EC2::NetworkInterface" => Self::interface,
            "AWS::EC2::Instance" => Self::instance,
            _ => {
                self.other(kind, resource);
                return;
            }
        };
        if !self.is_made(resource) {
            return;
        }
        match resource.get("Properties") {
            Some(keys) => read(self, id, &keys),
            None if kind.starts_with("AWS::EC2::SecurityGroup") => {
                let help = "CloudFormation refuses such a resource: was the file cut off?";
                let message = "the resource has no properties: not carried over";
                self.problems.warning(&resource.at(), message, help);
            }
            None => {}
        }
    }

    /// Resources that may have to do with groups.
    fn other(&mut self, kind: &str, resource: &View<'a>) {
        let (message, help) = if kind.contains("SecurityGroup") {
            (
                format!("`{kind}` is not carried over"),
                "look whether it changes what is allowed",
            )
        } else if kind == "AWS::CloudFormation::Stack" {
            (
                "the nested stack is not in this file: not carried over".to_owned(),
                "import its template, too, as a file of its own",
            )
        } else if kind.ends_with("::MODULE") {
            (
                "the module is not in this file: not carried over".to_owned(),
                "import the processed template: `aws cloudformation get-template \
                 --template-stage Processed`",
            )
        } else {
            return;
        };
        self.problems.warning(&resource.at(), message, help);
    }

    /// Whether a resource is certainly made; if not, that is reported.
    fn is_made(&mut self, resource: &View<'a>) -> bool {
        let Some(condition) = resource.get("Condition") else {
            return true;
        };
        let name = condition.as_text().unwrap_or_default();
        self.template.must_exist(name, &condition, self.problems);
        match self.template.is_made(resource, self.problems) {
            Truth::Yes => return true,
            Truth::No => {
                let message = format!("the condition `{name}` does not hold: not carried over");
                let help = "if the stack has other values, give them with --parameter";
                self.problems.warning(&condition.at(), message, help);
            }
            Truth::Unknown(causes) => {
                self.not_known(&condition.at(), &format!("the condition `{name}`"), &causes);
            }
        }
        false
    }

    /// The value under a key: `Fn::If` is decided, `AWS::NoValue` is as good as none.
    fn get(&mut self, view: &View<'a>, key: &str) -> Result<Option<View<'a>>, ()> {
        let Some(value) = view.get(key) else {
            return Ok(None);
        };
        match self.template.decide(value.clone(), self.problems) {
            Decided::Value(value) => Ok(Some(value)),
            Decided::Nothing => Ok(None),
            Decided::Unknown(unknown) => {
                let words = format!("`{}`", unknown.words);
                self.not_known(&value.at(), &words, &unknown.causes);
                Err(())
            }
        }
    }

    /// The items of the list of mappings under a key; a single one may stand without a list.
    fn list(&mut self, view: &View<'a>, key: &str, what: &str) -> Items<'a> {
        let value = match self.get(view, key) {
            Ok(Some(value)) => value,
            Ok(None) => return Items::default(),
            Err(()) => {
                return Items {
                    known: Vec::new(),
                    incomplete: true,
                };
            }
        };
        let items = match value.value() {
            Value::List(_) => value.items(),
            _ => vec![value],
        };
        let mut found = Items::default();
        for item in items {
            match self.template.decide(item.clone(), self.problems) {
                Decided::Value(item) if is_function(&item) => {
                    let causes = self.template.meaning(&item, self.problems).causes();
                    let words = format!("`{}`", meaning::words(&item));
                    self.not_known(&item.at(), &words, &causes);
                    found.incomplete = true;
                }
                Decided::Value(item) if matches!(item.value(), Value::Mapping(_)) => {
                    found.known.push(item);
                }
                Decided::Value(item) => {
                    let help = "CloudFormation refuses anything else";
                    let message = format!("{what} should stand here");
                    self.problems.error(&item.at(), message, help);
                    found.incomplete = true;
                }
                Decided::Nothing => {}
                Decided::Unknown(unknown) => {
                    let words = format!("`{}`", unknown.words);
                    self.not_known(&item.at(), &words, &unknown.causes);
                    found.incomplete = true;
                }
            }
        }
        found
    }

    /// The text under a key, with words for what only a stack knows.
    fn text(&mut self, view: &View<'a>, key: &str) -> Option<String> {
        let value = view.get(key)?;
        match self.template.meaning(&value, self.problems) {
            Meaning::Nothing => None,
            meaning => Some(meaning.into_text()),
        }
    }

    /// Reports what only a stack knows; `words` are what it is.
    fn not_known(&mut self, at: &At, words: &str, causes: &Causes) {
        let words = &shortened(words);
        let names = causes.names();
        let hangs = if names.is_empty() || names == *words {
            String::new()
        } else {
            format!(" (it depends on {names})")
        };
        let message = format!("{words} is not known from the template{hangs}: not carried over");
        self.problems.warning(at, message, causes.remedy());
    }
}

/// Words that leave room for what else a message says.
fn shortened(words: &str) -> String {
    const ROOM: usize = 80;
    if words.len() <= ROOM {
        return words.to_owned();
    }
    format!("{}…`", &words[..words.floor_char_boundary(ROOM)])
}

/// The type of a resource.
fn kind<'a>(resource: &View<'a>) -> Option<&'a str> {
    resource.get("Type")?.as_text()
}

/// Whether a mapping is a call of a function.
fn is_function(view: &View<'_>) -> bool {
    let entries = view.entries();
    let names = |name: &str| name == "Ref" || name.starts_with("Fn::");
    matches!(entries.as_slice(), [(name, _)] if names(name))
}
