//! From a model back to a rule file.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::model::{
    Direction, GroupId, IcmpMessage, InterfaceSpec, Limits, Model, PrefixList, Rule, SecurityGroup,
    Service,
};

/// The model as a rule file in JSON form. Reading it gives an equal model.
///
/// What equals a default, derived ids included, is left out.
pub fn to_json(model: &Model) -> Value {
    // Texts and numbers, under keys that are texts: nothing of it is refused.
    serde_json::to_value(Document(model)).unwrap_or_default()
}

/// A rule file as it is written: one group after another, for as values they take many times the room
/// of the text.
struct Document<'a>(&'a Model);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(model) = self;
        let mut document = serializer.serialize_map(None)?;
        document.serialize_entry("security_groups", &Groups(model))?;
        for (key, value) in other_sections(model) {
            document.serialize_entry(&key, &value)?;
        }
        document.end()
    }
}

/// The groups of a model.
struct Groups<'a>(&'a Model);

impl Serialize for Groups<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let groups = self.0.groups.iter();
        let stated = groups.filter(|(_, group)| !group.is_built_in());
        serializer.collect_map(stated.map(|(name, group)| (name, group_value(group))))
    }
}

fn other_sections(model: &Model) -> Map<String, Value> {
    let lists: Map<String, Value> = model
        .prefix_lists
        .iter()
        .map(|(name, list)| (name.clone(), list_value(list)))
        .collect();
    let interfaces: Map<String, Value> = model
        .interfaces
        .iter()
        .map(|(name, spec)| (name.clone(), changed(spec, &InterfaceSpec::default())))
        .collect();
    let hosts: Map<String, Value> = model
        .hosts
        .iter()
        .map(|(name, spec)| (name.to_string(), changed(spec, &InterfaceSpec::default())))
        .collect();
    let mut sections = Map::new();
    insert_unless_empty(&mut sections, "prefix_lists", lists.into());
    insert_unless_empty(&mut sections, "members", json!(model.members));
    insert_unless_empty(&mut sections, "interfaces", interfaces.into());
    insert_unless_empty(&mut sections, "hosts", hosts.into());
    insert_unless_empty(
        &mut sections,
        "limits",
        changed(&model.limits, &Limits::default()),
    );
    sections
}

fn insert_unless_empty(map: &mut Map<String, Value>, key: &str, value: Value) {
    let is_empty = match &value {
        Value::Object(entries) => entries.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    };
    if !is_empty {
        map.insert(key.to_owned(), value);
    }
}

/// The keys of `value`, at any depth, whose values differ from those of `default`.
fn changed<T: Serialize>(value: &T, default: &T) -> Value {
    fn difference(value: Value, default: &Value) -> Value {
        let (Value::Object(entries), Value::Object(defaults)) = (&value, default) else {
            return value;
        };
        let differing = entries
            .iter()
            .filter(|(key, entry)| defaults.get(*key) != Some(*entry));
        let default = |key: &str| defaults.get(key).unwrap_or(&Value::Null);
        differing
            .map(|(key, entry)| (key.clone(), difference(entry.clone(), default(key))))
            .collect()
    }
    difference(json!(value), &json!(default))
}

fn group_value(group: &SecurityGroup) -> Value {
    let mut keys = Map::new();
    if group.id != GroupId::derived(&group.name) {
        keys.insert("id".to_owned(), json!(group.id));
    }
    insert_unless_empty(&mut keys, "description", json!(group.description));
    insert_unless_empty(&mut keys, "tags", json!(group.tags));
    for direction in Direction::ALL {
        let is_left_out = match direction {
            Direction::Inbound => group.inbound.is_empty(),
            Direction::Outbound => group.outbound == SecurityGroup::default_outbound(&group.id),
        };
        if !is_left_out {
            let rules = group.rules(direction).iter();
            let rules = rules
                .map(|rule| rule_value(rule, direction, &group.id))
                .collect();
            keys.insert(direction.name().to_owned(), rules);
        }
    }
    keys.into()
}

fn rule_value(rule: &Rule, direction: Direction, group: &GroupId) -> Value {
    let mut keys = Map::new();
    if rule.id != Rule::new(group, direction, rule.service, rule.peer.clone()).id {
        keys.insert("id".to_owned(), json!(rule.id));
    }
    keys.insert("protocol".to_owned(), protocol_value(rule.service));
    match rule.service {
        Service::All | Service::Protocol(_) => {}
        Service::Ports { from, to, .. } if from == to => {
            keys.insert("ports".to_owned(), from.into());
        }
        Service::Ports { .. } => {
            keys.insert("ports".to_owned(), rule.service.ports_text().into());
        }
        Service::Icmp { message, .. } => {
            let message = match message {
                IcmpMessage::Any => json!("all"),
                IcmpMessage::Type(kind) => json!({ "type": kind, "code": "any" }),
                IcmpMessage::TypeAndCode(kind, code) => json!({ "type": kind, "code": code }),
            };
            keys.insert("icmp".to_owned(), message);
        }
    }
    let peer = match direction {
        Direction::Inbound => "source",
        Direction::Outbound => "destination",
    };
    keys.insert(peer.to_owned(), json!(rule.peer));
    insert_unless_empty(&mut keys, "description", json!(rule.description));
    insert_unless_empty(&mut keys, "tags", json!(rule.tags));
    keys.into()
}

fn protocol_value(service: Service) -> Value {
    match service {
        Service::Protocol(number) => number.into(),
        _ => service.protocol_text().into(),
    }
}

fn list_value(list: &PrefixList) -> Value {
    match list.max_entries {
        None => json!(list.entries),
        Some(max) => json!({ "entries": list.entries, "max_entries": max }),
    }
}

/// The model as a rule file in YAML.
///
/// # Errors
///
/// When the YAML library refuses a value, which it does for none that a model holds.
pub fn to_yaml(model: &Model) -> Result<String, serde_saphyr::SerializeError> {
    serde_saphyr::to_string(&Document(model))
}
