//! Where maps and links are pinned, and the BPF file system under them.
//!
//! ```text
//! <root>/v<LAYOUT_VERSION>/maps/<NAME>      maps shared by the programs of all interfaces
//!                          counters/<PAGE>  counters of some zones
//!                          image            the policy image in force
//!                          clock, seed      the programs that tell jiffies and open flows
//!                          programs/<NAME>  whose each of the programs that judge is
//!                          zones/<ZONE>/    of one interface: its links, ingress and egress; the ids of
//!                                           its gates, programs; the arrays that these lead to
//! ```

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use sg_common::names::{FLOW_LAYOUT, LAYOUT_VERSION};

use super::error::DataplaneError;
use crate::host::crash::{CrashPoint, reach};

mod marks;

/// Where Linux distributions mount the BPF file system.
const BPF_FS: &str = "/sys/fs/bpf";

/// The directory in which everything that outlives the process is pinned.
#[derive(Clone, Debug)]
pub struct PinDir {
    /// `<root>/v<LAYOUT_VERSION>`.
    path: PathBuf,
}

impl PinDir {
    /// The pins of this version's layout below `root`. Touches nothing.
    pub fn new(root: &Path) -> Self {
        Self {
            path: root.join(format!("v{LAYOUT_VERSION}")),
        }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The pins of every layout version that has any.
    pub(super) fn all_versions(&self) -> Result<Vec<Self>, DataplaneError> {
        let root = self.path.parent().unwrap_or(&self.path);
        let is_version = |name: &str| {
            name.strip_prefix('v')
                .is_some_and(|number| number.parse::<u32>().is_ok())
        };
        Ok(names_in(root)?
            .into_iter()
            .filter(|name| is_version(name))
            .map(|name| Self {
                path: root.join(name),
            })
            .collect())
    }

    /// The directory of the shared maps.
    pub(super) fn maps(&self) -> PathBuf {
        self.path.join("maps")
    }

    /// The pin of a shared map.
    pub fn map(&self, name: &str) -> PathBuf {
        self.maps().join(name)
    }

    /// The names of the shared maps that are pinned.
    pub(super) fn pinned_maps(&self) -> Result<Vec<String>, DataplaneError> {
        names_in(&self.maps())
    }

    /// The directory of the pages of counters.
    pub(super) fn counters(&self) -> PathBuf {
        self.path.join("counters")
    }

    /// The pin of the image in force.
    pub(super) fn image(&self) -> PathBuf {
        self.path.join("image")
    }

    /// The pin of an image that is about to come into force. (bpffs refuses names with dots.)
    pub(super) fn next_image(&self) -> PathBuf {
        self.path.join("next_image")
    }

    /// The pin of the clock program.
    pub(super) fn clock(&self) -> PathBuf {
        self.path.join("clock")
    }

    /// Marks whose interfaces the pins belong to: a symbolic link to the name of the network
    /// namespace.
    fn namespace(&self) -> PathBuf {
        self.path.join("namespace")
    }

    /// Checks that the pins, if there are any, belong to interfaces of this thread's network
    /// namespace: interface indexes mean nothing in another.
    ///
    /// # Errors
    /// [`DataplaneError::OtherNamespace`].
    pub(super) fn check_namespace(&self) -> Result<(), DataplaneError> {
        match (std::fs::read_link(self.namespace()), this_namespace()) {
            (Ok(pinned), Ok(mine)) if pinned != mine => Err(DataplaneError::OtherNamespace {
                path: self.path.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// The pin of the program that opens flows.
    pub(super) fn seed(&self) -> PathBuf {
        self.path.join("seed")
    }

    /// The pin of a clock program that is about to replace the old one.
    pub(super) fn next_clock(&self) -> PathBuf {
        self.path.join("next_clock")
    }

    /// Tells the version of the flow table's own layout: a symbolic link to it.
    fn flow_layout_mark(&self) -> PathBuf {
        self.path.join("flow_layout")
    }

    /// The version of the flow table's own layout, `None` when that is not known.
    pub(super) fn flow_layout(&self) -> Option<u32> {
        let version = std::fs::read_link(self.flow_layout_mark()).ok()?;
        version.to_str()?.parse().ok()
    }

    /// The pins of a zone that `to` does not have, each with the one that it would have there.
    pub(super) fn pins_of(
        &self,
        zone: u32,
        to: &Self,
    ) -> Result<Vec<(PathBuf, PathBuf)>, DataplaneError> {
        let (from, to) = (self.zone(zone), to.zone(zone));
        let names = names_in(&from)?.into_iter();
        Ok(names
            .map(|name| (from.join(&name), to.join(&name)))
            .filter(|(from, to)| !from.is_symlink() && !to.exists())
            .collect())
    }

    /// The directory of a zone's links.
    pub(super) fn zone(&self, zone: u32) -> PathBuf {
        self.path.join("zones").join(zone.to_string())
    }

    /// The zones that have a directory, in ascending order.
    ///
    /// # Errors
    /// When the directory cannot be read; one that does not exist holds no zones.
    pub(super) fn zones(&self) -> Result<Vec<u32>, DataplaneError> {
        let mut zones: Vec<_> = names_in(&self.path.join("zones"))?
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect();
        zones.sort_unstable();
        Ok(zones)
    }

    /// Whether this process may see the pins, which are for root.
    pub(super) fn check_access(&self) -> Result<(), DataplaneError> {
        match std::fs::metadata(self.path.join("zones")) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(DataplaneError::NotPermitted {
                    missing: vec!["access to the pins"],
                })
            }
            _ => Ok(()),
        }
    }

    /// Creates the directories, after making sure that they are on the machine's BPF file system.
    ///
    /// # Errors
    /// When there is no BPF file system at the path and none can be mounted.
    pub(super) fn create(&self) -> Result<(), DataplaneError> {
        self.ensure_bpf_fs()?;
        for directory in ["maps", "counters", "programs", "zones"] {
            create_directory(&self.path.join(directory))?;
        }
        let layout = self.flow_layout_mark();
        match std::os::unix::fs::symlink(FLOW_LAYOUT.to_string(), &layout) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => result.map_err(|source| pin_error("create", &layout, source))?,
        }
        let mark = self.namespace();
        let marked = this_namespace().and_then(|name| std::os::unix::fs::symlink(name, &mark));
        match marked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.check_namespace(),
            result => result.map_err(|source| pin_error("create", &mark, source)),
        }
    }

    /// Creates the directory of a zone's links.
    pub(super) fn create_zone(&self, zone: u32) -> Result<(), DataplaneError> {
        create_directory(&self.zone(zone))
    }

    /// The names of other layouts that have interfaces attached.
    pub(super) fn others_in_use(&self) -> Result<Vec<String>, DataplaneError> {
        let mut names = Vec::new();
        for pins in self.all_versions()? {
            if pins.path != self.path && !pins.zones()?.is_empty() {
                names.push(pins.name());
            }
        }
        Ok(names)
    }

    /// The name of the layout, as in the path.
    pub(super) fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Removes every pin and directory of this layout version, and the root when nothing else is
    /// in it. The kernel frees what nobody else holds.
    pub(super) fn remove(&self) -> Result<(), DataplaneError> {
        remove_tree(&self.path)?;
        reach(CrashPoint::PinsRemoved);
        if let Some(root) = self.path.parent() {
            // Fails when another version has pins there, or when the user made the directory the
            // root of a mount: both fine.
            let _ = std::fs::remove_dir(root);
        }
        Ok(())
    }

    fn ensure_bpf_fs(&self) -> Result<(), DataplaneError> {
        let nearest = self
            .path
            .ancestors()
            .find(|path| path.exists())
            .unwrap_or(Path::new("/"));
        if is_bpf_fs(nearest) {
            return Ok(());
        }
        if !self.path.starts_with(BPF_FS) {
            return Err(DataplaneError::NoBpfFs {
                path: self.path.clone(),
            });
        }
        if !is_machines_mount_namespace() {
            return Err(DataplaneError::PrivateMounts {
                path: self.path.clone(),
            });
        }
        mount(
            Some("bpf"),
            BPF_FS,
            Some("bpf"),
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RELATIME,
            Some("mode=0700"),
        )
        .map_err(|errno| {
            pin_error(
                "mount a BPF file system at",
                Path::new(BPF_FS),
                errno.into(),
            )
        })
    }
}

fn create_directory(path: &Path) -> Result<(), DataplaneError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| pin_error("create", path, source))
}

