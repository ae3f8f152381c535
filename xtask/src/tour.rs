//! `cargo xtask tour`: writes docs/tour.md by running every command in it.

mod normal;
mod stage;
mod walk;

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{
    cargo,
    demo::network::{HOSTS, Network},
    privilege,
    progress::Step,
    root, setup,
};
use stage::Stage;

/// The page.
const PAGE: &str = "docs/tour.md";

/// What the walk runs besides sg-ctl, and the package that holds it.
const PROGRAMS: [(&str, &str); 1] = [("tcpdump", "tcpdump")];

/// Walks, as root, and prints the page if there is an sg-ctl already; else builds it and has the
/// walk's page written to the repository.
///
/// # Errors
/// When the set-up or the build fails, or the walk comes out differently than the page tells.
pub(crate) fn run(sg_ctl: Option<&Path>) -> Result<()> {
    if let Some(sg_ctl) = sg_ctl {
        let sg_ctl = fs::canonicalize(sg_ctl)
            .with_context(|| format!("cannot find {}", sg_ctl.display()))?;
        let step = Step::start("network", "a router and four hosts in namespaces");
        let _network = Network::build(&HOSTS)?;
        step.done("up");
        let step = Step::start("tour", "walking");
        let mut stage = Stage::build(&sg_ctl)?;
        walk::all(&mut stage)?;
        step.done("walked");
        print!("{}", stage.page());
        return Ok(());
    }
    setup::run()?;
    setup::provide_programs(&PROGRAMS)?;
    let sg_ctl = cargo::build_sg_ctl()?;
    let this = env::current_exe().context("cannot find this program")?;
    let words = [this.into(), "tour".into(), "--sg-ctl".into(), sg_ctl.into()];
    // The page is the caller's, the walk is root's.
    let walk: &mut Command = &mut privilege::elevate(&words)?;
    let output = walk
        .stderr(Stdio::inherit())
        .output()
        .context("cannot walk")?;
    if !output.status.success() {
        bail!("the tour ended early; {PAGE} is as it was");
    }
    fs::write(root().join(PAGE), output.stdout).with_context(|| format!("cannot write {PAGE}"))?;
    println!("wrote {PAGE}");
    Ok(())
}
