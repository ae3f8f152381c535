//! etcd, which the tests and the demo of many hosts start.
//!
//! The package would start one on the machine itself, at once and at every boot: so it is fetched and
//! unpacked into the tools directory, and not installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::system::apt_get;
use crate::{privilege::find_program, progress::Step, toolchain::Toolchain};

/// The programs, and the packages that hold them.
const PROGRAMS: [&str; 2] = ["etcd", "etcdctl"];
const PACKAGES: [&str; 2] = ["etcd-server", "etcd-client"];

/// Where etcd is: `None` when that of the `PATH` serves.
pub(crate) fn directory(toolchain: &Toolchain) -> Option<PathBuf> {
    let own = unpacked(toolchain).join("usr/bin");
    holds_all(&own).then_some(own)
}

/// Makes sure that there is one.
///
/// # Errors
/// When it is not there and cannot be fetched: with the command to run by hand.
pub(super) fn provide(toolchain: &Toolchain) -> Result<()> {
    let subject = "etcd";
    if let Some(directory) = directory(toolchain) {
        Step::present(subject, &directory.display().to_string());
        return Ok(());
    }
    if PROGRAMS.iter().all(|name| find_program(name).is_some()) {
        Step::present(subject, "on the PATH");
        return Ok(());
    }
    if find_program("apt-get").is_none() {
        bail!("no etcd on this machine\nhelp: put `etcd` and `etcdctl`, 3.4 or later, on the PATH");
    }
    let scratch = toolchain.tools.join("etcd.part");
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    // May ask for a password, so before the spinner turns.
    let mut update = apt_get(&["update"], &[])?;
    let step = Step::start(subject, "by the package client");
    if download(&step, &scratch).is_err() {
        // Fresh machines have no package lists yet.
        step.run(&mut update)?;
        download(&step, &scratch)?;
    }
    let target = unpacked(toolchain);
    let part = scratch.join("root");
    for package in packages(&scratch)? {
        step.run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&part))?;
    }
    if !holds_all(&part.join("usr/bin")) {
        bail!("the packages {PACKAGES:?} hold no {PROGRAMS:?}");
    }
    let _ = fs::remove_dir_all(&target);
    fs::rename(&part, &target).with_context(|| format!("cannot create {}", target.display()))?;
    let _ = fs::remove_dir_all(&scratch);
    step.done(&target.display().to_string());
    Ok(())
}

fn unpacked(toolchain: &Toolchain) -> PathBuf {
    toolchain.tools.join("etcd")
}

fn holds_all(directory: &Path) -> bool {
    PROGRAMS.iter().all(|name| directory.join(name).is_file())
}

fn download(step: &Step, scratch: &Path) -> Result<()> {
    step.run(
        Command::new("apt-get")
            .arg("download")
            // As root, apt would fetch as a user who may not write here.
            .args(["-o", "APT::Sandbox::User="])
            .args(PACKAGES)
            .current_dir(scratch),
    )
}

fn packages(scratch: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(scratch).context("cannot list the packages")?;
    Ok(entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect())
}
