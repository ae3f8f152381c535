//! The harness keeps its own promises.

use std::{
    env, fs,
    path::PathBuf,
    process::{self, Command, Stdio},
};

use rstest::rstest;
use sg_tests::{
    family::Family,
    netns::Namespace,
    scratch::{self, Directory},
    topology::Network,
    traffic::{
        Connection, Server, ping, ping_is_silent, tcp_is_silent, udp_exchange, udp_is_silent,
    },
};

/// Makes [`leaves_everything_behind`] do what its name says.
const CHILD: &str = "SG_TEST_CHILD";

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

/// Not a test of its own: run as a child process by the two below.
#[test]
fn leaves_everything_behind() {
    let Ok(way) = env::var(CHILD) else { return };
    let network = Network::new(&["client"]);
    let [client] = network.hosts();
    let _pins = Directory::for_pins("pins");
    let _files = Directory::temporary("files");
    let mut sleep = client
        .namespace
        .enter(|| Command::new("sleep").arg("1000").spawn())
        .expect("there is sleep");
    assert_eq!(sleep.try_wait().expect("our child"), None);
    match way.as_str() {
        "panic" => panic!("on purpose"),
        _ => process::abort(),
    }
}

/// Runs that test in a process of its own. Returns its process id.
fn child_that_ends_by(way: &str) -> u32 {
    let mut child = Command::new(env::current_exe().expect("this test"))
        .args(["--exact", "harness::leaves_everything_behind"])
        .env(CHILD, way)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("this test runs");
    let status = child.wait().expect("it ends");
    assert!(!status.success());
    child.id()
}

#[test]
fn a_test_that_panics_leaves_nothing_behind() {
    let pid = child_that_ends_by("panic");
    assert_eq!(scratch::left_by(pid), Vec::<PathBuf>::new());
}

#[test]
fn what_a_killed_run_left_is_swept() {
    let pid = child_that_ends_by("abort");
    // Two namespaces, pins and files, unless the start of yet another run has already swept them.
    assert!(scratch::left_by(pid).len() <= 4);
    scratch::sweep();
    assert_eq!(scratch::left_by(pid), Vec::<PathBuf>::new());
}
