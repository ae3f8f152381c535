//! Real sockets through guarded interfaces: every hook, both sides, both families.

use std::net::IpAddr;

use rstest::rstest;
use rstest_reuse::{apply, template};
use sg_tests::{
    family::Family::{self, V4, V6},
    packet::udp,
    sg_ctl::SgCtl,
    topology::{Host, Network},
    traffic::{
        Connection, Server, ping, ping_is_silent, tcp_is_silent, udp_exchange, udp_exchange_of,
        udp_is_silent,
    },
    wire::send_segmented,
};

use super::attached::{Side, drops, guard, packets};

/// Every hook on both sides.
#[template]
#[rstest]
fn everywhere(
    #[values(Side::Nic, Side::Workload)] side: Side,
    #[values("tc", "xdp", "xdp-generic")] hook: &str,
) {
}

/// A rule file with one group, `tested`.
fn rules(inbound: &str, outbound: &str) -> String {
    format!(
        "security_groups: {{ tested: {{ inbound: [{inbound}], outbound: [{outbound}] }} }}
interfaces: {{ eth0: {{ groups: [tested] }}, server: {{ groups: [tested] }} }}
"
    )
}

/// A rule of one service for the addresses of a host, which it names as `peer`.
fn rule(service: &str, peer: &str, host: &Host) -> String {
    format!(
        "{{ {service}, {peer}s: [{}/32, '{}/128'] }}",
        host.v4, host.v6
    )
}

#[apply(everywhere)]
fn what_a_rule_admits_passes_with_its_answer_and_nothing_else_does(side: Side, hook: &str) {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let pings = |family: Family| {
        let (protocol, source) = (family.icmp(), client.address(family));
        let bits = if source.is_ipv4() { 32 } else { 128 };
        format!("{{ protocol: {protocol}, icmp: echo-request, source: '{source}/{bits}' }}")
    };
    let inbound = [
        rule("type: HTTP", "source", client),
        rule("type: DNS (UDP)", "source", client),
        pings(V4),
        pings(V6),
    ];
    let sg = guard(
        &network,
        server,
        (side, hook),
        &rules(&inbound.join(", "), ""),
    );
    let _servers = [80, 81].map(|port| Server::tcp(&server.namespace, port));
    let _datagrams = [53, 54].map(|port| Server::udp(&server.namespace, port));
    let _elsewhere = Server::tcp(&client.namespace, 80);
    for to in Family::BOTH.map(|family| server.address(family)) {
        Connection::open(&client.namespace, to, 80)
            .expect("a rule admits it")
            .exchange("hello")
            .expect("answers pass");
        udp_exchange(&client.namespace, to, 53).expect("a rule admits it");
        ping(&client.namespace, to).expect("a rule admits it");
    }
    assert_eq!(drops(&sg), []);

    let no_rule = |direction: &str| (direction.to_owned(), "no-rule".to_owned());
    for to in Family::BOTH.map(|family| server.address(family)) {
        assert!(tcp_is_silent(&client.namespace, to, 81));
        assert!(udp_is_silent(&client.namespace, to, 54));
    }
    assert_eq!(drops(&sg), [no_rule("inbound")]);
    for to in Family::BOTH.map(|family| client.address(family)) {
        assert!(tcp_is_silent(&server.namespace, to, 80));
    }
    assert_eq!(drops(&sg), [no_rule("inbound"), no_rule("outbound")]);
}

#[apply(everywhere)]
fn what_the_protected_side_opens_is_answered(side: Side, hook: &str) {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let outbound = rule("type: All traffic", "destination", client);
    let sg = guard(&network, server, (side, hook), &rules("", &outbound));
    let _tcp = Server::tcp(&client.namespace, 443);
    let _udp = Server::udp(&client.namespace, 53);
    for to in Family::BOTH.map(|family| client.address(family)) {
        Connection::open(&server.namespace, to, 443)
            .expect("a rule admits it")
            .exchange("hello")
            .expect("answers pass");
        udp_exchange(&server.namespace, to, 53).expect("answers pass");
        ping(&server.namespace, to).expect("answers pass");
    }
    assert_eq!(drops(&sg), []);
    assert!(ping_is_silent(&client.namespace, server.v4));
    assert!(ping_is_silent(&client.namespace, server.v6));
}

