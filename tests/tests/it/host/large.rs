//! Frames that are larger than a page, and socket buffers that hold more than one packet.

use rstest::rstest;
use sg_ctl::host::dataplane::Dataplane;
use sg_tests::{
    big_tcp,
    family::Family::{self, V4, V6},
    netns::Namespace,
    sg_ctl::{Running, SgCtl},
    topology::Network,
    traffic::{Connection, Server, udp_exchange_of},
};

use super::attached::{Side, drops, guard, packets};

/// TCP 80 and UDP 53 for the client.
fn rules(network: &Network) -> String {
    let [client, _] = network.hosts();
    let sources = format!("sources: [{}/32, '{}/128']", client.v4, client.v6);
    format!(
        "security_groups:
  tested:
    inbound: [{{ type: HTTP, {sources} }}, {{ type: DNS (UDP), {sources} }}]
    outbound: []
"
    )
}

/// Follows the log, with every packet in it.
fn log_of_all_packets(network: &Network, side: Side, sg: &SgCtl<'_>) -> Running {
    let [_, server] = network.hosts();
    let namespace = match side {
        Side::Nic => &server.namespace,
        Side::Workload => &network.router,
    };
    namespace.enter(|| {
        let mut dataplane = Dataplane::open(sg.pins()).expect("the pins are in order");
        let mut settings = dataplane.settings(0).expect("it is attached");
        settings.log_reasons = u64::MAX;
        dataplane.set_settings(0, &settings).expect("maps are open");
    });
    sg.start(&["logs", "--follow", "--json"])
}

/// Reads the log up to a packet of a protocol and of more than so many bytes.
fn packet_beyond(log: &mut Running, protocol: &str, bytes: u64) -> serde_json::Value {
    loop {
        let event: serde_json::Value = serde_json::from_str(&log.line()).expect("JSON");
        if event["protocol"] == protocol && event["length"].as_u64().expect("a number") > bytes {
            return event;
        }
    }
}

/// Sets all four ends of the links between client and server.
fn on_every_link(network: &Network, set: impl Fn(&Namespace, &str)) {
    let [client, server] = network.hosts();
    set(&client.namespace, "eth0");
    set(&server.namespace, "eth0");
    set(&network.router, "client");
    set(&network.router, "server");
}

/// On the host's own side the receiving hook sees them, on the workload's the sending one.
#[rstest]
fn segments_beyond_64_kib_are_judged_as_one(
    #[values(Side::Nic, Side::Workload)] side: Side,
    #[values(V4, V6)] family: Family,
) {
    if !big_tcp::is_known(family) {
        println!("skipped: BIG TCP came with Linux 5.19 (IPv6) and 6.3 (IPv4)");
        return;
    }
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    on_every_link(&network, big_tcp::allow);
    let sg = guard(&network, server, (side, "tc"), &rules(&network));
    let _server = Server::tcp(&server.namespace, 80);
    let mut log = log_of_all_packets(&network, side, &sg);
    Connection::open(&client.namespace, server.address(family), 80)
        .expect("a rule admits it")
        .pour(8 << 20)
        .expect("every byte comes back");
    let event = packet_beyond(&mut log, "tcp", 70_000);
    assert_eq!(event["reason"], "established", "{event}");
    assert_eq!(drops(&sg), []);
    // Each stands for the packets that it becomes.
    let least = (8 << 20) / 1460;
    assert!(packets(&sg, "inbound", "established") >= least);
}

/// Native XDP gets such frames in several buffers.
#[rstest]
fn jumbo_frames_are_judged_as_others(
    #[values(Side::Nic, Side::Workload)] side: Side,
    #[values("tc", "xdp", "xdp-generic")] hook: &str,
) {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    on_every_link(&network, |namespace, interface| {
        namespace.ip(&format!("link set dev {interface} mtu 9000\n"));
    });
    let sg = guard(&network, server, (side, hook), &rules(&network));
    let _tcp = Server::tcp(&server.namespace, 80);
    let _udp = Server::udp(&server.namespace, 53);
    let mut log = log_of_all_packets(&network, side, &sg);
    for to in Family::BOTH.map(|family| server.address(family)) {
        udp_exchange_of(&client.namespace, to, 53, 8000).expect("one packet each way");
        for direction in ["inbound", "outbound"] {
            let event = packet_beyond(&mut log, "udp", 8000);
            assert_eq!(event["direction"], direction, "{event}");
            let overhead = if to.is_ipv4() {
                14 + 20 + 8
            } else {
                14 + 40 + 8
            };
            assert_eq!(event["length"], 8000 + overhead, "{event}");
        }
        Connection::open(&client.namespace, to, 80)
            .expect("a rule admits it")
            .pour(1 << 20)
            .expect("every byte comes back");
    }
    assert_eq!(packets(&sg, "inbound", "fragment"), 0);
    assert_eq!(drops(&sg), []);
}
