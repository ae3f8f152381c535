//! The Debian package: the same files in Debian's places, packed by cargo-deb.

use std::{
    env,
    fs::{self, File as Lock},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{NAME, output, release::Release, stage};
use crate::{cargo::cargo, install::File, machine::Machine, root};

/// Packs files and returns the package's name.
///
/// What the package says of itself and its scripts are in sg-ctl's `Cargo.toml` and `debian/`.
///
/// # Errors
/// When cargo-deb or another program fails.
pub(super) fn pack(
    cargo_deb: &Path,
    release: &Release,
    files: &[File],
    directory: &Path,
) -> Result<PathBuf> {
    // What sg-ctl's `Cargo.toml` calls it, so there is one for all who pack.
    let tree = root().join("target/deb");
    let lock = tree.with_extension("lock");
    let lock = Lock::create(&lock).with_context(|| format!("cannot create {}", lock.display()))?;
    lock.lock().context("cannot lock the package's files")?;
    let files: Vec<_> = files.iter().map(moved).collect();
    stage(&files, &tree)?;
    let copyright_file = tree.join("copyright");
    fs::write(&copyright_file, copyright(release.machine)?)
        .with_context(|| format!("cannot write {}", copyright_file.display()))?;

    let version = release.debian_version();
    let architecture = release.machine.debian();
    let package = PathBuf::from(format!("{NAME}_{version}_{architecture}.deb"));
    let mut pack = Command::new(cargo_deb);
    pack.args([
        "deb",
        "--package",
        NAME,
        "--locked",
        "--no-build",
        "--no-strip",
    ])
    .args(["--target", release.machine.triple()])
    .args(["--deb-version", &version])
    .args(["--maintainer", &maintainer(|name| env::var(name).ok())])
    .arg("--compress-system")
    .arg("--output")
    .arg(directory.join(&package))
    .env("SOURCE_DATE_EPOCH", &release.time)
    .current_dir(root());
    if release.is_trial {
        pack.arg("--fast");
    }
    let packed = output(&mut pack);
    fs::remove_dir_all(&tree).with_context(|| format!("cannot remove {}", tree.display()))?;
    packed.map(|_| package)
}

/// A file in the place where Debian has its kind.
pub(super) fn moved(file: &File) -> File {
    if file.target.starts_with("etc") {
        return file.clone();
    }
    // What distributions install is not where administrators do, for zsh alone.
    let completions = Path::new("share/zsh");
    let target = match file.target.strip_prefix(completions.join("site-functions")) {
        Ok(name) => completions.join("vendor-completions").join(name),
        Err(_) => file.target.clone(),
    };
    File {
        source: file.source.clone(),
        target: Path::new("usr").join(target),
        mode: file.mode,
    }
}

/// Who answers for the package: who builds it, by the variables that Debian's own tools take.
fn maintainer(variable: impl Fn(&str) -> Option<String>) -> String {
    let given = |name, default: &str| variable(name).unwrap_or_else(|| default.to_owned());
    let name = given("DEBFULLNAME", "local build");
    let address = given("DEBEMAIL", "root@localhost");
    format!("{name} <{address}>")
}

/// The licences of what is inside, by cargo's own list of it.
fn copyright(machine: Machine) -> Result<String> {
    let tree = output(&mut cargo(&[
        "tree",
        "--locked",
        "--package=sg-ctl",
        "--edges=normal",
        "--prefix=none",
        "--format={p}: {l}",
        &format!("--target={}", machine.triple()),
    ]))?;
    // Ours are told with their directory.
    let mut crates: Vec<&str> = tree
        .lines()
        .filter(|line| !line.contains(" (/") && !line.contains("(proc-macro)"))
        .map(|line| line.trim_end_matches(" (*)"))
        .collect();
    crates.sort_unstable();
    crates.dedup();
    Ok(format!(
        "sg is licensed under MIT or Apache-2.0 at your choice, its kernel programs, which sg-ctl
carries, under MIT or GPL-2.0-only. The texts of MIT and Apache-2.0 are beside
this file, those of the GPL and the LGPL in /usr/share/common-licenses.

sg-ctl is linked statically with {}, the
standard library of Rust (MIT OR Apache-2.0), and these crates:

{}
",
        machine.c_library(),
        crates.join("\n")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_builds_a_package_maintains_it() {
        assert_eq!(maintainer(|_| None), "local build <root@localhost>");
        let set = |name: &str| Some(format!("{name}@example.org"));
        assert_eq!(
            maintainer(set),
            "DEBFULLNAME@example.org <DEBEMAIL@example.org>"
        );
    }

    #[test]
    fn completions_of_zsh_are_where_debian_looks() {
        let file = |target: &str| File {
            source: PathBuf::from("source"),
            target: target.into(),
            mode: "644",
        };
        let place = |target| moved(&file(target)).target;
        assert_eq!(
            place("share/zsh/site-functions/_sg-ctl"),
            Path::new("usr/share/zsh/vendor-completions/_sg-ctl")
        );
        assert_eq!(place("bin/sg-ctl"), Path::new("usr/bin/sg-ctl"));
        let configuration = "etc/logrotate.d/sg-ctl";
        assert_eq!(place(configuration), Path::new(configuration));
    }
}
