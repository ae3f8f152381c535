//! The network namespace at the other end of a veth: the workload's, with its sockets.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::fs::MetadataExt as _;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use nix::sched::{CloneFlags, setns};

use super::error::DataplaneError;
use super::maps::system_error;
use super::netlink::ask;

/// Where `ip netns` keeps the names of namespaces, and container runtimes, too.
const NAMED: &str = "/run/netns";

/// Runs `work` in the network namespace that is known to this thread's by a number, as
/// [`Interface::peer_namespace`](super::Interface) is.
///
/// # Errors
/// When no process and no name leads to the namespace, or this process may not enter it
/// (`CAP_SYS_ADMIN`).
pub fn in_namespace<T: Send>(
    number: i32,
    work: impl FnOnce() -> T + Send,
) -> Result<T, DataplaneError> {
    let namespace = find(number).map_err(system_error("find the workload's network namespace"))?;
    // A thread of its own: this one stays where it is.
    let entered = thread::scope(|scope| {
        let worker = scope.spawn(|| {
            setns(&namespace, CloneFlags::CLONE_NEWNET)?;
            Ok(work())
        });
        worker.join().unwrap_or_else(|panic| resume_unwind(panic))
    });
    entered.map_err(|error: nix::Error| {
        system_error("enter the workload's network namespace")(error.into())
    })
}

/// Opens the namespace of a number.
fn find(number: i32) -> io::Result<File> {
    let mut seen = HashSet::new();
    for path in candidates() {
        // What has gone meanwhile, or is not ours to see, is not it.
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        if !seen.insert((metadata.dev(), metadata.ino())) {
            continue;
        }
        if let Ok(file) = File::open(&path)
            && number_of(file.as_raw_fd()).is_ok_and(|found| found == Some(number))
        {
            return Ok(file);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        "no process and no name of `ip netns` leads to it",
    ))
}

/// Files that stand for network namespaces: those with names, and those of processes.
fn candidates() -> impl Iterator<Item = PathBuf> {
    let list = |directory: &str| fs::read_dir(directory).into_iter().flatten().flatten();
    let named = list(NAMED).map(|entry| entry.path());
    let is_process = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    let processes = list("/proc")
        .filter(move |entry| entry.file_name().to_str().is_some_and(is_process))
        .map(|entry| entry.path().join("ns/net"));
    named.chain(processes)
}

/// The number by which this thread's namespace knows another one, `None` if it does not.
fn number_of(namespace: RawFd) -> io::Result<Option<i32>> {
    let mut question = NsidMessage::default();
    question
        .attributes
        .push(NsidAttribute::Fd(namespace.cast_unsigned()));
    let answer = ask(RouteNetlinkMessage::GetNsId(question))?;
    let number = answer.iter().find_map(|message| match message {
        RouteNetlinkMessage::NewNsId(answer) => {
            answer
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    NsidAttribute::Id(number) => Some(*number),
                    _ => None,
                })
        }
        _ => None,
    });
    // The kernel says -1 of a namespace that has no number.
    Ok(number.filter(|number| *number >= 0))
}
