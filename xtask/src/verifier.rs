//! `cargo xtask verifier`: what the kernel's verifier makes of each program.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{
    cargo::{self, display},
    privilege, setup,
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
    /// Bytes of machine code.
    pub(crate) jited_bytes: u64,
    /// Milliseconds that loading took.
    pub(crate) load_ms: u64,
}

impl Cost {
    /// Reads a line of sg-verifier; `None` for any other.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let cost: Value = serde_json::from_str(line).ok()?;
        let number = |name: &str| cost.get(name)?.as_u64();
        Some(Self {
            program: cost.get("program")?.as_str()?.to_owned(),
            verified_instructions: number("verified_instructions")?,
            translated_bytes: number("translated_bytes")?,
            jited_bytes: number("jited_bytes")?,
            load_ms: number("load_ms")?,
        })
    }
}

/// Builds sg-verifier, runs it as root and prints what it says.
///
/// # Errors
/// When the set-up or the build fails, or the kernel refuses a program.
pub(crate) fn run() -> Result<()> {
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
    println!(
        "{:<14} {:>9} {:>11} {:>8} {:>8}",
        "program", "verified", "translated", "jited", "load"
    );
    for cost in String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(Cost::parse)
    {
        println!(
            "{:<14} {:>9} {:>9} B {:>6} B {:>5} ms",
            cost.program,
            cost.verified_instructions,
            cost.translated_bytes,
            cost.jited_bytes,
            cost.load_ms
        );
    }
    Ok(())
}
