//! `cargo xtask setup`: provides what compiles the kernel programs, and what runs them.

mod apt;
mod core_source;
mod linker;
mod system;

use std::{
    fs::{self, File, TryLockError},
    time::Instant,
};

use anyhow::{Context, Result, anyhow};

use crate::{progress::Step, toolchain::Toolchain};

/// Provides all that is missing; a second run finds everything and changes nothing.
///
/// # Errors
/// When a piece cannot be had: with each way that was tried and the command to run by hand.
pub(crate) fn run() -> Result<Toolchain> {
    let started = Instant::now();
    let toolchain = Toolchain::detect().map_err(|message| anyhow!(message))?;
    fs::create_dir_all(&toolchain.tools)
        .with_context(|| format!("cannot create {}", toolchain.tools.display()))?;
    let _lock = lock(&toolchain)?;
    core_source::provide(&toolchain)?;
    linker::provide(&toolchain)?;
    system::provide()?;
    eprintln!(
        "set-up complete in {}, {:.1} s",
        toolchain.tools.display(),
        started.elapsed().as_secs_f32()
    );
    Ok(toolchain)
}

/// Lets one set-up at a time work on the tools directory.
fn lock(toolchain: &Toolchain) -> Result<File> {
    let path = toolchain.tools.join(".lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let step = Step::start("tools directory", "waiting for another set-up");
            file.lock()
                .with_context(|| format!("cannot lock {}", path.display()))?;
            step.done("free");
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
    }
    Ok(file)
}
