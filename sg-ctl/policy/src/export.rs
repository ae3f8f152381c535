//! A model in the JSON of the AWS CLI, for tools that read it and for [`import`](crate::import).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::{Map, Value, json};

use crate::model::{
    Direction, Family, IcmpMessage, Limits, Model, Peer, PrefixListId, Rule, SecurityGroup,
    Service, derived_id,
};

/// The answers of `aws ec2 describe-security-groups`, `describe-security-group-rules`,
/// `describe-managed-prefix-lists` (with the entries) and `describe-network-interfaces` (one for
/// each member's address) in one document.
///
/// It has no accounts and no VPCs, and no ids of prefix lists and interfaces but derived ones.
pub fn aws_json(model: &Model) -> Value {
    let groups = model.groups.values();
    json!({
        "SecurityGroups": groups.clone().map(|group| group_value(model, group)).collect::<Value>(),
        "SecurityGroupRules": groups.flat_map(|group| flat_rules(model, group)).collect::<Value>(),
        "PrefixLists": lists(model),
        "NetworkInterfaces": interfaces(model),
    })
}

/// What the AWS CLI's JSON cannot hold of a model, in words.
pub fn losses(model: &Model) -> Vec<String> {
    let mut losses = Vec::new();
    if !model.interfaces.is_empty() {
        let names: Vec<_> = model.interfaces.keys().map(String::as_str).collect();
        losses.push(format!(
            "settings of interfaces are left out: {}",
            names.join(", ")
        ));
    }
    if model.limits != Limits::default() {
        losses.push("quotas are left out: AWS's are those of the account".to_owned());
    }
    let mut groups = model.groups.values();
    if groups.any(|group| {
        group
            .inbound
            .iter()
            .chain(&group.outbound)
            .any(|rule| !rule.tags.is_empty())
    }) {
        losses.push("tags of rules are left out: permissions have none".to_owned());
    }
    for (name, list) in &model.prefix_lists {
        let families: BTreeSet<_> = list.entries.iter().map(Family::of).collect();
        if families.len() > 1 {
            losses.push(format!(
                "the prefix list `{name}` holds ranges of both families: AWS's hold one"
            ));
        }
    }
    losses
}

fn list_id(name: &str) -> String {
    PrefixListId::derived(name).to_string()
}

fn group_value(model: &Model, group: &SecurityGroup) -> Value {
    let tags = group.tags.iter();
    let tags: Vec<_> = tags
        .map(|(key, value)| json!({ "Key": key, "Value": value }))
        .collect();
    json!({
        "GroupId": group.id,
        "GroupName": group.name,
        "Description": group.description,
        "Tags": tags,
        "IpPermissions": permissions(model, group, Direction::Inbound),
        "IpPermissionsEgress": permissions(model, group, Direction::Outbound),
    })
}

/// The rules of one direction, those of one service together, as AWS shows them.
fn permissions(model: &Model, group: &SecurityGroup, direction: Direction) -> Vec<Value> {
    let mut services: Vec<Service> = Vec::new();
    let mut by_service: BTreeMap<Service, Vec<&Rule>> = BTreeMap::new();
    for rule in group.rules(direction) {
        let rules = by_service.entry(rule.service).or_default();
        if rules.is_empty() {
            services.push(rule.service);
        }
        rules.push(rule);
    }
    services
        .iter()
        .map(|service| permission(model, *service, &by_service[service]))
        .collect()
}

fn permission(model: &Model, service: Service, rules: &[&Rule]) -> Value {
    let mut keys = Map::new();
    let (protocol, ports) = wire(service);
    keys.insert("IpProtocol".to_owned(), protocol.into());
    // AWS shows no ports here where there are none.
    if let Some((from, to)) = ports {
        keys.insert("FromPort".to_owned(), from.into());
        keys.insert("ToPort".to_owned(), to.into());
    }
    let mut lists: [(&str, Vec<Value>); 4] = [
        "IpRanges",
        "Ipv6Ranges",
        "PrefixListIds",
        "UserIdGroupPairs",
    ]
    .map(|key| (key, Vec::new()));
    for rule in rules {
        let (list, key, value) = match &rule.peer {
            Peer::Cidr(net) => match Family::of(net) {
                Family::V4 => (0, "CidrIp", json!(net)),
                Family::V6 => (1, "CidrIpv6", json!(net)),
            },
            Peer::PrefixList(name) => (2, "PrefixListId", list_id(name).into()),
            Peer::Group(name) => (3, "GroupId", json!(model.groups.get(name).map(|g| &g.id))),
        };
        let mut peer = Map::from_iter([(key.to_owned(), value)]);
        describe(&mut peer, rule);
        lists[list].1.push(peer.into());
    }
    keys.extend(lists.map(|(key, peers)| (key.to_owned(), peers.into())));
    keys.into()
}

