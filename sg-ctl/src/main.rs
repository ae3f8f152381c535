//! The `sg-ctl` command: reads the command line, runs the verb, reports failures.

mod cli;
mod cmd;
mod failure;
mod output;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Color, Verb};
use cmd::Context;

fn main() -> ExitCode {
    cmd::completions::answer();
    // Asked for by verbs that print data; errors are data then, also that of a wrong command line.
    let json = std::env::args_os().skip(1).any(|word| word == "--json");
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::usage(error, json),
    };
    let color = match cli.global.color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    };
    color.write_global();
    output::set_wide(cli.global.wide);
    let verbose = cli.global.verbose;
    match run(cli) {
        Ok(status) => status,
        Err(error) if json => failure::report_json(&error),
        Err(error) => failure::report(&error, verbose),
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let context = Context::new(cli.global);
    match cli.verb {
        Verb::Attach(args) => cmd::attach::run(args, &context),
        Verb::Detach(args) => cmd::detach::run(args, &context),
        Verb::Apply(args) => cmd::apply::run(&args, &context),
        Verb::Adopt(args) => cmd::adopt::run(args, &context),
        Verb::Rollback(args) => cmd::rollback::run(&args, &context),
        Verb::Confirm(args) => cmd::confirm::run(&args, &context),
        Verb::Mode(args) => cmd::mode::run(&args, &context),
        Verb::Isolate(args) => cmd::isolate::run(&args, &context),
        Verb::Restore(args) => cmd::restore::run(&args, &context),
        Verb::Upgrade(args) => cmd::upgrade::run(&args, &context),
        Verb::Status(args) => cmd::status::run(&args, &context),
        Verb::Show(args) => cmd::show::run(&args, &context),
        Verb::Vpc(args) => cmd::vpc::run(args, &context),
        Verb::Flows(args) => cmd::flows::run(&args, &context),
        Verb::Top(args) => cmd::top::run(&args, &context),
        Verb::Logs(args) => cmd::logs::run(&args, &context),
        Verb::Agent(args) => cmd::agent::run(args, &context),
        Verb::Serve(args) => cmd::serve::run(args, &context),
        Verb::Audit(args) => cmd::audit::run(&args, &context),
        Verb::Console(args) => cmd::console::run(&args, &context),
        Verb::Explain(args) => cmd::explain::run(&args, &context),
        Verb::Test(args) => cmd::test::run(&args),
        Verb::Check(args) => cmd::check::run(&args),
        Verb::Replay(args) => cmd::replay::run(args, &context),
        Verb::Import(args) => cmd::import::run(&args),
        Verb::Export(args) => cmd::export::run(&args, &context),
        Verb::Schema(_) => cmd::schema::run(),
        Verb::Templates(args) => cmd::templates::run(&args),
        Verb::Completions(args) => cmd::completions::run(&args),
        Verb::Man(args) => cmd::man::run(&args),
    }
}
