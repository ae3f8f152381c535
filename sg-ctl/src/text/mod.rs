//! Texts that people and tools write, and what is wrong with them, each finding in its place.
//!
//! YAML, and so JSON, becomes a tree in which every node knows where it stands; findings are
//! collected, so that one run reports all of them.

pub(crate) mod document;
pub(crate) mod report;

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

impl Source {
    /// Reads a file; `-` stands for standard input.
    ///
    /// # Errors
    ///
    /// What the system reports, and [`io::ErrorKind::InvalidData`] for what is not UTF-8.
    pub fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text)?;
            return Ok(Self {
                name: "<stdin>".to_owned(),
                text,
            });
        }
        let text = std::fs::read_to_string(path)?;
        Ok(Self {
            name: path.display().to_string(),
            text,
        })
    }
}
