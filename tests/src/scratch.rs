//! Names for what a test creates outside its own memory, and the removal of what a killed run left.
//!
//! Namespaces, pin directories and temporary directories are all named `sg-t<pid>-<n>-<label>`: the
//! process id tells whose they are, so that runs side by side leave each other alone.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process,
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
};

use nix::{
    mount::{MsFlags, mount},
    unistd::geteuid,
};

use crate::netns;

const PREFIX: &str = "sg-t";

/// Where pins live.
pub const BPF_FS: &str = "/sys/fs/bpf";
/// Where files lie in memory.
const MEMORY: &str = "/dev/shm";

/// Returns a name that no other test, in this process or another, uses at the same time.
pub fn unique(label: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    prepare();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{PREFIX}{}-{number}-{label}", process::id())
}

/// Checks once that tests can work here, and sweeps.
fn prepare() {
    static PREPARED: Once = Once::new();
    assert!(
        geteuid().is_root(),
        "these tests make namespaces and load kernel programs: as root, run `cargo test -p \
         sg-tests`, or `cargo xtask test` as yourself, which elevates them alone"
    );
    PREPARED.call_once(|| {
        mount_bpf_fs();
        sweep();
    });
}

/// Mounts the file system of pins where the machine has not done so.
fn mount_bpf_fs() {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
    let is_there = mounts.lines().any(|line| {
        let mut words = line.split(' ');
        words.nth(1) == Some(BPF_FS) && words.next() == Some("bpf")
    });
    if !is_there {
        mount(
            Some("bpf"),
            BPF_FS,
            Some("bpf"),
            MsFlags::empty(),
            None::<&str>,
        )
        .expect("the kernel has a bpf file system");
    }
}

/// Returns the names in `directory` that belong to test runs, with the id of their process.
fn names_in(directory: &Path) -> Vec<(String, u32)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let pid = name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()?;
            Some((name, pid))
        })
        .collect()
}

/// Removes what test runs that are no more left behind; the first name of a run does it too.
pub fn sweep() {
    let is_dead = |pid: u32| !Path::new("/proc").join(pid.to_string()).exists();
    for place in Place::ALL {
        for (name, _) in names_in(&place.directory())
            .into_iter()
            .filter(|(_, pid)| is_dead(*pid))
        {
            place.remove(&name);
        }
    }
}

/// Returns everything that a process, alive or dead, has left in the places that tests use.
pub fn left_by(pid: u32) -> Vec<PathBuf> {
    Place::ALL
        .into_iter()
        .flat_map(|place| {
            let directory = place.directory();
            names_in(&directory)
                .into_iter()
                .filter(move |(_, owner)| *owner == pid)
                .map(move |(name, _)| directory.join(name))
        })
        .collect()
}

/// The places where tests leave something with a name.
#[derive(Clone, Copy)]
enum Place {
    Namespaces,
    Pins,
    Directories,
    Memory,
}

impl Place {
    /// Namespaces first: a process inside one may hold a file of the other places.
    const ALL: [Self; 4] = [
        Self::Namespaces,
        Self::Pins,
        Self::Directories,
        Self::Memory,
    ];

    fn directory(self) -> PathBuf {
        match self {
            Self::Namespaces => PathBuf::from(netns::DIRECTORY),
            Self::Pins => PathBuf::from(BPF_FS),
            Self::Directories => std::env::temp_dir(),
            Self::Memory => PathBuf::from(MEMORY),
        }
    }

    fn remove(self, name: &str) {
        match self {
            Self::Namespaces => netns::remove(name),
            Self::Pins | Self::Directories | Self::Memory => {
                // Another run may be sweeping too: what is gone is gone.
                let _ = fs::remove_dir_all(self.directory().join(name));
            }
        }
    }
}

/// A directory that is removed with everything in it when dropped.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// Creates a directory for temporary files.
    pub fn temporary(label: &str) -> Self {
        Self::create(&std::env::temp_dir(), label)
    }

    /// Creates a directory for temporary files, in memory where there is such a place.
    pub fn in_memory(label: &str) -> Self {
        let memory = Path::new(MEMORY);
        if memory.is_dir() {
            Self::create(memory, label)
        } else {
            Self::temporary(label)
        }
    }

    /// Creates a directory for pins.
    pub fn for_pins(label: &str) -> Self {
        let name = unique(label);
        Self::create_as(Path::new(BPF_FS).join(name))
    }

    fn create(parent: &Path, label: &str) -> Self {
        Self::create_as(parent.join(unique(label)))
    }

    fn create_as(path: PathBuf) -> Self {
        fs::create_dir(&path)
            .unwrap_or_else(|error| panic!("cannot create {}: {error}", path.display()));
        Self(path)
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0)
            && error.kind() != ErrorKind::NotFound
        {
            crate::complain(&format!("cannot remove {}: {error}", self.0.display()));
        }
    }
}
