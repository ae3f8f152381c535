//! What the agent has to say while it works.

use std::fmt;

use super::AgentError;
use sg_policy::rulefile::Report;

/// One thing that happened.
#[derive(Debug)]
pub enum Notice<'a> {
    /// Rule files were put in force.
    Applied {
        /// Generation of the policy.
        generation: u64,
        /// Security groups.
        groups: usize,
        /// Rules of all groups.
        rules: usize,
    },
    /// What is allowed in rule files but probably not meant.
    Warnings(&'a Report),
    /// Something that whoever applies rules should know.
    Note(&'a str),
    /// Rule files were not put in force; the old policy stays.
    Refused(&'a AgentError),
    /// An interface was attached.
    Attached {
        /// Its name.
        interface: &'a str,
        /// Names of its groups.
        groups: &'a [String],
    },
    /// An interface could not be attached; it is tried again when something changes.
    NotAttached {
        /// Its name.
        interface: &'a str,
        /// Why.
        error: &'a AgentError,
    },
    /// An interface that a pattern meant has been gone for long, and is forgotten.
    Forgotten {
        /// Its name.
        interface: &'a str,
    },
    /// The flow table is nearly full, or was full.
    FlowTable(&'a str),
    /// Addresses of attached interfaces changed, and the policy with them.
    Refreshed,
    /// Something else failed.
    Failed {
        /// What was tried.
        action: &'static str,
        /// The cause.
        error: &'a AgentError,
    },
}

impl fmt::Display for Notice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applied {
                generation,
                groups,
                rules,
            } => write!(
                f,
                "policy {generation} is in force: {groups} groups, {rules} rules"
            ),
            Self::Warnings(report) => f.write_str(report.to_string().trim_end()),
            Self::Note(text) => write!(f, "note: {text}"),
            Self::Refused(error) => {
                write_error(f, error)?;
                f.write_str("\nnote: the rule files are not in force; the policy is the one before")
            }
            Self::FlowTable(text) => write!(f, "warning: {text}"),
            Self::Attached { interface, groups } => {
                write!(f, "{interface} is attached: {}", groups.join(", "))
            }
            Self::NotAttached { interface, error } => {
                write!(f, "{interface} is not attached: ")?;
                write_error(f, error)
            }
            Self::Forgotten { interface } => write!(f, "{interface} is gone, and forgotten"),
            Self::Refreshed => {
                f.write_str("members are up to date with the addresses of interfaces")
            }
            Self::Failed { action, error } => {
                write!(f, "cannot {action}: ")?;
                write_error(f, error)
            }
        }
    }
}

/// Writes an error with its causes and its remedy.
fn write_error(f: &mut fmt::Formatter<'_>, error: &AgentError) -> fmt::Result {
    if let AgentError::Rules(report) = error {
        return f.write_str(report.to_string().trim_end());
    }
    write!(f, "error: {error}")?;
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        write!(f, ": {source}")?;
        cause = source.source();
    }
    match error.help() {
        Some(help) => write!(f, "\nhelp: {help}"),
        None => Ok(()),
    }
}
