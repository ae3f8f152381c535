//! `cargo xtask bench`: builds the benchmark and runs it as root.

use std::{ffi::OsString, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{
    cargo::{self, check},
    privilege, root, setup,
};

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct BenchArgs {
    /// Fewer and shorter runs: less than two minutes in all.
    #[arg(long)]
    quick: bool,

    /// Measure only what stands under a heading that contains this; may be given several times.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,

    /// Where to write the figures as JSON.
    #[arg(long, value_name = "FILE", default_value = "target/bench.json")]
    output: PathBuf,
}

/// Builds with optimisation as the caller, measures as root.
///
/// # Errors
/// When the set-up, the build or a measurement fails.
pub(crate) fn run(arguments: &BenchArgs) -> Result<()> {
    setup::run()?;
    let built = cargo::build(&["--release", "--package", "sg-tests", "--bin", "sg-bench"])?;
    let program = built.first().context("cargo built no program sg-bench")?;
    let mut words: Vec<OsString> = vec![program.path.clone().into()];
    if arguments.quick {
        words.push("--quick".into());
    }
    for text in &arguments.only {
        words.extend(["--only".into(), text.into()]);
    }
    words.extend(["--output".into(), root().join(&arguments.output).into()]);
    words.extend(["--commit".into(), commit().into()]);
    check(&mut privilege::elevate(&words)?)
}

/// The commit of the source, with a `+` when it was changed since.
fn commit() -> String {
    let describe = ["describe", "--always", "--dirty=+", "--exclude=*"];
    let output = Command::new("git")
        .args(describe)
        .current_dir(root())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".to_owned(),
    }
}
