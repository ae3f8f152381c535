//! `cargo xtask install`: sg-ctl and what belongs to it, under a prefix.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    cargo::{self, check, display, plain},
    privilege, root, setup,
};

/// Options of `cargo xtask install`.
#[derive(clap::Args)]
pub(crate) struct InstallArgs {
    /// Directory to install under.
    #[arg(long, default_value = "/usr/local", value_name = "DIR")]
    prefix: PathBuf,
}

/// A file to install.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// Where it is.
    pub(crate) source: PathBuf,
    /// Where it goes, below a prefix.
    pub(crate) target: PathBuf,
    /// Its permissions, octal.
    pub(crate) mode: &'static str,
}

/// Where each shell looks for completions below a prefix.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/sg-ctl"),
    ("fish", "share/fish/vendor_completions.d/sg-ctl.fish"),
    ("zsh", "share/zsh/site-functions/_sg-ctl"),
];

/// Builds and installs.
///
/// # Errors
/// When the set-up, the build or a copy fails.
pub(crate) fn run(arguments: &InstallArgs) -> Result<()> {
    setup::run()?;
    let built = cargo::build(&["--release", "--package", "sg-ctl", "--bin", "sg-ctl"])?;
    let sg_ctl = cargo::find_sg_ctl(&built)?;

    let staging = root().join("target/install");
    for File {
        source,
        target,
        mode,
    } in files(&sg_ctl, &sg_ctl, &staging)?
    {
        let target = arguments.prefix.join(target);
        install(&arguments.prefix, &source, &target, mode)?;
        println!("installed {}", target.display());
    }
    Ok(())
}

/// Returns sg-ctl and what it can write itself, manual pages and completions, as files to install.
/// Those that `writer` writes, the same program for this machine, are put into `staging`, which is
/// emptied.
///
/// # Errors
/// When sg-ctl does not run, or its files cannot be written.
pub(crate) fn files(sg_ctl: &Path, writer: &Path, staging: &Path) -> Result<Vec<File>> {
    if staging.exists() {
        fs::remove_dir_all(staging)
            .with_context(|| format!("cannot empty {}", staging.display()))?;
    }
    let man = staging.join("man");
    fs::create_dir_all(&man).with_context(|| format!("cannot create {}", man.display()))?;
    check(Command::new(writer).arg("man").arg(&man))?;

    let file = |source: &Path, target: PathBuf, mode| File {
        source: source.to_owned(),
        target,
        mode,
    };
    let mut files = vec![file(sg_ctl, "bin/sg-ctl".into(), "755")];
    for page in fs::read_dir(&man)? {
        let page = page?.path();
        let (Some(name), Some(section)) = (page.file_name(), page.extension()) else {
            bail!("{} is no manual page", page.display());
        };
        let directory = format!("share/man/man{}", section.to_string_lossy());
        files.push(file(&page, Path::new(&directory).join(name), "644"));
    }
    for (shell, target) in COMPLETIONS {
        let source = staging.join(shell);
        fs::write(&source, completions(writer, shell)?)?;
        files.push(file(&source, target.into(), "644"));
    }
    Ok(files)
}

fn completions(sg_ctl: &Path, shell: &str) -> Result<Vec<u8>> {
    let mut command = Command::new(sg_ctl);
    let output = command.args(["completions", shell]).output()?;
    if !output.status.success() {
        bail!("`{}` failed ({})", display(&command), output.status);
    }
    Ok(output.stdout)
}

/// Copies one file, as root if the caller may not.
fn install(prefix: &Path, source: &Path, target: &Path, mode: &str) -> Result<()> {
    let mut words: Vec<OsString> = ["install", "-D", "-m", mode].map(OsString::from).to_vec();
    words.extend([source.into(), target.into()]);
    if is_writable(prefix) {
        return check(&mut plain(&words));
    }
    check(&mut privilege::elevate(&words)?)
}

/// Returns whether files can be made in a directory, or in the nearest that exists above it.
fn is_writable(directory: &Path) -> bool {
    let existing = directory.ancestors().find(|ancestor| ancestor.is_dir());
    existing.is_some_and(|existing| {
        let status = Command::new("test").arg("-w").arg(existing).status();
        status.is_ok_and(|status| status.success())
    })
}
