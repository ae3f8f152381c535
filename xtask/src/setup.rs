//! `cargo xtask setup`: provides what compiles the kernel programs, and what runs them.

mod core_source;
mod deb;
mod etcd;
mod linker;
mod system;
mod tool;

use std::{
    fs::{self, File, TryLockError},
    path::Path,
    time::Instant,
};

use anyhow::{Context, Result, anyhow};

pub(crate) use deb::provide as provide_cargo_deb;
pub(crate) use etcd::directory as etcd_directory;
pub(crate) use system::provide as provide_programs;

use crate::{progress::Step, toolchain::Toolchain};

/// Programs that the build, the demo and the tests call, and files that these need, each with the
/// package that holds it.
const PROGRAMS: [(&str, &str); 5] = [
    ("ip", "iproute2"),
    // The browser that tests drive through the console.
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    // Makes etcd's client out of the description of its protocol.
    ("protoc", "protobuf-compiler"),
    (
        "/usr/include/google/protobuf/descriptor.proto",
        "libprotobuf-dev",
    ),
];

/// Provides all that is missing; a second run finds everything and changes nothing.
///
/// # Errors
/// When a piece cannot be had: with each way that was tried and the command to run by hand.
pub(crate) fn run() -> Result<Toolchain> {
    let started = Instant::now();
    let toolchain = Toolchain::detect().map_err(|message| anyhow!(message))?;
    fs::create_dir_all(&toolchain.tools)
        .with_context(|| format!("cannot create {}", toolchain.tools.display()))?;
    let _lock = lock(&toolchain.tools)?;
    core_source::provide(&toolchain)?;
    linker::provide(&toolchain)?;
    provide_programs(&PROGRAMS)?;
    etcd::provide(&toolchain)?;
    eprintln!(
        "set-up complete in {}, {:.1} s",
        toolchain.tools.display(),
        started.elapsed().as_secs_f32()
    );
    Ok(toolchain)
}

/// Lets one process at a time fill a tools directory: until the file is dropped.
///
/// # Errors
/// When the directory is not writable.
pub(crate) fn lock(tools: &Path) -> Result<File> {
    let path = tools.join(".lock");
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
