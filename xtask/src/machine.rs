//! The machines that sg is built for, and what it takes to build for one from another.

use std::{fs, process::Command};

use anyhow::{Context, Result};

use crate::{progress::Step, setup, toolchain::Toolchain};

/// A machine, by the names that Rust and Debian have for it.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    /// x86-64, with the GNU C Library inside.
    #[value(name = "x86-64", alias = "x86_64-unknown-linux-gnu")]
    X86,
    /// arm64, with musl inside: cross-built.
    #[value(name = "arm64", alias = "aarch64-unknown-linux-musl")]
    Arm64,
}

/// The C compiler for arm64, for the C code in three crates, its headers, and their packages.
const CROSS_PROGRAMS: [(&str, &str); 2] = [
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    (
        "/usr/aarch64-linux-gnu/include/stdio.h",
        "libc6-dev-arm64-cross",
    ),
];

impl Machine {
    /// What it is built as.
    pub(crate) const fn triple(self) -> &'static str {
        match self {
            Self::X86 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-musl",
        }
    }

    /// Debian's name.
    pub(crate) const fn debian(self) -> &'static str {
        match self {
            Self::X86 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The name that `uname -m` prints.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// The C library that programs are linked with, and its licence.
    pub(crate) const fn c_library(self) -> &'static str {
        match self {
            Self::X86 => "the GNU C Library (LGPL-2.1-or-later)",
            Self::Arm64 => "musl (MIT)",
        }
    }

    /// This one.
    pub(crate) fn here() -> Self {
        let is_arm64 = std::env::consts::ARCH == Self::Arm64.name();
        if is_arm64 { Self::Arm64 } else { Self::X86 }
    }

    /// Whether what is built for it runs here.
    pub(crate) fn is_this_one(self) -> bool {
        self == Self::here()
    }

    /// Provides what building for it takes besides the set-up: Rust's `std` and a C compiler.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub(crate) fn provide(self, toolchain: &Toolchain) -> Result<()> {
        if self == Self::X86 {
            return Ok(());
        }
        setup::provide_programs(&CROSS_PROGRAMS)?;
        let triple = self.triple();
        let libraries = toolchain.sysroot.join("lib/rustlib").join(triple);
        let subject = "std for arm64";
        if libraries.join("lib").is_dir() {
            Step::present(subject, &libraries.display().to_string());
            return Ok(());
        }
        let step = Step::start(subject, "rustup target add");
        let name = toolchain.sysroot.file_name().unwrap_or_default();
        let mut rustup = Command::new("rustup");
        rustup.args(["target", "add", triple, "--toolchain"]);
        step.run(rustup.arg(name)).with_context(|| {
            format!("no std for {triple}\nhelp: `rustup target add {triple}` gets it")
        })?;
        fs::metadata(&libraries).context("rustup has put it elsewhere")?;
        step.done("added");
        Ok(())
    }

    /// Arguments of cargo that build for it.
    pub(crate) fn cargo_arguments(self) -> Vec<String> {
        let triple = self.triple();
        let mut arguments = vec![format!("--target={triple}")];
        if self == Self::Arm64 {
            // rustc's own linker, and the C library in its musl target: no sysroot of another machine.
            arguments.push(format!("--config=target.{triple}.linker=\"rust-lld\""));
            let variable = format!("CC_{}", triple.replace('-', "_"));
            arguments.push(format!(
                "--config=env.{variable}=\"{}\"",
                CROSS_PROGRAMS[0].0
            ));
        }
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_known_by_their_triples_too() {
        use clap::ValueEnum;
        for machine in [Machine::X86, Machine::Arm64] {
            assert_eq!(Machine::from_str(machine.triple(), false), Ok(machine));
        }
    }
}
