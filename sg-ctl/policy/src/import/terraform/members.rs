//! Addresses of instances and interfaces, which make them members of their groups.

use std::net::IpAddr;

use super::references::Target;
use super::resources::{Attribute, Resource};
use super::{Member, Reader, group_ref};
use crate::import::view::View;

impl Reader<'_, '_, '_, '_> {
    /// An interface or the first interface of an instance.
    pub(super) fn interface(&mut self, resource: &Resource<'_>) {
        let (id, groups) = match (resource.is_data, resource.kind) {
            (false, "aws_network_interface") => ("id", "security_groups"),
            (false, "aws_instance") => ("primary_network_interface_id", "vpc_security_group_ids"),
            _ => return,
        };
        let mut addresses: Vec<IpAddr> = Vec::new();
        for key in [
            "private_ip",
            "private_ips",
            "secondary_private_ips",
            "ipv6_addresses",
        ] {
            let Attribute::Known(view) = resource.attribute(key) else {
                continue;
            };
            let items = view.items();
            let texts = view
                .as_text()
                .into_iter()
                .chain(items.iter().filter_map(View::as_text));
            addresses.extend(texts.filter_map(|text| text.parse::<IpAddr>().ok()));
        }
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() {
            // A plan: nothing has addresses yet, and members are no part of it.
            return;
        }
        for group in self.many(resource, groups, Target::Group) {
            if let Some(group) = group.name() {
                self.add_members(resource, &group, &addresses);
            }
        }
        let ids = [resource.text(id), Some(&*resource.address)];
        for id in ids.into_iter().flatten() {
            self.addresses.insert(id.to_owned(), addresses.clone());
        }
    }

    /// `aws_network_interface_sg_attachment`.
    pub(super) fn attachment(&mut self, resource: &Resource<'_>) {
        let group = self
            .one(resource, "security_group_id", Target::Group)
            .name();
        let interface = resource.text("network_interface_id");
        let known = interface.and_then(|id| self.addresses.get(id));
        match (group, known.cloned()) {
            (Some(group), Some(addresses)) => self.add_members(resource, &group, &addresses),
            (Some(_), None) => {
                let message = "the addresses of the interface are not in the file";
                let help = "list them under `members`";
                self.problems.warning(&resource.at(), message, help);
            }
            (None, _) => {}
        }
    }

    fn add_members(&mut self, resource: &Resource<'_>, group: &str, addresses: &[IpAddr]) {
        for address in addresses {
            self.draft.members.push(Member {
                at: resource.at(),
                group: group_ref(group),
                address: *address,
            });
        }
    }
}
