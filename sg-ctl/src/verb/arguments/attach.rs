//! Arguments of the verbs that begin and end guarding an interface.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use clap_complete::ArgValueCompleter;
use sg_policy::model;

use crate::verb::arguments::help;
use crate::verb::shared::candidates::Named;
use crate::verb::{DryRun, Format, KeepSsh, Trial};

/// Guard an interface with security groups.
///
/// Loads the programs, attaches them to both directions of IFACE and puts the policy of its groups
/// in force; all of it or nothing. Options win over what rule files say about the interface; one
/// of which nothing is said carries the group `default`. Rule files given with -f are put in force
/// with it, as `sg-ctl apply` does, and otherwise the rules in force are kept. Connections that there
/// are go on: those of this host's sockets, and those that the kernel's connection tracking knows.
#[derive(Args, Debug)]
#[command(after_long_help = help::ATTACH)]
pub(crate) struct AttachArgs {
    /// The interface.
    #[arg(value_name = "IFACE", add = ArgValueCompleter::new(Named::Present))]
    pub(crate) interface: String,

    /// Group that the interface carries, by name or id; several as `a,b` or repeated. Of several that
    /// allow a packet the first is shown as the deciding one.
    #[arg(short, long = "group", value_name = "NAME", value_delimiter = ',')]
    #[arg(add = ArgValueCompleter::new(Named::Group))]
    pub(crate) groups: Vec<String>,

    /// Address of the workload behind the interface (--side workload), which makes it a member of its
    /// groups; several as `a,b` or repeated. Without it, those of a rule file.
    #[arg(
        short = 'A',
        long = "address",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    pub(crate) addresses: Vec<IpAddr>,

    /// Rule file to put in force with it; may be repeated.
    #[arg(short, long = "file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// Where packets are met on the receiving path; `auto` unless a rule file says otherwise.
    #[arg(long, value_enum, value_name = "HOOK")]
    pub(crate) hook: Option<Hook>,

    /// Which side of the interface is protected; `nic` unless a rule file says otherwise.
    #[arg(long, value_enum, value_name = "SIDE")]
    pub(crate) side: Option<Side>,

    /// Judge, count and log, but drop nothing.
    #[arg(long)]
    pub(crate) audit: bool,

    /// Which verdicts are logged; `all` unless a rule file says otherwise.
    #[arg(long, value_enum, value_name = "WHICH")]
    pub(crate) log: Option<Log>,

    /// Flows that the flow table keeps room for, whatever other interfaces hold; an equal part of the
    /// table unless a rule file says otherwise.
    #[arg(long, value_name = "FLOWS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) flow_share: Option<u32>,

    #[command(flatten)]
    pub(crate) trial: Trial,

    #[command(flatten)]
    pub(crate) keep: KeepSsh,

    #[command(flatten)]
    pub(crate) format: Format,
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

/// Stop guarding an interface.
///
/// Removes the programs from both directions of IFACE and forgets its flows: from then on every
/// packet passes. `--all` does so for every interface and works whatever state it finds; `--missing`
/// forgets those that are not there any more.
#[derive(Args, Debug)]
#[command(after_long_help = help::DETACH)]
pub(crate) struct DetachArgs {
    /// The interface.
    #[arg(
        value_name = "IFACE",
        required_unless_present_any = ["all", "missing"],
        conflicts_with_all = ["all", "missing"],
        add = ArgValueCompleter::new(Named::Attached)
    )]
    pub(crate) interface: Option<String>,

    /// Detach every interface.
    #[arg(long)]
    pub(crate) all: bool,

    /// Forget every interface that is gone; it is not attached again when it returns.
    #[arg(long, conflicts_with = "all")]
    pub(crate) missing: bool,

    #[command(flatten)]
    pub(crate) dry_run: DryRun,

    #[command(flatten)]
    pub(crate) format: Format,
}
