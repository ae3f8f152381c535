//! Texts that people and tools write, and what is wrong with them, each finding in its place.
//!
//! YAML, and so JSON, becomes a tree in which every node knows where it stands; findings are
//! collected, so that one run reports all of them.

pub(crate) mod document;
pub(crate) mod places;
pub(crate) mod report;
mod slip;

use std::io::{self, Read};
use std::path::Path;

pub use report::{Diagnostic, Report, Severity};

/// One text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The name that reports use.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// Most bytes of one document: to import it takes six to twelve times its size.
const MOST_BYTES: u64 = 64 << 20;

/// Reads all of a document, which may have no size of its own (a pipe).
fn read(from: impl io::Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    match text.len() as u64 {
        length if length > MOST_BYTES => Err(too_large(length)),
        _ => Ok(text),
    }
}

fn too_large(length: u64) -> io::Error {
    let mebibytes = |bytes: u64| bytes.div_ceil(1 << 20);
    let what = format!(
        "{} MiB or more are too much, a document may have {} MiB",
        mebibytes(length),
        mebibytes(MOST_BYTES)
    );
    io::Error::new(io::ErrorKind::FileTooLarge, what)
}

impl Source {
    /// Reads a file; `-` stands for standard input.
    ///
    /// # Errors
    ///
    /// What the system reports, [`io::ErrorKind::InvalidData`] for what is not UTF-8, and
    /// [`io::ErrorKind::FileTooLarge`] for more than [`MOST_BYTES`].
    pub fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self {
                name: "<stdin>".to_owned(),
                text: read(io::stdin())?,
            });
        }
        let file = std::fs::File::open(path)?;
        if file.metadata()?.len() > MOST_BYTES {
            return Err(too_large(file.metadata()?.len()));
        }
        Ok(Self {
            name: path.display().to_string(),
            text: read(file)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_would_fill_memory_is_refused_with_its_size() {
        let name = format!("sg-too-large-{}.json", std::process::id());
        let path = std::env::temp_dir().join(name);
        let file = std::fs::File::create(&path).expect("a directory for temporary files");
        file.set_len(118 << 20).expect("it has holes");
        let error = Source::open(&path).expect_err("it is too large");
        std::fs::remove_file(&path).expect("it is ours");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        let text = error.to_string();
        assert!(
            text.contains("118 MiB") && text.contains("64 MiB"),
            "{text}"
        );
        // A pipe tells no size.
        let error = read(io::repeat(b' ')).expect_err("it has no end");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
