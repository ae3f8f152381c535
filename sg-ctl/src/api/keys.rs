//! Keys: who may call, and what.
//!
//! ```text
//! keys.json   [{"id": "AKID…", "secret": "…", "role": "admin", "name": "…"}], readable by root alone
//! ```
//!
//! A signature proves that its maker knows the secret, so the secret itself must be at hand: whoever
//! reads the file can sign.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look.
    Read,
    /// Look, and change groups, rules, lists and what guarded interfaces carry.
    Admin,
}

/// One key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// What a signature names.
    pub id: String,
    /// What it is made with.
    pub secret: String,
    /// What it may do.
    pub role: Role,
    /// Whose it is, for the audit log.
    pub name: String,
    /// Seconds since 1970 after which it counts no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
    /// Whether it may shut out the address that it calls from.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_lock_out: bool,
}

impl std::fmt::Debug for Key {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, role, name, .. } = self;
        write!(f, "Key({id}, {role:?}, {name})")
    }
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read or written.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Others may read the secrets.
    #[error("{} can be read by others, and holds secrets", .0.display())]
    Open(PathBuf),
    /// The file holds something else.
    #[error("{}: {source}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: serde_json::Error,
    },
}

/// All keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, others may read it, or it is no list of keys.
    pub fn load(path: &Path) -> Result<Self, KeysError> {
        let failed = |action| {
            move |source| KeysError::Io {
                action,
                path: path.to_owned(),
                source,
            }
        };
        let mut file = File::open(path).map_err(failed("read"))?;
        let mode = file.metadata().map_err(failed("read"))?.mode();
        if mode & 0o077 != 0 {
            return Err(KeysError::Open(path.to_owned()));
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed("read"))?;
        let keys = serde_json::from_str(&text).map_err(|source| KeysError::Damaged {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self(keys))
    }

    /// Reads the file, or makes one with a first key. Says whether it made one.
    ///
    /// # Errors
    /// Those of [`load`](Self::load); when the file cannot be written, or there is no randomness.
    pub fn load_or_make(path: &Path) -> Result<(Self, bool), KeysError> {
        match Self::load(path) {
            Err(KeysError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            result => return result.map(|keys| (keys, false)),
        }
        let failed = |source| KeysError::Io {
            action: "write",
            path: path.to_owned(),
            source,
        };
        let key = Key {
            id: format!(
                "AKID{}",
                random(16, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567").map_err(failed)?
            ),
            secret: random(
                40,
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-",
            )
            .map_err(failed)?,
            role: Role::Admin,
            name: "admin".to_owned(),
            expires: None,
            may_lock_out: false,
        };
        let keys = Self(vec![key]);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        let text = serde_json::to_string_pretty(&keys.0).map_err(|error| failed(error.into()))?;
        writeln!(file, "{text}").map_err(failed)?;
        file.sync_all().map_err(failed)?;
        Ok((keys, true))
    }

    /// The key with an id, if it counts at the time `now`.
    pub fn find(&self, id: &str, now: i64) -> Option<&Key> {
        let mut keys = self.0.iter();
        keys.find(|key| key.id == id && key.expires.is_none_or(|end| now < end))
    }

    /// The first key that may change things: the one for a first walk.
    pub fn first(&self) -> Option<&Key> {
        let mut keys = self.0.iter();
        keys.find(|key| key.role == Role::Admin).or(self.0.first())
    }
}

/// This many random signs of an alphabet of 32 or 64.
fn random(length: usize, alphabet: &[u8]) -> io::Result<String> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let signs = bytes
        .iter()
        .map(|byte| alphabet[usize::from(*byte) % alphabet.len()] as char);
    Ok(signs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_key_is_made_once_and_for_root_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("keys.json");
        let (keys, is_new) = Keys::load_or_make(&path).expect("keys");
        assert!(is_new);
        assert_eq!(
            Keys::load_or_make(&path).expect("keys"),
            (keys.clone(), false)
        );
        let key = keys.first().expect("a key");
        assert_eq!((key.id.len(), key.secret.len()), (20, 40));
        assert!(!format!("{keys:?}").contains(&key.secret));
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o640);
        std::fs::set_permissions(&path, open).expect("permissions");
        assert!(matches!(Keys::load(&path), Err(KeysError::Open(_))));
    }

    #[test]
    fn a_key_counts_until_it_expires() {
        let text = r#"[{"id": "A", "secret": "s", "role": "read", "name": "n", "expires": 100}]"#;
        let keys = Keys(serde_json::from_str(text).expect("keys"));
        assert!(keys.find("A", 99).is_some());
        assert!(keys.find("A", 100).is_none() && keys.find("B", 99).is_none());
    }
}
