//! cargo-deb, which makes the Debian package.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::tool;
use crate::{progress::Step, toolchain::Toolchain};

/// The version that is built.
const VERSION: &str = "3.8.0";

/// Makes sure that there is one of this version, and returns its path.
///
/// # Errors
/// When it cannot be built.
pub(crate) fn provide(toolchain: &Toolchain) -> Result<PathBuf> {
    let subject = "cargo-deb";
    let program = toolchain.tools.join("bin").join(subject);
    let _lock = super::lock(&toolchain.tools)?;
    if runs(&program) {
        Step::present(subject, &program.display().to_string());
        return Ok(program);
    }
    let step = Step::start(subject, "building, about a minute");
    let mut install = tool::install(subject, VERSION, toolchain);
    // Not optimised it is built in half of the time, and packs for a few seconds more.
    install
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .env("CARGO_PROFILE_RELEASE_LTO", "off");
    step.run(&mut install)
        .with_context(|| format!("cannot build {subject} {VERSION}"))?;
    step.done(&program.display().to_string());
    Ok(program)
}

fn runs(program: &Path) -> bool {
    let version = Command::new(program).arg("--version").output();
    version.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout)
            .split_whitespace()
            .last()
            .is_some_and(|version| version == VERSION)
    })
}
