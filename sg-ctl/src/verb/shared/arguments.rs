//! Arguments of several verbs.

use std::time::Duration;

use clap::ValueEnum;
use sg_policy::model;

use crate::verb::shared::value;

/// The switch of every verb that prints data.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct Format {
    /// Print one JSON document in place of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The switch of every verb that may go wrong on a host far away.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct Trial {
    /// Undo the change after this time (`60s`, `5m`) unless `sg-ctl confirm` is run before: the rules
    /// and settings before it are in force again; an interface that was not guarded before passes
    /// everything. The kernel does it, so it needs no process; a reboot confirms nothing.
    #[arg(long, value_name = "TIME", value_parser = value::time, alias = "rollback-after")]
    pub(crate) confirm_within: Option<Duration>,
}

/// The switch of the verbs that tell what they would do.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct DryRun {
    /// Tell what would be done, and change nothing. Exit status 0: no change; 3: a change is pending.
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// The switch of the verbs that put new rules in force.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct KeepSsh {
    /// Admit the client of the SSH connection that sg-ctl is run over, whatever the rules say, until
    /// the next `apply` without this option. Without it there is a warning when no rule admits it.
    #[arg(long)]
    pub(crate) keep_ssh: bool,
}

/// Where packets are met on the receiving path.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    /// XDP in the driver of physical interfaces, else TC.
    Auto,
    /// XDP in the driver.
    Xdp,
    /// XDP in the kernel's generic path.
    XdpGeneric,
    /// TC: TCX, or clsact before Linux 6.6.
    Tc,
}

impl From<Hook> for model::Hook {
    fn from(hook: Hook) -> Self {
        match hook {
            Hook::Auto => Self::Auto,
            Hook::Xdp => Self::Xdp,
            Hook::XdpGeneric => Self::XdpGeneric,
            Hook::Tc => Self::Tc,
        }
    }
}

/// Which side of the interface is protected.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// This host: what the interface receives is inbound.
    Nic,
    /// The workload behind a veth or tap: what the interface receives is outbound.
    Workload,
}

impl From<Side> for model::Side {
    fn from(side: Side) -> Self {
        match side {
            Side::Nic => Self::Nic,
            Side::Workload => Self::Workload,
        }
    }
}

/// Which verdicts are logged.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Log {
    /// None; counters still count.
    Off,
    /// Dropped packets.
    Denied,
    /// New flows.
    Allowed,
    /// Dropped packets and new flows.
    All,
}

impl From<Log> for model::LogMode {
    fn from(log: Log) -> Self {
        match log {
            Log::Off => Self::Off,
            Log::Denied => Self::Denied,
            Log::Allowed => Self::Allowed,
            Log::All => Self::All,
        }
    }
}
