//! Places of interfaces that are gone, what detaching leaves, and the exit status of `status`.

use std::fs;

use serde_json::Value;
use sg_common::settings::MAX_ZONES;
use sg_ctl::host::state::{AttachmentRecord, StateDir};
use sg_tests::{sg_ctl::SgCtl, topology::Network};

use super::{
    attached::{Side, guard},
    guard::{RULES, pin_removed, told},
};

/// A state in which every zone is recorded for an interface that is not there.
fn fill_with_ghosts(sg: &SgCtl<'_>) {
    let directory = StateDir::new(&sg.directory().join("state"));
    let lock = directory.lock().expect("nobody else has it");
    let mut state = directory.load().expect("it is sound");
    let record = state.attachments["eth0"].clone();
    for zone in (0..MAX_ZONES).filter(|zone| *zone != record.zone) {
        let record = AttachmentRecord {
            zone,
            ..record.clone()
        };
        state.attachments.insert(format!("tap{zone}"), record);
    }
    lock.overwrite(&state).expect("there is room");
}

#[test]
fn an_interface_that_is_gone_gives_its_place_to_one_that_comes() {
    let network = Network::new(&["client", "server"]);
    let [_, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), RULES);
    fill_with_ghosts(&sg);
    server
        .namespace
        .ip("link add new type veth peer name tap9\nlink set new up\nlink set tap9 up\n");
    sg.ok(&["attach", "new", "--group", "tested"]);
    // One that is known and returns, though no zone is free.
    assert_eq!(sg.run(&["attach", "tap9", "--group", "tested"]).code, 0);
    let status = sg.json(&["status"]);
    let interfaces = status["interfaces"].as_array().expect("a list");
    let enforcing = |each: &&Value| each["state"] == "enforcing";
    let names: Vec<_> = interfaces
        .iter()
        .filter(enforcing)
        .map(|each| each["name"].as_str().expect("text"))
        .collect();
    assert_eq!(names, ["eth0", "new", "tap9"]);
    // Those that gave way are still waited for.
    assert_eq!(interfaces.len(), MAX_ZONES as usize + 1);
    for words in [
        &["show", "infra"][..],
        &["logs"],
        &["apply", "-f", &sg.rule_file("r.yaml", RULES)],
    ] {
        sg.ok(words);
    }
    // One that gave way is forgotten as any other.
    let gave_way = interfaces.iter().find(|each| {
        let zone = each["zone"].as_u64();
        zone.is_some_and(|zone| zone >= u64::from(MAX_ZONES))
    });
    let name = gave_way.and_then(|each| each["name"].as_str());
    sg.ok(&["detach", name.expect("there is one")]);
    sg.ok(&["mode", "eth0", "audit"]);
}

#[test]
fn what_is_detached_on_a_full_disk_stays_so_at_the_next_boot() {
    let network = Network::new(&["client", "server"]);
    let [_, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), RULES);
    let state = sg.directory().join("state");
    // There is no room for another file.
    fs::create_dir(state.join("state.next.json")).expect("it is ours");
    sg.ok(&["detach", "--all"]);
    fs::remove_dir(state.join("state.next.json")).expect("it is ours");
    assert_eq!(sg.json(&["restore"]), serde_json::json!([]));

    // The directory itself cannot be written.
    sg.ok(&["attach", "eth0", "--group", "tested"]);
    fs::remove_file(state.join("lock")).expect("it is there");
    fs::create_dir(state.join("lock")).expect("it is ours");
    let error = sg.fails(2, &["detach", "--all"]);
    for words in [
        "every interface is detached, all packets pass",
        "sg-restore",
    ] {
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(told(&sg.json(&["status"])), "not-attached");
}

#[test]
fn the_exit_status_tells_whether_everything_is_in_order() {
    let network = Network::new(&["client", "server"]);
    let [_, server] = network.hosts();
    let sg = guard(&network, server, (Side::Nic, "tc"), RULES);
    let codes = || {
        [
            &["status"][..],
            &["status", "--json"],
            &["status", "--check"],
        ]
        .map(|words| sg.run(words).code)
    };
    assert_eq!(codes(), [0; 3]);
    // A change that is under way is none: its process holds the lock.
    let state = StateDir::new(&sg.directory().join("state"));
    let lock = state.lock().expect("nobody else has it");
    let next = state.load().expect("it is sound");
    lock.prepare(&next).expect("there is room");
    assert_eq!(codes(), [0; 3]);
    let status = sg.json(&["status"]);
    assert_eq!(
        (&status["pending"], &status["under_way"]),
        (&true.into(), &true.into())
    );
    drop(lock);
    assert_eq!(codes(), [4; 3]);
    sg.ok(&["confirm"]);
    assert_eq!(codes(), [0; 3]);
    pin_removed(&sg, server);
    assert_eq!(codes(), [4; 3]);
    let silent = sg.run(&["status", "--check"]);
    assert_eq!(
        (silent.stdout, silent.stderr),
        (String::new(), String::new())
    );
}
