//! What goes wrong with etcd, sorted by what is to be done about it.

/// An error of etcd. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EtcdError {
    /// No node answers, or none has a leader.
    #[error("etcd cannot be reached: {0}")]
    Away(String),
    /// This user may not do that.
    #[error("etcd refuses: {0}")]
    Denied(String),
    /// The quota is used up.
    #[error("etcd has no space left (NOSPACE alarm): it takes no writes")]
    NoSpace,
    /// The revision that was asked for is gone.
    #[error("etcd has compacted the revision")]
    Compacted,
    /// The lease has run out.
    #[error("the lease has run out")]
    NoLease,
    /// What was said about access is wrong.
    #[error("{0}")]
    Access(String),
    /// Anything else.
    #[error("etcd: {0}")]
    Other(String),
}

impl EtcdError {
    /// The remedy, as one sentence for the user.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Away(text) if text.to_lowercase().contains("certificate") => Some(
                "--ca names the authority of etcd's nodes, --cert a certificate by the authority that \
                 they trust, and --key its key; both must be valid now",
            ),
            Self::Away(_) => Some(
                "the last policy stays in force; look whether etcd's nodes run, and whether this host \
                 reaches them: `etcdctl --endpoints … endpoint health`",
            ),
            Self::Denied(_) => Some(
                "`sg-ctl vpc roles` prints the users, roles and permissions that etcd needs; rules \
                 are changed with an administrator's certificate",
            ),
            Self::NoSpace => Some(
                "`etcdctl compact` and `etcdctl defrag`, raise --quota-backend-bytes, then \
                 `etcdctl alarm disarm`",
            ),
            Self::Access(_) => Some("see `sg-ctl vpc join --help`"),
            Self::Compacted | Self::NoLease | Self::Other(_) => None,
        }
    }

    /// The error, with the node that it is about.
    #[must_use]
    pub(super) fn at(self, endpoint: &str) -> Self {
        match self {
            Self::Away(text) => Self::Away(format!("{endpoint}: {text}")),
            other => other,
        }
    }
}

impl From<etcd_client::Error> for EtcdError {
    fn from(error: etcd_client::Error) -> Self {
        use etcd_client::Error;
        let status = match &error {
            Error::GRpcStatus(status) => status,
            Error::TransportError(_) | Error::IoError(_) => return Self::Away(chain(&error)),
            Error::InvalidUri(_) | Error::InvalidArgs(_) => return Self::Access(error.to_string()),
            _ => return Self::Other(error.to_string()),
        };
        let text = status.message();
        if text.contains("database space exceeded") {
            return Self::NoSpace;
        }
        if text.contains("has been compacted") {
            return Self::Compacted;
        }
        if text.contains("requested lease not found") {
            return Self::NoLease;
        }
        match format!("{:?}", status.code()).as_str() {
            "PermissionDenied" | "Unauthenticated" => Self::Denied(text.to_owned()),
            "InvalidArgument" if text.contains("authentication failed") => {
                Self::Denied(text.to_owned())
            }
            "Unavailable" | "DeadlineExceeded" | "Cancelled" | "Unknown" => {
                Self::Away(chain(status))
            }
            _ => Self::Other(text.to_owned()),
        }
    }
}

/// An error with what caused it: the first alone says "transport error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
