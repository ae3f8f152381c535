//! Network namespaces that go away with the value that owns them.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::MetadataExt,
    panic::resume_unwind,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
};

use nix::{
    sched::{CloneFlags, setns},
    sys::signal::{Signal, kill},
    unistd::{Pid, getpid},
};

use crate::{complain, scratch};

/// Where `ip netns` keeps the names of namespaces.
pub const DIRECTORY: &str = "/run/netns";

/// A network namespace with a name, removed when dropped together with the processes in it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: File,
}

impl Namespace {
    /// Creates a namespace in which `lo` is up and IPv6 addresses are usable at once.
    pub fn new(label: &str) -> Self {
        let name = scratch::unique(label);
        ip(&["netns", "add", &name]);
        let file = File::open(Path::new(DIRECTORY).join(&name)).expect("it was just created");
        let namespace = Self { name, file };
        namespace.set("net/ipv6/conf/default/accept_dad", "0");
        namespace.set("net/ipv6/conf/all/accept_dad", "0");
        namespace.set("net/ipv4/ping_group_range", "0 0");
        namespace.ip("link set lo up");
        namespace
    }

    /// The name that `ip netns exec` takes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` inside the namespace, on a thread of its own: the caller's stays where it is.
    ///
    /// Sockets made inside stay inside, wherever they are used later. So do child processes.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                setns(&self.file, CloneFlags::CLONE_NEWNET).expect("root may enter a namespace");
                work()
            });
            worker.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Runs `command` inside the namespace to its end.
    pub fn output(&self, command: &mut Command) -> Output {
        self.enter(|| command.output())
            .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"))
    }

    /// Runs lines of `ip` commands inside the namespace, as `ip -batch` reads them.
    pub fn ip(&self, batch: &str) {
        let mut child = self
            .enter(|| {
                Command::new("ip")
                    .args(["-batch", "-"])
                    .stdin(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
            })
            .expect("`ip` is installed (package iproute2)");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        stdin
            .write_all(batch.as_bytes())
            .expect("ip reads its batch");
        drop(stdin);
        let output = child.wait_with_output().expect("ip ends");
        assert!(
            output.status.success(),
            "ip refused, in {}:\n{batch}\n{}",
            self.name,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }

    /// Adds a link, as `ip link add` takes it. Returns whether this kernel knows the kind; if not, says
    /// that this is skipped.
    pub fn add_link(&self, words: &[&str], kind: &str) -> bool {
        let mut command = Command::new("ip");
        command.args(["link", "add"]).args(words);
        let output = self.output(&mut command);
        let error = String::from_utf8_lossy(&output.stderr);
        let is_made = output.status.success();
        assert!(is_made || error.contains("Unknown device type"), "{error}");
        if !is_made {
            println!("skipped: this kernel has no {kind}");
        }
        is_made
    }

    /// Sets a kernel parameter of the namespace; `name` is its path below `/proc/sys`.
    pub fn set(&self, name: &str, value: &str) {
        let path = Path::new("/proc/sys").join(name);
        self.enter(|| fs::write(&path, value))
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
        let path = Path::new(DIRECTORY).join(&self.name);
        if path.exists() {
            complain(&format!("cannot remove {}", path.display()));
        }
    }
}

/// Removes a namespace by name and ends the processes inside.
pub(crate) fn remove(name: &str) {
    let path = Path::new(DIRECTORY).join(name);
    if let Ok(namespace) = fs::metadata(&path) {
        for pid in processes_in(&namespace) {
            // It may have ended by itself meanwhile.
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
    // Another run may be sweeping too.
    let _ = Command::new("ip").args(["netns", "del", name]).output();
}

/// Returns the other processes whose namespace this is.
fn processes_in(namespace: &fs::Metadata) -> Vec<Pid> {
    let is_inside = |process: &PathBuf| {
        fs::metadata(process.join("ns/net"))
            .is_ok_and(|its| (its.dev(), its.ino()) == (namespace.dev(), namespace.ino()))
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(is_inside)
        .filter_map(|path| path.file_name()?.to_str()?.parse().ok())
        .map(Pid::from_raw)
        .filter(|pid| *pid != getpid())
        .collect()
}

fn ip(words: &[&str]) {
    let output = Command::new("ip")
        .args(words)
        .output()
        .expect("`ip` is installed (package iproute2)");
    assert!(
        output.status.success(),
        "`ip {}` failed: {}",
        words.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
}
