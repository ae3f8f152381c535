//! The rules document: everything that rule files and the API say about a VPC, and who says what.
//!
//! Two owners never write the same thing: what a rule file defines only files change, what the API
//! made only the API. The model is the union of both, which is what is compiled.
//! Data only: it knows no host and no store.

mod change;
mod list;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sg_policy::model::check::Fault;
use sg_policy::model::{DEFAULT_GROUP, HostPattern, InterfaceSpec, Model};
use sg_policy::rulefile::Origins;

pub use list::{Entries, Family, ListState, ManagedList};

/// Whoever may change something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// The rule file of this name, as it was named when it was applied; empty when that is not known.
    File(String),
    /// The API: its clients, and the console.
    Api,
}

/// What can have an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owned {
    /// A security group.
    Group,
    /// A prefix list.
    PrefixList,
    /// The groups that an interface carries.
    Interface,
}

impl fmt::Display for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Group => "group",
            Self::PrefixList => "prefix list",
            Self::Interface => "interface",
        })
    }
}

/// The owners of what the model holds, by name. What is not listed belongs to a rule file that nobody
/// remembers, and the built-in group, while it is as built in, to nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Owners {
    /// Of security groups.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) groups: BTreeMap<String, Owner>,
    /// Of prefix lists.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) prefix_lists: BTreeMap<String, Owner>,
    /// Of interfaces, and of patterns of interfaces; in a VPC of many hosts as `HOST/INTERFACE`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) interfaces: BTreeMap<String, Owner>,
    /// What the API knows of prefix lists beyond their ranges.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) lists: BTreeMap<String, ManagedList>,
}

impl Owners {
    fn of(&self, what: Owned) -> &BTreeMap<String, Owner> {
        match what {
            Owned::Group => &self.groups,
            Owned::PrefixList => &self.prefix_lists,
            Owned::Interface => &self.interfaces,
        }
    }

    fn of_mut(&mut self, what: Owned) -> &mut BTreeMap<String, Owner> {
        match what {
            Owned::Group => &mut self.groups,
            Owned::PrefixList => &mut self.prefix_lists,
            Owned::Interface => &mut self.interfaces,
        }
    }

    /// The owner of something.
    pub fn owner(&self, what: Owned, name: &str) -> Option<&Owner> {
        self.of(what).get(name)
    }

    /// Whether the API owns something.
    pub fn is_api(&self, what: Owned, name: &str) -> bool {
        self.owner(what, name) == Some(&Owner::Api)
    }

    /// The names that the API owns.
    pub fn of_api(&self, what: Owned) -> impl Iterator<Item = &str> {
        let owners = self.of(what).iter();
        owners
            .filter(|(_, owner)| **owner == Owner::Api)
            .map(|(name, _)| name.as_str())
    }

    /// Whether nobody owns anything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Why a document is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Something has two owners.
    #[error("the {what} `{name}` is defined in {file}, and the API owns it")]
    TwoOwners {
        /// What it is.
        what: Owned,
        /// Its name.
        name: String,
        /// The rule file.
        file: String,
    },
    /// The whole is wrong.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// The API does not own it.
    #[error("the API owns no {what} called `{name}`")]
    NotOfApi {
        /// What was meant.
        what: Owned,
        /// Its name.
        name: String,
    },
}

impl DocumentError {
    /// The remedy, as one sentence for the user.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::TwoOwners { what, name, .. } => {
                let flag = what.flag();
                Some(format!(
                    "`sg-ctl adopt {flag}{name}` hands it over to rule files for good; or take it \
                     out of the file and leave it to the API"
                ))
            }
            Self::Fault(Fault::NoGroup { name, .. } | Fault::NoPrefixList { name, .. }) => {
                Some(format!(
                    "what the API made may refer to it: change that first, or keep `{name}` in a \
                     rule file"
                ))
            }
            Self::Fault(_) => {
                Some("what rule files say and what the API made must fit together".to_owned())
            }
            Self::NotOfApi { .. } => Some(
                "`sg-ctl show` shows what there is; what rule files define needs no handing over"
                    .to_owned(),
            ),
        }
    }
}

impl Owned {
    /// What `sg-ctl adopt` wants before a name of this kind.
    const fn flag(self) -> &'static str {
        match self {
            Self::Group => "",
            Self::PrefixList => "--prefix-list ",
            Self::Interface => "--interface ",
        }
    }
}

/// All that is said about a VPC. Serialises to what stores keep.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// The union of what files and API say: what is compiled.
    model: Model,
    /// Who says what.
    #[serde(default, skip_serializing_if = "Owners::is_empty")]
    owners: Owners,
}

impl Document {
    /// A document of these parts.
    pub fn new(model: Model, owners: Owners) -> Self {
        Self { model, owners }
    }

    /// The union of what files and API say.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Who says what.
    pub fn owners(&self) -> &Owners {
        &self.owners
    }

    /// The rules of a VPC as one of its hosts has them; what is said of its own interfaces keeps its
    /// owner.
    #[must_use]
    pub fn on_host(&self, member: &str) -> Self {
        let own = |(name, owner): (&String, &Owner)| {
            let interface = name.strip_prefix(member)?.strip_prefix('/')?;
            Some((interface.to_owned(), owner.clone()))
        };
        let interfaces = &self.owners.interfaces;
        let owners = Owners {
            groups: self.owners.groups.clone(),
            prefix_lists: self.owners.prefix_lists.clone(),
            interfaces: if self.model.hosts.is_empty() {
                interfaces.clone()
            } else {
                interfaces.iter().filter_map(own).collect()
            },
            lists: self.owners.lists.clone(),
        };
        Self {
            model: self.model.on_host(member).into_owned(),
            owners,
        }
    }

