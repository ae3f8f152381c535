//! What can go wrong with the state directory.

use std::io;
use std::path::PathBuf;

use super::FORMAT;

/// What can go wrong with the state directory.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file operation failed.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another process is changing the state.
    #[error("another sg-ctl is at work{}", pid_text(*.pid))]
    Locked {
        /// Its process id, if it has told.
        pid: Option<i32>,
    },
    /// The file is not what this program wrote.
    #[error("{} is damaged", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: serde_json::Error,
    },
    /// Another version wrote the file.
    #[error("{} has format {found}, this sg-ctl knows format {FORMAT}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
}

fn pid_text(pid: Option<i32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

impl StateError {
    /// The remedy, as one sentence for the user.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("run it as root, for example with sudo".to_owned())
            }
            Self::Io { .. } => None,
            Self::Locked { .. } => Some("try again when it is done".to_owned()),
            Self::Damaged { .. } => Some(
                "begin anew: `sg-ctl detach --all` puts the file aside; then apply and attach"
                    .to_owned(),
            ),
            Self::Format { .. } => Some("use the sg-ctl that wrote it".to_owned()),
        }
    }

    /// Whether the request is at fault and not the system (exit code 1, not 2).
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            Self::Locked { .. } => true,
            Self::Damaged { .. } | Self::Format { .. } => false,
        }
    }
}
