//! Groups and their members.

use std::collections::BTreeMap;
use std::net::IpAddr;

use comfy_table::Cell;
use schemars::JsonSchema;
use serde::Serialize;
use sg_policy::model::Model;

use crate::verb::output::table::{Table, or_dash};
use crate::verb::show::interface::Configured;

/// A group in lists.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GroupView<'a> {
    name: &'a str,
    id: &'a str,
    description: &'a str,
    tags: &'a BTreeMap<String, String>,
    inbound_rules: usize,
    outbound_rules: usize,
    interfaces: Vec<&'a str>,
}

impl<'a> GroupView<'a> {
    /// Every group of the model, with those of these interfaces that carry it.
    pub(crate) fn all(model: &'a Model, interfaces: &'a [Configured]) -> Vec<Self> {
        let carriers = |group: &String| {
            interfaces
                .iter()
                .filter(|interface| interface.spec.groups.contains(group))
                .map(|interface| interface.name.as_str())
                .collect()
        };
        model
            .groups
            .values()
            .map(|group| Self {
                name: &group.name,
                id: group.id.as_str(),
                description: &group.description,
                tags: &group.tags,
                inbound_rules: group.inbound.len(),
                outbound_rules: group.outbound.len(),
                interfaces: carriers(&group.name),
            })
            .collect()
    }

    /// The table of groups.
    pub(crate) fn table(groups: &[Self]) -> Table {
        let mut table = Table::new(&[
            "GROUP",
            "ID",
            ">INBOUND",
            ">OUTBOUND",
            "INTERFACES",
            "DESCRIPTION",
        ])
        .giving_way(&["DESCRIPTION", "INTERFACES"]);
        for group in groups {
            table.push([
                Cell::new(group.name),
                Cell::new(group.id),
                Cell::new(group.inbound_rules),
                Cell::new(group.outbound_rules),
                Cell::new(or_dash(&group.interfaces.join(","))),
                Cell::new(group.description),
            ]);
        }
        table
    }
}

/// An address that carries a group.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct MemberView<'a> {
    group: &'a str,
    address: IpAddr,
    origin: &'static str,
    interface: Option<&'a str>,
}

impl<'a> MemberView<'a> {
    /// Members of every group: those that rule files name, and the addresses of the interfaces of
    /// this host that carry it.
    pub(crate) fn all(
        model: &'a Model,
        interfaces: &'a [Configured],
        addresses: &BTreeMap<String, Vec<IpAddr>>,
    ) -> Vec<Self> {
        let mut members = Vec::new();
        for group in model.groups.keys() {
            let named = model.members.get(group).into_iter().flatten();
            members.extend(named.map(|address| Self {
                group,
                address: *address,
                origin: "file",
                interface: None,
            }));
            for Configured { name, spec, .. } in interfaces {
                if spec.groups.contains(group) {
                    let own = addresses.get(name).into_iter().flatten();
                    members.extend(own.map(|address| Self {
                        group,
                        address: *address,
                        origin: "interface",
                        interface: Some(name),
                    }));
                }
            }
        }
        members
    }

    /// The table of members.
    pub(crate) fn table(members: &[Self]) -> Table {
        let mut table = Table::new(&["GROUP", "ADDRESS", "ORIGIN"]);
        for member in members {
            let origin = match member.interface {
                Some(interface) => format!("{} {interface}", member.origin),
                None => member.origin.to_owned(),
            };
            table.push([member.group.to_owned(), member.address.to_string(), origin]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use sg_policy::model::InterfaceSpec;

    use super::*;

    fn interfaces() -> Vec<Configured> {
        ["eth0", "eth1"]
            .map(|name| Configured {
                name: name.to_owned(),
                attached: true,
                isolated: false,
                overrides: Vec::new(),
                spec: InterfaceSpec::default(),
            })
            .to_vec()
    }

    #[test]
    fn members_tell_where_they_come_from() {
        let mut model = Model::new();
        let address = |text: &str| text.parse::<IpAddr>().expect("address");
        model
            .members
            .insert("default".to_owned(), [address("10.0.1.10")].into());
        let addresses = BTreeMap::from([("eth1".to_owned(), vec![address("2001:db8::1")])]);
        let interfaces = interfaces();
        let members = MemberView::all(&model, &interfaces, &addresses);
        let table = MemberView::table(&members).to_string();
        assert_eq!(
            anstream::adapter::strip_str(&table).to_string(),
            "GROUP    ADDRESS      ORIGIN\n\
             default  10.0.1.10    file\n\
             default  2001:db8::1  interface eth1\n"
        );
    }

    #[test]
    fn groups_tell_who_carries_them() {
        let model = Model::new();
        let interfaces = interfaces();
        let groups = GroupView::all(&model, &interfaces);
        let json = serde_json::to_value(&groups).expect("JSON");
        assert_eq!(json[0]["interfaces"], serde_json::json!(["eth0", "eth1"]));
        assert_eq!(json[0]["outbound_rules"], 2);
    }
}
