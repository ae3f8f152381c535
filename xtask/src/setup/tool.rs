//! Programs of others, built from their crates into the tools directory.

use std::process::Command;

use crate::{cargo::cargo, toolchain::Toolchain};

/// Starts the command line that builds a crate's program, without its default features, for nobody who
/// debugs it.
pub(super) fn install(name: &str, version: &str, toolchain: &Toolchain) -> Command {
    let mut install = cargo(&["install", name, "--version", version, "--locked", "--force"]);
    install
        .arg("--no-default-features")
        .arg("--root")
        .arg(&toolchain.tools)
        .env("RUSTC", &toolchain.rustc)
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols");
    for name in [
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_TARGET",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
    ] {
        install.env_remove(name);
    }
    install
}
