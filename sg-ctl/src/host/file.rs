//! Files for what happens on this host: they hold addresses of people, so they are the owner's alone.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Creates a file, or empties the one that there is.
///
/// # Errors
/// When it cannot be opened, or is a symbolic link: whoever may write beside it could have it lead
/// anywhere.
pub fn create(path: &Path) -> io::Result<File> {
    open(OpenOptions::new().write(true).truncate(true), path)
}

/// Opens a file to append to it, a new one if there is none.
///
/// # Errors
/// Those of [`create`].
pub fn append(path: &Path) -> io::Result<File> {
    open(OpenOptions::new().append(true), path)
}

fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let options = options.create(true).mode(0o600);
    let opened = options.custom_flags(nix::libc::O_NOFOLLOW).open(path);
    opened.map_err(|error| match error.raw_os_error() {
        Some(nix::libc::ELOOP) => {
            io::Error::new(error.kind(), "it is a symbolic link, which is not followed")
        }
        _ => error,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn files_are_the_owners_alone_and_links_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for (name, open) in [("created", create as fn(&Path) -> _), ("appended", append)] {
            let file = open(&path(name)).unwrap();
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            let link = path(&format!("link-to-{name}"));
            symlink(path(name), &link).unwrap();
            let refused = open(&link).unwrap_err().to_string();
            assert!(refused.contains("symbolic link"), "{refused}");
        }
    }
}