#[apply(everywhere)]
fn a_long_transfer_arrives_whole(side: Side, hook: &str) {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let inbound = rule("type: HTTP", "source", client);
    let sg = guard(&network, server, (side, hook), &rules(&inbound, ""));
    let _server = Server::tcp(&server.namespace, 80);
    let length = 4 << 20;
    for to in Family::BOTH.map(|family| server.address(family)) {
        Connection::open(&client.namespace, to, 80)
            .expect("a rule admits it")
            .pour(length)
            .expect("every byte comes back");
    }
    assert_eq!(drops(&sg), []);
    let status = sg.json(&["status"]);
    let passed = &status["interfaces"][0]["passed"];
    let length = 2 * length as u64;
    for direction in ["inbound", "outbound"] {
        let bytes = passed[direction]["bytes"].as_u64().expect("a number");
        assert!(bytes > length, "{direction}: {bytes} bytes");
        // Segmented packets count as those they stand for, but generic XDP is not told how many.
        let packets = passed[direction]["packets"].as_u64().expect("a number");
        assert!(
            packets >= length / 1460 || hook == "xdp-generic",
            "{direction}: {packets} packets"
        );
        // Each of them has its headers: Ethernet, IP, TCP with timestamps.
        assert!(
            bytes >= length + packets * 66 || hook == "xdp-generic",
            "{direction}: {bytes} bytes of {packets} packets"
        );
    }
}

#[test]
fn datagrams_of_a_virtual_machine_count_as_what_they_become() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let outbound = "{ protocol: udp, ports: 9000, destination: 0.0.0.0/0 },
        { protocol: udp, ports: 9000, destination: '::/0' }";
    let sg = guard(&network, server, (Side::Nic, "tc"), &rules("", outbound));
    let (mut datagrams, mut bytes) = (0, 0);
    for family in Family::BOTH {
        let (from, to) = (server.address(family), client.address(family));
        let large = udp((from, 5000), (to, 9000)).payload(25_000);
        if !send_segmented(&server.namespace, &large, 1000) {
            println!("skipped: this kernel takes no such frames from packet sockets");
            return;
        }
        datagrams += 25;
        bytes += 25 * udp((from, 5000), (to, 9000)).payload(1000).bytes().len() as u64;
    }
    assert_eq!(packets(&sg, "outbound", "new"), datagrams);
    let flows = sg.json(&["flows"]);
    let sum = |name: &str| {
        let flows = flows.as_array().expect("a list").iter();
        flows
            .map(|flow| flow[name].as_u64().expect("a number"))
            .sum::<u64>()
    };
    assert_eq!(
        (sum("packets_out"), sum("bytes_out")),
        (datagrams, bytes),
        "{flows:#}"
    );
}

#[apply(everywhere)]
fn fragmented_datagrams_arrive(side: Side, hook: &str) {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let inbound = rule("type: DNS (UDP)", "source", client);
    let sg = guard(&network, server, (side, hook), &rules(&inbound, ""));
    let _server = Server::udp(&server.namespace, 53);
    for to in Family::BOTH.map(|family| server.address(family)) {
        udp_exchange_of(&client.namespace, to, 53, 4000).expect("all fragments pass, both ways");
    }
    assert_eq!(drops(&sg), []);
    assert!(packets(&sg, "inbound", "fragment") >= 4);
    assert!(packets(&sg, "outbound", "fragment") >= 4);
}

#[apply(everywhere)]
fn path_mtu_discovery_works_without_an_icmp_rule(side: Side, hook: &str) {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    // The way to the client is narrower than the server can know.
    network.router.ip("link set client mtu 1300\n");
    let inbound = rule("type: HTTP", "source", client);
    let sg = guard(&network, server, (side, hook), &rules(&inbound, ""));
    let _server = Server::tcp(&server.namespace, 80);
    for to in Family::BOTH.map(|family| server.address(family)) {
        Connection::open(&client.namespace, to, 80)
            .expect("a rule admits it")
            .pour(100_000)
            .expect("the server learns the way's MTU");
    }
    assert!(packets(&sg, "inbound", "related") >= 2);
    assert_eq!(drops(&sg), []);
}

#[apply(everywhere)]
fn flows_outlive_their_rule_and_new_ones_do_not_come(side: Side, hook: &str) {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let inbound = rule("type: HTTP", "source", client);
    let sg = guard(&network, server, (side, hook), &rules(&inbound, ""));
    let _server = Server::tcp(&server.namespace, 80);
    let mut connection =
        Connection::open(&client.namespace, server.v4, 80).expect("a rule admits it");
    connection.exchange("before").expect("answers pass");
    let closed = sg.rule_file("closed.yaml", &rules("", ""));
    sg.ok(&["apply", "--file", &closed]);
    connection.exchange("after").expect("the flow lives on");
    assert!(tcp_is_silent(&client.namespace, server.v4, 80));
}

