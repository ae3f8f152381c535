//! Rows and plans, without a host.

use std::collections::BTreeMap;

use sg_policy::model::{Direction, Model, Peer, Rule, SecurityGroup, Service, Transport};

use super::names::Names;
use super::plan::{Plan, warnings};
use super::rows::{Row, of_group, wishes};
use crate::vpc::{Document, Owner, Owners};

fn document() -> Document {
    let mut model = Model::new();
    let web = SecurityGroup {
        name: "our-learning-sg-https".to_owned(),
        inbound: Vec::new(),
        ..SecurityGroup::built_in()
    };
    let id = sg_policy::model::GroupId::derived("our-learning-sg-https");
    let mysql = Service::Ports {
        protocol: Transport::Tcp,
        from: 3306,
        to: 3306,
    };
    let range = Peer::Cidr("10.0.1.0/24".parse().expect("a range"));
    let rule = Rule::new(&id, Direction::Inbound, mysql, range);
    model.groups.insert(
        web.name.clone(),
        SecurityGroup {
            id,
            inbound: vec![rule],
            ..web
        },
    );
    let _ = Owner::Api;
    Document::new(model, Owners::default())
}

fn row(kind: &str, ports: &str, source: &str) -> Row {
    Row {
        kind: kind.to_owned(),
        ports: ports.to_owned(),
        source: source.to_owned(),
        ..Row::new(1)
    }
}

fn faults(row: Row) -> Vec<String> {
    let document = document();
    let names = Names::new(&document);
    let found = wishes(&[row], Direction::Inbound, &names, None);
    found
        .err()
        .map_or_else(Vec::new, |faults| faults.into_keys().collect())
}

#[test]
fn a_type_of_the_menu_settles_protocol_and_ports_whatever_was_sent_with_it() {
    let document = document();
    let names = Names::new(&document);
    let wanted = wishes(
        &[row("MySQL/Aurora", "22", "10.0.0.0/24")],
        Direction::Inbound,
        &names,
        None,
    );
    let wanted = wanted.expect("a wish");
    assert_eq!(wanted[0].service.to_string(), "tcp 3306");
}

#[test]
fn several_sources_of_one_row_are_several_rules() {
    let document = document();
    let names = Names::new(&document);
    let sources = "10.0.0.0/24, 192.0.2.7 our-learning-sg-https";
    let wanted = wishes(
        &[row("HTTPS", "", sources)],
        Direction::Inbound,
        &names,
        None,
    )
    .expect("wishes");
    let peers: Vec<_> = wanted.iter().map(|wish| wish.peer.to_string()).collect();
    assert_eq!(
        peers,
        ["10.0.0.0/24", "192.0.2.7/32", "sg:our-learning-sg-https"]
    );
}

#[test]
fn what_is_wrong_is_said_at_its_field() {
    assert_eq!(faults(row("Custom TCP", "", "10.0.0.0/8")), ["in.1.ports"]);
    assert_eq!(
        faults(row("Custom TCP", "90-80", "10.0.0.0/8")),
        ["in.1.ports"]
    );
    assert_eq!(
        faults(row("Custom TCP", "65536", "10.0.0.0/8")),
        ["in.1.ports"]
    );
    assert_eq!(faults(row("HTTPS", "", "nobody")), ["in.1.source"]);
    assert_eq!(faults(row("HTTPS", "", "")), ["in.1.source"]);
    assert_eq!(
        faults(row("Custom Protocol", "", "")),
        ["in.1.protocol", "in.1.source"]
    );
    let hostile = Row {
        text: "\"><script>".to_owned(),
        ..row("HTTPS", "", "10.0.0.0/8")
    };
    assert_eq!(faults(hostile), ["in.1.text"]);
}

#[test]
fn rows_of_rules_mean_these_rules_again() {
    let document = document();
    let names = Names::new(&document);
    for group in document.model().groups.values() {
        for direction in Direction::ALL {
            let rows = of_group(group, direction, &names);
            let wanted = wishes(&rows, direction, &names, None).expect("wishes");
            let plan = Plan::new(group.rules(direction), wanted);
            assert!(plan.is_empty(), "{plan:?}");
            assert_eq!(plan.same, group.rules(direction).len());
        }
    }
}

#[test]
fn a_rule_that_becomes_another_keeps_its_id_unless_its_kind_of_source_changes() {
    let document = document();
    let names = Names::new(&document);
    let group = &document.model().groups["our-learning-sg-https"];
    let plan = |change: &dyn Fn(&mut Row)| {
        let mut rows = of_group(group, Direction::Inbound, &names);
        change(&mut rows[0]);
        let wanted = wishes(&rows, Direction::Inbound, &names, None).expect("wishes");
        let plan = Plan::new(&group.inbound, wanted);
        (plan.remove.len(), plan.change.len(), plan.add.len())
    };
    assert_eq!(
        plan(&|row| "10.0.2.0/24".clone_into(&mut row.source)),
        (0, 1, 0)
    );
    assert_eq!(
        plan(&|row| "PostgreSQL".clone_into(&mut row.kind)),
        (0, 1, 0)
    );
    assert_eq!(plan(&|row| "MySQL".clone_into(&mut row.text)), (0, 1, 0));
    assert_eq!(
        plan(&|row| "our-learning-sg-https".clone_into(&mut row.source)),
        (1, 0, 1)
    );
    assert_eq!(plan(&|row| row.id.clear()), (0, 0, 0));
}

#[test]
fn the_calls_of_a_plan_remove_before_they_add() {
    let document = document();
    let names = Names::new(&document);
    let group = &document.model().groups["our-learning-sg-https"];
    let rows = [row("MySQL/Aurora", "", "our-learning-sg-https")];
    let wanted = wishes(&rows, Direction::Inbound, &names, None).expect("wishes");
    let calls =
        Plan::new(&group.inbound, wanted).calls(group.id.as_str(), Direction::Inbound, &names);
    let calls: Vec<BTreeMap<_, _>> = calls
        .into_iter()
        .map(|call| call.into_iter().collect())
        .collect();
    assert_eq!(calls[0]["Action"], "RevokeSecurityGroupIngress");
    assert_eq!(
        calls[0]["SecurityGroupRuleId.1"],
        group.inbound[0].id.as_str()
    );
    assert_eq!(calls[1]["Action"], "AuthorizeSecurityGroupIngress");
    assert_eq!(
        calls[1]["IpPermissions.1.Groups.1.GroupId"],
        group.id.as_str()
    );
    assert_eq!(calls[1]["IpPermissions.1.FromPort"], "3306");
}

#[test]
fn what_lets_everybody_in_is_warned_of_and_not_refused() {
    let document = document();
    let names = Names::new(&document);
    let said = |row: Row| {
        let wanted = wishes(&[row], Direction::Inbound, &names, None).expect("wishes");
        warnings(&wanted, Direction::Inbound, 60, &names)
    };
    assert_eq!(said(row("SSH", "", "0.0.0.0/0")).len(), 1);
    assert_eq!(said(row("All traffic", "", "::/0")).len(), 2);
    assert_eq!(said(row("SSH", "", "10.0.0.0/8")).len(), 0);
    assert_eq!(
        said(row("Custom ICMP - IPv4", "8/8", "10.0.0.0/8")).len(),
        1
    );
}
