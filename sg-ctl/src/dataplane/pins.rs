//! Where maps and links are pinned, and the BPF file system under them.
//!
//! ```text
//! <root>/v<LAYOUT_VERSION>/maps/<NAME>      maps shared by the programs of all interfaces
//!                          image, clock     the policy image in force, the program that tells jiffies
//!                          zones/<ZONE>/    links of one interface: ingress, egress
//! ```

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use sg_common::names::LAYOUT_VERSION;

use super::error::DataplaneError;

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

    /// The pin of a shared map.
    pub fn map(&self, name: &str) -> PathBuf {
        self.path.join("maps").join(name)
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

    /// Creates the directories, after making sure that they are on the machine's BPF file system.
    ///
    /// # Errors
    /// When there is no BPF file system at the path and none can be mounted.
    pub(super) fn create(&self) -> Result<(), DataplaneError> {
        self.ensure_bpf_fs()?;
        for directory in ["maps", "zones"] {
            create_directory(&self.path.join(directory))?;
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

/// Whether this process has the mounts of the first process of its machine or container.
fn is_machines_mount_namespace() -> bool {
    let of = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/mnt"));
    matches!((of("self"), of("1")), (Ok(mine), Ok(first)) if mine == first)
}

/// Removes a file, which may be gone already.
pub(super) fn remove_pin(path: &Path) -> Result<(), DataplaneError> {
    match std::fs::remove_file(path) {
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
