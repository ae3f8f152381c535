//! Prefix lists and their entries.

use super::Reader;
use super::references::Target;
use super::resources::{Attribute, Resource};
use crate::import::draft::{Entry, List};
use crate::import::values;
use crate::import::view::View;

impl Reader<'_, '_, '_, '_> {
    /// A prefix list; resources and data sources name its entries differently.
    pub(super) fn list(&mut self, resource: &Resource<'_>, entry: &str, entries: &str) {
        let id = resource.text("id");
        let mut keys: Vec<String> = id.map(str::to_owned).into_iter().collect();
        keys.push(resource.address.to_string());
        let list = keys.first().cloned();
        let name = resource.text("name").unwrap_or(&resource.address);
        let max = resource.values.number("max_entries", self.problems);
        self.draft.lists.push(List {
            at: resource.at(),
            keys,
            name: name.to_owned(),
            max_entries: max.and_then(|max| u32::try_from(max).ok()),
        });
        let key = if resource.is_data { entries } else { entry };
        match self.attribute(resource, key) {
            Attribute::Known(found) => {
                for item in found.items() {
                    let cidr = item.get("cidr").unwrap_or_else(|| item.clone());
                    self.range_of_list(&cidr, list.clone());
                }
            }
            Attribute::Unknown => self.not_known(&resource.at(), &format!("`{key}` is")),
            Attribute::Absent => {}
        }
    }

    fn range_of_list(&mut self, cidr: &View<'_>, list: Option<String>) {
        let Some(text) = cidr.as_text() else {
            self.not_known(&cidr.at(), "a range is");
            return;
        };
        let range = values::range(text, &cidr.at(), self.problems);
        self.draft.entries.extend(range.map(|range| Entry {
            list,
            at: cidr.at(),
            range,
        }));
    }

    /// `aws_ec2_managed_prefix_list_entry`.
    pub(super) fn entry(&mut self, resource: &Resource<'_>) {
        let list = self.one(resource, "prefix_list_id", Target::List).name();
        match (list, resource.attribute("cidr")) {
            (Some(list), Attribute::Known(cidr)) => self.range_of_list(&cidr, Some(list)),
            (Some(_), _) => self.not_known(&resource.at(), "`cidr` is"),
            (None, _) => {}
        }
    }
}
