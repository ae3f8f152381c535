//! `cargo xtask soak`: what takes too long to be run for every change.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use anyhow::{Result, bail};

use crate::{
    cargo::{cargo, check},
    progress::Step,
};

/// How often the tests are run on a busy machine.
const BUSY_RUNS: usize = 5;

/// What the names of tests contain that full kernels have more for than those of clouds.
const TUNNELS: &str = "net::tunnels::";

/// Options of `cargo xtask soak`.
#[derive(clap::Args)]
pub(crate) struct SoakArgs {
    /// Run these parts only.
    #[arg(value_enum)]
    parts: Vec<Part>,

    /// How long to run each fuzz target, such as 10m or 8h.
    #[arg(long, default_value = "10m", value_name = "TIME")]
    fuzz_time: String,
}

/// A part.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Every fuzz target, guided by coverage.
    Fuzz,
    /// The tests, five times, while every CPU is kept busy by somebody else.
    Busy,
    /// The tests with a hundred times as many random packets.
    Long,
    /// AWS's clients at the endpoint.
    Clients,
    /// The packages, installed and used in empty roots.
    Packages,
    /// All kernels, and tunnels on a full one.
    Kernels,
    /// Kernels of arm64, emulated.
    Arm64,
}

impl Part {
    const ALL: [Self; 7] = [
        Self::Clients,
        Self::Packages,
        Self::Kernels,
        Self::Arm64,
        Self::Busy,
        Self::Fuzz,
        Self::Long,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Fuzz => "fuzz",
            Self::Busy => "busy",
            Self::Long => "long",
            Self::Clients => "clients",
            Self::Packages => "packages",
            Self::Kernels => "kernels",
            Self::Arm64 => "arm64",
        }
    }

    fn run(self, fuzz_time: &str) -> Result<()> {
        match self {
            Self::Fuzz => task(&["fuzz", "--time", fuzz_time]),
            Self::Busy => while_busy(|| (0..BUSY_RUNS).try_for_each(|_| task(&["test"]))),
            Self::Long => task(&["test", "--long"]),
            Self::Clients => task(&["ec2"]),
            Self::Packages => task(&["dist", "--check"]),
            Self::Kernels => {
                task(&["vmtest", "--kernel", "all"])?;
                task(&["vmtest", "--kernel", "newest", "--full", "--", TUNNELS])
            }
            Self::Arm64 => task(&["vmtest", "--arch", "arm64", "--kernel", "all"]),
        }
    }
}

/// Runs all parts, also when one of them fails, and says how each went.
///
/// # Errors
/// When a part fails.
pub(crate) fn run(arguments: &SoakArgs) -> Result<()> {
    let is_wanted = |part: &Part| arguments.parts.is_empty() || arguments.parts.contains(part);
    let mut rows = Vec::new();
    let mut failed = Vec::new();
    for part in Part::ALL.into_iter().filter(is_wanted) {
        let begin = Instant::now();
        let result = part.run(&arguments.fuzz_time);
        let minutes = begin.elapsed().as_secs().div_ceil(60);
        let outcome = if result.is_ok() { "passed" } else { "FAILED" };
        rows.push(format!("{:<8} {outcome} {minutes:>5} min", part.name()));
        failed.extend(result.is_err().then_some(part.name()));
    }
    println!("\n{}", rows.join("\n"));
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Runs another task of this program, as its user would.
fn task(arguments: &[&str]) -> Result<()> {
    check(cargo(&["xtask"]).args(arguments))
}

/// Does something while every CPU has a thread that never rests.
fn while_busy(act: impl FnOnce() -> Result<()>) -> Result<()> {
    let is_over = AtomicBool::new(false);
    let cpus = thread::available_parallelism()?.get();
    thread::scope(|scope| {
        for _ in 0..cpus {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let step = Step::start("busy", &format!("{cpus} CPUs kept busy"));
        let result = act();
        is_over.store(true, Ordering::Relaxed);
        if result.is_ok() {
            step.done(&format!("passed {BUSY_RUNS} times"));
        }
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_machine_is_at_rest_afterwards() {
        let begin = Instant::now();
        while_busy(|| Ok(())).expect("nothing was to be done");
        assert!(while_busy(|| bail!("it failed")).is_err());
        assert!(begin.elapsed().as_secs() < 60);
    }
}
