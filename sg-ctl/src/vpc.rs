//! Where groups live: the rules document of a VPC, and the store that keeps it.
//!
//! A VPC is AWS's word for the set of interfaces among which a group's name means something: this
//! host, or as many as share a store. Whoever changes rules (rule files, the API) loads the
//! [`Document`], changes it and swaps it for the one in the [`Store`], which refuses when another
//! change came before.

pub mod claims;
mod document;
pub mod etcd;
pub mod follow;
pub mod joined;
pub mod keys;
mod local;
mod own;
pub mod record;
mod remote;
pub mod roles;
mod store;
pub mod trial;
pub mod wire;

pub use document::{
    Document, DocumentError, Entries, Family, ListState, ManagedList, Owned, Owner, Owners,
};
pub use local::LocalStore;
pub use own::OwnStore;
pub use remote::{Confirmed, EtcdStore, HostRow, MemberRow};
pub use store::{Kept, Store, StoreError, Swap};
