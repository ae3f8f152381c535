//! Links of containers that are made of a guarded interface are announced, with their connections.

use std::{
    fs::File,
    net::Ipv4Addr,
    os::fd::AsRawFd as _,
    process::{Command, id},
    thread,
};

use nix::sched::{CloneFlags, setns, unshare};
use sg_tests::{
    eventually,
    netns::Namespace,
    sg_ctl::SgCtl,
    topology::{Host, Network},
    traffic::{Connection, Server},
};

const CLOSED: &str = "
    security_groups: { tested: { inbound: [], outbound: [] } }
    interfaces: { eth0: { groups: [tested] } }
";

/// Makes a link of a host's `eth0`. Returns whether this kernel knows the kind.
fn make(host: &Host, name: &str, kind: &str) -> bool {
    let words = [name, "link", "eth0", "type", kind];
    host.namespace.add_link(&words, kind)
}

/// Gives a container the link `name` of a host, with an address beside the host's.
fn hand_over(host: &Host, name: &str, container: &Namespace) -> Ipv4Addr {
    let own = u32::from(host.v4);
    let (address, gateway) = (Ipv4Addr::from(own + 1), Ipv4Addr::from(own - 1));
    let to = container.name();
    host.namespace.ip(&format!("link set {name} netns {to}\n"));
    container.ip(&format!(
        "addr add {address}/28 dev {name}\nlink set {name} up\nroute add default via {gateway}\n"
    ));
    address
}

/// What attaching a host's `eth0` says besides.
fn told(sg: &SgCtl<'_>, rules: &str) -> String {
    let file = sg.rule_file("rules.yaml", rules);
    let outcome = sg.run(&["attach", "eth0", "-f", &file]);
    assert_eq!(outcome.code, 0, "{outcome:#?}");
    outcome.stderr
}

#[test]
fn live_connections_of_a_macvlan_container_are_announced_at_attach() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let container = Namespace::new("container");
    if !make(server, "mv0", "macvlan") {
        return;
    }
    let address = hand_over(server, "mv0", &container);
    let sg = SgCtl::new(&server.namespace);
    let line = format!(
        "eth0 carries mv0 (macvlan) of the network namespace {}, with {address}: eth0's rules hold \
         for it, too",
        container.name()
    );
    // As long as it has none it is named, and there is nothing to warn of.
    let quiet = told(&sg, CLOSED);
    assert!(
        quiet.contains(&line) && !quiet.contains("warning"),
        "{quiet}"
    );
    sg.ok(&["detach", "eth0"]);

    let _server = Server::tcp(&client.namespace, 443);
    let mut connection = eventually("a connection, for nothing is guarded", || {
        Connection::open(&container, client.v4, 443).ok()
    });
    connection.exchange("before").expect("answers pass");
    let admitted = CLOSED.replace(
        "outbound: []",
        "outbound: [{ type: HTTPS, destination: 0.0.0.0/0 }]",
    );
    let warned = told(&sg, &admitted);
    let words = [
        "warning: ",
        &line,
        ", and its live connections (1), which no socket of this host shows, go on only where a rule \
         admits them",
    ]
    .concat();
    assert!(warned.contains(&words), "{warned}");
    // A rule does.
    connection.exchange("after").expect("it is picked up");

    // Judging without dropping and then dropping is the same moment.
    sg.ok(&["mode", "eth0", "audit"]);
    let enforced = sg.run(&["mode", "eth0", "enforce"]);
    assert!(enforced.stderr.contains(&words), "{enforced:#?}");
}

#[test]
fn links_of_this_host_are_not_taken_for_a_containers() {
    let network = Network::new(&["client", "server"]);
    let [_, server] = network.hosts();
    if !make(server, "mv0", "macvlan") {
        return;
    }
    server
        .namespace
        .ip("link add eth1 type veth peer name far\nlink set mv0 up\nlink set eth1 up\n");
    let sg = SgCtl::new(&server.namespace);
    let quiet = told(&sg, CLOSED);
    assert!(
        !quiet.contains("carries") && !quiet.contains("frames for"),
        "{quiet}"
    );
    sg.ok(&["detach", "eth0"]);
    if !make(server, "tap0", "macvtap") {
        return;
    }
    // What a guest has to say behind its tap nobody here knows.
    let warned = told(&sg, CLOSED);
    let words = "warning: eth0 carries tap0 (macvtap) of a guest";
    assert!(warned.contains(words), "{warned}");
    let other = sg.run(&["attach", "eth1", "--group", "tested"]);
    assert!(!other.stderr.contains("carries"), "{other:#?}");
}

#[test]
fn a_link_that_cannot_be_seen_is_announced_by_its_hardware_address() {
    let network = Network::new(&["client", "server"]);
    let [_, server] = network.hosts();
    if !make(server, "mv0", "macvlan") {
        return;
    }
    server
        .namespace
        .ip("link set mv0 address 02:00:5e:10:00:99\n");
    // A network namespace without a name, and without a process.
    let hidden = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("root may");
        File::open("/proc/thread-self/ns/net").expect("it is this thread's")
    });
    let hidden = hidden.join().expect("it is made");
    let path = format!("/proc/{}/fd/{}", id(), hidden.as_raw_fd());
    server.namespace.ip(&format!("link set mv0 netns {path}\n"));
    let up = thread::spawn(move || {
        setns(&hidden, CloneFlags::CLONE_NEWNET).expect("root may");
        let up = Command::new("ip")
            .args(["link", "set", "mv0", "up"])
            .status();
        (up.expect("`ip` is installed").success(), hidden)
    });
    let (is_up, _hidden) = up.join().expect("it is done");
    assert!(is_up);
    let sg = SgCtl::new(&server.namespace);
    let warned = told(&sg, CLOSED);
    assert!(
        warned.contains("warning: eth0 receives frames for 02:00:5e:10:00:99 as well"),
        "{warned}"
    );
}