fn is_bpf_fs(path: &Path) -> bool {
    statfs(path).is_ok_and(|info| info.filesystem_type() == BPF_FS_MAGIC)
}

/// The name of this thread's network namespace, such as `net:[4026531840]`.
fn this_namespace() -> io::Result<PathBuf> {
    std::fs::read_link("/proc/thread-self/ns/net")
}

/// Whether this process has the mounts of the first process of its machine or container.
fn is_machines_mount_namespace() -> bool {
    let of = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/mnt"));
    matches!((of("self"), of("1")), (Ok(mine), Ok(first)) if mine == first)
}

/// The names in a directory, none when it does not exist.
fn names_in(path: &Path) -> Result<Vec<String>, DataplaneError> {
    let read = || -> io::Result<Vec<String>> {
        std::fs::read_dir(path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        names => names.map_err(|source| pin_error("read", path, source)),
    }
}

/// Removes a file, which may be gone already.
pub(super) fn remove_pin(path: &Path) -> Result<(), DataplaneError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(|source| pin_error("remove", path, source)),
    }
}

/// Removes a directory with all in it, which may be gone already.
pub(super) fn remove_tree(path: &Path) -> Result<(), DataplaneError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(|source| pin_error("remove", path, source)),
    }
}

pub(super) fn pin_error(action: &'static str, path: &Path, source: io::Error) -> DataplaneError {
    DataplaneError::Pin {
        action,
        path: path.to_owned(),
        source,
    }
}
