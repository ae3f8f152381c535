//! Measures what the filter costs: `cargo xtask bench` builds it and starts it as root.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use sg_tests::bench::{
    FULL, Options, QUICK, control, cost, pin_to_last_cpu,
    report::{Machine, Report},
    targets,
    veth::{self, attack, flood},
};

/// What `cargo xtask bench` passes on.
#[derive(Parser)]
struct Arguments {
    /// Fewer and shorter runs.
    #[arg(long)]
    quick: bool,

    /// Parts to measure; none = all.
    parts: Vec<Part>,

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

/// A part of the benchmark.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The programs alone.
    #[value(alias = "a")]
    Cost,
    /// Packets between namespaces.
    #[value(alias = "b")]
    Veth,
    /// Established flows in a flood of new ones, and attacks on the flow table.
    #[value(alias = "d")]
    Flood,
    /// Changes of rules, lists of flows, memory.
    #[value(alias = "c")]
    Control,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(UNRELIABLE),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Exit status: it was measured, but the machine was busy.
const UNRELIABLE: u8 = 3;

/// Measures; returns whether the figures mean something.
fn run(arguments: Arguments) -> Result<bool> {
    pin_to_last_cpu();
    let options = Options {
        scale: if arguments.quick { QUICK } else { FULL },
        only: arguments.only,
    };
    let wants = |part| arguments.parts.is_empty() || arguments.parts.contains(&part);
    let mut cost = Vec::new();
    if wants(Part::Cost) {
        cost = cost::measure(&options)?;
    }
    let mut between = Vec::new();
    // Chosen scenes are scenes of the programs alone.
    if wants(Part::Veth) && options.only.is_empty() {
        between = veth::measure(&options)?;
    }
    let (mut floods, mut attacks) = (Vec::new(), Vec::new());
    if wants(Part::Flood) && options.only.is_empty() {
        floods = flood::measure(&options)?;
        attacks = attack::measure(&options)?;
    }
    let mut changes = control::Control::default();
    if wants(Part::Control) && options.only.is_empty() {
        changes = control::measure(&options)?;
    }
    let report = Report {
        machine: Machine::here(&arguments.commit),
        quick: arguments.quick,
        targets: [
            targets::of_cost(&cost),
            targets::of_veth(&between),
            targets::of_flood(&floods),
            targets::of_attacks(&attacks),
            targets::of_control(&changes),
        ]
        .concat(),
        cost,
        veth: between,
        flood: floods,
        attacks,
        control: changes,
    };
    print!("{report}");
    let json = serde_json::to_string_pretty(&report).context("the report is JSON")?;
    let path = &arguments.output;
    fs::write(path, json + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    println!("\nwritten to {}", path.display());
    Ok(report.unreliable().is_none())
}
