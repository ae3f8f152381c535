//! Root for the one command that needs it; the caller stays who they are.

use std::{
    env,
    ffi::OsString,
    fs,
    io::IsTerminal,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::cargo::plain;

/// Returns whether this process acts as root.
pub(crate) fn is_root() -> bool {
    // The owner of a process's directory in /proc is its effective user.
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Returns a command that runs `command_line` as root: as it is, or by sudo.
///
/// # Errors
/// When sudo is missing, or would have to ask for a password with nobody there to type it.
pub(crate) fn elevate(command_line: &[OsString]) -> Result<Command> {
    let mut words = Vec::new();
    if !is_root() {
        if let Err(error) = obtain_sudo() {
            let words: Vec<_> = command_line
                .iter()
                .map(|word| word.to_string_lossy())
                .collect();
            bail!(
                "root is needed: {error:#}\nhelp: as root, run: {}",
                words.join(" ")
            );
        }
        words.extend(["sudo".into(), "--".into()]);
    }
    words.extend_from_slice(command_line);
    Ok(plain(&words))
}

/// Makes sure that sudo will not ask for a password: if it must, it asks now.
fn obtain_sudo() -> Result<()> {
    if find_program("sudo").is_none() {
        bail!("there is no sudo");
    }
    if sudo_is_silent() {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        bail!("sudo wants a password and there is no terminal");
    }
    let status = Command::new("sudo")
        .arg("-v")
        .status()
        .context("cannot run sudo")?;
    if !status.success() {
        bail!("sudo refused");
    }
    Ok(())
}

fn sudo_is_silent() -> bool {
    Command::new("sudo")
        .args(["-n", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Finds a program on the `PATH` or where root's tools are, which ordinary users' paths leave out.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
}
