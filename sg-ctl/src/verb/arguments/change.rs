//! Arguments of the verbs that change what is in force, and take it back.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};
use clap_complete::ArgValueCompleter;

use crate::verb::arguments::help;
use crate::verb::shared::value;
use crate::verb::{Format, Named};

/// The switch of every verb that may go wrong on a host far away.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Trial {
    /// Undo the change after this time (`60s`, `5m`) unless `sg-ctl confirm` is run before: the rules
    /// and settings before it are in force again; an interface that was not guarded before passes
    /// everything. The kernel does it, so it needs no process; a reboot confirms nothing.
    #[arg(long, value_name = "TIME", value_parser = value::time, alias = "rollback-after")]
    pub(crate) confirm_within: Option<Duration>,
}

/// The switch of the verbs that tell what they would do.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct DryRun {
    /// Tell what would be done, and change nothing. Exit status 0: no change; 3: a change is pending.
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// The switch of the verbs that put new rules in force.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct KeepSsh {
    /// Admit the client of the SSH connection that sg-ctl is run over, whatever the rules say, until
    /// the next `apply` without this option. Without it there is a warning when no rule admits it.
    #[arg(long)]
    pub(crate) keep_ssh: bool,
}

/// Put rule files in force.
///
/// Reads all files as one description of this host, checks everything, and replaces the policy of
/// every guarded interface at one moment: a packet is judged by the old rules or by the new ones.
/// An error in any file changes nothing. Live flows go on, as on AWS, until they end or idle out.
/// Prints what differs from the rules before, line by line.
#[derive(Args, Debug)]
#[command(after_long_help = help::APPLY)]
pub(crate) struct ApplyArgs {
    /// Rule file (YAML or JSON); may be repeated.
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// Check everything, show what would change and the memory it would take, and change nothing.
    /// Exit status 0: no change; 3: a change is pending.
    #[arg(short = 'n', long, conflicts_with = "confirm_within")]
    pub(crate) dry_run: bool,

    /// In a VPC: wait until every host that is heard of enforces the rules, at most this long (`5s`).
    /// Those that do not are named then, with exit status 2.
    #[arg(long, value_name = "TIME", value_parser = value::time)]
    pub(crate) wait: Option<Duration>,

    #[command(flatten)]
    pub(crate) trial: Trial,

    #[command(flatten)]
    pub(crate) keep: KeepSsh,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Hand over to rule files what the API owns.
///
/// What the API made (Terraform, the AWS CLI, the console) `apply` leaves alone, and refuses files that
/// define it. Adopted, it belongs to rule files for good: the next `apply` replaces it, or removes it
/// when no file defines it; the API shows it and changes it no more. What is enforced stays the same.
#[derive(Args, Debug)]
#[command(after_long_help = help::ADOPT)]
pub(crate) struct AdoptArgs {
    /// Security groups.
    #[arg(value_name = "GROUP", required_unless_present_any = ["prefix_lists", "interfaces"])]
    pub(crate) groups: Vec<String>,

    /// A prefix list; may be repeated.
    #[arg(long = "prefix-list", value_name = "NAME")]
    pub(crate) prefix_lists: Vec<String>,

    /// An interface, whose groups the API chose; may be repeated.
    #[arg(long = "interface", value_name = "IFACE")]
    pub(crate) interfaces: Vec<String>,
}

/// Return to the rules before the last change.
///
/// Puts the rules back in force that `apply` (or `attach -f`) replaced last, at one moment and
/// without their files. Interfaces stay attached. A second rollback returns to where the first one
/// came from. A change of rules that waits to be confirmed is undone so, at once.
#[derive(Args, Debug)]
#[command(after_long_help = help::ROLLBACK)]
pub(crate) struct RollbackArgs {
    #[command(flatten)]
    pub(crate) dry_run: DryRun,