fn describe(keys: &mut Map<String, Value>, rule: &Rule) {
    if !rule.description.is_empty() {
        keys.insert("Description".to_owned(), json!(rule.description));
    }
}

/// Protocol and ports as AWS writes them; for ICMP, ports are type and code.
fn wire(service: Service) -> (String, Option<(i32, i32)>) {
    match service {
        Service::All => ("-1".to_owned(), None),
        Service::Protocol(number) => (number.to_string(), None),
        Service::Ports { protocol, from, to } => {
            (protocol.to_string(), Some((from.into(), to.into())))
        }
        Service::Icmp { protocol, message } => {
            let numbers = match message {
                IcmpMessage::Any => (-1, -1),
                IcmpMessage::Type(kind) => (kind.into(), -1),
                IcmpMessage::TypeAndCode(kind, code) => (kind.into(), code.into()),
            };
            (protocol.to_string(), Some(numbers))
        }
    }
}

fn flat_rules(model: &Model, group: &SecurityGroup) -> Vec<Value> {
    let flat = |direction: Direction, rule: &Rule| {
        let (protocol, ports) = wire(rule.service);
        let (from, to) = ports.unwrap_or((-1, -1));
        let (key, value) = match &rule.peer {
            Peer::Cidr(net) => match Family::of(net) {
                Family::V4 => ("CidrIpv4", json!(net)),
                Family::V6 => ("CidrIpv6", json!(net)),
            },
            Peer::PrefixList(name) => ("PrefixListId", list_id(name).into()),
            Peer::Group(name) => {
                let id = model.groups.get(name).map(|group| &group.id);
                ("ReferencedGroupInfo", json!({ "GroupId": id }))
            }
        };
        let mut keys = Map::new();
        keys.insert("SecurityGroupRuleId".to_owned(), json!(rule.id));
        keys.insert("GroupId".to_owned(), json!(group.id));
        keys.insert(
            "IsEgress".to_owned(),
            json!(direction == Direction::Outbound),
        );
        keys.insert("IpProtocol".to_owned(), protocol.into());
        keys.insert("FromPort".to_owned(), from.into());
        keys.insert("ToPort".to_owned(), to.into());
        keys.insert(key.to_owned(), value);
        describe(&mut keys, rule);
        Value::from(keys)
    };
    let rules = Direction::ALL.into_iter().flat_map(|direction| {
        let rules = group.rules(direction).iter();
        rules.map(move |rule| (direction, rule))
    });
    rules
        .map(|(direction, rule)| flat(direction, rule))
        .collect()
}

fn lists(model: &Model) -> Vec<Value> {
    let lists = model.prefix_lists.iter();
    lists
        .map(|(name, list)| {
            let entries: Vec<_> = list
                .entries
                .iter()
                .map(|net| json!({ "Cidr": net }))
                .collect();
            let mut keys = Map::new();
            keys.insert("PrefixListId".to_owned(), list_id(name).into());
            keys.insert("PrefixListName".to_owned(), json!(name));
            if let Some(max) = list.max_entries {
                keys.insert("MaxEntries".to_owned(), max.into());
            }
            let families: BTreeSet<_> = list.entries.iter().map(Family::of).collect();
            if let (1, Some(family)) = (families.len(), families.first()) {
                keys.insert("AddressFamily".to_owned(), family.to_string().into());
            }
            keys.insert("Entries".to_owned(), entries.into());
            keys.into()
        })
        .collect()
}

/// An interface for each address that is a member of groups.
fn interfaces(model: &Model) -> Vec<Value> {
    let mut carried: BTreeMap<IpAddr, Vec<&str>> = BTreeMap::new();
    for (group, addresses) in &model.members {
        for address in addresses {
            carried.entry(*address).or_default().push(group);
        }
    }
    let interface = |(address, groups): (IpAddr, Vec<&str>)| {
        let groups = groups.iter().filter_map(|name| model.groups.get(*name));
        let groups: Vec<_> = groups
            .map(|group| json!({ "GroupId": group.id, "GroupName": group.name }))
            .collect();
        let (list, key) = match address {
            IpAddr::V4(_) => ("PrivateIpAddresses", "PrivateIpAddress"),
            IpAddr::V6(_) => ("Ipv6Addresses", "Ipv6Address"),
        };
        json!({
            "NetworkInterfaceId": derived_id("eni-", "interface", &address.to_string()),
            "Groups": groups,
            list: [{ key: address }],
        })
    };
    carried.into_iter().map(interface).collect()
}
