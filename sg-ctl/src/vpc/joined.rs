//! That a host belongs to a VPC: what it needs to find it, beside its state.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The file of what is needed.
const JOINED: &str = "vpc.json";
/// The file of what the agent knows of the VPC now.
const HEALTH: &str = "vpc.status.json";
/// The file of the records that the agent knows.
const CACHE: &str = "vpc.records.json";

/// How etcd is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EtcdAccess {
    /// Its nodes, `https://HOST:PORT`.
    pub endpoints: Vec<String>,
    /// File of the authorities whose certificates its nodes have.
    pub ca: Option<PathBuf>,
    /// File of this host's certificate.
    pub cert: Option<PathBuf>,
    /// File of its key.
    pub key: Option<PathBuf>,
    /// User, where passwords are used in place of certificates.
    pub user: Option<String>,
    /// File of the password.
    pub password_file: Option<PathBuf>,
}

/// What a host needs to know to be one of a VPC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The VPC.
    pub vpc: String,
    /// This host's name in it.
    pub host: String,
    /// How its store is reached.
    pub etcd: EtcdAccess,
    /// The store's own id: another store is not this VPC.
    pub cluster: u64,
    /// How long this host's addresses stay members when it is not heard of.
    pub ttl: Duration,
    /// How long members count whose record is gone without a farewell.
    pub grace: Duration,
    /// When it joined, in milliseconds since 1970: whoever joins again is followed anew.
    #[serde(default)]
    pub at: u64,
}

impl Joined {
    /// What is known in this state directory; `None` for a host of no VPC.
    ///
    /// # Errors
    /// When the file cannot be read, or is damaged.
    pub fn load(state: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(state.join(JOINED)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
                let path = state.join(JOINED);
                io::Error::other(format!("{} is damaged: {error}", path.display()))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Joins the VPC.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, state: &Path) -> io::Result<()> {
        write(state, JOINED, &serde_json::to_vec_pretty(self)?)
    }

    /// Leaves the VPC.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn forget(state: &Path) -> io::Result<()> {
        remove(state, &[JOINED, HEALTH, CACHE])
    }

    /// Forgets what is known of the VPC, but not that this host belongs to one.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn forget_known(state: &Path) -> io::Result<()> {
        remove(state, &[HEALTH, CACHE])
    }
}

fn remove(state: &Path, names: &[&str]) -> io::Result<()> {
    for name in names {
        match std::fs::remove_file(state.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// What the agent last wrote of how the VPC is; `None` when none did.
pub fn health<H: for<'de> Deserialize<'de>>(state: &Path) -> Option<H> {
    serde_json::from_slice(&std::fs::read(state.join(HEALTH)).ok()?).ok()
}

/// Writes how the VPC is.
///
/// # Errors
/// When the file cannot be written.
pub fn save_health(state: &Path, health: &impl Serialize) -> io::Result<()> {
    write(state, HEALTH, &serde_json::to_vec(health)?)
}

/// The records that an earlier agent knew; nothing when there was none.
pub fn cache(state: &Path) -> Vec<u8> {
    std::fs::read(state.join(CACHE)).unwrap_or_default()
}

/// Keeps the records that this agent knows.
///
/// # Errors
/// When the file cannot be written.
pub fn save_cache(state: &Path, bytes: &[u8]) -> io::Result<()> {
    write(state, CACHE, bytes)
}

/// Writes a file whole or not at all.
fn write(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let part = directory.join(format!("{name}.part"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(part, directory.join(name))
}
