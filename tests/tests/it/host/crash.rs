//! The command is killed at every point of every operation: the old rules or the new ones are in
//! force then, packets say so, and the next command goes on.

mod operations;

use std::{
    collections::BTreeMap,
    io::{Write as _, stderr},
    thread,
};

use sg_ctl::host::crash::CrashPoint;
use sg_tests::{
    eventually,
    sg_ctl::SgCtl,
    topology::Network,
    traffic::{Server, tcp_is_silent},
};

use operations::{Force, OPERATIONS, Operation};

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
