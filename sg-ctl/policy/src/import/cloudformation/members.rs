//! Addresses of interfaces and instances, which make them members of their groups.

use std::net::IpAddr;

use super::meaning::Meaning;
use super::{Decided, Reader};
use crate::import::draft::{Member, Reference};
use crate::import::view::View;

impl<'a> Reader<'a, '_, '_, '_> {
    /// `AWS::EC2::NetworkInterface`, or an interface of an instance.
    pub(super) fn interface(&mut self, _id: &str, keys: &View<'a>) {
        self.carrier(keys, "GroupSet");
    }

    /// `AWS::EC2::Instance`.
    pub(super) fn instance(&mut self, id: &str, keys: &View<'a>) {
        self.carrier(keys, "SecurityGroupIds");
        if keys.get("NetworkInterfaces").is_some() {
            for interface in self.list(keys, "NetworkInterfaces", "an interface").known {
                self.interface(id, &interface);
            }
        }
    }

    /// What carries the groups under a key. Most addresses only a stack knows: they are no part of
    /// a template.
    fn carrier(&mut self, keys: &View<'a>, groups: &str) {
        let addresses = self.addresses(keys);
        if addresses.is_empty() {
            return;
        }
        let Some(groups) = keys.get(groups) else {
            return;
        };
        let found = match self.template.meaning(&groups, self.problems) {
            Meaning::List(found) => found,
            one => vec![one],
        };
        for group in found {
            let key = match group {
                Meaning::Resource(key) | Meaning::Text(key) => key,
                Meaning::Nothing => continue,
                other => {
                    self.unclear(&groups, &other);
                    continue;
                }
            };
            for address in &addresses {
                self.draft.members.push(Member {
                    at: groups.at(),
                    group: Reference::new(key.clone()),
                    address: *address,
                });
            }
        }
    }

    /// The fixed addresses.
    fn addresses(&mut self, keys: &View<'a>) -> Vec<IpAddr> {
        let mut found = Vec::new();
        found.extend(keys.get("PrivateIpAddress"));
        for (list, key) in [
            ("PrivateIpAddresses", "PrivateIpAddress"),
            ("Ipv6Addresses", "Ipv6Address"),
        ] {
            let items = keys.get(list).map(|list| list.items());
            for item in items.unwrap_or_default() {
                if let Decided::Value(item) = self.template.decide(item, self.problems) {
                    found.extend(item.get(key));
                }
            }
        }
        let mut addresses = Vec::new();
        for view in found {
            if let Meaning::Text(text) = self.template.meaning(&view, self.problems) {
                match text.parse::<IpAddr>() {
                    Ok(address) => addresses.push(address),
                    Err(_no_address) => {
                        let message = format!("`{text}` is no address");
                        let help = "give one IPv4 or IPv6 address";
                        self.problems.error(&view.at(), message, help);
                    }
                }
            }
        }
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }
}
