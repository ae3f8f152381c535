//! Groups and prefix lists by name and by id, for people.

use std::collections::HashMap;

use sg_policy::model::{Model, Peer, PrefixListId, SecurityGroup};

use crate::vpc::Document;

/// Who is called what in a document.
pub(super) struct Names<'d> {
    /// The union of all rules.
    pub(super) model: &'d Model,
    groups: HashMap<&'d str, &'d SecurityGroup>,
    lists: HashMap<String, &'d str>,
}

impl<'d> Names<'d> {
    /// The names of a document.
    pub(super) fn new(document: &'d Document) -> Self {
        let model = document.model();
        let groups = model.groups.values();
        let lists = model.prefix_lists.keys();
        Self {
            model,
            groups: groups.map(|group| (group.id.as_str(), group)).collect(),
            lists: lists
                .map(|name| (list_id(document, name), name.as_str()))
                .collect(),
        }
    }

    /// The group with an id.
    pub(super) fn group(&self, id: &str) -> Option<&'d SecurityGroup> {
        self.groups.get(id).copied()
    }

    /// Ids and names of all prefix lists.
    pub(super) fn lists(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lists.iter().map(|(id, name)| (id.as_str(), *name))
    }

    /// What an id or a name means as a source.
    pub(super) fn named(&self, text: &str) -> Option<Peer> {
        let text = text.trim();
        if let Some(group) = self.group(text).or_else(|| self.model.groups.get(text)) {
            return Some(Peer::Group(group.name.clone()));
        }
        let list = self.lists.get(text).copied();
        let list = list.or_else(|| self.model.prefix_lists.contains_key(text).then_some(text));
        list.map(|name| Peer::PrefixList(name.to_owned()))
    }

    /// A source as requests name it.
    pub(super) fn id(&self, peer: &Peer) -> String {
        match peer {
            Peer::Cidr(net) => net.to_string(),
            Peer::Group(name) => {
                let group = self.model.groups.get(name);
                group.map_or_else(|| name.clone(), |group| group.id.to_string())
            }
            Peer::PrefixList(name) => {
                let mut lists = self.lists.iter();
                let found = lists.find(|(_, each)| **each == *name);
                found.map_or_else(|| name.clone(), |(id, _)| id.clone())
            }
        }
    }
}

/// The id of a prefix list.
pub(super) fn list_id(document: &Document, name: &str) -> String {
    let managed = document.managed_lists().get(name);
    managed.map_or_else(
        || PrefixListId::derived(name).to_string(),
        |list| list.id.to_string(),
    )
}
