//! Programs of another machine that guests of its kind need, out of Debian's packages.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use super::kernel;
use crate::{
    apt::{Mirrors, PrivateApt},
    machine::Machine,
    progress::Step,
    setup,
};

/// By code name: libraries change their names between releases.
const SUITE: &str = "bookworm";

/// `ip`, what it is linked with, `wg`, and one program that is all others.
const PACKAGES: [&str; 11] = [
    "iproute2",
    "wireguard-tools",
    "busybox-static",
    "libc6",
    "libbpf1",
    "libelf1",
    "zlib1g",
    "libmnl0",
    "libcap2",
    "libbsd0",
    "libmd0",
];

/// Unpacked packages.
pub(super) struct Foreign {
    /// The directory in which they are.
    pub(super) root: PathBuf,
}

impl Foreign {
    /// Fetches and unpacks them, unless that is done.
    ///
    /// # Errors
    /// When there is no package client, or a package is not to be had.
    pub(super) fn provide(machine: Machine) -> Result<Self> {
        let cache = kernel::cache(machine)?;
        let _lock = setup::lock(&cache)?;
        let root = cache.join("programs");
        let subject = format!("programs of {}", machine.debian());
        let present = Self { root: root.clone() };
        // An earlier version fetched fewer.
        if ["ip", "wg", "sleep"]
            .iter()
            .all(|name| present.program(name).is_ok())
        {
            Step::present(&subject, &root.display().to_string());
            return Ok(present);
        }
        let step = Step::start(&subject, "fetching");
        let mirrors = Mirrors::find()?;
        let mirror = mirrors.main.first().context("no mirror")?;
        let apt = PrivateApt::new(&cache.join("apt/programs"), machine, mirror, SUITE)?;
        apt.update(&step)?;
        let part = cache.join("programs.part");
        // Left over from an interrupted run, if at all.
        let _ = fs::remove_dir_all(&part);
        for package in apt.download(&step, &PACKAGES.map(str::to_owned))? {
            step.run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&part))?;
            fs::remove_file(&package)
                .with_context(|| format!("cannot remove {}", package.display()))?;
        }
        let _ = fs::remove_dir_all(&root);
        fs::rename(&part, &root).with_context(|| format!("cannot create {}", root.display()))?;
        step.done(&root.display().to_string());
        Ok(Self { root })
    }

    /// The file of a program.
    ///
    /// # Errors
    /// When no package has it.
    pub(super) fn program(&self, name: &str) -> Result<PathBuf> {
        let file = match name {
            "ip" => "bin/ip",
            "wg" => "usr/bin/wg",
            _ => "bin/busybox",
        };
        let file = self.root.join(file);
        if !file.is_file() {
            bail!("no {}", file.display());
        }
        Ok(file)
    }
}