#[apply(everywhere)]
fn no_packet_is_lost_while_rules_are_replaced(side: Side, hook: &str) {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let http = rule("type: HTTP", "source", client);
    let more = format!("{}, {http}", rule("type: HTTPS", "source", client));
    let sg = guard(&network, server, (side, hook), &rules(&http, ""));
    let _server = Server::tcp(&server.namespace, 80);
    let files = [
        sg.rule_file("more.yaml", &rules(&more, "")),
        sg.rule_file("less.yaml", &rules(&http, "")),
    ];
    std::thread::scope(|scope| {
        let replacing = scope.spawn(|| {
            for file in files.iter().cycle().take(20) {
                sg.ok(&["apply", "--file", file]);
            }
        });
        let mut opened = 0;
        while !replacing.is_finished() {
            let connection = Connection::open(&client.namespace, server.v4, 80);
            let mut connection = connection.expect("both rule files admit it");
            connection.exchange("hello").expect("answers pass");
            opened += 1;
        }
        assert!(opened >= 20, "only {opened} connections");
    });
    assert_eq!(drops(&sg), []);
    assert_eq!(sg.json(&["status"])["generation"], 21);
}

#[rstest]
fn a_group_is_whoever_carries_it(#[values(V4, V6)] family: Family) {
    let network = Network::new(&["app", "database", "other"]);
    let [app, database, other] = network.hosts();
    let rules = |members: &[IpAddr]| {
        let members: Vec<_> = members
            .iter()
            .map(|address| format!("'{address}'"))
            .collect();
        format!(
            "
            security_groups:
              app: {{}}
              tested: {{ inbound: [{{ type: PostgreSQL, source: 'sg:app' }}], outbound: [] }}
            members: {{ app: [{}] }}
            interfaces: {{ eth0: {{ groups: [tested] }} }}
            ",
            members.join(", ")
        )
    };
    let both = [app.v4.into(), app.v6.into()];
    let sg = guard(&network, database, (Side::Nic, "tc"), &rules(&both));
    let _server = Server::tcp(&database.namespace, 5432);
    let to = database.address(family);
    let mut connection = Connection::open(&app.namespace, to, 5432).expect("app carries it");
    connection.exchange("hello").expect("answers pass");
    assert!(tcp_is_silent(&other.namespace, to, 5432));
    // Somebody else carries it now.
    let moved = sg.rule_file("moved.yaml", &rules(&[other.v4.into(), other.v6.into()]));
    sg.ok(&["apply", "--file", &moved]);
    Connection::open(&other.namespace, to, 5432).expect("other carries it");
    assert!(tcp_is_silent(&app.namespace, to, 5432));
    connection
        .exchange("hello again")
        .expect("the flow lives on");
}

#[rstest]
fn interfaces_of_one_host_have_policies_of_their_own(#[values("tc", "xdp")] hook: &str) {
    let network = Network::new(&["left", "right"]);
    let [left, right] = network.hosts();
    let sg = SgCtl::new(&network.router);
    // The host knows of its workloads' addresses by the rule file.
    let file = sg.rule_file(
        "rules.yaml",
        &format!(
            "
            security_groups:
              left: {{ outbound: [{{ type: HTTP, destination: 'sg:right' }}] }}
              right: {{ inbound: [{{ type: HTTP, source: 'sg:left' }}], outbound: [] }}
            members: {{ left: [{}], right: [{}] }}
            interfaces:
              left: {{ groups: [left], side: workload, hook: {hook} }}
              right: {{ groups: [right], side: workload, hook: {hook} }}
            ",
            left.v4, right.v4
        ),
    );
    sg.ok(&["attach", "left", "--file", &file]);
    sg.ok(&["attach", "right"]);
    let _servers = [left, right].map(|host| Server::tcp(&host.namespace, 80));
    let _other = Server::tcp(&right.namespace, 443);
    let mut connection =
        Connection::open(&left.namespace, right.v4, 80).expect("both groups admit it");
    connection.exchange("hello").expect("answers pass");
    assert!(tcp_is_silent(&left.namespace, right.v4, 443));
    assert!(tcp_is_silent(&right.namespace, left.v4, 80));
    // One flow in each zone: what leaves the one enters the other.
    let flows = sg.json(&["flows", "--port", "80"]);
    let mut seen: Vec<_> = flows
        .as_array()
        .expect("a list")
        .iter()
        .map(|flow| (flow["interface"].as_str(), flow["opened"].as_str()))
        .collect();
    seen.sort_unstable();
    assert_eq!(
        seen,
        [
            (Some("left"), Some("outbound")),
            (Some("right"), Some("inbound"))
        ]
    );
}
