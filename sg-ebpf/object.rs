//! Compiles an object of sg-ebpf: for the build scripts of the packages that embed one.

use std::{
    env,
    path::{Path, PathBuf},
};

#[path = "../xtask/src/toolchain.rs"]
#[expect(dead_code, reason = "shared with xtask, which uses all of it")]
mod toolchain;

use toolchain::Toolchain;

/// What the objects are made of, below the root of the repository.
const SOURCES: [&str; 8] = [
    "Cargo.toml",
    "sg-common/Cargo.toml",
    "sg-common/src",
    "sg-ebpf/Cargo.toml",
    "sg-ebpf/Cargo.lock",
    "sg-ebpf/object.rs",
    "sg-ebpf/src",
    "xtask/src/toolchain.rs",
];

/// Builds the object `name` for the package whose build script this is; returns a copy in the
/// script's `OUT_DIR`.
///
/// # Errors
/// When something is missing or does not compile.
pub(crate) fn build(name: &str) -> Result<PathBuf, String> {
    for variable in [toolchain::TOOLS_DIR_VAR, toolchain::LINKER_VAR] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let root = package
        .parent()
        .ok_or("the package is not inside the repository")?;
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    compile(root, name)
}

fn compile(root: &Path, name: &str) -> Result<PathBuf, String> {
    let toolchain = Toolchain::detect()?;
    let arch = variable("CARGO_CFG_TARGET_ARCH")?;
    let mut cargo = toolchain::ebpf_cargo(root, &toolchain, "build", &arch)
        .map_err(|missing| missing.to_string())?;
    let output = cargo
        .args(["--quiet", "--bin", name])
        .output()
        .map_err(|error| format!("cannot run cargo for {name}: {error}"))?;
    // rustc names files from sg-ebpf's directory.
    let diagnostics =
        String::from_utf8_lossy(&output.stderr).replace("--> src/", "--> sg-ebpf/src/");
    if !output.status.success() {
        return Err(format!("{name} does not build:\n{diagnostics}"));
    }
    for line in diagnostics.lines() {
        println!("cargo::warning={line}");
    }
    // A copy, so that neither a later build nor a removed target/ebpf changes what this one embeds.
    let object = PathBuf::from(variable("OUT_DIR")?).join(name);
    let built = toolchain::ebpf_target_dir(root)
        .join(toolchain::TARGET)
        .join("release")
        .join(name);
    std::fs::copy(built, &object)
        .map_err(|error| format!("cannot copy the object to {}: {error}", object.display()))?;
    Ok(object)
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("cargo should set {name}: {error}"))
}
