//! The command line: which verbs there are, what they all take, and who runs them.
//!
//! A verb is one file: its arguments, what `--help` says beyond them, how it is run, what it prints
//! as text and as JSON, and its tests. The first line of the comment of its `Args` is its summary in
//! lists; the paragraph below it and its `HELP` are what `--help` and the manual pages teach.
//! What several verbs take is in [`shared`], what several print in [`output`].

mod adopt;
mod agent;
mod apply;
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

use shared::Context;

pub(crate) use completions::answer as complete;

/// Below the help of sg-ctl.
pub(crate) const EXIT_STATUS: &str = "\
Exit status: 0 done, 1 refused or bad input (nothing was changed), 2 system error, 3 a dry run found
something to change, 4 `status` has problems to tell.";

/// Below the long help of sg-ctl.
pub(crate) const SG_CTL: &str = "\
EXIT STATUS:
  0  done
  1  refused, or bad input; nothing was changed
  2  system error
  3  a dry run found something to change
  4  `status` found something that is not as it should be
  With --json an error is an object on standard error: error, help, findings, status.

FILES:
  /var/lib/sg        desired state (--state-dir, SG_STATE_DIR)
  /sys/fs/bpf/sg     programs and maps in the kernel (--pin-dir, SG_PIN_DIR)

EXAMPLES:
  Write rules, check them, guard an interface, look at what happens:
    sg-ctl check web.yaml
    sg-ctl attach eth0 --group web -f web.yaml
    sg-ctl status
    sg-ctl logs -f --denied

  Change the rules of all interfaces at one moment:
    sg-ctl apply -f web.yaml -f office.yaml";

/// Of `--color`.
pub(crate) const COLOR: &str = "\
When to use colours: `always`, `never`, or `auto`, which is on a terminal unless `NO_COLOR` is set";

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
#[command(after_help = EXIT_STATUS, after_long_help = SG_CTL)]
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
    #[arg(hide_possible_values = true, long_help = COLOR)]
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
    Attach(attach::Args),
    Detach(detach::Args),
    Apply(apply::Args),
    Adopt(adopt::Args),
    Rollback(rollback::Args),
    Confirm(confirm::Args),
    Mode(mode::Args),
    Isolate(isolate::Args),
    Restore(restore::Args),
    Upgrade(upgrade::Args),
    Status(status::Args),
    Show(show::Args),
    Vpc(vpc::Args),
    Flows(flows::Args),
    Top(top::Args),
    Logs(logs::Args),
    Agent(agent::Args),
    Serve(serve::Args),
    Audit(audit::Args),
    Console(console::Args),
    Explain(explain::Args),
    Test(test::Args),
    Check(check::Args),
    Replay(replay::Args),
    Import(import::Args),
    Export(export::Args),
    Schema(schema::Args),
    Templates(templates::Args),
    Completions(completions::Args),
    Man(man::Args),
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
        Verb::Schema(args) => schema::run(&args),
        Verb::Templates(args) => templates::run(&args),
        Verb::Completions(args) => completions::run(&args),
        Verb::Man(args) => man::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _};

    use super::*;

    /// All verbs, also those of verbs, by their words, each with its whole help.
    fn verbs() -> Vec<(String, Command, String)> {
        fn add(above: &str, command: &Command, found: &mut Vec<(String, Command, String)>) {
            for verb in command.get_subcommands() {
                let words = format!("{above} {}", verb.get_name());
                let help = verb.clone().render_long_help().to_string();
                found.push((words.trim().to_owned(), verb.clone(), help));
                add(&words, verb, found);
            }
        }
        let mut command = Cli::command();
        command.build();
        let mut found = Vec::new();
        add("", &command, &mut found);
        found
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_teaches_by_examples() {
        for (words, _, help) in verbs() {
            let top = words.split(' ').next().unwrap_or_default();
            if words == top && top != "help" {
                assert!(help.contains("EXAMPLES:\n"), "{words}: {help}");
                assert!(help.contains(&format!("sg-ctl {top}")), "{words}: {help}");
            }
            for line in help.lines() {
                assert!(line.chars().count() <= 100, "{words}: {line}");
            }
        }
    }

    #[test]
    fn every_verb_that_prints_data_documents_its_json() {
        for (words, verb, help) in verbs() {
            let takes_json = verb
                .get_arguments()
                .any(|argument| argument.get_id() == "json");
            assert!(!takes_json || help.contains("JSON:"), "{words}: {help}");
        }
    }
}
