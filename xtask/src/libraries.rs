//! The libraries that programs of this machine need.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// Returns the libraries of a program, the dynamic loader among them.
///
/// # Errors
/// When the loader does not know the program.
pub(crate) fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd")
        .arg(program)
        .output()
        .context("cannot run `ldd`")?;
    if !output.status.success() {
        bail!(
            "`ldd {}` failed: {}",
            program.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(parse_ldd(&String::from_utf8_lossy(&output.stdout)))
}

/// Reads lines `name => /path (address)` and, for the loader, `/path (address)`.
fn parse_ldd(listing: &str) -> Vec<PathBuf> {
    let path = |line: &str| {
        let path = line.split("=>").last()?.split_whitespace().next()?;
        path.starts_with('/').then(|| PathBuf::from(path))
    };
    listing.lines().filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_ldd() {
        let listing = "\tlinux-vdso.so.1 (0x00007f66a089b000)\n\
                       \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f66a0632000)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x00007f66a089d000)\n";
        assert_eq!(
            parse_ldd(listing),
            [
                Path::new("/lib/x86_64-linux-gnu/libc.so.6"),
                Path::new("/lib64/ld-linux-x86-64.so.2")
            ]
        );
    }
}
