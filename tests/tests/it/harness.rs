//! The harness keeps its own promises.

use std::fs;

use rstest::rstest;
use sg_tests::{
    family::Family,
    netns::Namespace,
    topology::Network,
    traffic::{
        Connection, Server, ping, ping_is_silent, tcp_is_silent, udp_exchange, udp_is_silent,
    },
};

#[rstest]
fn hosts_of_a_network_reach_each_other(#[values(Family::V4, Family::V6)] family: Family) {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let _tcp = Server::tcp(&server.namespace, 80);
    let _udp = Server::udp(&server.namespace, 53);
    let address = server.address(family);
    let mut connection = Connection::open(&client.namespace, address, 80).expect("connects");
    connection.exchange("hello").expect("answers");
    assert!(!connection.is_cut());
    udp_exchange(&client.namespace, address, 53).expect("answers");
    ping(&client.namespace, address).expect("answers");
}

#[rstest]
fn silence_is_told_from_refusal(#[values(Family::V4, Family::V6)] family: Family) {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let address = server.address(family);
    let refusal = Connection::open(&client.namespace, address, 80).expect_err("nobody listens");
    assert_eq!(refusal.kind(), std::io::ErrorKind::ConnectionRefused);
    network.router.ip(&format!(
        "route add blackhole {}/32\nroute add blackhole {}/128\n",
        server.v4, server.v6
    ));
    assert!(tcp_is_silent(&client.namespace, address, 80));
    assert!(udp_is_silent(&client.namespace, address, 80));
    assert!(ping_is_silent(&client.namespace, address));
}

#[test]
fn the_thread_that_enters_a_namespace_stays_where_it_was() {
    let here = || fs::read_link("/proc/thread-self/ns/net").expect("/proc is mounted");
    let outside = here();
    let namespace = Namespace::new("inside");
    assert_ne!(namespace.enter(here), outside);
    assert_eq!(here(), outside);
}
