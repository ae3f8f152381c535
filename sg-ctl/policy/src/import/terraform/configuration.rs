//! The configuration that a plan holds: for each argument the names of what it is made from.
//!
//! Names of modules in it have no instance keys: all instances are configured alike.

use std::collections::HashMap;

use super::address::{join, plain};
use super::resources::Resource;
use crate::import::view::View;

/// Expressions by what they are of.
#[derive(Default)]
pub(super) struct Configuration<'a> {
    /// Whether there is one: a state has none.
    is_there: bool,
    /// Arguments of resources, by plain address.
    resources: HashMap<String, View<'a>>,
    /// Arguments of module calls, by the module's plain address.
    calls: HashMap<String, View<'a>>,
    /// Outputs of modules, by the module's plain address.
    outputs: HashMap<String, View<'a>>,
}

impl<'a> Configuration<'a> {
    /// The configuration of a plan.
    pub(super) fn new(root: &View<'a>) -> Self {
        let mut this = Self::default();
        let configuration = root.get("configuration");
        if let Some(module) = configuration.and_then(|all| all.get("root_module")) {
            this.is_there = true;
            this.add(&module, "");
        }
        this
    }

    fn add(&mut self, module: &View<'a>, address: &str) {
        let resources = module.get("resources").map(|all| all.items());
        for resource in resources.unwrap_or_default() {
            let text = |key| resource.get(key).and_then(|view| view.as_text());
            if let (Some(name), Some(arguments)) = (text("address"), resource.get("expressions")) {
                self.resources.insert(join(address, name), arguments);
            }
        }
        if let Some(outputs) = module.get("outputs") {
            self.outputs.insert(address.to_owned(), outputs);
        }
        let calls = module.get("module_calls");
        for (name, call) in calls.iter().flat_map(View::entries) {
            let address = join(address, &format!("module.{name}"));
            if let Some(arguments) = call.get("expressions") {
                self.calls.insert(address.clone(), arguments);
            }
            if let Some(module) = call.get("module") {
                self.add(&module, &address);
            }
        }
    }

    /// Whether the configuration says anything about an argument. Without one, it may.
    pub(super) fn is_stated(&self, resource: &Resource<'_>, key: &str) -> bool {
        !self.is_there || resource.is_part() || self.argument(resource, key).is_some()
    }

    /// What an argument of a resource is made from.
    pub(super) fn argument(&self, resource: &Resource<'_>, key: &str) -> Option<View<'a>> {
        let key = resource.argument(key)?;
        self.resources.get(&plain(&resource.address))?.get(key)
    }

    /// What the caller of a module gives it under a name.
    pub(super) fn variable(&self, module: &str, name: &str) -> Option<View<'a>> {
        self.calls.get(&plain(module))?.get(name)
    }

    /// What an output of a module is made from.
    pub(super) fn output(&self, module: &str, name: &str) -> Option<View<'a>> {
        self.outputs
            .get(&plain(module))?
            .get(name)?
            .get("expression")
    }
}
