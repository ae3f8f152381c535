//! `cargo xtask verifier`: what the kernel's verifier makes of each program.

use std::{
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::{
    cargo::{self, display},
    privilege, root, setup,
};

/// The costs of one program on one kernel, as sg-verifier prints them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Name of the program.
    pub(crate) program: String,
    /// Instructions that the verifier went through.
    pub(crate) verified_instructions: u64,
    /// Bytes after the verifier's rewriting.
    pub(crate) translated_bytes: u64,
    /// Calls of helpers that are left.
    pub(crate) helper_calls: u64,
    /// Places at which maps are used.
    pub(crate) map_uses: u64,
    /// Bytes of machine code.
    pub(crate) jited_bytes: u64,
    /// Bytes of stack, see sg-verifier.
    pub(crate) stack: String,
    /// Milliseconds that loading took.
    pub(crate) load_ms: u64,
}

impl Cost {
    /// Reads a line of sg-verifier; `None` for any other.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let cost: Value = serde_json::from_str(line).ok()?;
        let number = |name: &str| cost.get(name)?.as_u64();
        let text = |name: &str| Some(cost.get(name)?.as_str()?.to_owned());
        Some(Self {
            program: text("program")?,
            verified_instructions: number("verified_instructions")?,
            translated_bytes: number("translated_bytes")?,
            helper_calls: number("helper_calls")?,
            map_uses: number("map_uses")?,
            jited_bytes: number("jited_bytes")?,
            stack: text("stack")?,
            load_ms: number("load_ms")?,
        })
    }
}

/// Options of `cargo xtask verifier`.
#[derive(clap::Args)]
pub(crate) struct VerifierArgs {
    /// Write the costs down as those of this series of kernels: the tests then hold them against
    /// the programs.
    #[arg(long)]
    record: bool,
}

/// Builds sg-verifier, runs it as root and prints what it says.
///
/// # Errors
/// When the set-up or the build fails, or the kernel refuses a program.
pub(crate) fn run(arguments: &VerifierArgs) -> Result<()> {
    setup::run()?;
    let built = cargo::build(&["--package", "sg-tests", "--bin", "sg-verifier"])?;
    let program = built
        .first()
        .context("cargo built no program sg-verifier")?;
    let mut command: Command = privilege::elevate(&[program.path.clone().into()])?;
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run sg-verifier")?;
    if !output.status.success() {
        bail!("`{}` failed ({})", display(&command), output.status);
    }
    let output = String::from_utf8_lossy(&output.stdout);
    let costs: Vec<_> = output.lines().filter_map(Cost::parse).collect();
    println!(
        "{:<14} {:>9} {:>11} {:>6} {:>9} {:>8} {:>8}  stack",
        "program", "verified", "translated", "calls", "map uses", "jited", "load"
    );
    for cost in &costs {
        println!(
            "{:<14} {:>9} {:>9} B {:>6} {:>9} {:>6} B {:>5} ms  {}",
            cost.program,
            cost.verified_instructions,
            cost.translated_bytes,
            cost.helper_calls,
            cost.map_uses,
            cost.jited_bytes,
            cost.load_ms,
            cost.stack
        );
    }
    if arguments.record {
        record(&running_series()?, &costs)?;
    }
    Ok(())
}

/// Returns the first two numbers of the running kernel's version.
fn running_series() -> Result<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")
        .context("cannot read the kernel's release")?;
    let numbers: Vec<_> = release.splitn(3, '.').take(2).collect();
    Ok(numbers.join("."))
}

/// Writes costs down for a series of kernels, in place of what was there for it.
///
/// # Errors
/// When the file of records cannot be read or written.
pub(crate) fn record(series: &str, costs: &[Cost]) -> Result<()> {
    let path = root().join("tests/data/verifier.json");
    let context = || format!("cannot change {}", path.display());
    let text = fs::read_to_string(&path).with_context(context)?;
    let records: Map<String, Value> = serde_json::from_str(&text).with_context(context)?;
    let programs = costs.iter().map(|cost| {
        let record = json!({
            "verified_instructions": cost.verified_instructions,
            "jited_bytes": cost.jited_bytes,
            "helper_calls": cost.helper_calls,
            "map_uses": cost.map_uses,
        });
        (cost.program.clone(), record)
    });
    let costs = Value::Object(programs.collect());
    let others = records.into_iter().filter(|(known, _)| known != series);
    let mut records: Vec<_> = others.chain([(series.to_owned(), costs)]).collect();
    // 6.1 before 6.12 before 7.3.
    records.sort_by_key(|(series, _)| {
        let numbers = series.split('.').map(|number| number.parse().unwrap_or(0));
        numbers.collect::<Vec<u32>>()
    });
    let records = Value::Object(records.into_iter().collect());
    fs::write(&path, format!("{records:#}\n")).with_context(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_told_from_other_lines() {
        let line = r#"{"program":"p","verified_instructions":4,"translated_bytes":3,
            "helper_calls":5,"map_uses":6,"jited_bytes":2,"stack":"8+0","load_ms":1}"#;
        let cost = Cost {
            program: "p".to_owned(),
            verified_instructions: 4,
            translated_bytes: 3,
            helper_calls: 5,
            map_uses: 6,
            jited_bytes: 2,
            stack: "8+0".to_owned(),
            load_ms: 1,
        };
        assert_eq!(Cost::parse(line), Some(cost));
        assert_eq!(Cost::parse("{}"), None);
        assert_eq!(Cost::parse("test a ... ok"), None);
    }
}
