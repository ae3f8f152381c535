//! Counters of rules as the command tells them.

use serde_json::Value;
use sg_tests::{
    sg_ctl::SgCtl,
    topology::Network,
    traffic::{Connection, Server, udp_exchange},
};

use super::attached::{Side, guard};

const RULES: &str = "
    security_groups:
      tested:
        inbound:
          - { type: HTTP, source: 198.51.100.0/24, description: web }
          - { type: HTTP, source: 198.51.0.0/16, description: shadowed }
          - { type: DNS (UDP), source: 198.51.100.0/24, description: names }
        outbound: []
    interfaces: { eth0: { groups: [tested] } }
";

/// The counters of the rule with this description on eth0.
fn counters(sg: &SgCtl<'_>, description: &str) -> Value {
    let rules = sg.json(&["show", "rules", "--counters", "--interface", "eth0"]);
    let mut rules = rules.as_array().expect("a list").iter();
    let rule = rules.find(|rule| rule["description"] == description);
    rule.expect("the rule is in force")["counters"].clone()
}

fn number(counters: &Value, name: &str) -> u64 {
    counters[name].as_u64().expect("a number")
}

/// Descriptions of the rules that were never hit.
fn never_hit(sg: &SgCtl<'_>) -> Vec<String> {
    let rules = sg.json(&["show", "rules", "--never-hit"]);
    let description = |rule: &Value| rule["description"].as_str().expect("text").to_owned();
    let rules = rules.as_array().expect("a list");
    rules.iter().map(description).collect()
}

#[test]
fn rules_tell_what_they_admitted_whatever_becomes_of_flows_and_other_rules() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let _servers = (
        Server::tcp(&server.namespace, 80),
        Server::udp(&server.namespace, 53),
    );
    let sg = guard(&network, server, (Side::Nic, "tc"), RULES);
    assert_eq!(never_hit(&sg), ["web", "shadowed", "names"]);
    let fresh = counters(&sg, "web");
    assert_eq!(
        (number(&fresh, "new_flows"), number(&fresh, "packets")),
        (0, 0)
    );
    assert!(
        fresh["last_hit"].is_null() && fresh["since"].is_string(),
        "{fresh}"
    );

    let mut connection = Connection::open(&client.namespace, server.v4, 80).expect("admitted");
    connection.exchange("hello").expect("answered");
    udp_exchange(&client.namespace, server.v4, 53).expect("admitted");
    assert_eq!(never_hit(&sg), ["shadowed"], "the first rule decides");
    let web = counters(&sg, "web");
    assert_eq!(number(&web, "new_flows"), 1);
    assert!(
        number(&web, "packets") >= 5 && number(&web, "bytes") > 300,
        "{web}"
    );
    assert!(web["last_hit"].is_string(), "{web}");
    let names = counters(&sg, "names");
    assert_eq!(
        (number(&names, "new_flows"), number(&names, "packets")),
        (1, 2)
    );

    // Flows that are killed stay counted.
    let killed = sg.json(&["flows", "kill", "--port", "53"]);
    assert_eq!(killed["killed"], 1, "{killed}");
    let after = counters(&sg, "names");
    for name in ["new_flows", "packets", "bytes"] {
        assert_eq!(after[name], names[name], "{name}");
    }

    // Rules that stay go on; one that is gone and comes back begins anew.
    let without: Vec<_> = RULES
        .lines()
        .filter(|line| !line.contains("names"))
        .collect();
    let file = sg.rule_file("without.yaml", &without.join("\n"));
    sg.ok(&["apply", "--file", &file]);
    assert!(number(&counters(&sg, "web"), "packets") >= number(&web, "packets"));
    sg.ok(&["rollback"]);
    let back = counters(&sg, "names");
    assert_eq!(number(&back, "new_flows"), 0);
    assert!(number(&counters(&sg, "web"), "packets") >= number(&web, "packets"));

    let status = sg.json(&["status"]);
    assert_eq!(status["rule_counters"]["rules"], 3, "{status}");
    let table = sg.ok(&["show", "rules", "--counters"]);
    assert!(
        table.contains("NEW-FLOWS") && table.contains("never"),
        "{table}"
    );
}

#[test]
fn rules_of_an_interface_that_is_not_attached_are_not_counted() {
    let network = Network::new(&["server"]);
    let [server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), RULES);
    let error = sg.fails(1, &["show", "rules", "--counters", "--interface", "eth7"]);
    assert!(error.contains("eth7"), "{error}");
    sg.ok(&["detach", "eth0"]);
    assert_eq!(
        sg.json(&["show", "rules", "--counters"]),
        Value::Array(vec![])
    );
}
