//! Where state and pins live.

use std::path::{Path, PathBuf};

/// The two directories of one installation. Give each network namespace its own pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// What is wanted: rules, attachments, rule numbers. `SG_STATE_DIR`, by default `/var/lib/sg`.
    pub state: PathBuf,
    /// What is in force: pinned maps and links. `SG_PIN_DIR`, by default `/sys/fs/bpf/sg`.
    pub pins: PathBuf,
}

impl Paths {
    /// Environment variable that names the state directory.
    pub const STATE_VAR: &str = "SG_STATE_DIR";
    /// Environment variable that names the pin directory.
    pub const PINS_VAR: &str = "SG_PIN_DIR";

    const STATE: &str = "/var/lib/sg";

    /// Where the agent listens for readers of events: in `/run/sg`, or in the state directory when that
    /// is not the default one, so that each installation has its own.
    pub fn events(&self) -> PathBuf {
        let run = if self.state == Path::new(Self::STATE) {
            Path::new("/run/sg")
        } else {
            &self.state
        };
        run.join("events.sock")
    }

    /// The directories that the environment names, or the default ones.
    pub fn from_env() -> Self {
        let or = |variable, default: &str| {
            std::env::var_os(variable)
                .filter(|value| !value.is_empty())
                .map_or_else(|| PathBuf::from(default), PathBuf::from)
        };
        Self {
            state: or(Self::STATE_VAR, Self::STATE),
            pins: or(Self::PINS_VAR, "/sys/fs/bpf/sg"),
        }
    }
}
