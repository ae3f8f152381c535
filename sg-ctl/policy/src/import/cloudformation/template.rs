//! The parts of a template that functions refer to, each evaluated once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::meaning::{Cause, Causes, Meaning, Unknown};
use crate::import::view::View;
use crate::text::report::Problems;

/// Functions in functions, and references that lead to references.
pub(super) const MAX_STEPS: usize = 32;

/// What is known of a stack besides its template.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    /// Values of parameters, in place of defaults.
    pub(super) parameters: &'a BTreeMap<String, String>,
    /// Values that other stacks export.
    pub(super) imports: &'a BTreeMap<String, String>,
    /// Names of those that were asked for.
    pub(super) used: &'a RefCell<BTreeSet<String>>,
    /// What the templates that are read together export.
    pub(super) exports: &'a BTreeMap<String, Meaning>,
}

/// Whether a condition holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    Yes,
    No,
    Unknown(Causes),
}

/// Something that is evaluated once; `None` while that is being done.
type Memo<'a, T> = HashMap<&'a str, Option<T>>;

/// A template, and what is known of its stack.
pub(super) struct Template<'a> {
    /// The name of the file: logical ids are unique in it.
    pub(super) file: &'a str,
    pub(super) given: Given<'a>,
    pub(super) root: View<'a>,
    parameters: HashMap<&'a str, View<'a>>,
    pub(super) resources: HashMap<&'a str, View<'a>>,
    conditions: HashMap<&'a str, View<'a>>,
    pub(super) mappings: HashMap<&'a str, View<'a>>,
    meanings: Memo<'a, Meaning>,
    truths: Memo<'a, Truth>,
    ranges: Memo<'a, Meaning>,
    /// Names of nothing, so that each is reported once.
    missing: BTreeSet<String>,
}

impl<'a> Template<'a> {
    /// A template, and what the user says of the stack.
    pub(super) fn new(root: View<'a>, file: &'a str, given: Given<'a>) -> Self {
        let section = |key: &str| {
            let section = root.get(key);
            let entries = section.iter().flat_map(View::entries);
            entries.collect::<HashMap<_, _>>()
        };
        Self {
            file,
            given,
            parameters: section("Parameters"),
            resources: section("Resources"),
            conditions: section("Conditions"),
            mappings: section("Mappings"),
            root,
            meanings: HashMap::new(),
            truths: HashMap::new(),
            ranges: HashMap::new(),
            missing: BTreeSet::new(),
        }
    }

    /// What references to a resource of this template are called.
    pub(super) fn key(&self, id: &str) -> String {
        format!("{}#{id}", self.file)
    }

    /// Whether a condition of the template holds.
    pub(super) fn condition(
        &mut self,
        name: &str,
        steps: usize,
        problems: &mut Problems<'_>,
    ) -> Truth {
        let Some((&name, view)) = self.conditions.get_key_value(name) else {
            return Truth::Unknown(Causes::of(Cause::Stack(format!("the condition {name}"))));
        };
        match self.truths.get(name) {
            Some(Some(known)) => return known.clone(),
            Some(None) => return Truth::Unknown(Causes::of(Cause::Stack(name.to_owned()))),
            None => {}
        }
        let view = view.clone();
        self.truths.insert(name, None);
        let truth = self.holds(&view, steps, problems);
        self.truths.insert(name, Some(truth.clone()));
        truth
    }

    /// Whether the template defines a condition.
    pub(super) fn has_condition(&self, name: &str) -> bool {
        self.conditions.contains_key(name)
    }

    /// Whether a resource is made.
    pub(super) fn is_made(&mut self, resource: &View<'a>, problems: &mut Problems<'_>) -> Truth {
        match resource.get("Condition") {
            Some(condition) => {
                let name = condition.as_text().unwrap_or_default();
                self.condition(name, MAX_STEPS, problems)
            }
            None => Truth::Yes,
        }
    }

