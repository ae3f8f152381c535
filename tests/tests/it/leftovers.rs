//! A test that panics leaves nothing behind; what a killed run leaves, the next one removes.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

use sg_ctl::host::dataplane::HookKind;
use sg_policy::model::Side;
use sg_tests::{eventually, guard::Guard, scratch, sg_ctl::SgCtl, topology::Network};

/// Makes [`leaves_everything_behind`] do what its name says.
const CHILD: &str = "SG_TEST_CHILD";

/// What it says when everything is there to be left behind.
const READY: &str = "everything is up";

/// Not a test of its own: run as a child process by the two below.
#[test]
fn leaves_everything_behind() {
    let Ok(way) = env::var(CHILD) else { return };
    let network = Network::new(&["client"]);
    let [client] = network.hosts();
    let _guard = Guard::attach(
        &client.namespace,
        "eth0",
        Side::Nic,
        HookKind::XdpGeneric,
        "{ outbound: [] }",
    );
    let files = SgCtl::new(&client.namespace);
    let mut sleep = client
        .namespace
        .enter(|| {
            let mut sleep = Command::new("sleep");
            sleep.arg("1000").env("DIRECTORY", files.directory());
            // Who reads what this process says must not wait for that one's end.
            sleep.stdout(Stdio::null());
            sleep.spawn()
        })
        .expect("there is sleep");
    assert_eq!(sleep.try_wait().expect("our child"), None);
    println!("{READY}");
    match way.as_str() {
        "panic" => panic!("on purpose"),
        _ => process::abort(),
    }
}

/// Runs that test in a process of its own. Returns its process id.
fn child_that_ends_by(way: &str) -> u32 {
    let child = Command::new(env::current_exe().expect("this test"))
        .args([
            "--exact",
            "leftovers::leaves_everything_behind",
            "--nocapture",
        ])
        .env(CHILD, way)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("this test runs");
    let pid = child.id();
    let output = child.wait_with_output().expect("it ends");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(READY), "{said}");
    pid
}

/// The processes that know of a directory of a test run's process.
fn processes_of(pid: u32) -> Vec<PathBuf> {
    let name = format!("sg-t{pid}-");
    let knows = |process: &Path| {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(&name)
    };
    let entries = fs::read_dir("/proc").expect("/proc is mounted").flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| knows(path)).collect()
}

#[test]
fn a_test_that_panics_leaves_nothing_behind() {
    let pid = child_that_ends_by("panic");
    assert_eq!(scratch::left_by(pid), Vec::<PathBuf>::new());
    eventually("its processes are gone", || {
        processes_of(pid).is_empty().then_some(())
    });
}

#[test]
fn what_a_killed_run_left_is_swept() {
    let pid = child_that_ends_by("abort");
    // Unless the start of yet another run has already done it.
    scratch::sweep();
    assert_eq!(scratch::left_by(pid), Vec::<PathBuf>::new());
    eventually("its processes are gone", || {
        processes_of(pid).is_empty().then_some(())
    });
}
