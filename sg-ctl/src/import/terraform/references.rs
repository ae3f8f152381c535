//! Which resource an id that is not known before apply will be that of.
//!
//! A plan holds the configuration, and so, for each argument, the names of what it is made from.
//! They are followed through variables and outputs of modules. Local values are not in a plan.

use std::collections::BTreeSet;

use super::resources::Resource;
use crate::import::view::View;

/// Steps through variables and outputs.
const MAX_STEPS: usize = 16;

/// The configuration in a plan.
pub(super) struct References<'a> {
    root: Option<View<'a>>,
    /// Addresses of groups and of lists.
    groups: BTreeSet<&'a str>,
    lists: BTreeSet<&'a str>,
}

impl<'a> References<'a> {
    /// The configuration of a plan; a state has none, and knows everything.
    pub(super) fn new(root: &View<'a>, resources: &[Resource<'a>]) -> Self {
        let of_kind = |wanted: &[&str]| {
            let matching = resources.iter().filter(|each| wanted.contains(&each.kind));
            matching.map(|each| each.address).collect()
        };
        let configuration = root.get("configuration");
        Self {
            root: configuration.and_then(|configuration| configuration.get("root_module")),
            groups: of_kind(&["aws_security_group", "aws_default_security_group"]),
            lists: of_kind(&["aws_ec2_managed_prefix_list", "aws_prefix_list"]),
        }
    }

    /// Whether the configuration says anything about an argument. Without one, it may.
    pub(super) fn is_stated(&self, resource: &Resource<'_>, key: &str) -> bool {
        match self.expressions(resource) {
            Some(expressions) => expressions.get(key).is_some(),
            None => true,
        }
    }

    /// The address of the one group or list (`what`) that an argument is made from.
    pub(super) fn find(&self, resource: &Resource<'_>, key: &str, what: &str) -> Option<String> {
        let known = if what == "group" {
            &self.groups
        } else {
            &self.lists
        };
        let mut targets = BTreeSet::new();
        let expression = self.expressions(resource)?.get(key)?;
        self.follow(&expression, resource.module, MAX_STEPS, &mut targets);
        let index = index_of(resource.address);
        let mut found: BTreeSet<&str> = BTreeSet::new();
        for target in &targets {
            if let Some(exact) = known.get(target.as_str()) {
                found.insert(exact);
                continue;
            }
            let instances: Vec<_> = known
                .iter()
                .filter(|address| address.strip_prefix(target.as_str()).is_some_and(is_index))
                .collect();
            // `aws_security_group.web[each.key]`, in a resource with the same keys.
            let same = instances
                .iter()
                .find(|address| Some(index_of(address)) == Some(index));
            match (instances.as_slice(), same) {
                ([], _) => {}
                (_, Some(same)) if !index.is_empty() => {
                    found.insert(same);
                }
                (several, _) => found.extend(several.iter().map(|each| **each)),
            }
        }
        match found.into_iter().collect::<Vec<_>>().as_slice() {
            [only] => Some((*only).to_owned()),
            _ => None,
        }
    }

    /// The arguments of a resource in the configuration.
    fn expressions(&self, resource: &Resource<'_>) -> Option<View<'a>> {
        let module = self.module(resource.module)?;
        let resources = module.get("resources")?;
        let matches = |view: &View<'_>, key: &str, wanted: &str| {
            view.get(key).and_then(|found| found.as_text()) == Some(wanted)
        };
        resources
            .items()
            .into_iter()
            .find(|view| {
                matches(view, "type", resource.kind)
                    && matches(view, "name", resource.name)
                    && (view.get("mode").is_none() || !matches(view, "mode", "data"))
            })?
            .get("expressions")
    }

    /// The configuration of the module with this address.
    fn module(&self, address: &str) -> Option<View<'a>> {
        let mut module = self.root.clone()?;
        let mut parts = parts(address).into_iter();
        while let (Some("module"), Some(name)) = (parts.next(), parts.next()) {
            let (name, _) = split_index(name);
            module = module.get("module_calls")?.get(name)?.get("module")?;
        }
        Some(module)
    }

    /// Adds the addresses of the resources that an expression of a module refers to.
    fn follow(
        &self,
        expression: &View<'_>,
        module: &str,
        steps: usize,
        targets: &mut BTreeSet<String>,
    ) {
        let Some(steps) = steps.checked_sub(1) else {
            return;
        };
        for (key, inner) in expression.entries() {
            if key == "references" {
                let items = inner.items();
                let texts: Vec<_> = items.iter().filter_map(View::as_text).collect();
                for reference in &texts {
                    // Terraform lists `web["a"].id`, `web["a"]` and `web` for the first alone.
                    let is_part = |other: &&str| {
                        let rest = other.strip_prefix(reference);
                        rest.is_some_and(|rest| rest.starts_with(['.', '[']))
                    };
                    if !texts.iter().any(is_part) {
                        self.target(reference, module, steps, targets);
                    }
                }
            } else {
                self.follow(&inner, module, steps, targets);
            }
        }
        for inner in expression.items() {
            self.follow(&inner, module, steps, targets);
        }
    }

    fn target(&self, reference: &str, module: &str, steps: usize, targets: &mut BTreeSet<String>) {
        let parts = parts(reference);
        let resource = match parts.as_slice() {
            ["var", name, ..] => {
                // What the caller gives.
                if let Some((caller, call)) = split_module(module)
                    && let Some(expression) = self.argument(caller, call, name)
                {
                    self.follow(&expression, caller, steps, targets);
                }
                return;
            }
            ["module", name, output, ..] => {
                let inner = join(module, &format!("module.{name}"));
                let expression = self.module(&inner).and_then(|module| {
                    module
                        .get("outputs")?
                        .get(split_index(output).0)?
                        .get("expression")
                });
                if let Some(expression) = expression {
                    self.follow(&expression, &inner, steps, targets);
                }
                return;
            }
            ["data", kind, name, ..] => format!("data.{kind}.{name}"),
            [kind, name, ..] if kind.starts_with("aws_") => format!("{kind}.{name}"),
            _ => return,
        };
        targets.insert(join(module, &resource));
    }

    /// What `caller` gives a module as an argument.
    fn argument(&self, caller: &str, call: &str, name: &str) -> Option<View<'a>> {
        let calls = self.module(caller)?.get("module_calls")?;
        calls
            .get(split_index(call).0)?
            .get("expressions")?
            .get(name)
    }
}

/// The parts of an address; dots in an index (`web["a.b"]`) part nothing.
fn parts(address: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let is_end = |sign: char| {
        match sign {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        sign == '.' && depth == 0
    };
    address.split(is_end).collect()
}

/// `web` and `["a"]` of `web["a"]`.
fn split_index(part: &str) -> (&str, &str) {
    part.split_at(part.find('[').unwrap_or(part.len()))
}

/// The index at the end of an address.
fn index_of(address: &str) -> &str {
    parts(address).last().map_or("", |last| split_index(last).1)
}

fn is_index(text: &str) -> bool {
    text.starts_with('[') && text.ends_with(']')
}

/// The module that holds a module, and the name of the call: `a` and `b` of `module.a.module.b`
/// are `module.a` and `b`.
fn split_module(module: &str) -> Option<(&str, &str)> {
    let call = *parts(module).last()?;
    let caller = module.strip_suffix(call)?.strip_suffix("module.")?;
    Some((caller.strip_suffix('.').unwrap_or(caller), call))
}

fn join(module: &str, address: &str) -> String {
    if module.is_empty() {
        address.to_owned()
    } else {
        format!("{module}.{address}")
    }
}
