//! Programs of the system, by its package client.

use std::{ffi::OsString, fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};

use crate::{
    privilege::{elevate, find_program},
    progress::Step,
    toolchain::tools_root,
};

/// Makes sure that programs, and files given by their paths, are installed, each with the package
/// that holds it: by apt-get if they are not.
///
/// # Errors
/// When there is no apt-get, or it fails: with the command to run by hand.
pub(crate) fn provide(needed: &[(&str, &str)]) -> Result<()> {
    let missing = || -> Vec<&str> {
        let missing = needed.iter().filter(|(name, _)| !is_there(name));
        missing.map(|(_, package)| *package).collect()
    };
    let programs: Vec<_> = needed.iter().map(|(name, _)| format!("`{name}`")).collect();
    let programs = programs.join(", ");
    if missing().is_empty() {
        Step::present("system programs", &programs);
        return Ok(());
    }
    // Another task may be about to install them, and the package client does not wait for itself.
    let tools = tools_root().map_err(anyhow::Error::msg)?;
    fs::create_dir_all(&tools).with_context(|| format!("cannot create {}", tools.display()))?;
    let _lock = super::lock(&tools)?;
    let packages = missing();
    if packages.is_empty() {
        return Ok(());
    }
    if find_program("apt-get").is_none() {
        bail!(
            "{programs} missing\nhelp: install {} by this system's package client",
            packages.join(" ")
        );
    }
    // May ask for a password, so before the spinner turns.
    let mut install = apt_get(&["install", "-y", "--no-install-recommends"], &packages)
        .with_context(|| format!("{programs} missing"))?;
    let mut update = apt_get(&["update"], &[])?;
    let step = Step::start(
        "system programs",
        &format!("installing {}", packages.join(" ")),
    );
    if step.run(&mut install).is_err() {
        // Fresh machines have no package lists yet.
        step.run(&mut update)?;
        step.run(&mut install)?;
    }
    step.done("installed");
    Ok(())
}

fn is_there(name: &str) -> bool {
    if name.starts_with('/') {
        Path::new(name).exists()
    } else {
        find_program(name).is_some()
    }
}

pub(super) fn apt_get(arguments: &[&str], packages: &[&str]) -> Result<Command> {
    let words = ["apt-get"].iter().chain(arguments).chain(packages);
    elevate(&words.map(OsString::from).collect::<Vec<_>>())
}
