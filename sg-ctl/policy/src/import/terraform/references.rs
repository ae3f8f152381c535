//! Which resource an id that is not known before apply will be that of.
//!
//! A plan tells by its configuration the names that an argument is made from, and nothing of how:
//! neither local values nor functions nor conditions are in it. So a name is taken only where it
//! is the only one that the id can come from.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use super::address::{caller, instance, join, parts, split_key};
use super::configuration::Configuration;
use super::resources::Resource;
use crate::import::view::View;

/// Steps through variables and outputs.
const MAX_STEPS: usize = 32;

/// Where an unknown value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// From nothing that is unknown.
    Known,
    /// From the resource with this address.
    One(Rc<str>),
    /// The plan does not tell.
    Unclear,
}

impl Origin {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Known, other) | (other, Self::Known) => other,
            (this, other) if this == other => this,
            _ => Self::Unclear,
        }
    }
}

/// The instance of a resource or module that an expression stands in.
#[derive(Clone, Copy)]
struct Place<'p> {
    /// The module that the names of the expression are of.
    module: &'p str,
    /// The address of the instance, if `each.key` and `count.index` have a meaning.
    instance: Option<&'p str>,
}

/// Instance keys by address without them.
type Instances = BTreeMap<Rc<str>, BTreeSet<Rc<str>>>;

/// What ids can be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Group,
    List,
}

impl Target {
    /// The word for it in reports.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::List => "list",
        }
    }

    const fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::Group => &["aws_security_group", "aws_default_security_group"],
            Self::List => &["aws_ec2_managed_prefix_list", "aws_prefix_list"],
        }
    }
}

/// The resources of a plan, and the configuration that refers to them.
pub(super) struct References<'a> {
    configuration: Configuration<'a>,
    /// Of every resource and module.
    instances: Instances,
    /// What variables and outputs come from: each is followed once.
    followed: RefCell<HashMap<String, Origin>>,
    /// Whether the instances of one address can be those of another: each pair is compared once.
    paired: RefCell<HashMap<String, bool>>,
}

