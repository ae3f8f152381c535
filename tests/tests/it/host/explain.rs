//! Explanations of a guarded interface: rules in force, live flows, logged packets.

use sg_tests::{
    topology::Network,
    traffic::{Connection, Server, tcp_is_silent},
};

use super::attached::{Side, guard};

const RULES: &str = "
    security_groups:
      tested:
        inbound:
          - { type: SSH, source: 198.51.100.0/24 }
          - { protocol: tcp, ports: 8080, source: 'sg:tested' }
        outbound: []
    interfaces: { eth0: { groups: [tested] } }
";

#[test]
fn live_flows_and_logged_packets_are_explained() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), RULES);
    let _servers = [22, 8080].map(|port| Server::tcp(&server.namespace, port));
    let connection = Connection::open(&client.namespace, server.v4, 22);
    let mut connection = connection.expect("a rule admits it");
    connection.exchange("hello").expect("an answer");

    let flow = &sg.json(&["flows"])[0];
    let end = |side: &str| {
        let port = &flow[format!("{side}_port")];
        format!("{}:{port}", flow[side].as_str().expect("an address"))
    };
    let (client_end, server_end) = (end("remote"), end("local"));
    let explain = |words: &[&str]| sg.json(&[&["explain"][..], words].concat());

    // The flow passes in both directions, although nothing may leave.
    let established = explain(&["--outbound", "tcp", &server_end, &client_end]);
    assert_eq!(established["verdict"], "allow");
    assert_eq!(established["reason"], "established");
    assert_eq!(established["rule"], flow["rule"]);
    let other = explain(&["--outbound", "tcp", "198.51.100.9:443"]);
    assert_eq!(
        (&other["verdict"], &other["reason"]),
        (&"deny".into(), &"no-rule".into())
    );

    // This host's own address carries the group, the client's does not.
    let own = explain(&["--inbound", "tcp", &server.v4.to_string(), "8080"]);
    assert_eq!(own["verdict"], "allow");
    assert!(tcp_is_silent(&client.namespace, server.v4, 8080));
    let logged = sg.ok(&["logs", "--denied", "--json"]);
    let line = logged.lines().next().expect("the SYN was logged");
    let denied = explain(&["--log", line]);
    assert_eq!(
        (&denied["verdict"], &denied["reason"]),
        (&"deny".into(), &"no-rule".into())
    );
    let why = denied["nearest"][0]["why"].as_str().expect("text");
    assert!(
        why.contains("carries no group sg:tested, which has 1 IPv4 member"),
        "{why}"
    );

    let text = sg.ok(&["explain", "--log", line]);
    assert!(text.contains("no live flow"), "{text}");
}
