//! The command, run as its user runs it, without privileges.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SG_CTL: &str = env!("CARGO_BIN_EXE_sg-ctl");

/// A directory of one test, removed at its end.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(test: &str) -> Self {
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory for the test");
        Self(path)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a file for the test");
        path.display().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A leftover in the target directory harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs sg-ctl without privileges.
pub(crate) fn sg_ctl(arguments: &[&str]) -> Output {
    unprivileged()
        .args(arguments)
        .output()
        .expect("sg-ctl runs")
}

/// sg-ctl, without capabilities even if the tests run as root, and on directories that do not
/// exist.
pub(crate) fn unprivileged() -> Command {
    let mut command = if nix::unistd::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all", SG_CTL]);
        command
    } else {
        Command::new(SG_CTL)
    };
    command
        .env("SG_STATE_DIR", "/nonexistent/state")
        .env("SG_PIN_DIR", "/nonexistent/pins")
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE");
    command
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// Asserts that a command ended with `status` and these words on standard error, and printed
/// nothing else.
pub(crate) fn assert_fails(output: &Output, status: i32, words: &[&str]) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert_eq!(text(&output.stdout), "");
    for word in words {
        assert!(stderr.contains(word), "no `{word}` in: {stderr}");
    }
}
