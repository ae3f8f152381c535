//! The command line: types for clap, no behaviour.
//!
//! The first line of a verb's comment is its summary in lists; the paragraph below it and the
//! examples of [`help`] are what `--help` and the manual pages teach.

mod about;
mod agent;
mod change;
mod exchange;
mod explain;
mod flows;
mod help;
mod replay;
mod serve;
mod show;
mod top;
pub(crate) mod value;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use sg_ctl::record::flowlog;
use sg_policy::model;

pub(crate) use about::{CompletionsArgs, ManArgs, SchemaArgs, TemplatesArgs};
pub(crate) use agent::AgentArgs;
pub(crate) use change::{
    AdoptArgs, ApplyArgs, ConfirmArgs, IsolateArgs, KeepSsh, Mode, ModeArgs, RestoreArgs,
    RollbackArgs, Trial, UpgradeArgs,
};
pub(crate) use exchange::{ExportArgs, ExportFormat, ImportArgs};
pub(crate) use explain::{ExplainArgs, TestArgs};
pub(crate) use flows::{FlowFilter, FlowGrouping, FlowOrder, FlowsArgs, FlowsKillArgs, FlowsVerb};
pub(crate) use replay::{Only, ReplayArgs};
pub(crate) use serve::{ApiArgs, AuditArgs, ConsoleArgs, ServeArgs};
pub(crate) use show::{Show, ShowArgs, ShowRulesArgs};
pub(crate) use top::TopArgs;

/// AWS-style security groups for any Linux interface, enforced in the kernel.
///
/// sg judges every packet of an interface by the security groups that the interface carries:
/// rules only allow, what no rule allows is dropped, and answers of allowed connections pass by
/// themselves. The programs stay in the kernel: no process has to run, and what was attached
/// keeps judging packets after sg-ctl has ended.
#[derive(Parser, Debug)]
#[command(
    name = "sg-ctl",
    version,
    propagate_version = true,
    max_term_width = 100
)]
#[command(after_help = help::EXIT_STATUS, after_long_help = help::SG_CTL)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Options of every verb.
#[derive(Args, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Directory of the desired state.
    #[arg(long, global = true, value_name = "DIR", env = "SG_STATE_DIR")]
    #[arg(default_value = "/var/lib/sg", value_hint = ValueHint::DirPath)]
    pub(crate) state_dir: PathBuf,

    /// Directory on a BPF file system where programs and maps are pinned.
    #[arg(long, global = true, value_name = "DIR", env = "SG_PIN_DIR")]
    #[arg(default_value = "/sys/fs/bpf/sg", value_hint = ValueHint::DirPath)]
    pub(crate) pin_dir: PathBuf,

    /// When to use colours. `auto`: on a terminal, unless `NO_COLOR` is set.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    #[arg(hide_possible_values = true, long_help = help::COLOR)]
    pub(crate) color: Color,

    /// Show more: numbers of rules, and each cause of an error on its own line.
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,

    /// Print tables and logs in full, also where the terminal has no room for all columns.
    #[arg(short, long, global = true)]
    pub(crate) wide: bool,
}

/// When to use colours.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Verb {
    Attach(AttachArgs),
    Detach(DetachArgs),
    Apply(ApplyArgs),
    Adopt(AdoptArgs),
    Rollback(RollbackArgs),
    Confirm(ConfirmArgs),
    Mode(ModeArgs),
    Isolate(IsolateArgs),
    Restore(RestoreArgs),
    Upgrade(UpgradeArgs),
    Status(StatusArgs),
    Show(ShowArgs),
    Flows(FlowsArgs),
    Top(TopArgs),
    Logs(LogsArgs),
    Agent(AgentArgs),
    Serve(ServeArgs),
    Audit(AuditArgs),
    Console(ConsoleArgs),
    Explain(ExplainArgs),
    Test(TestArgs),
    Check(CheckArgs),
    Replay(ReplayArgs),
    Import(ImportArgs),
    Export(ExportArgs),
    Schema(SchemaArgs),
    Templates(TemplatesArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// The switch of every verb that prints data.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Format {
    /// Print one JSON document in place of text.
    #[arg(long)]
    pub(crate) json: bool,
}

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
    #[arg(value_name = "IFACE")]
    pub(crate) interface: String,

    /// Group that the interface carries, by name or id; several as `a,b` or repeated. Of several that
    /// allow a packet the first is shown as the deciding one.
    #[arg(short, long = "group", value_name = "NAME", value_delimiter = ',')]
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
        conflicts_with_all = ["all", "missing"]
    )]
    pub(crate) interface: Option<String>,

    /// Detach every interface.
    #[arg(long)]
    pub(crate) all: bool,

    /// Forget every interface that is gone; it is not attached again when it returns.
    #[arg(long, conflicts_with = "all")]
    pub(crate) missing: bool,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Show what is guarded, and whether it is in order.
