//! A file that grows to a size, then becomes the first of some older ones.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::host::file;

/// Where to write, how much of it, and how many older files to keep as `NAME.1`, `NAME.2`, ….
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The file, a new one being its owner's alone; what was in it stays.
    pub path: PathBuf,
    /// Bytes after which a new file is begun, at the end of a line.
    pub bytes: u64,
    /// Older files.
    pub keep: u32,
}

/// The file of a [`Rotation`].
#[derive(Debug)]
pub(super) struct RotatedFile {
    rotation: Rotation,
    file: BufWriter<File>,
    length: u64,
}

impl RotatedFile {
    /// Opens the file to append to it.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn open(rotation: Rotation) -> io::Result<Self> {
        let (file, length) = append(&rotation.path)?;
        Ok(Self {
            rotation,
            file,
            length,
        })
    }

    /// Writes a line.
    ///
    /// # Errors
    /// When the line cannot be written, or files not be renamed.
    pub(super) fn line(&mut self, line: &str) -> io::Result<()> {
        let length = line.len() as u64 + 1;
        if self.length > 0 && self.length + length > self.rotation.bytes {
            self.rotate()?;
        }
        self.length += length;
        writeln!(self.file, "{line}")
    }

    /// Makes what was written visible to readers.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file.flush()?;
        let path = &self.rotation.path;
        if self.rotation.keep == 0 {
            remove(path)?;
        }
        for number in (0..self.rotation.keep).rev() {
            match fs::rename(numbered(path, number), numbered(path, number + 1)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                renamed => renamed?,
            }
        }
        (self.file, self.length) = append(path)?;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<(BufWriter<File>, u64)> {
    let file = file::append(path)?;
    let length = file.metadata()?.len();
    Ok((BufWriter::new(file), length))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The name of an older file; the newest, number 0, has no number.
fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_files_of_such_a_size_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("flows.log");
        let open = |keep| {
            RotatedFile::open(Rotation {
                path: path.clone(),
                bytes: 10,
                keep,
            })
            .unwrap()
        };
        let mut file = open(2);
        for line in ["aaaa", "bbbb", "cccc", "dddd"] {
            file.line(line).unwrap();
        }
        drop(file);
        // What was there is appended to.
        let mut file = open(2);
        for line in ["longer than a file", "eeee"] {
            file.line(line).unwrap();
        }
        file.flush().unwrap();
        let read = |number| fs::read_to_string(numbered(&path, number)).unwrap();
        assert_eq!(read(0), "eeee\n");
        assert_eq!(read(1), "longer than a file\n");
        assert_eq!(read(2), "cccc\ndddd\n");
        assert!(!numbered(&path, 3).exists());

        let mut file = open(0);
        file.line("ffff").unwrap();
        file.line("gggg").unwrap();
        file.flush().unwrap();
        assert_eq!(read(0), "gggg\n");
    }
}