    /// Takes it apart.
    pub fn into_parts(self) -> (Model, Owners) {
        (self.model, self.owners)
    }

    /// Whether the whole is right, as rule files are checked.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), DocumentError> {
        Ok(self.model.check()?)
    }

    /// The document with everything that files own replaced by what these files say; what the API owns
    /// stays. Limits and members are the files'.
    ///
    /// # Errors
    /// When a file defines what the API owns, or both together are wrong.
    pub fn with_files(&self, files: Model, origins: Origins) -> Result<Self, DocumentError> {
        let mut model = files;
        let mut owners = Owners {
            groups: owned_by_files(origins.groups),
            prefix_lists: owned_by_files(origins.prefix_lists),
            interfaces: owned_by_files(origins.interfaces),
            lists: self.owners.lists.clone(),
        };
        if !self.owners.has_api() {
            // What files say alone was checked when they were read.
            return Ok(Self { model, owners });
        }
        let group_names = model.groups.values();
        let defined: BTreeMap<_, _> = group_names
            .filter(|group| !group.is_built_in())
            .map(|group| (group.name.to_lowercase(), group.name.clone()))
            .collect();
        for name in self.owners.of_api(Owned::Group) {
            if let Some(defined) = defined.get(&name.to_lowercase()) {
                return Err(owners.two_owners(Owned::Group, name, defined));
            }
            if let Some(group) = self.model.groups.get(name) {
                model.groups.insert(name.to_owned(), group.clone());
            }
            owners.groups.insert(name.to_owned(), Owner::Api);
        }
        for name in self.owners.of_api(Owned::PrefixList) {
            if model.prefix_lists.contains_key(name) {
                return Err(owners.two_owners(Owned::PrefixList, name, name));
            }
            if let Some(list) = self.model.prefix_lists.get(name) {
                model.prefix_lists.insert(name.to_owned(), list.clone());
            }
            owners.prefix_lists.insert(name.to_owned(), Owner::Api);
        }
        for name in self.owners.of_api(Owned::Interface) {
            if entry(&model, name).is_some() {
                return Err(owners.two_owners(Owned::Interface, name, name));
            }
            if let Some(spec) = entry(&self.model, name) {
                *entry_mut(&mut model, name) = spec.clone();
            }
            owners.interfaces.insert(name.to_owned(), Owner::Api);
        }
        let document = Self { model, owners };
        document.check()?;
        Ok(document)
    }

    /// Hands something that the API owns over to rule files: the next `apply` decides over it.
    ///
    /// # Errors
    /// When the API does not own it.
    pub fn adopt(&mut self, what: Owned, name: &str) -> Result<(), DocumentError> {
        if !self.owners.is_api(what, name) {
            return Err(DocumentError::NotOfApi {
                what,
                name: name.to_owned(),
            });
        }
        let owners = self.owners.of_mut(what);
        owners.insert(name.to_owned(), Owner::File(String::new()));
        if what == Owned::PrefixList {
            self.owners.lists.remove(name);
        }
        Ok(())
    }

    /// The rule file that something belongs to, with its name if that is known; `None` for what the API
    /// owns, for what does not exist, and for the built-in group as it is built in.
    pub fn file_of(&self, what: Owned, name: &str) -> Option<&str> {
        match self.owners.owner(what, name) {
            Some(Owner::Api) => None,
            Some(Owner::File(path)) => Some(path),
            None => {
                let exists = match what {
                    Owned::Group => self
                        .model
                        .groups
                        .get(name)
                        .is_some_and(|group| name != DEFAULT_GROUP || !group.is_built_in()),
                    Owned::PrefixList => self.model.prefix_lists.contains_key(name),
                    Owned::Interface => entry(&self.model, name).is_some(),
                };
                exists.then_some("")
            }
        }
    }
}

impl Owners {
    fn has_api(&self) -> bool {
        [Owned::Group, Owned::PrefixList, Owned::Interface]
            .into_iter()
            .any(|what| self.of_api(what).next().is_some())
    }

    fn two_owners(&self, what: Owned, name: &str, defined: &str) -> DocumentError {
        let file = match self.owner(what, defined) {
            Some(Owner::File(path)) if !path.is_empty() => path.clone(),
            _ => "a rule file".to_owned(),
        };
        DocumentError::TwoOwners {
            what,
            name: name.to_owned(),
            file,
        }
    }
}

/// The entry of its own that an interface has in a model: by its name, or by `HOST/INTERFACE`, which no
/// interface can be called.
fn entry<'m>(model: &'m Model, name: &str) -> Option<&'m InterfaceSpec> {
    match name.parse::<HostPattern>() {
        Ok(pattern) => model.hosts.get(&pattern),
        Err(_) => model.interfaces.get(name),
    }
}

/// The same, to be changed; an empty one if there was none.
fn entry_mut<'m>(model: &'m mut Model, name: &str) -> &'m mut InterfaceSpec {
    match name.parse::<HostPattern>() {
        Ok(pattern) => model.hosts.entry(pattern).or_default(),
        Err(_) => model.interfaces.entry(name.to_owned()).or_default(),
    }
}

fn owned_by_files(files: BTreeMap<String, String>) -> BTreeMap<String, Owner> {
    files
        .into_iter()
        .map(|(name, file)| (name, Owner::File(file)))
        .collect()
}
