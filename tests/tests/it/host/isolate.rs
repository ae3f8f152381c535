//! An interface that is cut off carries no flow, old or new, until it is released.

use sg_tests::{
    packet::{icmp, ip, udp},
    sg_ctl::SgCtl,
    topology::{Host, Network},
    traffic::{Connection, Server, tcp_is_silent},
    wire::send_frame,
};

use super::attached::{Side, guard, packets};

/// Rules that admit SSH and HTTP from outside, HTTPS to the outside.
fn rules(more: &str) -> String {
    format!(
        "security_groups: {{ tested: {{
           inbound: [{{ type: SSH, source: 198.51.100.0/24 }},
                     {{ type: HTTP, source: 198.51.100.0/24 }}],
           outbound: [{{ type: HTTPS, destination: 198.51.100.0/24 }}] }} }}
interfaces: {{ eth0: {{ groups: [tested], {more} }} }}
"
    )
}

fn connect(from: &Host, to: &Host, port: u16) -> Connection {
    let connection = Connection::open(&from.namespace, to.v4, port);
    let mut connection = connection.expect("a rule admits it");
    connection.exchange("before").expect("it is tracked");
    connection
}

fn state(sg: &SgCtl<'_>) -> String {
    let status = sg.json(&["status"]);
    let state = status["interfaces"][0]["state"].as_str();
    state.expect("an interface has one").to_owned()
}

#[test]
fn live_flows_of_both_directions_are_cut_until_it_is_released() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let _servers = (
        Server::tcp(&server.namespace, 80),
        Server::tcp(&client.namespace, 443),
    );
    let sg = SgCtl::new(&server.namespace);
    let file = sg.rule_file("rules.yaml", &rules("hook: tc"));
    sg.ok(&["attach", "eth0", "-f", &file]);
    let mut inbound = connect(client, server, 80);
    let mut outbound = connect(server, client, 443);

    let plan = sg.run(&["isolate", "eth0", "--dry-run", "--json"]);
    assert_eq!(plan.code, 3, "{plan:#?}");
    let json: serde_json::Value = serde_json::from_str(&plan.stdout).expect("a document");
    assert_eq!(
        (&json["applied"], &json["flows_cut"]),
        (&false.into(), &2.into())
    );
    inbound.exchange("still").expect("nothing has changed");

    let told = sg.json(&["isolate", "eth0"]);
    assert_eq!(
        (&told["isolated"], &told["flows_cut"]),
        (&true.into(), &2.into())
    );
    assert_eq!(state(&sg), "isolated");
    let dropped = packets(&sg, "inbound", "no-rule");
    assert!(inbound.is_cut() && outbound.is_cut());
    assert!(packets(&sg, "inbound", "no-rule") > dropped);
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));
    assert!(tcp_is_silent(&server.namespace, client.v4, 443));
    assert_eq!(sg.json(&["flows"]), serde_json::json!([]));
    let again = sg.run(&["isolate", "eth0", "--dry-run"]);
    assert_eq!(again.code, 0, "{again:#?}");

    // New rules do not end it, nor do the old ones, nor the return of a lost interface.
    let other = sg.rule_file("other.yaml", &rules("hook: tc, log: denied"));
    for words in [&["apply", "-f", &other][..], &["rollback"], &["refreshed"]] {
        if words == ["refreshed"] {
            std::fs::remove_dir_all(sg.pins()).expect("they are ours");
            sg.ok(&["restore"]);
        } else {
            let told = sg.run(words);
            assert_eq!(told.code, 0, "{told:#?}");
            assert!(told.stderr.contains("eth0 stays isolated"), "{told:#?}");
        }
        assert_eq!(state(&sg), "isolated", "{words:?}");
        assert!(tcp_is_silent(&client.namespace, server.v4, 80), "{words:?}");
    }
    let error = sg.fails(1, &["mode", "eth0", "audit"]);
    assert!(error.contains("--release"), "{error}");

    let released = sg.json(&["isolate", "eth0", "--release"]);
    assert_eq!(
        (&released["isolated"], &released["changed"]),
        (&false.into(), &true.into())
    );
    assert_eq!(state(&sg), "enforcing");
    connect(client, server, 80);
    connect(server, client, 443);
    let error = sg.fails(1, &["isolate", "eth0", "--release"]);
    assert!(error.contains("eth0 is not isolated"), "{error}");
    let error = sg.fails(1, &["isolate", "eth7"]);
    assert!(error.contains("attached: eth0"), "{error}");
}

