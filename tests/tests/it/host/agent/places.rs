//! What the agent keeps for itself, and what it gives back.

use std::{io::Write as _, net::TcpStream};

use rstest::rstest;
use sg_tests::{eventually, netns::Namespace, sg_ctl::SgCtl};

use super::{METRICS, get, start, wait_for, wait_until_guarded, wait_until_ready};

#[test]
fn interfaces_that_a_pattern_meant_are_forgotten_when_they_are_gone() {
    let namespace = Namespace::new("agent");
    let sg = SgCtl::new(&namespace);
    let rules = "
        security_groups: { tested: {} }
        interfaces: { 'tap*': { groups: [tested] }, tap7: { groups: [tested] } }
    ";
    let file = sg.rule_file("rules.yaml", rules);
    for name in ["tap0", "tap7", "veth0"] {
        namespace.ip(&format!(
            "link add {name} type veth peer name far-{name}\nlink set {name} up\n"
        ));
    }
    let words = ["-f", &file, "--attach", "veth?", "--forget-after", "1s"];
    let _agent = start(&sg, &namespace, &words);
    let guarded = |name: &str, state: &str, group: &str| format!("{name} {state} {group}");
    let all = ["tap0", "tap7"].map(|name| guarded(name, "enforcing", "tested"));
    let veth = guarded("veth0", "enforcing", "default");
    wait_until_guarded(&sg, &[&all[0], &all[1], &veth]);
    namespace.ip("link del tap0\nlink del tap7\nlink del veth0\n");
    // The one that the rules name is waited for.
    let missing = guarded("tap7", "missing", "tested");
    wait_until_guarded(&sg, &[&missing]);
    let text = get(&namespace, "/metrics").expect("the agent serves them");
    assert!(!text.contains("tap0") && !text.contains("veth0"), "{text}");
    assert!(
        text.contains(r#"sg_interface_attached{interface="tap7"} 0"#),
        "{text}"
    );
    assert!(
        !text.contains(r#"sg_packets_total{interface="tap7""#),
        "{text}"
    );
    eventually("a moment in which the agent changes nothing", || {
        (sg.run(&["detach", "--missing"]).stdout == "tap7 is forgotten\n").then_some(())
    });
    let status = sg.run(&["status", "--json"]);
    assert!(!status.stdout.contains("tap0"), "{status:#?}");
}

#[rstest]
fn many_slow_connections_stop_no_work_of_the_agent(#[values(None, Some(140))] most: Option<u32>) {
    let namespace = Namespace::new("agent");
    let sg = SgCtl::new(&namespace);
    let rules = |group: &str| {
        format!(
            "security_groups: {{ {group}: {{}} }}\ninterfaces: {{ 'tap*': {{ groups: [{group}] }} }}\n"
        )
    };
    let file = sg.rule_file("rules.yaml", &rules("one"));
    let words = ["agent", "--metrics", METRICS, "-f", &file];
    let agent = match most {
        Some(most) => sg.start_with_descriptors(&words, most),
        None => Some(sg.start(&words)),
    };
    let Some(_agent) = agent else {
        println!("skipped: `prlimit` is not installed (package util-linux)");
        return;
    };
    wait_until_ready(&namespace);
    let slow: Vec<_> = namespace.enter(|| {
        let connect = |_| {
            let mut stream = TcpStream::connect(METRICS).ok()?;
            // Those beyond the number that is served may be closed already.
            let _ = stream.write_all(b"G");
            Some(stream)
        };
        (0..900).map_while(connect).collect()
    });
    assert!(slow.len() > 100, "only {} connections", slow.len());
    sg.rule_file("rules.yaml", &rules("two"));
    namespace.ip("link add tap0 type veth peer name far\nlink set tap0 up\n");
    wait_until_guarded(&sg, &["tap0 enforcing two"]);
    wait_for(&namespace, "sg_applies_total 2");
    drop(slow);
}

#[test]
fn what_is_detached_by_hand_stays_so_over_a_restart_of_the_agent() {
    let namespace = Namespace::new("agent");
    let sg = SgCtl::new(&namespace);
    let rules = "
        security_groups: { tested: {} }
        interfaces: { 'tap*': { groups: [tested] } }
    ";
    let file = sg.rule_file("rules.yaml", rules);
    let add = |name: &str| {
        namespace.ip(&format!(
            "link add {name} type veth peer name far-{name}\nlink set {name} up\n"
        ));
    };
    add("tap0");
    add("tap1");
    let agent = start(&sg, &namespace, &["-f", &file]);
    let both = ["tap0 enforcing tested", "tap1 enforcing tested"];
    wait_until_guarded(&sg, &both);
    agent.kill();
    sg.ok(&["detach", "tap0"]);
    let mut agent = sg.start_for_notes(&["agent", "-f", &file]);
    agent.line_with(&["note: tap0 was detached by hand and stays so"]);
    // Interfaces are looked at in their order: the later one tells that the first was.
    add("tap2");
    wait_until_guarded(&sg, &[both[1], "tap2 enforcing tested"]);
    // Another interface of the name is another.
    namespace.ip("link del tap0\n");
    add("tap0");
    wait_until_guarded(&sg, &[both[0], both[1], "tap2 enforcing tested"]);
}
