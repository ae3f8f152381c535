//! `cargo xtask lint`: rustfmt, clippy and rustdoc on both sides.

use std::process::Stdio;

use anyhow::{Result, anyhow, bail};

use crate::{
    cargo::{cargo, check},
    machine::Machine,
    root, setup,
    toolchain::ebpf_cargo,
};

/// Runs all checks, also when one of them fails.
///
/// # Errors
/// When a check or the set-up fails.
pub(crate) fn run() -> Result<()> {
    for component in ["fmt", "clippy"] {
        let mut version = cargo(&[component, "--version"]);
        if !version
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?
            .success()
        {
            bail!(
                "no `cargo {component}` in this toolchain\n\
                 help: run `rustup component add rustfmt clippy`"
            );
        }
    }
    let toolchain = setup::run()?;
    // `--examples`, of which there are none, lets cargo choose the features that it has chosen for clippy:
    // what others wrote need not be checked once more. It documents all programs but sg-ctl, whose library
    // has the same name, and sg-fuzz, which needs more to be built.
    let mut doc = cargo(&[
        "doc",
        "--workspace",
        "--no-deps",
        "--document-private-items",
        "--lib",
        "--bin=xtask",
        "--bin=sg-[bv]*",
        "--bin=sg-fuzz-?*",
        "--examples",
    ]);
    // Links to private items are fine in documentation that shows them.
    doc.env(
        "RUSTDOCFLAGS",
        "-Dwarnings -Arustdoc::private_intra_doc_links",
    );
    let ebpf_clippy = |machine: Machine| {
        let mut clippy = ebpf_cargo(root(), &toolchain, "clippy", machine.name())
            .map_err(|missing| anyhow!(missing.to_string()))?;
        clippy.args(["--", "-Dwarnings"]);
        anyhow::Ok(clippy)
    };

    let mut failed = Vec::new();
    for (name, mut command) in [
        ("rustfmt, host", cargo(&["fmt", "--all", "--check"])),
        (
            "rustfmt, kernel",
            cargo(&["fmt", "--check", "--manifest-path", "sg-ebpf/Cargo.toml"]),
        ),
        (
            "clippy, host",
            cargo(&["clippy", "--workspace", "--all-targets", "--", "-Dwarnings"]),
        ),
        ("clippy, kernel", ebpf_clippy(Machine::X86)?),
        ("clippy, kernel of arm64", ebpf_clippy(Machine::Arm64)?),
        ("rustdoc", doc),
    ] {
        eprintln!("== lint: {name}");
        if check(&mut command).is_err() {
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("not clean: {}", failed.join("; "));
    }
    eprintln!("lint: clean");
    Ok(())
}
