//! The `sg-ctl` command: reads the command line, runs the verb, reports failures.

mod failure;
mod verb;

use std::process::ExitCode;

use clap::Parser as _;

use verb::{Cli, Color, output};

fn main() -> ExitCode {
    verb::complete();
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
    match verb::run(cli) {
        Ok(status) => status,
        Err(error) if json => failure::report_json(&error),
        Err(error) => failure::report(&error, verbose),
    }
}
