//! The source of Rust's `core`, which no toolchain ships compiled for BPF.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{
    apt,
    privilege::find_program,
    progress::Step,
    toolchain::{CoreSource, Toolchain},
};

/// Makes sure that there is one: what exists, else rustup's, else the package client's.
pub(super) fn provide(toolchain: &Toolchain) -> Result<()> {
    let subject = "core for BPF";
    if let Some(found) = toolchain.core_source() {
        Step::present(subject, &describe(&found));
        return Ok(());
    }
    let mut tried = Vec::new();
    let mut attempt = |way: &str, get: fn(&Step, &Toolchain) -> Result<()>| {
        let step = Step::start(subject, way);
        let got = get(&step, toolchain);
        match (got, toolchain.core_source()) {
            (Ok(()), Some(found)) => {
                step.done(&describe(&found));
                return true;
            }
            (Ok(()), None) => tried.push(format!("{way}: nothing usable came of it")),
            (Err(error), _) => {
                tried.push(format!("{way}: {error:#}").replace('\n', "\n    "));
            }
        }
        false
    };
    if attempt("by rustup", by_rustup) || attempt("by the package client", by_package_client) {
        return Ok(());
    }
    bail!(
        "no source of Rust's `core` library; tried\n  {}\n\
         help: get it by hand, in one of two ways:\n  \
         rustup component add rust-src --toolchain {}\n  \
         cp -r <source of Rust {}>/library {}",
        tried.join("\n  "),
        toolchain_name(toolchain).unwrap_or(&toolchain.release),
        toolchain.release,
        toolchain.library().display(),
    );
}

fn describe(source: &CoreSource) -> String {
    match source {
        CoreSource::Compiled => "compiled, in the sysroot".to_owned(),
        CoreSource::Sysroot => "source in the toolchain".to_owned(),
        CoreSource::Library(library) => format!("source in {}", library.display()),
    }
}

/// Returns rustup's name of the toolchain, if it is one of rustup's.
fn toolchain_name(toolchain: &Toolchain) -> Option<&str> {
    let is_rustups = toolchain.sysroot.parent()?.ends_with("toolchains");
    is_rustups.then(|| toolchain.sysroot.file_name()?.to_str())?
}

fn by_rustup(step: &Step, toolchain: &Toolchain) -> Result<()> {
    let name = toolchain_name(toolchain).with_context(|| {
        format!(
            "the toolchain in {} is not rustup's",
            toolchain.sysroot.display()
        )
    })?;
    find_program("rustup").context("no rustup on the PATH")?;
    let mut rustup = Command::new("rustup");
    rustup
        .args(["component", "add", "rust-src", "--toolchain", name])
        // A network that swallows packets must not keep the next way waiting for minutes.
        .env("RUSTUP_DOWNLOAD_TIMEOUT", "30")
        .env("RUSTUP_MAX_RETRIES", "1")
        .env("RUST_BACKTRACE", "0");
    step.run(&mut rustup)
}

fn by_package_client(step: &Step, toolchain: &Toolchain) -> Result<()> {
    let scratch = toolchain.tools.join("apt");
    let fetched = apt::fetch(step, &scratch, "rust-src", &toolchain.release)
        .and_then(|package| unpack(step, toolchain, &package));
    // Absent when apt never ran.
    let _ = std::fs::remove_dir_all(&scratch);
    fetched
}

/// Takes the standard library, a sixth of it, out of the package.
fn unpack(step: &Step, toolchain: &Toolchain, package: &std::path::Path) -> Result<()> {
    let part = toolchain.tools.join("library.part");
    let _ = std::fs::remove_dir_all(&part);
    std::fs::create_dir(&part).with_context(|| format!("cannot create {}", part.display()))?;
    // dpkg-deb decompresses by itself: minimal systems have no xz for tar to call.
    let mut archive = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .context("cannot run `dpkg-deb`")?;
    let stream = archive.stdout.take().context("`dpkg-deb` has no output")?;
    let mut tar = Command::new("tar");
    tar.args(["-x", "--strip-components=5", "-C"])
        .arg(&part)
        .arg(format!("./usr/src/rustc-{}/library", toolchain.release));
    let unpacked = step.run_with_input(&mut tar, stream);
    let status = archive.wait().context("cannot wait for `dpkg-deb`")?;
    unpacked?;
    if !status.success() {
        bail!("`dpkg-deb` failed ({status})");
    }
    let library = toolchain.library();
    // Left over from an interrupted copy by hand: without a lock file it was not taken for one.
    let _ = std::fs::remove_dir_all(&library);
    std::fs::rename(&part, &library)
        .with_context(|| format!("cannot move {} to {}", part.display(), library.display()))
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    fn toolchain(sysroot: &str) -> Toolchain {
        Toolchain {
            rustc: env::temp_dir().join("rustc"),
            sysroot: sysroot.into(),
            release: "1.2.3".into(),
            llvm_major: 1,
            tools: env::temp_dir(),
        }
    }

    #[test]
    fn only_rustups_toolchains_have_a_name() {
        let name = "1.2.3-x86_64-unknown-linux-gnu";
        let of_rustup = toolchain(&format!("/home/a/.rustup/toolchains/{name}"));
        assert_eq!(toolchain_name(&of_rustup), Some(name));
        assert_eq!(toolchain_name(&toolchain("/usr")), None);
    }
}
