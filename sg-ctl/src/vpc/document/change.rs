//! How the API changes a document. Who may change what is decided before; that the whole is right is
//! checked after.

use std::collections::BTreeMap;

use sg_policy::model::{InterfaceSpec, Peer, Rule, SecurityGroup};

use super::{Document, ManagedList, Owned, Owner, entry, entry_mut};

impl Document {
    /// A group that the API makes; it is the API's.
    pub fn put_group(&mut self, group: SecurityGroup) {
        let name = group.name.clone();
        self.owners.groups.insert(name.clone(), Owner::Api);
        self.model.groups.insert(name, group);
    }

    /// A group to change; it is the API's from now on.
    pub fn group_mut(&mut self, name: &str) -> Option<&mut SecurityGroup> {
        let group = self.model.groups.get_mut(name)?;
        self.owners.groups.insert(name.to_owned(), Owner::Api);
        Some(group)
    }

    /// Forgets a group.
    pub fn remove_group(&mut self, name: &str) {
        self.model.groups.remove(name);
        self.owners.groups.remove(name);
    }

    /// Says which groups an interface, or `HOST/INTERFACE`, carries; the API says so from now on. `spec` is how it is guarded
    /// otherwise where the model has no entry of its own for it.
    pub fn assign(&mut self, interface: &str, spec: InterfaceSpec, groups: Vec<String>) {
        if entry(&self.model, interface).is_none() {
            *entry_mut(&mut self.model, interface) = spec;
        }
        entry_mut(&mut self.model, interface).groups = groups;
        self.owners
            .interfaces
            .insert(interface.to_owned(), Owner::Api);
    }

    /// What the API knows of its prefix lists, by name.
    pub fn managed_lists(&self) -> &BTreeMap<String, ManagedList> {
        &self.owners.lists
    }

    /// Makes or changes a prefix list of the API.
    pub fn put_list(&mut self, name: &str, list: ManagedList, max_entries: u32) {
        let ranges = list.list(max_entries);
        self.model.prefix_lists.insert(name.to_owned(), ranges);
        self.owners.lists.insert(name.to_owned(), list);
        self.owners.prefix_lists.insert(name.to_owned(), Owner::Api);
    }

    /// Forgets a prefix list.
    pub fn remove_list(&mut self, name: &str) {
        self.model.prefix_lists.remove(name);
        self.owners.lists.remove(name);
        self.owners.prefix_lists.remove(name);
    }

    /// Gives a prefix list of the API another name, in rules, too.
    pub fn rename_list(&mut self, from: &str, to: &str) {
        if let Some(list) = self.model.prefix_lists.remove(from) {
            self.model.prefix_lists.insert(to.to_owned(), list);
        }
        if let Some(list) = self.owners.lists.remove(from) {
            self.owners.lists.insert(to.to_owned(), list);
        }
        if let Some(owner) = self.owners.of_mut(Owned::PrefixList).remove(from) {
            self.owners.prefix_lists.insert(to.to_owned(), owner);
        }
        let groups = self.model.groups.values_mut();
        for Rule { peer, .. } in groups.flat_map(|g| g.inbound.iter_mut().chain(&mut g.outbound)) {
            if matches!(peer, Peer::PrefixList(name) if name == from) {
                *peer = Peer::PrefixList(to.to_owned());
            }
        }
    }
}
