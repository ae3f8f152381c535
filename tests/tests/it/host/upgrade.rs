//! Programs are replaced while packets meet them: none is lost, none passes that should not.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rstest::rstest;
use sg_common::{flow::Direction, reason::Reason};
use sg_ctl::host::dataplane::{BUILD, Dataplane, HookKind};
use sg_policy::model::Side;
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
/// somebody tries what no rule admits; `strict` if nothing of that may ever pass. Returns how often
/// that was tried.
fn under_traffic(network: &Network, strict: bool, work: impl FnOnce() + Send) -> u64 {
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
                let is_silent = udp_is_silent(&client.namespace, server.v4, 53);
                assert!(is_silent || !strict, "no rule admits it");
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

/// Marks the programs as those of another sg-ctl.
pub(super) fn disguise(sg: &SgCtl<'_>) {
    let marks = std::fs::read_dir(sg.pin_version().join("programs")).expect("it is there");
    for mark in marks {
        let mark = mark.expect("it can be read").path();
        std::fs::remove_file(&mark).expect("attaching has made it");
        std::os::unix::fs::symlink(OTHER, &mark).expect("it is gone");
    }
}

/// Ids of the programs that judge.
fn programs(sg: &SgCtl<'_>) -> Vec<u32> {
    let programs = sg.enter(|| {
        let dataplane = Dataplane::open(sg.pins()).expect("root may look");
        dataplane.programs()
    });
    let programs = programs.expect("the kernel tells").into_iter();
    programs.map(|(_, id)| id).collect()
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
    let denied = under_traffic(&network, true, || {
        for _ in 0..TIMES {
            disguise(&sg);
            let warned = sg.run(&["status"]).stderr;
            assert!(warned.contains(OTHER), "{warned}");
            let old = programs(&sg);
            let upgraded = sg.json(&["upgrade"]);
            assert_eq!(upgraded["build"], BUILD);
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

/// Makes the pins those of another layout, as an sg-ctl that has one would have made them.
pub(super) fn change_layout(sg: &SgCtl<'_>) {
    std::fs::rename(sg.pin_version(), sg.pins().join("v1")).expect("nothing is there");
}

#[rstest]
fn flows_move_to_maps_of_another_layout(
    #[values("tc", "xdp", "xdp-generic")] hook: &str,
    #[values(true, false)] knows_flows: bool,
) {
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
    let port = kept.port();
    let flow = || {
        let flows = sg.json(&["flows"]);
        let flows = flows.as_array().expect("a list").clone();
        let ours = flows.into_iter().find(|flow| flow["remote_port"] == port);
        ours.expect("it is tracked")
    };
    let before = flow();

    let closed = sg.rule_file("closed.yaml", &rules.replace("80", "81"));
    let denied = under_traffic(&network, false, || {
        for _ in 0..2 {
            change_layout(&sg);
            if !knows_flows {
                let mark = sg.pins().join("v1/flow_layout");
                std::fs::remove_file(&mark).expect("attaching has made it");
            }
            let told = sg.fails(1, &["apply", "-f", &closed]);
            assert!(told.contains("sg-ctl upgrade"), "{told}");
            let warned = sg.run(&["status"]).stderr;
            assert!(
                warned.contains("another layout of the maps (v1)"),
                "{warned}"
            );
            let upgraded = sg.json(&["upgrade"]);
            assert_eq!(upgraded["interfaces"][0]["replaced"], true, "{upgraded:#}");
            let count = upgraded["flows"]["kept"].as_u64().expect("a number");
            assert_eq!(count > 0, knows_flows, "{upgraded:#}");
            assert_eq!(upgraded["flows"]["refused"], 0, "{upgraded:#}");
            assert!(!sg.pins().join("v1").exists());
        }
    });
    kept.exchange("after").expect("it goes on");
    let problems = &sg.json(&["status"])["problems"];
    assert_eq!(problems, &serde_json::json!([]));
    let after = flow();
    if knows_flows {
        assert_eq!(before["rule"], after["rule"]);
        for count in ["packets_in", "bytes_out", "age_ms"] {
            assert!(
                before[count].as_u64() <= after[count].as_u64(),
                "{count}: {after:#}"
            );
        }
    }
    assert!(udp_is_silent(&client.namespace, server.v4, 53));
    // Counters begin anew with the maps; nothing is dropped but for want of a rule.
    for (_, reason) in drops(&sg) {
        assert_eq!(reason, "no-rule");
    }
    let seen = packets(&sg, "inbound", "no-rule");
    assert!(denied > 0 && seen > 0, "{denied} {seen}");
    sg.ok(&["apply", "-f", &closed]);
    kept.exchange("still").expect("it is tracked");
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
    let denied = under_traffic(&network, true, || {
        for _ in 0..TIMES {
            let (old, new) = guard.upgrade();
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
