//! Measures what the filter costs: `cargo xtask bench` builds it and starts it as root.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Parser;
use sg_tests::bench::{
    FULL, Options, QUICK, cost, pin_to_last_cpu,
    report::{Machine, Report},
    targets,
};

/// What `cargo xtask bench` passes on.
#[derive(Parser)]
struct Arguments {
    /// Fewer and shorter runs.
    #[arg(long)]
    quick: bool,

    /// Only scenes whose name contains this.
    #[arg(long)]
    only: Vec<String>,

    /// Where the JSON goes.
    #[arg(long)]
    output: PathBuf,

    /// Commit of the source.
    #[arg(long, default_value = "unknown")]
    commit: String,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    pin_to_last_cpu();
    let options = Options {
        scale: if arguments.quick { QUICK } else { FULL },
        only: arguments.only,
    };
    let cost = cost::measure(&options)?;
    let report = Report {
        machine: Machine::here(&arguments.commit),
        quick: arguments.quick,
        targets: targets::of_cost(&cost),
        cost,
    };
    print!("{report}");
    let json = serde_json::to_string_pretty(&report).context("the report is JSON")?;
    let path = &arguments.output;
    fs::write(path, json + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    println!("\nwritten to {}", path.display());
    Ok(())
}