    /// What `Ref` means.
    pub(super) fn reference(
        &mut self,
        name: &str,
        view: &View<'a>,
        problems: &mut Problems<'_>,
    ) -> Meaning {
        if name == "AWS::NoValue" {
            return Meaning::Nothing;
        }
        if let Some((&name, parameter)) = self.parameters.get_key_value(name) {
            if let Some(Some(known)) = self.meanings.get(name) {
                return known.clone();
            }
            let parameter = parameter.clone();
            let meaning = self.parameter(name, &parameter, problems);
            self.meanings.insert(name, Some(meaning.clone()));
            return meaning;
        }
        if let Some(resource) = self.resources.get(name).cloned() {
            return self.resource(name, &resource, "Ref", problems);
        }
        if name.starts_with("AWS::") {
            return match self.given.parameters.get(name) {
                Some(given) => Meaning::text(given),
                None => self.unknown_parameter(name),
            };
        }
        self.nothing_called(name, view, problems)
    }

    /// A parameter, or pseudo parameter, without value.
    pub(super) fn unknown_parameter(&self, name: &str) -> Meaning {
        let cause = Cause::Parameter(name.to_owned());
        Meaning::unknown(format!("{}#Ref {name}", self.file), name.to_owned(), cause)
    }

    /// A resource by its id or by the attribute `how`: groups and lists are known by their keys, of
    /// others only a stack knows the ids.
    fn resource(
        &mut self,
        name: &str,
        resource: &View<'a>,
        how: &str,
        problems: &mut Problems<'_>,
    ) -> Meaning {
        let kind = resource.get("Type");
        let kind = kind.as_ref().and_then(View::as_text).unwrap_or_default();
        let is_ours = match kind {
            "AWS::EC2::SecurityGroup" => matches!(how, "Ref" | "GroupId" | "Id"),
            "AWS::EC2::PrefixList" => matches!(how, "Ref" | "PrefixListId"),
            _ => false,
        };
        let causes = match self.is_made(resource, problems) {
            Truth::Yes if is_ours => return Meaning::Resource(self.key(name)),
            Truth::Yes => None,
            Truth::No => Some(Causes::of(Cause::Stack(name.to_owned()))),
            Truth::Unknown(causes) => Some(causes),
        };
        let words = if how == "Ref" {
            name.to_owned()
        } else {
            format!("{name}.{how}")
        };
        Meaning::Unknown(Unknown {
            key: format!("{}#{how} {name}", self.file),
            is_unmade: causes.is_some(),
            causes: causes.unwrap_or_else(|| Causes::of(Cause::Stack(words.clone()))),
            words,
        })
    }

    /// `Fn::GetAtt`: of a group its id, of a VPC the range that the template gives it.
    pub(super) fn attribute(
        &mut self,
        path: &str,
        view: &View<'a>,
        steps: usize,
        problems: &mut Problems<'_>,
    ) -> Meaning {
        let (name, attribute) = path.split_once('.').unwrap_or((path, ""));
        let Some((&name, resource)) = self.resources.get_key_value(name) else {
            return self.nothing_called(name, view, problems);
        };
        let resource = resource.clone();
        let stated = resource
            .get("Properties")
            .and_then(|keys| keys.get("CidrBlock"))
            .filter(|_| attribute == "CidrBlock");
        let Some(stated) = stated else {
            return self.resource(name, &resource, attribute, problems);
        };
        if let Some(Some(known)) = self.ranges.get(name) {
            return known.clone();
        }
        if self.ranges.insert(name, None).is_some() {
            return self.resource(name, &resource, attribute, problems);
        }
        let meaning = self.evaluate(&stated, steps, problems);
        self.ranges.insert(name, Some(meaning.clone()));
        meaning
    }

    /// A name of nothing: CloudFormation refuses the template, unless a macro may add what it names.
    fn nothing_called(
        &mut self,
        name: &str,
        view: &View<'a>,
        problems: &mut Problems<'_>,
    ) -> Meaning {
        if self.root.get("Transform").is_none() && self.missing.insert(name.to_owned()) {
            let message = format!("`{name}` is neither a parameter nor a resource of the template");
            let help = "correct the name; CloudFormation refuses such a template";
            problems.error(&view.at(), message, help);
        }
        let key = format!("{}#Ref {name}", self.file);
        Meaning::unknown(key, name.to_owned(), Cause::Stack(name.to_owned()))
    }
}
