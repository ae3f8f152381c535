//! Sets of addresses that are shared, not copied: a group may have a hundred thousand members, and a
//! policy is made of many copies of its model.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Changes that are made in place, one after the other; more of them are sorted in all at once.
const FEW: usize = 32;

/// Addresses, ascending, each once. A clone costs nothing, and to compare it with what it was cloned
/// from does not either.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(Arc<Vec<IpAddr>>);

impl Deref for Addresses {
    type Target = [IpAddr];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl From<BTreeSet<IpAddr>> for Addresses {
    fn from(addresses: BTreeSet<IpAddr>) -> Self {
        Self(Arc::new(addresses.into_iter().collect()))
    }
}

impl FromIterator<IpAddr> for Addresses {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addresses: I) -> Self {
        let mut addresses = Vec::from_iter(addresses);
        // Stable: it leaves runs as they are, and most of it is one.
        addresses.sort();
        addresses.dedup();
        Self(Arc::new(addresses))
    }
}

impl<const N: usize> From<[IpAddr; N]> for Addresses {
    fn from(addresses: [IpAddr; N]) -> Self {
        Self::from_iter(addresses)
    }
}

impl Addresses {
    /// Whether an address is among them.
    pub fn contains(&self, address: &IpAddr) -> bool {
        self.binary_search(address).is_ok()
    }

    /// Takes addresses out, and then others in.
    pub fn exchange(&mut self, gone: &BTreeSet<IpAddr>, come: &BTreeSet<IpAddr>) {
        if gone.len() + come.len() > FEW {
            let kept = self.iter().filter(|address| !gone.contains(*address));
            *self = kept.chain(come).copied().collect();
            return;
        }
        // A copy that has room already is written once, and not moved when it grows.
        let mut addresses = Vec::with_capacity(self.len() + come.len());
        addresses.extend_from_slice(self);
        for address in gone {
            if let Ok(at) = addresses.binary_search(address) {
                addresses.remove(at);
            }
        }
        for address in come {
            if let Err(at) = addresses.binary_search(address) {
                addresses.insert(at, *address);
            }
        }
        self.0 = Arc::new(addresses);
    }

    /// Takes those of another set, too. An empty one becomes the other.
    pub fn join(&mut self, other: &Self) {
        if self.is_empty() {
            *self = other.clone();
        } else if !other.iter().all(|address| self.contains(address)) {
            *self = self.iter().chain(other).copied().collect();
        }
    }
}

impl<'a> IntoIterator for &'a Addresses {
    type Item = &'a IpAddr;
    type IntoIter = std::slice::Iter<'a, IpAddr>;

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
        Vec::<IpAddr>::deserialize(deserializer).map(Self::from_iter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address() -> impl Strategy<Value = IpAddr> {
        (0..200_u32).prop_map(|number| std::net::Ipv4Addr::from(number).into())
    }

    fn few_or_many() -> impl Strategy<Value = BTreeSet<IpAddr>> {
        let set = |most| prop::collection::btree_set(address(), 0..most);
        prop_oneof![set(4), set(100)]
    }

    proptest! {
        #[test]
        fn they_are_as_a_set_is(
            begin in few_or_many(),
            changes in prop::collection::vec((few_or_many(), few_or_many()), 0..4),
            joined in few_or_many(),
            asked in address(),
        ) {
            let (mut set, mut addresses) = (begin.clone(), Addresses::from(begin.clone()));
            for (gone, come) in &changes {
                set.retain(|address| !gone.contains(address));
                set.extend(come);
                addresses.exchange(gone, come);
            }
            addresses.join(&joined.clone().into());
            set.extend(&joined);
            prop_assert!(addresses.iter().eq(&set));
            prop_assert_eq!(addresses.contains(&asked), set.contains(&asked));
            prop_assert_eq!(&addresses, &set.iter().rev().copied().collect());
        }
    }
}
