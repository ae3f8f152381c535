//! bpf-linker, built against the LLVM inside rustc: it must read exactly that LLVM's bitcode.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};

use super::tool;
use crate::{
    progress::Step,
    toolchain::{LINKER_VAR, Toolchain},
};

/// The version that is built.
const VERSION: &str = "0.13.0";

/// Makes sure that there is one that runs.
pub(super) fn provide(toolchain: &Toolchain) -> Result<()> {
    let subject = "bpf-linker";
    if let Ok(linker) = toolchain.linker() {
        Step::present(subject, &linker.display().to_string());
        return Ok(());
    }
    if let Some(linker) = env::var_os(LINKER_VAR) {
        bail!(
            "{LINKER_VAR}={} does not run\nhelp: unset {LINKER_VAR}",
            linker.display()
        );
    }
    let step = Step::start(subject, "building, about a minute");
    let llvm = llvm_prefix(toolchain)?;
    // If the toolchain has only moved, the linker runs again now.
    if toolchain.linker().is_err() {
        build(&step, toolchain, &llvm).with_context(|| {
            format!(
                "cannot build bpf-linker {VERSION}\n\
                 help: name one built for LLVM {} by {LINKER_VAR}",
                toolchain.llvm_major
            )
        })?;
    }
    let linker = toolchain.linker().map_err(|missing| anyhow!(missing.0))?;
    step.done(&linker.display().to_string());
    Ok(())
}

fn build(step: &Step, toolchain: &Toolchain, llvm: &Path) -> Result<()> {
    let mut install = tool::install("bpf-linker", VERSION, toolchain);
    install
        .arg(format!("--features=llvm-{}", toolchain.llvm_major))
        .env("LLVM_PREFIX", llvm)
        // Half the time and a twentieth of the size of the defaults: 40 s and 2.3 MB.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    step.run(&mut install)
}

/// Returns a prefix whose `lib/libLLVM.so` is the LLVM of this compiler.
///
/// bpf-linker's build asks for nothing else of an LLVM, and keeps the directory as its run path.
fn llvm_prefix(toolchain: &Toolchain) -> Result<PathBuf> {
    let name = format!("libLLVM.so.{}", toolchain.llvm_major);
    let inside = fs::read_dir(toolchain.sysroot.join("lib"))
        .context("cannot read the toolchain")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| {
            path.file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with(&name))
        });
    let Some(library) = inside else {
        // A distribution's compiler, linked with the distribution's LLVM.
        let package = PathBuf::from(format!("/usr/lib/llvm-{}", toolchain.llvm_major));
        if package.join("lib/libLLVM.so").exists() {
            return Ok(package);
        }
        bail!(
            "no {name} in {} or {}\nhelp: use rustup's toolchain, install llvm-{}-dev, \
             or name a bpf-linker by {LINKER_VAR}",
            toolchain.sysroot.display(),
            package.display(),
            toolchain.llvm_major
        );
    };
    let prefix = toolchain.tools.join("llvm");
    let directory = prefix.join("lib");
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let file_name = library.file_name().context("a library without name")?;
    for link in [directory.join("libLLVM.so"), directory.join(file_name)] {
        // Absent the first time.
        let _ = fs::remove_file(&link);
        symlink(&library, &link).with_context(|| format!("cannot create {}", link.display()))?;
    }
    Ok(prefix)
}
