//! Conditions, in the logic of three values: what is not known makes nothing true or false.

use super::meaning::{Cause, Causes, Meaning, Unknown, key, words};
use super::template::{MAX_STEPS, Template, Truth};
use crate::import::view::View;
use crate::text::report::Problems;

/// What `Fn::If` comes to.
pub(super) enum Decided<'a> {
    /// A value that is no `Fn::If`.
    Value(View<'a>),
    /// `AWS::NoValue`.
    Nothing,
    /// The condition is not known.
    Unknown(Unknown),
}

impl<'a> Template<'a> {
    /// What `Fn::If` comes to.
    pub(super) fn decide(
        &mut self,
        mut view: View<'a>,
        problems: &mut Problems<'_>,
    ) -> Decided<'a> {
        let mut causes = Causes::of(Cause::Stack("conditions in conditions".to_owned()));
        for steps in (1..MAX_STEPS).rev() {
            if view.get("Ref").and_then(|name| name.as_text()) == Some("AWS::NoValue") {
                return Decided::Nothing;
            }
            let Some(choice) = view.get("Fn::If") else {
                return Decided::Value(view);
            };
            let Ok([condition, yes, no]) = <[View<'a>; 3]>::try_from(choice.items()) else {
                let help = "`Fn::If` takes a condition, a value, and another value";
                problems.error(&choice.at(), "three values should stand here", help);
                break;
            };
            let name = condition.as_text().unwrap_or_default();
            self.must_exist(name, &condition, problems);
            view = match self.condition(name, steps, problems) {
                Truth::Yes => yes,
                Truth::No => no,
                Truth::Unknown(found) => {
                    causes = found;
                    break;
                }
            };
        }
        Decided::Unknown(Unknown {
            key: format!("{}#{}", self.file, key(&view)),
            words: words(&view),
            causes,
            is_unmade: false,
        })
    }

    /// Reports a condition that the template does not define: CloudFormation refuses it.
    pub(super) fn must_exist(&self, name: &str, at: &View<'_>, problems: &mut Problems<'_>) {
        if !self.has_condition(name) && self.root.get("Transform").is_none() {
            let message = format!("the template has no condition `{name}`");
            let help = "correct the name; CloudFormation refuses such a template";
            problems.error(&at.at(), message, help);
        }
    }

    /// Whether an expression of conditions holds.
    pub(super) fn holds(
        &mut self,
        view: &View<'a>,
        steps: usize,
        problems: &mut Problems<'_>,
    ) -> Truth {
        let unknown = |words: &str| Truth::Unknown(Causes::of(Cause::Stack(words.to_owned())));
        let Some(steps) = steps.checked_sub(1) else {
            return unknown("conditions in conditions");
        };
        let entries = view.entries();
        let [(function, value)] = entries.as_slice() else {
            return unknown("a condition");
        };
        let items = value.items();
        match (*function, items.as_slice()) {
            ("Condition", _) => {
                let name = value.as_text().unwrap_or_default();
                self.must_exist(name, value, problems);
                self.condition(name, steps, problems)
            }
            ("Fn::Not", [one]) => match self.holds(one, steps, problems) {
                Truth::Yes => Truth::No,
                Truth::No => Truth::Yes,
                unknown @ Truth::Unknown(_) => unknown,
            },
            ("Fn::And", all) => self.all(all, Truth::Yes, Truth::No, steps, problems),
            ("Fn::Or", all) => self.all(all, Truth::No, Truth::Yes, steps, problems),
            ("Fn::Equals", [left, right]) => {
                let left = self.evaluate(left, steps, problems);
                let right = self.evaluate(right, steps, problems);
                equal(&left, &right)
            }
            (other, _) => unknown(other),
        }
    }

    /// `decides` if one of them does, what they are to be `otherwise`, or not known.
    fn all(
        &mut self,
        conditions: &[View<'a>],
        otherwise: Truth,
        decides: Truth,
        steps: usize,
        problems: &mut Problems<'_>,
    ) -> Truth {
        let (mut causes, mut is_known) = (Causes::default(), true);
        for condition in conditions {
            match self.holds(condition, steps, problems) {
                Truth::Unknown(found) => {
                    is_known = false;
                    causes.add(&found);
                }
                truth if truth == decides => return decides,
                _ => {}
            }
        }
        if is_known {
            otherwise
        } else {
            Truth::Unknown(causes)
        }
    }
}

fn equal(left: &Meaning, right: &Meaning) -> Truth {
    let mut causes = left.causes();
    causes.add(&right.causes());
    let is_known = causes.is_empty();
    match (left == right, is_known) {
        // The same unknown value is equal to itself.
        (true, _) => Truth::Yes,
        (false, true) => Truth::No,
        (false, false) => Truth::Unknown(causes),
    }
}
