//! Intrinsic functions: what a value of a template is, as far as the template alone tells.

use std::collections::{BTreeMap, BTreeSet};

use crate::import::view::View;
use crate::text::report::Problems;

/// Functions in functions, and references that lead to references.
const MAX_STEPS: usize = 32;

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Text, numbers included.
    Text(String),
    /// A resource of the template, by its logical id, or one of its attributes that names it.
    Resource(String),
    /// Something that only a stack knows, with words for it.
    Unknown(String),
}

impl Meaning {
    /// The text, or words in its place.
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            // What `Fn::Sub` could not fill in is marked already.
            Self::Unknown(words) if words.contains("${") => words,
            Self::Resource(words) | Self::Unknown(words) => format!("${{{words}}}"),
        }
    }
}

/// The parts of a template that functions refer to.
pub(super) struct Template<'a> {
    root: View<'a>,
    /// Values of parameters, in place of defaults.
    given: &'a BTreeMap<String, String>,
    /// Parameters whose defaults were used, so that each is reported once.
    used: BTreeSet<String>,
}

impl<'a> Template<'a> {
    /// A template, and what the user says of the stack.
    pub(super) const fn new(root: View<'a>, given: &'a BTreeMap<String, String>) -> Self {
        Self {
            root,
            given,
            used: BTreeSet::new(),
        }
    }

