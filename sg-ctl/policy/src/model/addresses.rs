//! Sets of addresses that are shared, not copied: a group may have a hundred thousand members, and a
//! policy is made of many copies of its model.

use std::collections::{BTreeSet, btree_set};
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Addresses, ascending. A clone costs nothing, and to compare it with what it was cloned from does not
/// either.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(Arc<BTreeSet<IpAddr>>);

impl Deref for Addresses {
    type Target = BTreeSet<IpAddr>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl From<BTreeSet<IpAddr>> for Addresses {
    fn from(addresses: BTreeSet<IpAddr>) -> Self {
        Self(Arc::new(addresses))
    }
}

impl FromIterator<IpAddr> for Addresses {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addresses: I) -> Self {
        Self::from(BTreeSet::from_iter(addresses))
    }
}

impl<const N: usize> From<[IpAddr; N]> for Addresses {
    fn from(addresses: [IpAddr; N]) -> Self {
        Self::from(BTreeSet::from(addresses))
    }
}

impl Addresses {
    /// The set, to be changed: a copy of its own if it is shared.
    pub fn to_mut(&mut self) -> &mut BTreeSet<IpAddr> {
        Arc::make_mut(&mut self.0)
    }

    /// Takes those of another set, too. An empty one becomes the other.
    pub fn join(&mut self, other: &Self) {
        if self.is_empty() {
            *self = other.clone();
        } else if !other.is_subset(self) {
            self.to_mut().extend(other.iter());
        }
    }
}

impl<'a> IntoIterator for &'a Addresses {
    type Item = &'a IpAddr;
    type IntoIter = btree_set::Iter<'a, IpAddr>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl Serialize for Addresses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Sorted first, a set is built at once.
        Vec::<IpAddr>::deserialize(deserializer).map(Self::from_iter)
    }
}
