//! What the formats have in common: groups, rules, lists and members that refer to each other by
//! ids, addresses or names of their own.

use std::collections::BTreeSet;
use std::rc::Rc;

use ipnet::IpNet;

use crate::model::{Direction, GroupId, Service};
use crate::text::report::At;

/// Everything that was read, in the order of reading.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) groups: Vec<Group>,
    pub(super) rules: Vec<Rule>,
    pub(super) lists: Vec<List>,
    pub(super) entries: Vec<Entry>,
    pub(super) members: Vec<Member>,
    /// Keys of groups that get outbound rules elsewhere, or may: they have no default ones.
    pub(super) without_default: BTreeSet<String>,
    /// Groups whose rules are not where they would stand.
    pub(super) without_rules: Vec<(At, String)>,
}

impl Draft {
    /// Whether nothing was read.
    pub(super) const fn is_empty(&self) -> bool {
        self.groups.is_empty()
            && self.rules.is_empty()
            && self.lists.is_empty()
            && self.entries.is_empty()
            && self.members.is_empty()
    }
}

/// A security group without its rules.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) at: At,
    /// Everything that references call it: its id, its address in Terraform, `name:NAME`.
    pub(super) keys: Vec<Rc<str>>,
    pub(super) id: Option<GroupId>,
    pub(super) name: Rc<str>,
    pub(super) description: Rc<str>,
    pub(super) tags: Vec<(String, String)>,
    /// Names are unique within it.
    pub(super) vpc: Option<String>,
    /// Whether it has the outbound rules of groups that state none.
    pub(super) default_outbound: bool,
}

/// A group or list as others call it.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    /// One of [`Group::keys`] or [`List::keys`].
    pub(super) key: Rc<str>,
    /// What it is called if it is not in the files.
    pub(super) name: Rc<str>,
    /// What the reference says about a group that is not in the files.
    pub(super) about: String,
}

impl Reference {
    /// A reference that says nothing more.
    pub(super) fn new(key: impl Into<Rc<str>>) -> Self {
        let key = key.into();
        let name = key.strip_prefix("name:");
        Self {
            name: name.map_or_else(|| Rc::clone(&key), Rc::from),
            key,
            about: String::new(),
        }
    }

    /// The same by another name.
    pub(super) fn called(self, name: &str) -> Self {
        Self {
            name: name.into(),
            ..self
        }
    }
}

/// A rule, with one peer.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) at: At,
    /// The group that holds it; rules of one place share it.
    pub(super) group: Rc<Reference>,
    pub(super) direction: Direction,
    pub(super) service: Service,
    pub(super) peer: Peer,
    pub(super) id: Option<String>,
    pub(super) description: String,
}

/// Source or destination. Most are ranges: the others' room is not theirs.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    Range(IpNet),
    List(Box<Reference>),
    Group(Box<Reference>),
}

/// A prefix list; its entries may stand elsewhere.
#[derive(Debug)]
pub(super) struct List {
    pub(super) at: At,
    /// Everything that references call it.
    pub(super) keys: Vec<String>,
    pub(super) name: String,
    pub(super) max_entries: Option<u32>,
}

/// An entry of a list.
#[derive(Debug)]
pub(super) struct Entry {
    /// The list: one of [`List::keys`], or `None` for the only list that has no entries yet.
    pub(super) list: Option<String>,
    pub(super) at: At,
    pub(super) range: IpNet,
}

/// An address that carries a group.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) at: At,
    pub(super) group: Reference,
    pub(super) address: std::net::IpAddr,
}
