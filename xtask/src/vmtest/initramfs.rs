//! The initial file system of a guest: a cpio archive in the kernel's format (`newc`,
//! Documentation/driver-api/early-userspace/buffer-format.rst, Linux 6.18).

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::libraries::libraries;

const DIRECTORY: u32 = 0o040_755;
const EXECUTABLE: u32 = 0o100_755;

/// Where packages for arm64 put libraries and their loader; all are found in `/lib`.
const LIBRARIES: [&str; 3] = ["lib", "lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu"];

/// An archive that grows.
#[derive(Default)]
pub(super) struct Initramfs {
    bytes: Vec<u8>,
    paths: BTreeSet<PathBuf>,
}

impl Initramfs {
    /// Adds a directory and those above it.
    pub(super) fn directory(&mut self, path: &Path) {
        let mut ancestors: Vec<_> = path.ancestors().collect();
        ancestors.reverse();
        for path in ancestors {
            if path.parent().is_some() && self.paths.insert(path.to_owned()) {
                self.entry(&name(path), DIRECTORY, &[]);
            }
        }
    }

    /// Adds a file, and the directories above it, unless it is there already.
    pub(super) fn file(&mut self, path: &Path, content: &[u8]) {
        self.directory(path.parent().unwrap_or(Path::new("/")));
        if self.paths.insert(path.to_owned()) {
            self.entry(&name(path), EXECUTABLE, content);
        }
    }

    /// Adds a program of this machine as `path`, with the libraries that it needs.
    ///
    /// # Errors
    /// When the program or a library cannot be read.
    pub(super) fn program(&mut self, path: &Path, program: &Path) -> Result<()> {
        let read =
            |file: &Path| fs::read(file).with_context(|| format!("cannot read {}", file.display()));
        self.file(path, &read(program)?);
        for library in libraries(program)? {
            self.file(&library, &read(&library)?);
        }
        Ok(())
    }

    /// Adds a program of another machine, without its libraries.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn foreign_program(&mut self, path: &Path, program: &Path) -> Result<()> {
        let content =
            fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
        self.file(path, &content);
        Ok(())
    }

    /// Adds every library that packages have brought below `directory`, for programs of another
    /// machine: its loader cannot be asked which of them they need.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(super) fn libraries(&mut self, directory: &Path) -> Result<()> {
        for place in LIBRARIES {
            let Ok(entries) = fs::read_dir(directory.join(place)) else {
                continue;
            };
            for entry in entries {
                let file = entry?.path();
                let is_library = file.to_string_lossy().contains(".so.");
                if is_library && file.is_file() {
                    let content = fs::read(&file)
                        .with_context(|| format!("cannot read {}", file.display()))?;
                    let name = file.file_name().unwrap_or_default();
                    self.file(&Path::new("/lib").join(name), &content);
                }
            }
        }
        Ok(())
    }

    /// Returns the archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        let inode = self.paths.len() as u32;
        let links = 1;
        let fields = [
            inode,
            mode,
            0, // user
            0, // group
            links,
            0, // time
            content.len() as u32,
            0, // device
            0,
            0, // device of a device file
            0,
            name.len() as u32 + 1,
            0, // checksum, not in this format
        ];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08X}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// An archive's names are relative to the root.
fn name(path: &Path) -> String {
    path.to_string_lossy().trim_start_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_never_doubled() {
        let mut archive = Initramfs::default();
        archive.file(Path::new("/a/b"), b"12345");
        archive.file(Path::new("/a/b"), b"again");
        archive.directory(Path::new("/a"));
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8(bytes).unwrap();
        let header = "070701\
                      00000002000081ED000000000000000000000001000000000000000500000000\
                      0000000000000000000000000000000400000000";
        assert_eq!(text.matches("070701").count(), 3);
        assert!(text.contains(&format!("{header}a/b\0")), "{text}");
        assert!(text.contains("12345\0\0\x00070701"), "{text}");
    }
}
