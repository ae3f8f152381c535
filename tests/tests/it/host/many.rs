//! Many interfaces: they share the programs, and are told apart.

use std::{
    fs,
    time::{Duration, Instant},
};

use sg_ctl::host::{Coming, Host, HostError, dataplane::Dataplane, paths::Paths};
use sg_tests::{
    eventually,
    netns::Namespace,
    sg_ctl::SgCtl,
    topology::Network,
    traffic::{Connection, Server, udp_is_silent},
};

/// More than one batch, and more than one page of counters.
const MANY: usize = 66;

/// A bridge has no XDP: `tap7` cannot be attached, which keeps no other from it.
const RULES: &str = "
security_groups:
  web: { inbound: [{ type: HTTP, source: 0.0.0.0/0 }] }
  closed: { inbound: [], outbound: [] }
interfaces:
  'tap*': { groups: [closed] }
  eth0: { groups: [web] }
  tap7: { groups: [closed], hook: xdp }
";

/// Makes interfaces `tap0`, `tap1`, …: pairs, and one that has no XDP.
fn make(namespace: &Namespace) {
    let pairs = (0..MANY / 2).filter(|pair| pair * 2 != 6).map(|pair| {
        let (one, other) = (pair * 2, pair * 2 + 1);
        format!("link add tap{one} type veth peer name tap{other}\n")
    });
    let lines: Vec<_> = pairs.collect();
    namespace.ip(&lines.concat());
    namespace.ip("link add tap6 type veth peer name peer\nlink add tap7 type bridge\n");
}

/// How many interfaces are enforcing.
fn enforcing(sg: &SgCtl<'_>) -> usize {
    let status = sg.json(&["status"]);
    let interfaces = status["interfaces"].as_array().expect("a list").iter();
    interfaces
        .filter(|each| each["state"] == "enforcing")
        .count()
}

/// How many programs judge.
fn programs(sg: &SgCtl<'_>) -> usize {
    let programs = sg.enter(|| {
        let dataplane = Dataplane::open(sg.pins()).expect("root may look");
        dataplane.programs()
    });
    programs.expect("the kernel tells").len()
}

/// `top` looks at all of them twice, an interval apart, not at one after the other.
fn one_picture_takes_one_interval(sg: &SgCtl<'_>) {
    let begin = Instant::now();
    let top = sg.json(&["top", "--once", "--interval", "1s"]);
    let told = begin.elapsed();
    assert_eq!(top["interfaces"].as_array().map(Vec::len), Some(MANY));
    let text = sg.ok(&["top", "--once", "--interval", "1s"]);
    let is_missing = |name: &&String| {
        let mut lines = text.lines();
        !lines.any(|line| line.split_whitespace().next() == Some(name.as_str()))
    };
    let taps = (0..MANY).filter(|number| *number != 7);
    let names: Vec<_> = taps.map(|number| format!("tap{number}")).collect();
    assert_eq!(names.iter().find(is_missing), None, "{text}");
    println!("a picture of {MANY} interfaces took {told:?}");
    assert!(told < Duration::from_secs(MANY as u64 / 2), "{told:?}");
}

#[test]
fn many_interfaces_share_programs_and_are_told_apart() {
    let network = Network::new(&["client", "server"]);
    let [client, server] = network.hosts();
    let _servers = (
        Server::tcp(&server.namespace, 80),
        Server::udp(&server.namespace, 53),
    );
    make(&server.namespace);
    let sg = SgCtl::new(&server.namespace);
    let file = sg.rule_file("rules.yaml", RULES);
    let agent = sg.start(&["agent", "-f", &file]);
    // They are guarded before it is written down that they are, and a kernel that has nothing any more does
    // not tell that an operation which was cut short got so far.
    let begun = sg.directory().join("state/state.next.json");
    eventually("guarded interfaces", || {
        (enforcing(&sg) == MANY && !begun.exists()).then_some(())
    });
    drop(agent);
    // However many interfaces there are: both directions at TC, and XDP for the one that refuses it.
    assert_eq!(programs(&sg), 3);
    let judged = || {
        let mut web = Connection::open(&client.namespace, server.v4, 80).expect("a rule admits it");
        web.exchange("web").expect("it is tracked");
        assert!(udp_is_silent(&client.namespace, server.v4, 53));
    };
    judged();

    // As after a reboot: nothing is in the kernel.
    fs::remove_dir_all(sg.pin_version()).expect("it is there");
    let restored = sg.json(&["restore"]);
    let restored = restored.as_array().expect("a list");
    assert_eq!(restored.len(), MANY);
    assert_eq!(enforcing(&sg), MANY);
    assert_eq!(programs(&sg), 2);
    judged();
    one_picture_takes_one_interval(&sg);
    sg.ok(&["detach", "--all"]);
}

/// An agent that has looked before somebody detached an interface attaches what it saw.
#[test]
fn what_was_detached_by_hand_is_not_attached_by_who_looked_before() {
    let namespace = Namespace::new("detached");
    let add =
        |name: &str| namespace.ip(&format!("link add {name} type veth peer name far-{name}\n"));
    add("tap0");
    add("tap1");
    let sg = SgCtl::new(&namespace);
    sg.ok(&["attach", "tap0"]);
    sg.ok(&["detach", "tap0"]);
    let paths = Paths {
        state: sg.directory().join("state"),
        pins: sg.pins().to_owned(),
    };
    let attach_both = || {
        let coming = ["tap0", "tap1"].map(|name| Coming {
            interface: name.to_owned(),
            ..Coming::default()
        });
        sg.enter(|| {
            Host::open(&paths)
                .expect("root may look")
                .attach_all(coming.into())
        })
    };
    let attached = || {
        let status = sg.json(&["status"]);
        let interfaces = status["interfaces"].as_array().expect("a list");
        let named = interfaces.iter().map(|each| each["name"].as_str());
        named
            .map(|name| name.expect("text").to_owned())
            .collect::<Vec<_>>()
    };

    let results = attach_both();
    let is_refused =
        |result: &Result<_, _>| matches!(result, Err(HostError::DetachedByHand { .. }));
    assert!(is_refused(&results[0]) && results[1].is_ok(), "{results:?}");
    assert_eq!(attached(), ["tap1"]);

    // Another interface of that name is not what was detached.
    sg.ok(&["detach", "tap1"]);
    namespace.ip("link del tap0\n");
    add("tap0");
    let results = attach_both();
    assert!(results[0].is_ok() && is_refused(&results[1]), "{results:?}");
    assert_eq!(attached(), ["tap0"]);

    // Whoever asks for it gets it.
    sg.ok(&["attach", "tap1"]);
    assert_eq!(attached(), ["tap0", "tap1"]);
}
