//! Other network namespaces: that at the other end of a veth, the workload's, and those that links of
//! this one are in.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use nix::sched::{CloneFlags, setns};

use super::error::DataplaneError;
use super::maps::system_error;
use super::netlink::ask;

/// Where `ip netns` keeps the names of namespaces, and container runtimes, too.
const NAMED: &str = "/run/netns";

/// The network namespaces that a name or a process leads to. They are looked through once, however many
/// are asked for: a host may have as many as workloads.
pub struct Namespaces {
    /// Those that nobody has come to yet.
    rest: RefCell<Box<dyn Iterator<Item = (PathBuf, File)>>>,
    /// What leads to those that this thread's namespace knows by a number.
    met: RefCell<HashMap<i32, PathBuf>>,
}

impl Default for Namespaces {
    fn default() -> Self {
        Self {
            rest: RefCell::new(Box::new(namespaces(None))),
            met: RefCell::default(),
        }
    }
}

impl Namespaces {
    /// Runs `work` in the network namespace that is known to this thread's by a number, as
    /// [`Interface::peer_namespace`](super::Interface) is.
    ///
    /// # Errors
    /// When no process and no name leads to the namespace, or this process may not enter it
    /// (`CAP_SYS_ADMIN`).
    pub fn enter<T: Send>(
        &self,
        number: i32,
        work: impl FnOnce() -> T + Send,
    ) -> Result<T, DataplaneError> {
        let namespace = self
            .find(number)
            .map_err(system_error("find the workload's network namespace"))?;
        enter(&namespace, work).map_err(system_error("enter the workload's network namespace"))
    }

    /// Opens the namespace of a number.
    fn find(&self, number: i32) -> io::Result<File> {
        let mut met = self.met.borrow_mut();
        if let Some(path) = met.get(&number)
            && let Ok(namespace) = File::open(path)
            // A process may have ended, and its number be another one's.
            && number_of(&namespace).is_ok_and(|found| found == Some(number))
        {
            return Ok(namespace);
        }
        let mut rest = self.rest.borrow_mut();
        for (path, namespace) in &mut *rest {
            if let Ok(Some(found)) = number_of(&namespace) {
                met.insert(found, path);
                if found == number {
                    return Ok(namespace);
                }
            }
        }
        // What led to it is gone, or has come meanwhile.
        let is_it =
            |namespace: &File| number_of(namespace).is_ok_and(|found| found == Some(number));
        let found = namespaces(None).find(|(_, namespace)| is_it(namespace));
        found.map(|(_, namespace)| namespace).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                "no process and no name of `ip netns` leads to it",
            )
        })
    }
}

/// Runs `work` in every other network namespace that a name or a process leads to and that this
/// process may enter. `work` is given this thread's namespace; the answers come with what leads there.
pub fn in_others<T: Send>(work: impl Fn(&File) -> T + Sync) -> Vec<(String, T)> {
    let Ok(this) = File::open("/proc/thread-self/ns/net") else {
        return Vec::new();
    };
    let own = this.metadata().ok().map(|this| (this.dev(), this.ino()));
    namespaces(own)
        .filter_map(|(path, namespace)| {
            Some((way_to(&path), enter(&namespace, || work(&this)).ok()?))
        })
        .collect()
}

/// What people call the namespace that a file stands for.
fn way_to(path: &Path) -> String {
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    match path.strip_prefix("/proc") {
        Ok(below) => {
            let process = below.iter().next().unwrap_or_default().display();
            format!("of process {process}")
        }
        Err(_) => name(path).unwrap_or_default(),
    }
}

/// Runs `work` in a namespace, on a thread of its own: this one stays where it is.
fn enter<T: Send>(namespace: &File, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            Ok(work())
        });
        worker.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// The namespaces that something leads to, each once, but for the one with this device and inode.
fn namespaces(but: Option<(u64, u64)>) -> impl Iterator<Item = (PathBuf, File)> {
    let mut seen: HashSet<_> = but.into_iter().collect();
    candidates().filter_map(move |path| {
        // What has gone meanwhile, or is not ours to see, is not it.
        let metadata = fs::metadata(&path).ok()?;
        let is_new = seen.insert((metadata.dev(), metadata.ino()));
        let file = is_new.then(|| File::open(&path).ok())??;
        Some((path, file))
    })
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
///
/// # Errors
/// When the kernel does not answer.
pub fn number_of(namespace: &File) -> io::Result<Option<i32>> {
    let mut question = NsidMessage::default();
    question
        .attributes
        .push(NsidAttribute::Fd(namespace.as_raw_fd().cast_unsigned()));
    let number = ask(RouteNetlinkMessage::GetNsId(question), |answer| {
        let RouteNetlinkMessage::NewNsId(answer) = answer else {
            return None;
        };
        let mut attributes = answer.attributes.iter();
        attributes.find_map(|attribute| match attribute {
            NsidAttribute::Id(number) => Some(*number),
            _ => None,
        })
    })?;
    // The kernel says -1 of a namespace that has no number.
    Ok(number.filter(|number| *number >= 0))
}
