//! `cargo xtask lint`: rustfmt, clippy and rustdoc on both sides.

use std::{env::consts::ARCH, process::Stdio};

use anyhow::{Result, anyhow, bail};

use crate::{
    cargo::{cargo, check},
    root, setup,
    toolchain::ebpf_cargo,
};

/// Runs all checks; the first that fails ends it.
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
    let ebpf = |verb| {
        ebpf_cargo(root(), &toolchain, verb, ARCH).map_err(|missing| anyhow!(missing.to_string()))
    };

    title("rustfmt");
    check(&mut cargo(&["fmt", "--all", "--check"]))?;
    check(&mut cargo(&[
        "fmt",
        "--check",
        "--manifest-path",
        "sg-ebpf/Cargo.toml",
    ]))?;

    title("clippy, host");
    check(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-Dwarnings",
    ]))?;

    title("clippy, kernel programs");
    check(ebpf("clippy")?.args(["--", "-Dwarnings"]))?;

    title("rustdoc");
    let mut doc = cargo(&[
        "doc",
        "--workspace",
        "--no-deps",
        "--document-private-items",
    ]);
    check(doc.env("RUSTDOCFLAGS", "-Dwarnings"))?;

    println!("lint: clean");
    Ok(())
}

fn title(name: &str) {
    println!("== lint: {name}");
}