    #[command(flatten)]
    pub(crate) trial: Trial,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Keep a change that was made with --confirm-within.
///
/// Takes the deadline away. Once it has passed, the change is undone, and there is nothing left to
/// keep: make it again. `sg-ctl status` shows what waits to be confirmed, and for how long.
#[derive(Args, Debug)]
#[command(after_long_help = help::CONFIRM)]
pub(crate) struct ConfirmArgs {
    /// Only these interfaces; without a name every one that waits.
    #[arg(value_name = "IFACE", add = ArgValueCompleter::new(Named::Attached))]
    pub(crate) interfaces: Vec<String>,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Make a guarded interface enforce, or only audit.
///
/// An interface that audits judges, counts and logs, but drops nothing. The mode set here wins over
/// that of rule files, until the interface is detached.
#[derive(Args, Debug)]
#[command(after_long_help = help::MODE)]
pub(crate) struct ModeArgs {
    /// The interface.
    #[arg(value_name = "IFACE", add = ArgValueCompleter::new(Named::Attached))]
    pub(crate) interface: String,

    /// What it is to do.
    #[arg(value_enum, value_name = "MODE")]
    pub(crate) mode: Mode,

    #[command(flatten)]
    pub(crate) trial: Trial,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Whether verdicts are carried out.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Judge and log, but drop nothing.
    Audit,
    /// Carry verdicts out.
    Enforce,
}

/// Cut an interface off, or give it back its groups.
///
/// Takes every group from a guarded interface and ends its live flows, at one moment: removed rules
/// alone would leave tracked connections alive, as on AWS. Infrastructure (ARP, neighbour discovery,
/// DHCP: `sg-ctl show infra`) passes as before. It holds in audit mode and past the deadline of
/// --confirm-within, through `apply`, `rollback` and a reboot, until it is released; `detach` ends it.
/// When the SSH connection that it is asked for over comes in by the interface, nothing is done
/// unless --keep-ssh or --cut-ssh says what becomes of it.
#[derive(Args, Debug)]
#[command(after_long_help = help::ISOLATE)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct IsolateArgs {
    /// The interface.
    #[arg(value_name = "IFACE", add = ArgValueCompleter::new(Named::Attached))]
    pub(crate) interface: String,

    /// Give the interface back its groups and its mode. What was cut must connect anew.
    #[arg(long)]
    pub(crate) release: bool,

    /// Keep the SSH connection, and admit its client until the interface is released.
    #[arg(long, conflicts_with = "release")]
    pub(crate) keep_ssh: bool,

    /// Isolate the interface even if that cuts the SSH connection.
    #[arg(long, conflicts_with_all = ["release", "keep_ssh"])]
    pub(crate) cut_ssh: bool,

    /// Tell what would be cut, and change nothing. Exit status 0: no change; 3: a change is pending.
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Attach again what was attached.
///
/// After a reboot brings the last applied state back in force: attaches every interface that was
/// attached, as it was, with the rules that were in force. Does the same for an interface that
/// went away and came back under its name. What is in order is left alone; interfaces that are not
/// there are named, and wait for the next `restore`.
#[derive(Args, Debug)]
#[command(after_long_help = help::RESTORE)]
pub(crate) struct RestoreArgs {
    /// Only these interfaces; without a name every one that was attached.
    #[arg(value_name = "IFACE", add = ArgValueCompleter::new(Named::Attached))]
    pub(crate) interfaces: Vec<String>,

    #[command(flatten)]
    pub(crate) dry_run: DryRun,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Replace the programs in the kernel by those of this sg-ctl.
///
/// A new sg-ctl goes on with the programs that the old one has loaded. This verb exchanges them, hook
/// by hook, each at one moment and without taking anything off: rules, flows, counters and settings
/// stay, and every packet is judged. Interfaces whose programs are those of this sg-ctl already are
/// left alone, so that it may be run after every installation. If the kernel refuses the new programs
/// nothing is changed. Where the new sg-ctl lays its maps out differently, flows are copied to new
/// maps; those opened in that moment are judged by the rules again, and counted; counters of packets
/// begin anew, and a change that waits to be confirmed only audits from then on.
#[derive(Args, Debug)]
#[command(after_long_help = help::UPGRADE)]
pub(crate) struct UpgradeArgs {
    #[command(flatten)]
    pub(crate) format: Format,
}