///
/// Prints every interface with its groups, hooks and packets by verdict, the top drop reasons, and
/// everything that is not as it should be: an interface that only audits, is missing or half
/// attached, and a kernel that enforces something else than the state on disk says. Ends with exit
/// status 4 if there is anything of the kind.
#[derive(Args, Debug)]
#[command(after_long_help = help::STATUS)]
pub(crate) struct StatusArgs {
    /// Print packets and bytes of every reason.
    #[arg(long)]
    pub(crate) counters: bool,

    /// Print nothing: the exit status tells scripts whether everything is in order.
    #[arg(long, conflicts_with_all = ["counters", "json"])]
    pub(crate) check: bool,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Print verdicts as they were logged.
///
/// Prints the events that wait in the kernel's buffer, and with -f goes on until it is interrupted.
/// What is logged is a setting of the interface (`log:` in rule files, `attach --log`): dropped
/// packets and new flows unless set otherwise. Reading takes events out of the buffer, those too
/// that a filter leaves out, so there is one reader at a time. Events that found the buffer full
/// are counted and told. Messages of the programs themselves, which tell of faults, are printed too.
#[derive(Args, Debug)]
#[command(after_long_help = help::LOGS)]
pub(crate) struct LogsArgs {
    /// Go on, and print events as they happen, until interrupted.
    #[arg(short = 'F', visible_short_alias = 'f', long)]
    pub(crate) follow: bool,

    /// Only packets that were dropped, or would have been if the interface did not only audit.
    #[arg(long)]
    pub(crate) denied: bool,

    /// Only events of this interface.
    #[arg(short, long, value_name = "IFACE")]
    pub(crate) interface: Option<String>,

    /// Form of the lines.
    #[arg(
        long = "format",
        value_enum,
        value_name = "FORM",
        conflicts_with = "json"
    )]
    pub(crate) form: Option<LogFormat>,

    /// Columns of AWS flow logs to print, and in which order: names divided by blanks or commas,
    /// also in the form `${name}`.
    #[arg(long, value_name = "FIELDS", conflicts_with_all = ["json", "form"])]
    pub(crate) fields: Option<flowlog::Format>,

    /// Write the beginnings of the packets in place of lines, for Wireshark: pcapng, each with verdict,
    /// reason and rule as its comment; `-` is standard output.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    #[arg(conflicts_with_all = ["json", "form", "fields"])]
    pub(crate) pcapng: Option<PathBuf>,

    /// Print one JSON document per line in place of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Form of the lines of a log.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON document per line.
    Json,
    /// The default line of AWS VPC Flow Logs (version 2), one per packet; what is not IP is left out.
    Vpc,
}

/// Check rule files and show what they come to.
///
/// Reads the files as `apply` would and reports every mistake with its place and remedy. Needs no
/// privileges and touches nothing. Without mistakes it prints the merged rules of each interface:
/// what may come in and what may go out, group by group.
#[derive(Args, Debug)]
#[command(after_long_help = help::CHECK)]
pub(crate) struct CheckArgs {
    /// Rule file (YAML or JSON).
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) format: Format,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
