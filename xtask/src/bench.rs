//! `cargo xtask bench`: builds the benchmark and runs it as root.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{cargo, privilege, root, setup};

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct BenchArgs {
    /// Measure only these parts: `cost` (the programs alone), `veth` (packets between namespaces), `flood` (established flows in a flood of new ones, and attacks on the flow table), `control` (changes of rules, lists of flows, memory, many interfaces). `vpc`, by itself: a thousand hosts of a VPC on three nodes of etcd, a million addresses, and three kernels that follow.
    #[arg(value_name = "PART", value_parser = ["cost", "veth", "flood", "control", "vpc"])]
    parts: Vec<String>,

    /// Fewer and shorter runs: less than two minutes in all.
    #[arg(long)]
    quick: bool,

    /// Of the programs alone, measure only what stands under a heading that contains this; may be given several times.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,

    /// Where to write the figures as JSON.
    #[arg(long, value_name = "FILE", default_value = "target/bench.json")]
    output: PathBuf,
}

/// What sg is compared with, and what pours, with the packages that hold them.
const PROGRAMS: [(&str, &str); 2] = [("nft", "nftables"), ("iperf3", "iperf3")];

/// Exit status of a run on a busy machine.
const UNRELIABLE: i32 = 3;

/// Builds with optimisation as the caller, measures as root.
///
/// # Errors
/// When the set-up, the build or a measurement fails.
pub(crate) fn run(arguments: &BenchArgs) -> Result<()> {
    let toolchain = setup::run()?;
    if arguments.parts.iter().any(|part| part == "vpc") {
        return vpc(arguments, setup::etcd_directory(&toolchain).as_deref());
    }
    setup::provide_programs(&PROGRAMS)?;
    let built = cargo::build(&[
        "--release",
        "--package=sg-tests",
        "--package=sg-ctl",
        "--bin=sg-bench",
        "--bin=sg-ctl",
    ])?;
    let program = built.iter().find(|built| built.target == "sg-bench");
    let program = program.context("cargo built no program sg-bench")?;
    let mut sg_ctl = OsString::from("SG_CTL=");
    sg_ctl.push(cargo::find_sg_ctl(&built)?);
    let mut words: Vec<OsString> = vec!["env".into(), sg_ctl, program.path.clone().into()];
    words.extend(arguments.parts.iter().map(OsString::from));
    if arguments.quick {
        words.push("--quick".into());
    }
    for text in &arguments.only {
        words.extend(["--only".into(), text.into()]);
    }
    words.extend(["--output".into(), root().join(&arguments.output).into()]);
    words.extend(["--commit".into(), commit().into()]);
    let mut measure = privilege::elevate(&words)?;
    let status = measure.status().context("cannot run the benchmark")?;
    match status.code() {
        Some(0) => Ok(()),
        // Measured, and said to be unreliable.
        Some(UNRELIABLE) => std::process::exit(UNRELIABLE),
        _ => bail!("the benchmark failed: {status}"),
    }
}

/// What is measured of a VPC, in full and quickly: the words of `sg-vpc-bench`.
const OF_A_VPC: [(&str, &str); 5] = [
    ("agents", "agents --hosts 100 --groups 10 --seconds 5"),
    (
        "agents --proxy",
        "agents --proxy --hosts 100 --groups 10 --seconds 5",
    ),
    // A million addresses.
    (
        "agents --addresses 1000 --groups 250 --followed 1",
        "agents --hosts 100 --addresses 100 --groups 10 --followed 1 --seconds 5",
    ),
    // As many changes as one thread can hand to all simulated agents that follow them.
    (
        "agents --groups 250 --followed 1 --rate 100 --seconds 60",
        "agents --hosts 100 --groups 50 --followed 1 --rate 100 --seconds 5",
    ),
    (
        "kernels",
        "kernels --members 10000 --seconds 5 --burst 1000",
    ),
];

/// Measures a VPC of many hosts.
fn vpc(arguments: &BenchArgs, etcd: Option<&Path>) -> Result<()> {
    if arguments.parts.len() > 1 {
        bail!("`vpc` is measured by itself: it takes the whole machine");
    }
    let built = cargo::build(&[
        "--release",
        "--package=sg-tests",
        "--package=sg-ctl",
        "--bin=sg-vpc-bench",
        "--bin=sg-ctl",
    ])?;
    let program = built.iter().find(|built| built.target == "sg-vpc-bench");
    let program = program.context("cargo built no program sg-vpc-bench")?;
    let variable = |name: &str, value: &Path| {
        let mut word = OsString::from(name);
        word.push(value);
        word
    };
    let mut start: Vec<OsString> = vec!["env".into()];
    start.push(variable("SG_CTL=", &cargo::find_sg_ctl(&built)?));
    start.extend(etcd.map(|etcd| variable("SG_ETCD_DIR=", etcd)));
    start.push(program.path.clone().into());
    for (full, quick) in OF_A_VPC {
        let part = if arguments.quick { quick } else { full };
        let words = part.split(' ').map(OsString::from);
        let words: Vec<_> = start.iter().cloned().chain(words).collect();
        let status = privilege::elevate(&words)?.status();
        let status = status.context("cannot run the benchmark")?;
        if !status.success() {
            bail!("the benchmark failed: {status}");
        }
        println!();
    }
    Ok(())
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
