//! `cargo xtask ec2`: AWS's clients against `sg-ctl serve`.

use std::ffi::OsString;

use anyhow::{Context as _, Result, bail};

use crate::{cargo, privilege, root, setup};

/// Programs that the parts call, and the package that holds each.
const PROGRAMS: [(&str, &str); 3] = [
    ("ip", "iproute2"),
    ("jq", "jq"),
    ("python3", "python3-venv"),
];

/// Exit status when what the clients need cannot be fetched: whether they are served is not known then.
const NOT_FETCHED: i32 = 3;

/// Options of `cargo xtask ec2`.
#[derive(clap::Args)]
pub(crate) struct Ec2Args {
    /// Run these parts: `cases`, `cli`, `node`, `ansible`, `terraform`, `moto`,
    /// `at_once`, `attack`.
    #[arg(long, value_name = "PARTS")]
    only: Option<String>,

    /// How often a port is opened, tried, shut and tried.
    #[arg(long, default_value_t = 20)]
    rounds: u32,

    /// Only fetch what the clients need from the package indexes of Python and Node.
    #[arg(long)]
    fetch: bool,
}

/// Builds sg-ctl and runs the parts, as root, or fetches what they need.
///
/// # Errors
/// When the build or a part fails.
pub(crate) fn run(arguments: &Ec2Args) -> Result<()> {
    let toolchain = setup::run()?;
    setup::provide_programs(&PROGRAMS)?;
    let work = toolchain.tools.join("ec2");
    let run = root().join("tests/ec2/run.py");
    let mut words: Vec<OsString> = vec!["env".into(), "python3".into(), run.into()];
    if arguments.fetch {
        words.push("--fetch".into());
    } else {
        words.push(cargo::find_sg_ctl(&cargo::build_all()?)?.into());
    }
    words.extend([
        "--work".into(),
        work.into(),
        "--rounds".into(),
        arguments.rounds.to_string().into(),
    ]);
    if let Some(parts) = &arguments.only {
        words.extend(["--only".into(), parts.into()]);
    }
    let mut command = privilege::elevate(&words).context("cannot run the clients")?;
    let status = command.status().context("cannot run the clients")?;
    match status.code() {
        Some(0) => Ok(()),
        Some(NOT_FETCHED) => {
            eprintln!("a package index does not give what the clients need");
            std::process::exit(NOT_FETCHED)
        }
        _ => bail!("not every client got what AWS gives it"),
    }
}
