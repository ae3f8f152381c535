//! The command line: types for clap, no behaviour.
//!
//! The first line of a verb's comment is its summary in lists; the paragraph below it and the
//! examples of [`help`] are what `--help` and the manual pages teach.

mod adopt;
mod agent;
mod apply;
mod arguments;
mod attach;
mod audit;
mod check;
mod completions;
mod confirm;
mod console;
mod detach;
mod explain;
mod export;
mod flows;
mod import;
mod isolate;
mod logs;
mod man;
mod mode;
pub(crate) mod output;
mod replay;
mod restore;
mod rollback;
mod schema;
mod serve;
mod shared;
mod show;
mod status;
mod templates;
mod test;
mod top;
mod upgrade;
mod vpc;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::ArgValueCompleter;
use sg_ctl::record::flowlog;

use arguments::help;
use shared::Context;

pub(crate) use completions::answer as complete;

pub(crate) use arguments::about::{CompletionsArgs, ManArgs, SchemaArgs, TemplatesArgs};
pub(crate) use arguments::agent::AgentArgs;
pub(crate) use arguments::attach::{AttachArgs, DetachArgs, Hook, Log, Side};
pub(crate) use arguments::change::{
    AdoptArgs, ApplyArgs, ConfirmArgs, DryRun, IsolateArgs, KeepSsh, Mode, ModeArgs, RestoreArgs,
    RollbackArgs, Trial, UpgradeArgs,
};
pub(crate) use arguments::exchange::{ExportArgs, ExportFormat, ImportArgs};
pub(crate) use arguments::explain::{ExplainArgs, TestArgs};
pub(crate) use arguments::flows::{
    FlowFilter, FlowGrouping, FlowOrder, FlowsArgs, FlowsKillArgs, FlowsVerb,
};
pub(crate) use arguments::replay::{Only, ReplayArgs};
pub(crate) use arguments::serve::{ApiArgs, AuditArgs, ConsoleArgs, ServeArgs};
pub(crate) use arguments::show::{Show, ShowArgs, ShowRulesArgs};
pub(crate) use arguments::top::TopArgs;
pub(crate) use arguments::vpc::{VpcArgs, VpcJoinArgs, VpcRolesArgs, VpcVerb};
pub(crate) use shared::candidates::Named;

/// Where the desired state is unless told otherwise.
const STATE_DIR: &str = "/var/lib/sg";
/// The variable that tells otherwise.
const STATE_DIR_VARIABLE: &str = "SG_STATE_DIR";

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
    #[arg(long, global = true, value_name = "DIR", env = STATE_DIR_VARIABLE)]
    #[arg(default_value = STATE_DIR, value_hint = ValueHint::DirPath)]
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
    Vpc(VpcArgs),
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

/// Show what is guarded, and whether it is in order.
///
/// Prints every interface with its groups, hooks and packets by verdict, the top drop reasons, and
/// everything that is not as it should be: an interface that only audits, is missing or half
/// attached, and a kernel that enforces something else than the state on disk says. Ends with exit
/// status 4 if there is anything of the kind.
#[derive(Args, Debug)]
#[command(after_long_help = help::STATUS)]
pub(crate) struct StatusArgs {
    /// Only these interfaces, and what concerns all; without a name every one.
    #[arg(value_name = "IFACE", add = ArgValueCompleter::new(Named::Attached))]
    pub(crate) interfaces: Vec<String>,

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
    #[arg(short, long, value_name = "IFACE", add = ArgValueCompleter::new(Named::Attached))]
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

/// Runs the verb that the command line names.
///
/// # Errors
/// As the verb says.
pub(crate) fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let context = Context::new(cli.global);
    match cli.verb {
        Verb::Attach(args) => attach::run(args, &context),
        Verb::Detach(args) => detach::run(args, &context),
        Verb::Apply(args) => apply::run(&args, &context),
        Verb::Adopt(args) => adopt::run(args, &context),
        Verb::Rollback(args) => rollback::run(&args, &context),
        Verb::Confirm(args) => confirm::run(&args, &context),
        Verb::Mode(args) => mode::run(&args, &context),
        Verb::Isolate(args) => isolate::run(&args, &context),
        Verb::Restore(args) => restore::run(&args, &context),
        Verb::Upgrade(args) => upgrade::run(&args, &context),
        Verb::Status(args) => status::run(&args, &context),
        Verb::Show(args) => show::run(&args, &context),
        Verb::Vpc(args) => vpc::run(args, &context),
        Verb::Flows(args) => flows::run(&args, &context),
        Verb::Top(args) => top::run(&args, &context),
        Verb::Logs(args) => logs::run(&args, &context),
        Verb::Agent(args) => agent::run(args, &context),
        Verb::Serve(args) => serve::run(args, &context),
        Verb::Audit(args) => audit::run(&args, &context),
        Verb::Console(args) => console::run(&args, &context),
        Verb::Explain(args) => explain::run(&args, &context),
        Verb::Test(args) => test::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Replay(args) => replay::run(args, &context),
        Verb::Import(args) => import::run(&args),
        Verb::Export(args) => export::run(&args, &context),
        Verb::Schema(_) => schema::run(),
        Verb::Templates(args) => templates::run(&args),
        Verb::Completions(args) => completions::run(&args),
        Verb::Man(args) => man::run(&args),
    }
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
