//! What tells one state from another without reading it.

use std::os::unix::fs::MetadataExt as _;

use super::StateDir;

/// What tells one state's file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMark {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl StateDir {
    /// Tells the state's file from those before and after it; `None` while there is none.
    pub fn mark(&self) -> Option<FileMark> {
        let file = std::fs::metadata(self.current()).ok()?;
        Some(FileMark {
            inode: file.ino(),
            size: file.size(),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }
}
