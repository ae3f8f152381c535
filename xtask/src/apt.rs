//! Packages of suites that the machine does not list, by its own package client and mirror.
//!
//! apt works on private directories, so neither root nor a change to the machine is needed; it
//! checks the signature of the suite and the hash of the package as always.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{machine::Machine, privilege::find_program, progress::Step};

/// Suites of a Debian mirror, by the names that outlive a release; the likeliest first.
const SUITES: [&str; 4] = [
    "stable-backports",
    "testing",
    "unstable",
    "oldstable-backports",
];

/// The distribution's keys where the packages of Debian put them.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Fetches the package `name` of upstream version `release` into `scratch`, from whichever suite
/// of the machine's mirrors has it.
///
/// # Errors
/// When there is no apt, or no suite has that version: with what each of them has.
pub(crate) fn fetch(step: &Step, scratch: &Path, name: &str, release: &str) -> Result<PathBuf> {
    let mut tried = Vec::new();
    let mirrors = Mirrors::find()?;
    for suite in SUITES {
        for mirror in &mirrors.main {
            let _ = fs::remove_dir_all(scratch);
            let apt = PrivateApt::new(scratch, Machine::here(), mirror, suite)?;
            match apt.fetch(step, name, release) {
                Ok(package) => return Ok(package),
                Err(error) => tried.push(format!("{suite} of {mirror}: {error:#}")),
            }
        }
    }
    bail!("no suite has {name} {release}:\n{}", tried.join("\n"));
}

/// The machine's mirrors of its distribution.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mirrors {
    /// Those that may carry any suite.
    pub(crate) main: BTreeSet<String>,
    /// Those of security updates.
    pub(crate) security: BTreeSet<String>,
}

impl Mirrors {
    /// Asks the package client.
    ///
    /// # Errors
    /// When there is no apt, or it knows no mirror.
    pub(crate) fn find() -> Result<Self> {
        find_program("apt-get").context("no apt-get on this machine")?;
        let mirrors = Self::parse(&index_targets()?);
        if mirrors.main.is_empty() {
            bail!("`apt-get indextargets` names no mirror");
        }
        Ok(mirrors)
    }

    /// Keeps what may carry further suites: third parties' components are seldom named `main`.
    fn parse(targets: &str) -> Self {
        let mut mirrors = Self {
            main: BTreeSet::new(),
            security: BTreeSet::new(),
        };
        for line in targets.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let [suite, "main", uri] = words[..] else {
                continue;
            };
            let kind = if suite.contains("security") {
                &mut mirrors.security
            } else {
                &mut mirrors.main
            };
            kind.insert(uri.to_owned());
        }
        mirrors
    }
}

