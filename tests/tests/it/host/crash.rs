//! The command is killed at every point of every operation: the old rules or the new ones are in
//! force then, packets say so, and the next command goes on.

use std::{
    collections::BTreeMap,
    io::{Write as _, stderr},
    thread,
};

use sg_common::{
    ends::VlanIds,
    flow::{Direction, FlowState},
    proto::TCP,
};
use sg_ctl::{
    host::crash::CrashPoint,
    host::dataplane::{Connection, Dataplane},
};
use sg_tests::{
    eventually,
    sg_ctl::SgCtl,
    topology::Network,
    traffic::{Server, tcp_is_silent},
};

/// What is in force, as packets tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Force {
    /// Everything passes.
    Nothing,
    /// Only port 22 is open.
    Ssh,
    /// Only port 80 is open.
    Http,
    /// Nothing passes.
    Closed,
}

/// An operation, and how it is come to.
struct Operation {
    name: &'static str,
    /// What is run before it; words that end in `.yaml` are rule files.
    before: &'static [&'static str],
    /// What must be done by other means before it.
    prepare: fn(&SgCtl<'_>),
    /// The command.
    command: &'static str,
    old: Force,
    new: Force,
}

const fn nothing(_: &SgCtl<'_>) {}

const OPERATIONS: [Operation; 14] = [
    Operation {
        name: "attach",
        before: &[],
        prepare: nothing,
        command: "attach eth0 -f http.yaml",
        old: Force::Nothing,
        new: Force::Http,
    },
    Operation {
        name: "apply",
        before: &["attach eth0 -f ssh.yaml"],
        prepare: nothing,
        command: "apply -f http.yaml",
        old: Force::Ssh,
        new: Force::Http,
    },
    Operation {
        name: "detach",
        before: &["attach eth0 -f http.yaml"],
        prepare: nothing,
        command: "detach eth0",
        old: Force::Http,
        new: Force::Nothing,
    },
    Operation {
        name: "rollback",
        before: &["attach eth0 -f http.yaml", "apply -f ssh.yaml"],
        prepare: nothing,
        command: "rollback",
        old: Force::Ssh,
        new: Force::Http,
    },
    Operation {
        name: "mode",
        before: &["attach eth0 -f http.yaml --audit"],
        prepare: nothing,
        command: "mode eth0 enforce",
        old: Force::Nothing,
        new: Force::Http,
    },
    Operation {
        name: "a change on trial",
        before: &["attach eth0 -f ssh.yaml"],
        prepare: nothing,
        command: "apply -f http.yaml --confirm-within 24h",
        old: Force::Ssh,
        new: Force::Http,
    },
    Operation {
        name: "confirm",
        before: &[
            "attach eth0 -f ssh.yaml",
            "apply -f http.yaml --confirm-within 24h",
        ],
        prepare: nothing,
        command: "confirm",
        old: Force::Http,
        new: Force::Http,
    },
    Operation {
        name: "the state follows a deadline",
        before: &[
            "attach eth0 -f http.yaml",
            "apply -f ssh.yaml --confirm-within 24h",
        ],
        prepare: let_the_deadline_pass,
        command: "apply -f http.yaml",
        old: Force::Http,
        new: Force::Http,
    },
    Operation {
        name: "isolate",
        before: &["attach eth0 -f http.yaml"],
        prepare: open_a_flow,
        command: "isolate eth0",
        old: Force::Http,
        new: Force::Closed,
    },
    Operation {
        name: "upgrade",
        before: &["attach eth0 -f http.yaml"],
        prepare: super::upgrade::disguise,
        command: "upgrade",
        old: Force::Http,
        new: Force::Http,
    },
    Operation {
        name: "move",
        before: &["attach eth0 -f http.yaml"],
        prepare: super::upgrade::change_layout,
        command: "upgrade",
        // Until both hooks know all flows nothing is dropped, as in attach.
        old: Force::Nothing,
        new: Force::Http,
    },
    Operation {
        name: "restore",
        before: &["attach eth0 -f http.yaml"],
        prepare: reboot,
        command: "restore",
        old: Force::Nothing,
        new: Force::Http,
    },
    Operation {
        name: "finishing",
        before: &["attach eth0 -f ssh.yaml"],
        prepare: |sg| interrupt(sg, CrashPoint::ImageReplaced),
        command: "confirm",
        old: Force::Http,
        new: Force::Http,
    },
    Operation {
        name: "taking back",
        before: &["attach eth0 -f ssh.yaml"],
        prepare: |sg| interrupt(sg, CrashPoint::ImagePinned),
        command: "confirm",
        old: Force::Ssh,
        new: Force::Ssh,
    },
];

fn let_the_deadline_pass(sg: &SgCtl<'_>) {
    sg.enter(|| {
        let mut dataplane = Dataplane::open(sg.pins()).expect("root may look");
        let mut settings = dataplane.settings(0).expect("it is attached");
        settings.rollback_at = 1;
        dataplane
            .set_settings(0, &settings)
            .expect("it is attached");
    });
}

fn open_a_flow(sg: &SgCtl<'_>) {
    let end = |text: &str| text.parse().expect("an address and a port");
    let connection = Connection {
        vlan: VlanIds::NONE,
        protocol: TCP,
        local: end("198.51.100.34:80"),
        remote: end("203.0.113.1:40000"),
        state: FlowState::TCP_ESTABLISHED,
        opened: Direction::Inbound,
    };
    let opened = sg.enter(|| {
        let mut dataplane = Dataplane::open(sg.pins()).expect("root may look");
        dataplane.seed(0, &[connection]).expect("it is attached")
    });
    assert_eq!(opened.opened, 1);
}

fn reboot(sg: &SgCtl<'_>) {
    std::fs::remove_dir_all(sg.pins()).expect("they are ours");
}

/// Kills `apply` at a point.
fn interrupt(sg: &SgCtl<'_>, at: CrashPoint) {
    let words = words(sg, "apply -f http.yaml");
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    for number in 1.. {
        // Each time the next run takes the last one back first; that has points, too.
        sg.ok(&["confirm"]);
        match killed_at(sg, number, &words) {
            Some(point) if point == at => return,
            point => assert!(point.is_some(), "{at:?} was not reached"),
        }
    }
}

/// The rules that admit one service.
fn rules(port: u16) -> String {
    format!(
        "security_groups: {{ tested: {{
           inbound: [{{ protocol: tcp, ports: {port}, source: 198.51.100.0/24 }}],
           outbound: [] }} }}\n\
         interfaces: {{ eth0: {{ groups: [tested], hook: tc }} }}\n"
    )
}

