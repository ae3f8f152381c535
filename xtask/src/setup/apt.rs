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

use crate::{privilege::find_program, progress::Step};

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
pub(super) fn fetch(step: &Step, scratch: &Path, name: &str, release: &str) -> Result<PathBuf> {
    find_program("apt-get").context("no apt-get on this machine")?;
    let mirrors = mirrors()?;
    if mirrors.is_empty() {
        bail!("`apt-get indextargets` names no mirror");
    }
    let mut tried = Vec::new();
    for suite in SUITES {
        for mirror in &mirrors {
            let _ = fs::remove_dir_all(scratch);
            let apt = PrivateApt::new(scratch, mirror, suite)?;
            match apt.fetch(step, name, release) {
                Ok(package) => return Ok(package),
                Err(error) => tried.push(format!("{suite} of {mirror}: {error:#}")),
            }
        }
    }
    bail!("no suite has {name} {release}:\n{}", tried.join("\n"));
}

/// Returns the machine's mirrors of its distribution.
fn mirrors() -> Result<BTreeSet<String>> {
    // Without release information, so that fresh machines, which have no lists yet, name theirs too.
    let output = Command::new("apt-get")
        .args(["indextargets", "--no-release-info", "--format"])
        .args([
            "$(RELEASE) $(COMPONENT) $(REPO_URI)",
            "Created-By: Packages",
        ])
        .output()
        .context("cannot run `apt-get indextargets`")?;
    Ok(parse_mirrors(&String::from_utf8_lossy(&output.stdout)))
}

/// Keeps what may carry further suites: third parties' components are seldom named `main`, and
/// security archives have no backports.
fn parse_mirrors(targets: &str) -> BTreeSet<String> {
    let mirror = |line: &str| {
        let mut words = line.split_whitespace();
        let (suite, component, uri) = (words.next()?, words.next()?, words.next()?);
        (component == "main" && !suite.contains("security")).then(|| uri.to_owned())
    };
    targets.lines().filter_map(mirror).collect()
}

/// apt with its own sources, lists and caches.
struct PrivateApt {
    directory: PathBuf,
}

impl PrivateApt {
    fn new(directory: &Path, mirror: &str, suite: &str) -> Result<Self> {
        let create = || {
            for child in ["lists/partial", "cache/archives/partial", "state"] {
                fs::create_dir_all(directory.join(child))?;
            }
            let signed_by = Path::new(KEYRING).is_file();
            let options = if signed_by {
                format!("[signed-by={KEYRING}] ")
            } else {
                String::new()
            };
            fs::write(
                directory.join("sources"),
                format!("deb {options}{mirror} {suite} main\n"),
            )?;
            fs::write(directory.join("status"), "")?;
            fs::write(directory.join("config"), config(directory))
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
        // Otherwise a suite that cannot be read is a warning.
        step.run(self.command("apt-get").args(["update", "--error-on=any"]))?;
        let output = self
            .command("apt-cache")
            .args(["madison", name])
            .output()
            .context("cannot run `apt-cache`")?;
        let listing = String::from_utf8_lossy(&output.stdout);
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
        step.run(
            self.command("apt-get")
                .arg("download")
                .arg(format!("{name}={version}")),
        )?;
        fs::read_dir(&self.directory)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .context("`apt-get download` left no package")
    }
}

/// Returns what apt reads after the machine's own configuration, whose proxies and the like hold.
fn config(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        r#"
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
            parse_mirrors(targets).into_iter().collect::<Vec<_>>(),
            ["mirror:/debian/"]
        );
    }
}
