//! Models from elsewhere are held to what rule files are held to.

use crate::model::{Direction, GroupId, Model, Peer, PrefixList, Rule, SecurityGroup, Service};
use crate::rulefile::{Source, read, to_yaml};

fn is_taken(model: &Model) -> bool {
    let text = to_yaml(model).expect("YAML");
    let source = Source {
        name: "model.yaml".to_owned(),
        text,
    };
    read(&[source]).is_ok()
}

/// A model with the group `web` beside the built-in one.
fn web() -> Model {
    let mut model = Model::new();
    let id = GroupId::derived("web");
    let group = SecurityGroup {
        name: "web".to_owned(),
        description: String::new(),
        tags: [].into(),
        inbound: Vec::new(),
        outbound: SecurityGroup::default_outbound(&id),
        id,
    };
    model.groups.insert("web".to_owned(), group);
    model
}

fn rule(model: &mut Model, peer: Peer) {
    let group = model.groups.get_mut("web").expect("web");
    let rule = Rule::new(&group.id, Direction::Inbound, Service::protocol(6), peer);
    group.inbound.push(rule);
}

#[test]
fn what_a_rule_file_would_be_refused_for_is_a_fault() {
    let changes: [fn(&mut Model); 6] = [
        |model| rule(model, Peer::Group("db".to_owned())),
        |model| rule(model, Peer::PrefixList("office".to_owned())),
        |model| {
            for third in 0..61 {
                rule(
                    model,
                    Peer::Cidr(format!("10.0.{third}.0/24").parse().expect("a range")),
                );
            }
        },
        |model| {
            rule(model, Peer::Group("web".to_owned()));
            rule(model, Peer::Group("web".to_owned()));
        },
        |model| {
            let mut twin = model.groups["web"].clone();
            twin.name = "WEB".to_owned();
            model.groups.insert(twin.name.clone(), twin);
        },
        |model| {
            let list = PrefixList {
                entries: [].into(),
                max_entries: Some(1001),
            };
            model.prefix_lists.insert("office".to_owned(), list);
        },
    ];
    assert_eq!(web().check(), Ok(()));
    for (index, change) in changes.iter().enumerate() {
        let mut model = web();
        change(&mut model);
        assert!(model.check().is_err(), "change {index}");
        assert!(!is_taken(&model), "change {index}");
    }
}