/// The words of a command; the names of rule files become paths.
fn words(sg: &SgCtl<'_>, command: &str) -> Vec<String> {
    let path = |word: &str| sg.directory().join(word).display().to_string();
    command
        .split(' ')
        .map(|word| match word.strip_suffix(".yaml") {
            Some(_) => path(word),
            None => word.to_owned(),
        })
        .collect()
}

fn run(sg: &SgCtl<'_>, command: &str) {
    let words = words(sg, command);
    sg.ok(&words.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Runs a command up to a point; returns the point, `None` when it came to its end before.
fn killed_at(sg: &SgCtl<'_>, number: usize, words: &[&str]) -> Option<CrashPoint> {
    let outcome = sg.run_killed_at(number, words);
    if outcome.code == 0 {
        return None;
    }
    assert_eq!(outcome.signal, Some(9), "{words:?}: {outcome:#?}");
    let name = outcome.stderr.lines().last().unwrap_or_default();
    let point = CrashPoint::ALL.iter().find(|point| point.name() == name);
    Some(*point.unwrap_or_else(|| panic!("{words:?}: {outcome:#?}")))
}

/// What packets meet.
fn force(network: &Network) -> Force {
    let [client, server] = network.hosts();
    // On a busy machine an answer may come too late.
    let answers = |port| (0..3).any(|_| !tcp_is_silent(&client.namespace, server.v4, port));
    let open = [22, 80].map(answers);
    match open {
        [true, true] => Force::Nothing,
        [true, false] => Force::Ssh,
        [false, true] => Force::Http,
        [false, false] => Force::Closed,
    }
}

/// What is in force after a kill: on a busy machine an answer may come too late, so it is asked again.
fn old_or_new(network: &Network, operation: &Operation, place: &str) -> Force {
    eventually(&format!("{place}: the old or the new in force"), || {
        let found = force(network);
        [operation.old, operation.new]
            .contains(&found)
            .then_some(found)
    })
}

/// Kills an operation at each of its points, and tries what comes then. Returns the points.
fn kill(operation: &Operation) -> Vec<CrashPoint> {
    let network = Network::new(&["client", "server"]);
    let [_, server] = network.hosts();
    let _servers = [22, 80].map(|port| Server::tcp(&server.namespace, port));
    let mut fired = Vec::new();
    for number in 1.. {
        let sg = SgCtl::new(&server.namespace);
        sg.rule_file("ssh.yaml", &rules(22));
        sg.rule_file("http.yaml", &rules(80));
        for command in operation.before {
            run(&sg, command);
        }
        (operation.prepare)(&sg);
        let words = words(&sg, operation.command);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let point = killed_at(&sg, number, &words);
        let place = format!("{} {point:?} ({number})", operation.name);
        let Some(point) = point else {
            assert_eq!(force(&network), operation.new, "{place}");
            sg.ok(&["detach", "--all"]);
            return fired;
        };
        fired.push(point);
        old_or_new(&network, operation, &place);

        // The next command, which wants nothing for itself, goes on. Maps of another layout only
        // an upgrade may touch.
        let is_refused = sg.pins().join("v1").exists();
        let outcome = sg.run(&[if is_refused { "upgrade" } else { "confirm" }]);
        let is_done = outcome.code == 0 || outcome.stderr.contains("too late");
        assert!(is_done, "{place}: {outcome:#?}");
        let status = sg.json(&["status"]);
        assert_eq!(status["pending"], false, "{place}: {status:#}");
        let found = old_or_new(&network, operation, &place);
        if found == operation.old {
            // It never was, and can be repeated.
            run(&sg, operation.command);
            assert_eq!(force(&network), operation.new, "{place}");
        }
        if operation.new == Force::Closed {
            assert_eq!(sg.json(&["flows"]), serde_json::json!([]), "{place}");
        }
        let status = sg.json(&["status"]);
        let problems = status["problems"].as_array().expect("a list");
        let is_fine = |problem: &serde_json::Value| {
            let text = problem["text"].as_str().unwrap_or_default();
            let is_on_trial = operation.command.contains("--confirm-within");
            if is_on_trial && text.contains("is undone in") {
                return true;
            }
            match operation.new {
                Force::Nothing => text.contains("not attached"),
                Force::Closed => text.contains("isolated"),
                Force::Ssh | Force::Http => false,
            }
        };
        assert!(problems.iter().all(is_fine), "{place}: {status:#}");
        sg.ok(&["detach", "--all"]);
    }
    fired
}

/// An image of another size, whose swap has a step of its own, the one after the image.
fn kill_between_sizes() -> CrashPoint {
    let network = Network::new(&["client", "server"]);
    let [_, server] = network.hosts();
    let _servers = [22, 80].map(|port| Server::tcp(&server.namespace, port));
    let sg = SgCtl::new(&server.namespace);
    let many: Vec<_> = (0..1_u32 << 16)
        .map(|i| format!("10.{}.{}.{}/32", i >> 13, i >> 5 & 255, (i & 31) << 3))
        .collect();
    let large = format!(
        "{}\nprefix_lists: {{ many: [{}] }}\n",
        rules(80),
        many.join(", ")
    );
    let large = large.replace(
        "source: 198.51.100.0/24",
        "sources: [198.51.100.0/24, 'pl:many']",
    ) + "limits: { rules_per_group: 200000, product: 1000000, prefix_list_entries: 200000 }\n";
    sg.rule_file("ssh.yaml", &rules(22));
    let file = sg.rule_file("large.yaml", &large);
    run(&sg, "attach eth0 -f ssh.yaml");
    let apply = ["apply", "-f", &file];
    let mut number = 0;
    let place = loop {
        number += 1;
        sg.ok(&["confirm"]);
        let point = killed_at(&sg, number, &apply).expect("the image has another size");
        if point == CrashPoint::ClassSelected {
            break point;
        }
    };
    assert_eq!(force(&network), Force::Http);
    run(&sg, "confirm");
    assert_eq!(force(&network), Force::Http);
    assert_eq!(sg.json(&["status"])["pending"], false);
    sg.ok(&["detach", "--all"]);
    place
}

#[test]
fn an_operation_that_is_killed_at_any_point_was_or_was_not() {
    let mut fired: BTreeMap<CrashPoint, usize> = BTreeMap::new();
    let mut lines = Vec::new();
    thread::scope(|scope| {
        let large = scope.spawn(kill_between_sizes);
        let threads = OPERATIONS
            .each_ref()
            .map(|operation| (operation.name, scope.spawn(|| kill(operation))));
        for (name, thread) in threads {
            let points = thread.join().expect("see above");
            lines.push(format!("  {name:<12} {:>3}\n", points.len()));
            for point in points {
                *fired.entry(point).or_default() += 1;
            }
        }
        *fired.entry(large.join().expect("see above")).or_default() += 1;
    });
    let kills: usize = fired.values().sum();
    // Past the test harness, which shows what fails only.
    let report = format!(
        "killed {kills} times, at {} of {} points:\n{}",
        fired.len(),
        CrashPoint::ALL.len(),
        lines.concat()
    );
    let _ = stderr().write_all(report.as_bytes());
    for point in CrashPoint::ALL {
        assert!(fired.contains_key(point), "{point:?} was never reached");
    }
}
