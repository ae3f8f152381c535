//! What ends the agent, or goes wrong while it works.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::host::HostError;
use sg_policy::rulefile::Report;

/// An error of the [`agent`](super).
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// State or kernel.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A rule file cannot be read.
    #[error("cannot read {}", .path.display())]
    RuleFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Rule files are wrong.
    #[error(transparent)]
    Rules(Box<Report>),
    /// Rule files cannot be watched.
    #[error("cannot watch the rule files")]
    Watch(#[source] notify::Error),
    /// The flow log cannot be written.
    #[error("cannot write flow records to {to}")]
    FlowLog {
        /// The file, or standard output.
        to: String,
        /// The cause.
        source: io::Error,
    },
    /// The flow log has its size.
    #[error("flow records are not written: {} has {mib} MiB", .path.display())]
    FlowLogFull {
        /// The file.
        path: PathBuf,
        /// Its size.
        mib: u64,
    },
    /// Readers of events cannot be served.
    #[error("cannot serve events at {}", .path.display())]
    Events {
        /// The socket.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Nobody can listen there.
    #[error("cannot serve metrics on {address}")]
    Metrics {
        /// Address and port.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The kernel does not give what waiting takes.
    #[error("cannot {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// The cause.
        source: io::Error,
    },
}

impl AgentError {
    /// The remedy, as one sentence for the user.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Host(error) => error.help(),
            Self::RuleFile { .. } => Some("name rule files that exist and may be read".to_owned()),
            Self::Metrics { .. } => Some("name a port that is free".to_owned()),
            Self::FlowLog { source, .. } => Some(
                match source.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        "make room where it is: no record is written until then"
                    }
                    _ => "name a file in a directory that exists and may be written to",
                }
                .to_owned(),
            ),
            Self::FlowLogFull { .. } => {
                Some("rename the file, as logrotate does, or raise --flow-log-limit".to_owned())
            }
            Self::Events { .. } => {
                Some("end the other agent of this host, if there is one".to_owned())
            }
            Self::Rules(_) | Self::Watch(_) | Self::System { .. } => None,
        }
    }

    /// Whether the request is at fault and not the system (exit code 1, not 2).
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Host(error) => error.is_refusal(),
            Self::RuleFile { .. } | Self::Rules(_) => true,
            Self::Watch(_)
            | Self::FlowLog { .. }
            | Self::FlowLogFull { .. }
            | Self::Events { .. }
            | Self::Metrics { .. }
            | Self::System { .. } => false,
        }
    }
}

/// For `map_err`: what was tried of the system.
pub(super) fn system(action: &'static str) -> impl FnOnce(io::Error) -> AgentError {
    move |source| AgentError::System { action, source }
}
