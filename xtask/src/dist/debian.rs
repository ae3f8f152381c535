//! The Debian package: the same files in Debian's places, packed by dpkg-deb.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{NAME, output, release::Release, stage};
use crate::{
    cargo::{cargo, check},
    install::File,
    machine::Machine,
};

/// Units are read anew, and services that run take the new program; which of them do is the
/// administrator's choice. What is attached takes the new programs of the kernel; if it cannot, the
/// old ones stay, and `status` says so.
const AFTER_INSTALLATION: &str = "\
#!/bin/sh
set -e
if [ \"$1\" = configure ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    for unit in UNITS; do systemctl try-restart \"$unit\"; done
fi
if [ \"$1\" = configure ] && [ -d /sys/fs/bpf/sg ]; then
    sg-ctl upgrade || echo 'sg-ctl: the programs in force are still the old ones: see sg-ctl status' >&2
fi
";

/// Without sg-ctl nobody could detach what it has attached.
const BEFORE_REMOVAL: &str = "\
#!/bin/sh
# Programs in the kernel outlive sg-ctl: a removal detaches them, an upgrade leaves them in force.
set -e
if [ \"$1\" = remove ]; then
    if [ -d /run/systemd/system ]; then
        for unit in UNITS; do systemctl disable --now \"$unit\"; done
    fi
    if [ -d /sys/fs/bpf/sg ]; then
        sg-ctl detach --all
    fi
fi
";

/// What was applied is kept, as configuration is, until the package is purged.
const AFTER_REMOVAL: &str = "\
#!/bin/sh
set -e
if [ \"$1\" = purge ]; then
    rm -rf /var/lib/sg
fi
";

/// Packs files and returns the package's name.
///
/// # Errors
/// When dpkg-deb or another program fails.
pub(super) fn pack(release: &Release, files: &[File], directory: &Path) -> Result<PathBuf> {
    let version = release.debian_version();
    let architecture = release.machine.debian();
    let tree = directory.join("debian");
    let files: Vec<_> = files.iter().map(moved).collect();
    stage(&files, &tree)?;
    write(
        &tree.join("usr/share/doc").join(NAME).join("copyright"),
        &copyright(release.machine)?,
        "644",
    )?;
    let pages = files.iter().filter(|file| is_page(file));
    check(
        Command::new("gzip")
            .arg("-9n")
            .args(pages.map(|file| tree.join(&file.target))),
    )?;
    // Its size is told in KiB.
    let size = output(
        Command::new("du")
            .args(["-k", "-s", "--apparent-size"])
            .arg(&tree),
    )?;
    let size = size.split_whitespace().next().unwrap_or_default();
    let sums = output(
        Command::new("sh")
            .args([
                "-c",
                "find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum",
            ])
            .current_dir(&tree),
    )?;
    let control = tree.join("DEBIAN");
    write(
        &control.join("control"),
        &description(&version, architecture, size),
        "644",
    )?;
    write(&control.join("md5sums"), &sums, "644")?;
    let units = units(&files);
    let script = |text: &str| text.replace("UNITS", &units);
    write(
        &control.join("postinst"),
        &script(AFTER_INSTALLATION),
        "755",
    )?;
    write(&control.join("prerm"), &script(BEFORE_REMOVAL), "755")?;
    write(&control.join("postrm"), AFTER_REMOVAL, "755")?;
    check(Command::new("chmod").arg("755").arg(&control))?;

    let package = PathBuf::from(format!("{NAME}_{version}_{architecture}.deb"));
    check(
        Command::new("dpkg-deb")
            .args(["--root-owner-group", "-Zxz"])
            // dpkg-deb's own effort is 6.
            .arg(format!("-z{}", release.effort.min(6)))
            .arg("--build")
            .args([&tree, &directory.join(&package)])
            // Later times, such as those of the files just copied, become this one.
            .env("SOURCE_DATE_EPOCH", &release.time)
            .stdout(std::process::Stdio::null()),
    )?;
    Ok(package)
}

/// A file in the place where Debian has its kind.
fn moved(file: &File) -> File {
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

/// Names of the systemd units among the files.
fn units(files: &[File]) -> String {
    let units = files
        .iter()
        .filter(|file| file.target.starts_with("usr/lib/systemd"));
    let names = units.filter_map(|unit| unit.target.file_name()?.to_str());
    names.collect::<Vec<_>>().join(" ")
}

/// Whether a file is a manual page; Debian has them compressed.
fn is_page(file: &File) -> bool {
    file.target.starts_with("usr/share/man")
}

fn write(path: &Path, text: &str, mode: &str) -> Result<()> {
    path.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(path, text))
        .with_context(|| format!("cannot write {}", path.display()))?;
    check(Command::new("chmod").arg(mode).arg(path))
}

fn description(version: &str, architecture: &str, size: &str) -> String {
    let homepage = env!("CARGO_PKG_REPOSITORY");
    let maintainer = maintainer(|name| std::env::var(name).ok());
    format!(
        "Package: {NAME}
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Installed-Size: {size}
Section: net
Priority: optional
Homepage: {homepage}
Description: AWS-style security groups for any Linux network interface
 Stateful allow rules on network interfaces, enforced inside the kernel by
 eBPF (XDP and TC). Groups on one interface merge, and the peer of a rule may
 be another group. No process has to run: sg-ctl puts programs and policy into
 the kernel and ends.
 .
 Needs Linux 5.18 or later with BTF. The program is linked statically.
"
    )
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
        assert!(is_page(&moved(&file("share/man/man1/sg-ctl.1"))));
    }
}