impl<'a> References<'a> {
    /// The configuration of a plan; a state has none, and knows everything.
    pub(super) fn new(root: &View<'a>, resources: &[Resource<'a>]) -> Self {
        let mut instances = Instances::new();
        let mut modules = BTreeSet::new();
        let mut add = |address: &str| {
            let (base, key) = instance(address);
            let keys = instances.entry(base.into()).or_default();
            keys.insert(key.into());
        };
        for resource in resources {
            add(&resource.address);
            let mut module = &*resource.module;
            while !module.is_empty() && modules.insert(module) {
                add(module);
                module = caller(module).unwrap_or_default();
            }
        }
        Self {
            configuration: Configuration::new(root),
            instances,
            followed: RefCell::default(),
            paired: RefCell::default(),
        }
    }

    /// Whether the configuration says anything about an argument. Without one, it may.
    pub(super) fn is_stated(&self, resource: &Resource<'_>, key: &str) -> bool {
        self.configuration.is_stated(resource, key)
    }

    /// The address of the one group or list that an unknown argument is made from.
    pub(super) fn find(&self, resource: &Resource<'_>, key: &str, what: Target) -> Option<String> {
        let expression = self.configuration.argument(resource, key)?;
        let place = Place {
            module: &resource.module,
            instance: Some(&resource.address),
        };
        let Origin::One(found) = self.origin(&expression, place, MAX_STEPS) else {
            return None;
        };
        let parts = parts(&found);
        let kind = parts.len().checked_sub(2).map(|kind| parts[kind]);
        let is_wanted = kind.is_some_and(|kind| what.kinds().contains(&kind));
        is_wanted.then(|| found.to_string())
    }

    /// What an expression's value comes from if it is unknown.
    fn origin(&self, expression: &View<'_>, place: Place<'_>, steps: usize) -> Origin {
        let nested = expression.entries().into_iter().map(|(_, inner)| inner);
        let nested = nested.chain(expression.items());
        match expression.get("references") {
            Some(references) => {
                let items = references.items();
                let names: BTreeSet<_> = items.iter().filter_map(View::as_text).collect();
                self.of_names(&whole(&names), place, steps)
            }
            None if expression.get("constant_value").is_some() => Origin::Known,
            None => nested.fold(Origin::Known, |known, inner| {
                known.and(self.origin(&inner, place, steps))
            }),
        }
    }

    /// What a value comes from that is made from these names.
    fn of_names(&self, names: &[&str], place: Place<'_>, steps: usize) -> Origin {
        let Some(steps) = steps.checked_sub(1) else {
            return Origin::Unclear;
        };
        let mut origin = Origin::Known;
        let mut resources = BTreeSet::new();
        // Known values may decide which instance is meant.
        let (mut selectors, mut is_by_own_key) = (0_usize, false);
        for name in names {
            let from = match parts(name).as_slice() {
                ["each", "key"] | ["count", "index"] => {
                    is_by_own_key = true;
                    selectors += 1;
                    continue;
                }
                ["var", variable, ..] => self.variable(split_key(variable).0, place, steps),
                ["module", call, output, ..] => {
                    let module = join(place.module, &format!("module.{call}"));
                    self.output(&module, split_key(output).0, steps)
                }
                ["data", kind, resource, rest @ ..] if is_id(rest) => {
                    resources.insert(format!("data.{kind}.{resource}"));
                    continue;
                }
                [kind, resource, rest @ ..] if kind.contains('_') && is_id(rest) => {
                    resources.insert(format!("{kind}.{resource}"));
                    continue;
                }
                _ => return Origin::Unclear,
            };
            selectors += usize::from(from == Origin::Known);
            origin = origin.and(from);
        }
        let is_by_own_key = is_by_own_key && names.len() == 2;
        for resource in resources {
            let address = join(place.module, &resource);
            let one = match (is_by_own_key, selectors) {
                (true, _) => self.by_own_key(&address, place),
                (false, 0) => self.exactly(&address),
                (false, _) => self.only(&address),
            };
            origin = origin.and(one.map_or(Origin::Unclear, Origin::One));
        }
        origin
    }

    /// `web[each.key]`: the instance with the key of the instance that says so. That is what it
    /// means only if it would mean something for every instance that says so; of numbers, which
    /// are easily shifted (`web[count.index + 1]`), both must have the same.
    fn by_own_key(&self, address: &str, place: Place<'_>) -> Option<Rc<str>> {
        let (base, key) = instance(place.instance?);
        let (own, theirs) = (self.instances.get(base)?, self.instances.get(address));
        let Some(theirs) = theirs else {
            // An instance, or nothing that the plan has.
            return self.only(address);
        };
        let mut paired = self.paired.borrow_mut();
        let is_paired = paired
            .entry(format!("{base} {address}"))
            .or_insert_with(|| {
                if key.starts_with("[\"") {
                    own.is_subset(theirs)
                } else {
                    own == theirs
                }
            });
        (*is_paired && theirs.contains(key)).then(|| format!("{address}{key}").into())
    }

    /// The instance with this address, or the only one of this resource.
    fn exactly(&self, address: &str) -> Option<Rc<str>> {
        let (base, key) = instance(address);
        if key.is_empty() {
            return self.only(address);
        }
        let keys = self.instances.get(base)?;
        keys.contains(key).then(|| address.into())
    }

    /// The instance with this address, if it is the only one of its resource.
    fn only(&self, address: &str) -> Option<Rc<str>> {
        let (base, key) = instance(address);
        let mut keys = self.instances.get(base)?.iter();
        let (Some(only), None) = (keys.next(), keys.next()) else {
            return None;
        };
        let is_it = key.is_empty() || key == &**only;
        is_it.then(|| format!("{base}{only}").into())
    }

    /// What the caller of the module gives it under this name. What the root module is given, and
    /// defaults, are known.
    fn variable(&self, name: &str, place: Place<'_>, steps: usize) -> Origin {
        let Some(module) = caller(place.module) else {
            return Origin::Known;
        };
        let Some(expression) = self.configuration.variable(place.module, name) else {
            return Origin::Known;
        };
        let place = Place {
            module,
            instance: Some(place.module),
        };
        let memo = format!("{} var.{name}", place.instance.unwrap_or_default());
        self.once(memo, || self.origin(&expression, place, steps))
    }

    fn output(&self, module: &str, name: &str, steps: usize) -> Origin {
        let Some(expression) = self.configuration.output(module, name) else {
            return Origin::Unclear;
        };
        let place = Place {
            module,
            instance: None,
        };
        let memo = format!("{module} output.{name}");
        self.once(memo, || self.origin(&expression, place, steps))
    }

    /// What `follow` comes to, which is asked once. A circle comes from nowhere.
    fn once(&self, memo: String, follow: impl FnOnce() -> Origin) -> Origin {
        if let Some(known) = self.followed.borrow().get(&memo) {
            return known.clone();
        }
        self.followed
            .borrow_mut()
            .insert(memo.clone(), Origin::Unclear);
        let origin = follow();
        self.followed.borrow_mut().insert(memo, origin.clone());
        origin
    }
}

/// Whether an id, or no attribute at all, of a resource is named.
fn is_id(rest: &[&str]) -> bool {
    matches!(rest, [] | ["id"])
}

/// Names that are not a part of another: Terraform lists `web["a"].id`, `web["a"]` and `web` for
/// the first alone.
fn whole<'n>(names: &BTreeSet<&'n str>) -> Vec<&'n str> {
    let is_part = |name: &str| {
        ['.', '['].into_iter().any(|sign| {
            let longer = format!("{name}{sign}");
            let next = names.range(longer.as_str()..).next();
            next.is_some_and(|next| next.starts_with(&longer))
        })
    };
    let whole = names.iter().filter(|name| !is_part(name));
    whole.copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_name_is_no_name_of_its_own() {
        let names = ["web", "web[0]", "web[0].id", "web2.id", "web2", "each.key"];
        let names = BTreeSet::from(names);
        assert_eq!(whole(&names), ["each.key", "web2.id", "web[0].id"]);
    }
}
