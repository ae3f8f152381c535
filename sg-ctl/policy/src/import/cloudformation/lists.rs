//! Prefix lists.

use super::Reader;
use super::meaning::Meaning;
use crate::import::draft::{Entry, List};
use crate::import::values;
use crate::import::view::View;

impl<'a> Reader<'a, '_, '_, '_> {
    /// A prefix list with its entries.
    pub(super) fn prefix_list(&mut self, id: &str, keys: &View<'a>) {
        let name = self.text(keys, "PrefixListName");
        let max = self.text(keys, "MaxEntries");
        let key = self.template.key(id);
        self.draft.lists.push(List {
            at: keys.at(),
            keys: vec![key.clone()],
            name: name.unwrap_or_else(|| id.to_owned()),
            max_entries: max.and_then(|max| max.parse().ok()),
        });
        for entry in self.list(keys, "Entries", "an entry").known {
            let Some(cidr) = entry.get("Cidr") else {
                continue;
            };
            match self.template.meaning(&cidr, self.problems) {
                Meaning::Text(text) => {
                    let range = values::range(&text, &cidr.at(), self.problems);
                    self.draft.entries.extend(range.map(|range| Entry {
                        list: Some(key.clone()),
                        at: cidr.at(),
                        range,
                    }));
                }
                meaning => self.unclear(&cidr, &meaning),
            }
        }
    }
}
