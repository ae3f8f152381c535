//! What a package says of its origin: version, commit and the commit's time.

use std::process::Command;

use anyhow::{Context, Result};

use super::{NAME, output};
use crate::{machine::Machine, root};

/// Where a package comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Release {
    /// The version of all crates.
    version: &'static str,
    /// The commit, in short; with `.dirty` if files differ from it.
    pub(super) commit: String,
    /// Its time, in seconds since 1970: the time of all files in the packages.
    pub(super) time: String,
    /// The same as `YYYYMMDDhhmmss` in UTC, so that later packages have greater versions.
    date: String,
    /// What it is built for.
    pub(super) machine: Machine,
    /// Nobody gets what is packed: it is not worth much compression.
    pub(super) is_trial: bool,
}

impl Release {
    /// Asks git.
    ///
    /// # Errors
    /// When this is no git repository, or git is missing.
    pub(super) fn of_repository(machine: Machine) -> Result<Self> {
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            let git = git.args(arguments).env("TZ", "UTC").current_dir(root());
            output(git).context("cannot tell the commit")
        };
        let log = git(&[
            "log",
            "-1",
            "--abbrev=12",
            "--date=format-local:%Y%m%d%H%M%S",
            "--format=%h %ct %cd",
        ])?;
        let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
        Self::parse(log.trim(), !changes.is_empty(), machine)
            .context("git's log is no commit, time, date")
    }

    fn parse(log: &str, dirty: bool, machine: Machine) -> Option<Self> {
        let mut words = log.split(' ').map(str::to_owned);
        let mut commit = words.next()?;
        if dirty {
            commit.push_str(".dirty");
        }
        Some(Self {
            version: env!("CARGO_PKG_VERSION"),
            commit,
            time: words.next()?,
            date: words.next()?,
            machine,
            is_trial: false,
        })
    }

    /// The name of the tarball, and of the directory in it.
    pub(super) fn tarball_name(&self) -> String {
        let machine = self.machine.name();
        format!("{NAME}-{}-{}-{machine}-linux", self.version, self.commit)
    }

    /// The version of the Debian package.
    pub(super) fn debian_version(&self) -> String {
        format!("{}+git{}.{}", self.version, self.date, self.commit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_version_and_commit() {
        let release = Release::parse("671d6ae40838 1795456418 20261123175338", true, Machine::X86);
        let release = release.expect("a commit");
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            release.tarball_name(),
            format!("sg-ctl-{version}-671d6ae40838.dirty-x86_64-linux")
        );
        assert_eq!(
            release.debian_version(),
            format!("{version}+git20261123175338.671d6ae40838.dirty")
        );
        assert_eq!(release.time, "1795456418");
        assert_eq!(Release::parse("671d6ae40838", false, Machine::X86), None);
    }
}