    /// The value under a key: `Fn::If` is decided, `AWS::NoValue` is as good as none.
    pub(super) fn get(
        &mut self,
        view: &View<'a>,
        key: &str,
        problems: &mut Problems<'_>,
    ) -> Option<View<'a>> {
        let value = view.get(key)?;
        self.decide(value, problems)
    }

    /// The items under a key; a single one may stand without a list.
    pub(super) fn list(
        &mut self,
        view: &View<'a>,
        key: &str,
        problems: &mut Problems<'_>,
    ) -> Vec<View<'a>> {
        let Some(value) = self.get(view, key, problems) else {
            return Vec::new();
        };
        let items = match value.entries().as_slice() {
            [] => value.items(),
            _ => vec![value],
        };
        items
            .into_iter()
            .filter_map(|item| self.decide(item, problems))
            .collect()
    }

    /// What `Fn::If` comes to; `None` for no value, and after a report.
    fn decide(&mut self, mut view: View<'a>, problems: &mut Problems<'_>) -> Option<View<'a>> {
        for _ in 0..MAX_STEPS {
            if view.get("Ref").and_then(|name| name.as_text()) == Some("AWS::NoValue") {
                return None;
            }
            let Some(choice) = view.get("Fn::If") else {
                return Some(view);
            };
            let [condition, yes, no] = choice.items().try_into().ok()?;
            let name = condition.as_text().unwrap_or_default();
            view = match self.condition(name, problems) {
                Some(true) => yes,
                Some(false) => no,
                None => {
                    let message = format!("the condition `{name}` is not known: not carried over");
                    let help = "give the values of its parameters with --parameter";
                    problems.warning(&view.at(), message, help);
                    return None;
                }
            };
        }
        None
    }

    /// Whether a condition of the template holds.
    pub(super) fn condition(&mut self, name: &str, problems: &mut Problems<'_>) -> Option<bool> {
        let condition = self.root.get("Conditions")?.get(name)?;
        self.holds(&condition, MAX_STEPS, problems)
    }

    fn holds(
        &mut self,
        view: &View<'a>,
        steps: usize,
        problems: &mut Problems<'_>,
    ) -> Option<bool> {
        let steps = steps.checked_sub(1)?;
        let (function, value) = view.entries().into_iter().next()?;
        let items = value.items();
        let mut each = items.iter();
        match function {
            "Condition" => {
                let condition = self.root.get("Conditions")?.get(value.as_text()?)?;
                self.holds(&condition, steps, problems)
            }
            "Fn::Not" => Some(!self.holds(each.next()?, steps, problems)?),
            "Fn::And" => each.try_fold(true, |all, one| {
                Some(all & self.holds(one, steps, problems)?)
            }),
            "Fn::Or" => each.try_fold(false, |any, one| {
                Some(any | self.holds(one, steps, problems)?)
            }),
            "Fn::Equals" => {
                let left = self.evaluate(each.next()?, steps, problems);
                let right = self.evaluate(each.next()?, steps, problems);
                match (left, right) {
                    (Meaning::Text(left), Meaning::Text(right)) => Some(left == right),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// What a value is.
    pub(super) fn meaning(&mut self, view: &View<'a>, problems: &mut Problems<'_>) -> Meaning {
        self.evaluate(view, MAX_STEPS, problems)
    }

    fn evaluate(&mut self, view: &View<'a>, steps: usize, problems: &mut Problems<'_>) -> Meaning {
        if let Some(text) = view.as_text() {
            return Meaning::Text(text.to_owned());
        }
        let Some(steps) = steps.checked_sub(1) else {
            return Meaning::Unknown("functions in functions".to_owned());
        };
        let entries = view.entries();
        let [(function, value)] = entries.as_slice() else {
            return Meaning::Unknown("a value".to_owned());
        };
        let text = value.as_text();
        let unknown = || Meaning::Unknown(format!("{function} {}", text.unwrap_or_default()));
        match (*function, text) {
            ("Ref", Some(name)) => self.reference(name, steps, problems),
            ("Fn::GetAtt", Some(path)) => self.attribute(path, steps, problems),
            ("Fn::GetAtt", None) => {
                let parts = value.items();
                let parts: Vec<_> = parts.iter().filter_map(View::as_text).collect();
                self.attribute(&parts.join("."), steps, problems)
            }
            ("Fn::Sub", _) => self.substitute(value, steps, problems),
            ("Fn::Join", _) => self
                .join(value, steps, problems)
                .unwrap_or_else(|| Meaning::Unknown("Fn::Join".to_owned())),
            ("Fn::FindInMap", _) => self
                .find_in_map(value, steps, problems)
                .unwrap_or_else(|| Meaning::Unknown("Fn::FindInMap".to_owned())),
            ("Fn::If", _) => match self.decide(view.clone(), problems) {
                Some(view) => self.evaluate(&view, steps, problems),
                None => Meaning::Unknown("Fn::If".to_owned()),
            },
            ("Fn::ImportValue", _) => {
                let name = self.evaluate(value, steps, problems).into_text();
                Meaning::Unknown(name)
            }
            _ => unknown(),
        }
    }

    fn reference(&mut self, name: &str, steps: usize, problems: &mut Problems<'_>) -> Meaning {
        let parameter = self.root.get("Parameters").and_then(|all| all.get(name));
        if let Some(given) = self.given.get(name) {
            if let Some(parameter) = parameter {
                self.check_allowed(name, given, &parameter, problems);
            }
            return Meaning::Text(given.clone());
        }
        if let Some(parameter) = parameter {
            let kind = parameter.get("Type");
            let kind = kind.as_ref().and_then(View::as_text).unwrap_or_default();
            // The default of such a parameter is the name under which a value is kept elsewhere.
            let is_elsewhere = kind.starts_with("AWS::SSM::Parameter::Value");
            let Some(default) = parameter.get("Default").filter(|_| !is_elsewhere) else {
                return Meaning::Unknown(name.to_owned());
            };
            let meaning = self.evaluate(&default, steps, problems);
            if self.used.insert(name.to_owned()) {
                let text = meaning.clone().into_text();
                let message = format!("the default `{text}` of the parameter is imported");
                let help = format!("if the stack has another value: --parameter {name}=VALUE");
                problems.warning(&default.at(), message, help);
            }
            return meaning;
        }
        let resource = self.root.get("Resources").and_then(|all| all.get(name));
        match resource {
            Some(_) => Meaning::Resource(name.to_owned()),
            None => Meaning::Unknown(name.to_owned()),
        }
    }

    /// Reports, once, a value that AWS would refuse.
    fn check_allowed(
        &mut self,
        name: &str,
        given: &str,
        parameter: &View<'a>,
        problems: &mut Problems<'_>,
    ) {
        let Some(allowed) = parameter.get("AllowedValues") else {
            return;
        };
        let values = allowed.items();
        let values: Vec<_> = values.iter().filter_map(View::as_text).collect();
        if !values.contains(&given) && self.used.insert(name.to_owned()) {
            let message = format!("the parameter `{name}` may not be `{given}`");
            let help = format!("it may be: {}", values.join(", "));
            problems.error(&allowed.at(), message, help);
        }
    }

    /// `Fn::GetAtt`: of a group its id, of a VPC the range that the template gives it.
    fn attribute(&mut self, path: &str, steps: usize, problems: &mut Problems<'_>) -> Meaning {
        let unknown = || Meaning::Unknown(path.to_owned());
        let (name, attribute) = path.split_once('.').unwrap_or((path, ""));
        let resource = self.root.get("Resources").and_then(|all| all.get(name));
        let Some(resource) = resource else {
            return unknown();
        };
        match attribute {
            "GroupId" | "PrefixListId" | "Id" => Meaning::Resource(name.to_owned()),
            "CidrBlock" => {
                let stated = resource
                    .get("Properties")
                    .and_then(|keys| keys.get("CidrBlock"));
                stated.map_or_else(unknown, |stated| self.evaluate(&stated, steps, problems))
            }
            _ => unknown(),
        }
    }

    fn substitute(
        &mut self,
        value: &View<'a>,
        steps: usize,
        problems: &mut Problems<'_>,
    ) -> Meaning {
        let items = value.items();
        let text = value.as_text().or_else(|| items.first()?.as_text());
        let variables = items.get(1);
        let mut rest = text.unwrap_or_default();
        let (mut result, mut unknown) = (String::new(), false);
        while let Some((before, after)) = rest.split_once("${") {
            result.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                result.push_str("${");
                rest = after;
                continue;
            };
            rest = after;
            if let Some(literal) = name.strip_prefix('!') {
                result.extend(["${", literal, "}"]);
                continue;
            }
            let given = variables.and_then(|variables| variables.get(name));
            let meaning = match given {
                Some(given) => self.evaluate(&given, steps, problems),
                None if name.contains('.') => self.attribute(name, steps, problems),
                None => self.reference(name, steps, problems),
            };
            // `!Sub "${Group}"` is the group.
            if let Meaning::Resource(_) = meaning
                && result.is_empty()
                && rest.is_empty()
            {
                return meaning;
            }
            unknown |= !matches!(meaning, Meaning::Text(_));
            result.push_str(&meaning.into_text());
        }
        result.push_str(rest);
        if unknown {
            Meaning::Unknown(result)
        } else {
            Meaning::Text(result)
        }
    }

    fn join(
        &mut self,
        value: &View<'a>,
        steps: usize,
        problems: &mut Problems<'_>,
    ) -> Option<Meaning> {
        let items = value.items();
        let [separator, parts] = items.as_slice() else {
            return None;
        };
        let mut texts = Vec::new();
        for part in parts.items() {
            match self.evaluate(&part, steps, problems) {
                Meaning::Text(text) => texts.push(text),
                Meaning::Resource(_) | Meaning::Unknown(_) => return None,
            }
        }
        Some(Meaning::Text(texts.join(separator.as_text()?)))
    }

    fn find_in_map(
        &mut self,
        value: &View<'a>,
        steps: usize,
        problems: &mut Problems<'_>,
    ) -> Option<Meaning> {
        let mut found = self.root.get("Mappings")?;
        for key in value.items().iter().take(3) {
            match self.evaluate(key, steps, problems) {
                Meaning::Text(key) => found = found.get(&key)?,
                Meaning::Resource(_) | Meaning::Unknown(_) => return None,
            }
        }
        Some(Meaning::Text(found.as_text()?.to_owned()))
    }
}
