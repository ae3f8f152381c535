//! Where the program to test is.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The program: `SG_CTL`, else what cargo builds now, else the one beside this program.
pub(super) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(path) = env::var_os("SG_CTL") {
            return PathBuf::from(path);
        }
        let test = env::current_exe().expect("this test");
        if let Some(cargo) = env::var_os("CARGO") {
            return build(&cargo, &test);
        }
        let beside = test.with_file_name("sg-ctl");
        assert!(
            beside.exists(),
            "no sg-ctl to test: set SG_CTL, or run `cargo xtask test`, which does"
        );
        beside
    })
}

/// `cargo test` builds libraries and tests only, and an old sg-ctl would prove nothing.
fn build(cargo: &OsStr, test: &Path) -> PathBuf {
    // target/debug/deps/it-… → target/debug/sg-ctl
    let directory = test.ancestors().nth(2).expect("cargo's layout");
    let profile = match directory.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--package", "sg-ctl", "--bin", "sg-ctl"])
        .args(["--profile", profile])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "sg-ctl does not build: `cargo xtask test` builds it first"
    );
    directory.join("sg-ctl")
}
