//! Calls to cargo and other programs whose output the user should see.

use std::{
    env,
    ffi::OsString,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::root;

/// Starts a cargo command line in the repository.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(arguments).current_dir(root());
    // What `cargo run` says about xtask itself: ring's build script asks for variables of these names, and
    // everything above it would be built anew each time that cargo is called in the other way.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    cargo
}

/// Returns the command of a command line.
///
/// # Panics
/// When the line is empty.
pub(crate) fn plain(words: &[OsString]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

/// Runs a command in the user's sight.
///
/// # Errors
/// When it cannot be started or fails.
pub(crate) fn check(command: &mut Command) -> Result<()> {
    let line = display(command);
    let status = command
        .status()
        .with_context(|| format!("cannot run `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// Returns a command as one would type it.
pub(crate) fn display(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

/// A program that cargo has built.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Executable {
    /// Directory of the package it belongs to.
    pub(crate) directory: PathBuf,
    /// Name of the target inside the package.
    pub(crate) target: String,
    /// Whether it is a test program rather than the target itself.
    pub(crate) is_test: bool,
    /// The file.
    pub(crate) path: PathBuf,
}

/// Builds what the arguments of `cargo build` name and returns the programs among it.
///
/// # Errors
/// When cargo fails; it has then said why.
pub(crate) fn build(arguments: &[&str]) -> Result<Vec<Executable>> {
    let mut command = cargo(&["build", "--message-format=json-render-diagnostics"]);
    command.args(arguments).stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot run cargo")?;
    let stdout = child.stdout.take().context("cargo has no output")?;
    let mut executables = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let line = line.context("cannot read from cargo")?;
        executables.extend(executable(&line));
    }
    let status = child.wait().context("cannot wait for cargo")?;
    if !status.success() {
        bail!("`{}` failed ({status})", display(&command));
    }
    Ok(executables)
}

/// Builds every program and test of the workspace for this machine, and returns them.
///
/// Whoever needs some of them asks for all: another selection has other features of dependencies, and
/// is built anew.
///
/// # Errors
/// When something does not build.
pub(crate) fn build_all() -> Result<Vec<Executable>> {
    build(&["--workspace", "--bins", "--tests"])
}

/// Builds sg-ctl alone for this machine and returns it.
///
/// # Errors
/// When it does not build.
pub(crate) fn build_sg_ctl() -> Result<PathBuf> {
    find_sg_ctl(&build(&["--package", "sg-ctl", "--bin", "sg-ctl"])?)
}

/// Finds the program sg-ctl itself among what was built.
///
/// # Errors
/// When it is not there.
pub(crate) fn find_sg_ctl(executables: &[Executable]) -> Result<PathBuf> {
    let found = executables
        .iter()
        .find(|built| built.target == "sg-ctl" && !built.is_test);
    Ok(found.context("cargo built no program sg-ctl")?.path.clone())
}

/// Reads one of cargo's messages; `None` unless it announces a program.
fn executable(message: &str) -> Option<Executable> {
    let message: Value = serde_json::from_str(message).ok()?;
    let manifest = PathBuf::from(message["manifest_path"].as_str()?);
    Some(Executable {
        directory: manifest.parent()?.to_owned(),
        target: message["target"]["name"].as_str()?.to_owned(),
        is_test: message["profile"]["test"].as_bool()?,
        path: message["executable"].as_str()?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_read_from_cargo_messages() {
        let message = r#"{"reason":"compiler-artifact","manifest_path":"/r/sg/policy/Cargo.toml",
            "target":{"kind":["test"],"name":"it"},"profile":{"test":true},
            "executable":"/r/target/debug/deps/it-0"}"#;
        let expected = Executable {
            directory: "/r/sg/policy".into(),
            target: "it".into(),
            is_test: true,
            path: "/r/target/debug/deps/it-0".into(),
        };
        assert_eq!(executable(message), Some(expected));
        assert_eq!(
            executable(r#"{"reason":"build-finished","success":true}"#),
            None
        );
        assert_eq!(executable("not a message"), None);
    }
}
