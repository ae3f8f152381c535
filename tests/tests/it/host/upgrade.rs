//! Programs are replaced while packets meet them: none is lost, none passes that should not.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rstest::rstest;
use sg_common::{flow::Direction, reason::Reason};
use sg_ctl::{
    dataplane::{BUILD, Dataplane, HookKind},
    model::Side,
};
use sg_tests::{
    guard::Guard,
    sg_ctl::SgCtl,
    topology::Network,
    traffic::{Connection, Server, udp_is_silent},
};

use super::attached::{drops, packets};

/// What the tests call an sg-ctl of another version.
const OTHER: &str = "0.0.9-0123456789ab";

/// How often programs are replaced.
const TIMES: usize = 5;

/// Admits port 80 from outside and port 443 to the outside.
const GROUP: &str = "{ inbound: [{ protocol: tcp, ports: 80, source: 198.51.100.0/24 }], \
                       outbound: [{ protocol: tcp, ports: 443, destination: 198.51.100.0/24 }] }";

/// Runs `work` while connections of both directions, old and new ones, exchange data, and while
/// somebody tries what no rule admits. Returns how often that was tried.
fn under_traffic(network: &Network, work: impl FnOnce() + Send) -> u64 {
    let [client, server] = network.hosts();
    let connect = |outbound: bool| {
        let (from, to, port) = if outbound {
            (server, client, 443)
        } else {
            (client, server, 80)
        };
        Connection::open(&from.namespace, to.v4, port).expect("a rule admits it")
    };
    let over = AtomicBool::new(false);
    let denied = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for outbound in [false, true] {
            let (over, connect) = (&over, &connect);
            scope.spawn(move || {
                let mut old = connect(outbound);
                while !over.load(Ordering::Relaxed) {
                    old.exchange("meanwhile").expect("it goes on");
                    connect(outbound).exchange("new").expect("admitted");
                }
            });
        }
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                assert!(udp_is_silent(&client.namespace, server.v4, 53));
                denied.fetch_add(1, Ordering::Relaxed);
            }
        });
        // The others stop when this thread ends, also when it fails.
        let stop = Stop(&over);
        work();
        drop(stop);
    });
    denied.into_inner()
}

/// Ends the traffic when dropped.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Marks the programs of the only interface as those of another sg-ctl.
pub(super) fn disguise(sg: &SgCtl<'_>) {
    let mark = sg.pin_version().join("zones/0/build");
    std::fs::remove_file(&mark).expect("attaching has made it");
    std::os::unix::fs::symlink(OTHER, &mark).expect("it is gone");
}

/// Ids of the programs at both hooks.
fn programs(sg: &SgCtl<'_>) -> [u32; 2] {
    let attachments = sg.enter(|| {
        let dataplane = Dataplane::open(sg.pins()).expect("root may look");
        dataplane.attachments()
    });
    let attachment = attachments.expect("the kernel tells").remove(0);
    [attachment.ingress, attachment.egress].map(|hook| hook.expect("it is attached").program)
}

#[rstest]
fn no_packet_is_judged_wrongly(#[values("tc", "xdp", "xdp-generic")] hook: &str) {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let _servers = (
        Server::tcp(&server.namespace, 80),
        Server::udp(&server.namespace, 53),
        Server::tcp(&client.namespace, 443),
    );
    let sg = SgCtl::new(&server.namespace);
    let rules = format!(
        "security_groups: {{ tested: {GROUP} }}\ninterfaces: {{ eth0: {{ groups: [tested] }} }}\n"
    );
    let file = sg.rule_file("rules.yaml", &rules);
    sg.ok(&["attach", "eth0", "--hook", hook, "-f", &file]);
    let mut kept = Connection::open(&client.namespace, server.v4, 80).expect("a rule admits it");
    kept.exchange("before").expect("it is tracked");
    let flow = |sg: &SgCtl<'_>| {
        let flows = sg.json(&["flows", "--sort", "age"]);
        let flows = flows.as_array().expect("a list").clone();
        let oldest = flows.into_iter().max_by_key(|flow| flow["age_ms"].as_u64());
        oldest.expect("there is one")
    };
    let before = flow(&sg);

    let again = sg.json(&["upgrade"]);
    assert_eq!(again["interfaces"][0]["replaced"], false, "{again:#}");
    let denied = under_traffic(&network, || {
        for _ in 0..TIMES {
            disguise(&sg);
            let warned = sg.run(&["status"]).stderr;
            assert!(warned.contains(OTHER), "{warned}");
            let old = programs(&sg);
            let upgraded = sg.json(&["upgrade"]);
            assert_eq!(upgraded["build"], BUILD.as_str());
            let interface = &upgraded["interfaces"][0];
            assert_eq!(interface["replaced"], true, "{upgraded:#}");
            assert_eq!(interface["before"], OTHER, "{upgraded:#}");
            let new = programs(&sg);
            assert!(old.iter().all(|id| !new.contains(id)), "{old:?} {new:?}");
        }
    });
    kept.exchange("after").expect("it goes on");

    // Every datagram that was tried, and nothing else, was dropped.
    let no_rule = ("inbound".to_owned(), "no-rule".to_owned());
    assert_eq!(drops(&sg), [no_rule]);
    assert_eq!(packets(&sg, "inbound", "no-rule"), denied);
    for reason in ["new", "established"] {
        for direction in ["inbound", "outbound"] {
            assert!(packets(&sg, direction, reason) > 0, "{direction} {reason}");
        }
    }
    let after = flow(&sg);
    for field in ["local_port", "remote_port", "rule"] {
        assert_eq!(before[field], after[field], "{field}");
    }
    // It went on counting where it was.
    let count = |flow: &serde_json::Value| flow["packets_in"].as_u64().expect("a number");
    assert!(count(&after) > count(&before), "{after:#}");
    let problems = &sg.json(&["status"])["problems"];
    assert_eq!(problems, &serde_json::json!([]));
}

#[test]
fn the_program_of_a_filter_is_exchanged_too() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let _servers = (
        Server::tcp(&server.namespace, 80),
        Server::udp(&server.namespace, 53),
        Server::tcp(&client.namespace, 443),
    );
    let guard = Guard::attach(
        &server.namespace,
        "eth0",
        Side::Nic,
        HookKind::Clsact,
        GROUP,
    );
    let denied = under_traffic(&network, || {
        for _ in 0..TIMES {
            let (old, new) = guard.upgrade(Side::Nic);
            assert!(old.iter().all(|id| !new.contains(id)), "{old:?} {new:?}");
        }
    });
    assert_eq!(guard.packets(Direction::Inbound, Reason::NoRule), denied);
    for direction in Direction::ALL {
        for reason in Reason::ALL {
            let is_denied = direction == Direction::Inbound && *reason == Reason::NoRule;
            let is_drop = reason.verdict() == sg_common::reason::Verdict::Drop;
            if is_drop && !is_denied {
                assert_eq!(
                    guard.packets(direction, *reason),
                    0,
                    "{direction:?} {reason:?}"
                );
            }
        }
    }
    guard.detach();
}