#[test]
fn it_holds_where_nothing_else_is_dropped() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let _server = Server::tcp(&server.namespace, 81);
    let sg = SgCtl::new(&server.namespace);
    let file = sg.rule_file("rules.yaml", &rules("audit: true"));
    sg.ok(&["attach", "eth0", "-f", &file]);
    drop(connect(client, server, 81));
    sg.ok(&["isolate", "eth0"]);
    assert_eq!(state(&sg), "isolated");
    assert!(tcp_is_silent(&client.namespace, server.v4, 81));
    sg.ok(&["isolate", "eth0", "--release"]);
    assert_eq!(state(&sg), "auditing");
    connect(client, server, 81);
}

#[test]
fn nobody_cuts_himself_off_unasked() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let _servers = [22, 80].map(|port| Server::tcp(&server.namespace, port));
    let sg = SgCtl::new(&server.namespace);
    let file = sg.rule_file("rules.yaml", &rules("hook: tc"));
    sg.ok(&["attach", "eth0", "-f", &file]);
    let mut ssh = connect(client, server, 22);
    let mut web = connect(client, server, 80);
    let connection = format!("{} 50000 {} 22", client.v4, server.v4);
    let isolate = |option: &[&str]| {
        let words = [&["isolate", "eth0"], option].concat();
        sg.run_over_ssh(&connection, &words)
    };
    let refused = isolate(&[]);
    assert_eq!(refused.code, 1, "{refused:#?}");
    assert!(refused.stderr.contains("--keep-ssh"), "{refused:#?}");
    web.exchange("still").expect("nothing has changed");
    sg.fails(1, &["isolate", "eth0", "--keep-ssh"]);

    let kept = isolate(&["--keep-ssh"]);
    assert_eq!(kept.code, 0, "{kept:#?}");
    ssh.exchange("after").expect("it is kept");
    assert!(web.is_cut());
    drop(connect(client, server, 22));
    // An apply is no reason to cut it after all.
    sg.ok(&["apply", "-f", &file]);
    drop(connect(client, server, 22));

    let cut = isolate(&["--cut-ssh"]);
    assert_eq!(cut.code, 0, "{cut:#?}");
    assert!(ssh.is_cut());
    assert!(tcp_is_silent(&client.namespace, server.v4, 22));
    sg.ok(&["isolate", "eth0", "--release"]);
    connect(client, server, 22);
}

#[test]
fn an_isolated_workload_is_no_router_and_no_server() {
    let network = Network::new(&["guest"]);
    let [guest] = network.hosts();
    let rules = "security_groups: { tested: {} }
interfaces: { guest: { groups: [tested], log: denied } }
";
    let sg = guard(&network, guest, (Side::Workload, "tc"), rules);
    sg.ok(&["isolate", "guest"]);
    let mut log = sg.start(&["logs", "-f", "--denied"]);
    let mut query = ip("198.51.100.18", "224.0.0.1", 2).hop_limit(1);
    query.data = vec![0x11, 100, 0, 0, 0, 0, 0, 0];
    let control = |kind: u8, hop_limit: u8| {
        let message = icmp("fe80::bad", "ff02::1", kind, 0);
        message.payload(16).hop_limit(hop_limit)
    };
    for (frame, told) in [
        (control(134, 255), "icmpv6 fe80::bad -> ff02::1 type=134"),
        (control(137, 255), "icmpv6 fe80::bad -> ff02::1 type=137"),
        (control(130, 1), "icmpv6 fe80::bad -> ff02::1 type=130"),
        (query, "198.51.100.18 -> 224.0.0.1"),
        (
            udp("198.51.100.18:67", "255.255.255.255:68"),
            "198.51.100.18:67 -> 255.255.255.255:68",
        ),
        (
            udp("[fe80::bad]:547", "[fe80::1]:546"),
            "[fe80::bad]:547 -> [fe80::1]:546",
        ),
    ] {
        send_frame(&guest.namespace, &frame.bytes());
        log.line_with(&["outbound DENY", "no-rule", told]);
    }
    // It still finds its neighbours and an address.
    let ours = udp("0.0.0.0:68", "255.255.255.255:67");
    send_frame(&guest.namespace, &ours.bytes());
    sg_tests::eventually("it passes", || {
        (packets(&sg, "outbound", "infra-dhcp4") == 1).then_some(())
    });
}
