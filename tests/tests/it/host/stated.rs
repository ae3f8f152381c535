//! Addresses that rule files and the command line state of an interface.

use sg_tests::{
    sg_ctl::SgCtl,
    topology::Network,
    traffic::{Connection, Server, tcp_is_silent},
};

/// Exit code.
const REFUSED: i32 = 1;

const SSH: u16 = 22;

/// Two workloads behind the router, of which one admits the other's group.
fn rules(addresses: &str) -> String {
    format!(
        "
        security_groups:
          app: {{}}
          db: {{ inbound: [{{ type: SSH, source: 'sg:app' }}] }}
        interfaces:
          app: {{ groups: [app], side: workload, hook: tc, addresses: [{addresses}] }}
          db: {{ groups: [db], side: workload, hook: tc }}
        "
    )
}

fn attach(sg: &SgCtl<'_>, file: &str, options: &[&str]) {
    sg.ok(&[&["attach", "app", "--file", file], options].concat());
    sg.ok(&["attach", "db"]);
}

#[test]
fn a_workloads_stated_addresses_are_members() {
    let network = Network::new(&["app", "db"]);
    let [app, db] = network.hosts();
    let _server = Server::tcp(&db.namespace, SSH);
    let sg = SgCtl::new(&network.router);
    let file = sg.rule_file("rules.yaml", &rules(""));
    attach(&sg, &file, &[]);
    assert!(tcp_is_silent(&app.namespace, db.v4, SSH));

    sg.rule_file("rules.yaml", &rules(&app.v4.to_string()));
    sg.ok(&["apply", "--file", &file]);
    Connection::open(&app.namespace, db.v4, SSH).expect("the rule file states its address");
    assert!(tcp_is_silent(&app.namespace, db.v6, SSH));

    sg.rule_file("rules.yaml", &rules(""));
    sg.ok(&["apply", "--file", &file]);
    assert!(tcp_is_silent(&app.namespace, db.v4, SSH));
    sg.ok(&["detach", "app"]);
    let addresses = format!("{},{}", app.v4, app.v6);
    sg.ok(&["attach", "app", "--address", &addresses]);
    Connection::open(&app.namespace, db.v4, SSH).expect("the command line states its address");
    Connection::open(&app.namespace, db.v6, SSH).expect("the command line states its address");
}

#[test]
fn an_address_outside_the_stated_ranges_is_no_member() {
    let network = Network::new(&["app", "db"]);
    let [app, db] = network.hosts();
    let _server = Server::tcp(&db.namespace, SSH);
    let sg = SgCtl::new(&network.router);
    let elsewhere = sg.rule_file("rules.yaml", &rules("10.9.9.0/24"));
    let address = app.v4.to_string();
    attach(&sg, &elsewhere, &["--address", &address]);
    assert!(tcp_is_silent(&app.namespace, db.v4, SSH));
    let around = sg.rule_file("rules.yaml", &rules("198.51.100.0/24"));
    sg.ok(&["apply", "--file", &around]);
    Connection::open(&app.namespace, db.v4, SSH).expect("the range has its address");
}

#[test]
fn addresses_of_this_host_are_not_to_be_stated() {
    let network = Network::new(&["app"]);
    let [app] = network.hosts();
    let sg = SgCtl::new(&app.namespace);
    let error = sg.fails(REFUSED, &["attach", "eth0", "--address", "10.0.0.1"]);
    assert!(error.contains("--side workload"), "{error}");
    assert!(sg.is_untouched());
}