/// Returns lines of suite, component and mirror.
fn index_targets() -> Result<String> {
    // Without release information, so that fresh machines, which have no lists yet, name theirs too.
    let output = Command::new("apt-get")
        .args(["indextargets", "--no-release-info", "--format"])
        .args([
            "$(RELEASE) $(COMPONENT) $(REPO_URI)",
            "Created-By: Packages",
        ])
        .output()
        .context("cannot run `apt-get indextargets`")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// apt with its own sources, lists and caches, for one suite.
pub(crate) struct PrivateApt {
    directory: PathBuf,
}

impl PrivateApt {
    /// Prepares `directory` for packages of a machine; lists from an earlier run in it are kept.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub(crate) fn new(
        directory: &Path,
        machine: Machine,
        mirror: &str,
        suite: &str,
    ) -> Result<Self> {
        let create = || {
            for child in ["lists/partial", "cache/archives/partial", "state"] {
                fs::create_dir_all(directory.join(child))?;
            }
            let signed_by = Path::new(KEYRING).is_file();
            let signed_by = if signed_by {
                format!(" signed-by={KEYRING}")
            } else {
                String::new()
            };
            fs::write(
                directory.join("sources"),
                // Package lists only: descriptions for graphical installers are as large again.
                format!("deb [target=Packages{signed_by}] {mirror} {suite} main\n"),
            )?;
            fs::write(directory.join("status"), "")?;
            fs::write(
                directory.join("config"),
                config(directory, machine.debian()),
            )
        };
        create().with_context(|| format!("cannot prepare {}", directory.display()))?;
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .arg("-c")
            .arg(self.directory.join("config"))
            .current_dir(&self.directory);
        command
    }

    fn fetch(&self, step: &Step, name: &str, release: &str) -> Result<PathBuf> {
        self.update(step)?;
        let listing = self.ask(&["madison", name])?;
        let versions = parse_versions(&listing);
        let Some(version) = versions.iter().find(|version| is_release(version, release)) else {
            bail!(
                "has {name} {}",
                if versions.is_empty() {
                    "not".into()
                } else {
                    versions.join(", ")
                }
            );
        };
        let mut packages = self.download(step, &[format!("{name}={version}")])?;
        packages.pop().context("`apt-get download` left no package")
    }

    /// Fetches the suite's list of packages.
    ///
    /// # Errors
    /// When the mirror lacks the suite, or cannot be reached.
    pub(crate) fn update(&self, step: &Step) -> Result<()> {
        // Otherwise a suite that cannot be read is a warning.
        step.run(self.command("apt-get").args(["update", "--error-on=any"]))
    }

    /// Returns the names of the suite's packages that begin with `prefix`.
    ///
    /// # Errors
    /// When apt cannot be run.
    pub(crate) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let listing = self.ask(&["pkgnames", prefix])?;
        Ok(listing.lines().map(str::to_owned).collect())
    }

    /// Downloads packages, given as `name` or `name=version`. Returns the files.
    ///
    /// # Errors
    /// When one cannot be had, or its hash is not that of the list.
    pub(crate) fn download(&self, step: &Step, packages: &[String]) -> Result<Vec<PathBuf>> {
        step.run(self.command("apt-get").arg("download").args(packages))?;
        let entries = fs::read_dir(&self.directory).context("cannot list the packages")?;
        Ok(entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .collect())
    }

    fn ask(&self, question: &[&str]) -> Result<String> {
        let output = self
            .command("apt-cache")
            .args(question)
            .output()
            .context("cannot run `apt-cache`")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Returns what apt reads after the machine's own configuration, whose proxies and the like hold.
fn config(directory: &Path, architecture: &str) -> String {
    let directory = directory.display();
    format!(
        r#"
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
Dir::Etc::sourcelist "{directory}/sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Cache "{directory}/cache";
Dir::State "{directory}/state";
Dir::State::lists "{directory}/lists";
Dir::State::status "{directory}/status";
// As root, apt would fetch as a user who may not read this directory.
APT::Sandbox::User "";
Acquire::Retries "1";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
// The machine's hooks are about its own lists and may need root.
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"#
    )
}

/// Reads `apt-cache madison`: lines of `name | version | source`.
fn parse_versions(listing: &str) -> Vec<&str> {
    listing
        .lines()
        .filter_map(|line| Some(line.split('|').nth(1)?.trim()))
        .collect()
}

/// Returns whether a package version, such as `1.95.0+dfsg1-2~bpo13+1`, is of that upstream
/// release.
fn is_release(version: &str, release: &str) -> bool {
    version
        .strip_prefix(release)
        .is_some_and(|rest| !rest.starts_with(|c: char| c == '.' || c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_matched_by_release() {
        let listing = " rust-src | 1.96.1+dfsg1-2~bpo13+1 | somewhere\n \
                       rust-src | 1.95.0+dfsg1-2~bpo13+1 | somewhere\n";
        let versions = parse_versions(listing);
        assert_eq!(
            versions,
            ["1.96.1+dfsg1-2~bpo13+1", "1.95.0+dfsg1-2~bpo13+1"]
        );
        assert!(is_release(versions[1], "1.95.0"));
        assert!(is_release("1.95.0-1", "1.95.0"));
        assert!(!is_release(versions[0], "1.95.0"));
        assert!(!is_release("1.95.01", "1.95.0"));
        assert!(!is_release("1.95.0.1-1", "1.95.0"));
    }

    #[test]
    fn mirrors_are_those_of_the_distribution() {
        let targets = "bookworm main mirror:/debian/\n\
                       bookworm-updates main mirror:/debian/\n\
                       bookworm-security main mirror:/debian-security/\n\
                       nodistro third other:/node/\n\n";
        assert_eq!(
            Mirrors::parse(targets),
            Mirrors {
                main: ["mirror:/debian/".to_owned()].into(),
                security: ["mirror:/debian-security/".to_owned()].into(),
            }
        );
    }
}
