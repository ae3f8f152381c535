//! What stacks export to each other, of templates that are read together.

use std::collections::BTreeMap;

use super::Said;
use super::meaning::{Cause, Meaning};
use super::template::{Given, MAX_STEPS, Template, Truth};
use crate::import::view::View;
use crate::text::report::Problems;

/// Stacks that an export may pass through from one to the next.
const MAX_STACKS: usize = 8;

/// Exports by name.
#[derive(Default)]
pub(in crate::import) struct Exports(pub(super) BTreeMap<String, Meaning>);

impl Exports {
    /// The exports of all templates, each with the name of its file.
    pub(in crate::import) fn of(templates: &[(View<'_>, &str)], said: Said<'_>) -> Self {
        let mut exports = Self::default();
        for _ in 0..MAX_STACKS {
            let next = exports.next(templates, said);
            if next.0 == exports.0 {
                break;
            }
            exports = next;
        }
        exports
    }

    /// The exports, if what is imported for them has the values that are known by now.
    fn next(&self, templates: &[(View<'_>, &str)], said: Said<'_>) -> Self {
        let mut all: BTreeMap<String, Meaning> = BTreeMap::new();
        for (root, file) in templates {
            let given = Given {
                parameters: said.parameters,
                imports: said.imports,
                used: said.used,
                exports: &self.0,
            };
            let mut template = Template::new(root.clone(), file, given);
            for (name, meaning) in of_template(&mut template) {
                let is_other = all.get(&name).is_some_and(|other| *other != meaning);
                let meaning = if is_other {
                    // Two stacks, of two regions: which one is meant?
                    let cause = Cause::Import(name.clone());
                    Meaning::unknown(format!("export {name}"), name.clone(), cause)
                } else {
                    meaning
                };
                all.insert(name, meaning);
            }
        }
        Self(all)
    }
}

fn of_template(template: &mut Template<'_>) -> Vec<(String, Meaning)> {
    // What is wrong with the values is reported when the template is read.
    let mut unheard = Problems::new(&[]);
    let outputs = template.root.get("Outputs");
    let mut found = Vec::new();
    for (_, output) in outputs.iter().flat_map(View::entries) {
        let condition = output.get("Condition");
        let condition = condition.as_ref().and_then(View::as_text);
        let is_made = condition
            .is_none_or(|name| template.condition(name, MAX_STEPS, &mut unheard) == Truth::Yes);
        let name = output.get("Export").and_then(|export| export.get("Name"));
        let (Some(name), Some(value), true) = (name, output.get("Value"), is_made) else {
            continue;
        };
        if let Meaning::Text(name) = template.meaning(&name, &mut unheard) {
            found.push((name, template.meaning(&value, &mut unheard)));
        }
    }
    found
}
