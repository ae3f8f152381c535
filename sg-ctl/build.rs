//! Compiles the kernel programs (sg-ebpf) and tells sg-ctl where the object is.
//!
//! `SG_EBPF_OBJ=<file>` takes a given object instead.
//! All profiles and `cargo clippy` share one build directory, so the object is compiled once.

use std::{
    env,
    path::{Path, PathBuf},
};

#[path = "../xtask/src/toolchain.rs"]
#[expect(dead_code, reason = "shared with xtask, which uses all of it")]
mod toolchain;

use toolchain::Toolchain;

/// Names a ready-made object; also the variable that sg-ctl's source reads at compile time.
const OBJECT_VAR: &str = "SG_EBPF_OBJ";

fn main() {
    match object() {
        Ok(object) => println!("cargo::rustc-env={OBJECT_VAR}={}", object.display()),
        Err(message) => {
            for line in message.lines() {
                println!("cargo::error={line}");
            }
        }
    }
}

fn object() -> Result<PathBuf, String> {
    for variable in [OBJECT_VAR, toolchain::TOOLS_DIR_VAR, toolchain::LINKER_VAR] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    if let Some(object) = env::var_os(OBJECT_VAR) {
        println!("cargo::rerun-if-changed={}", object.display());
        return Path::new(&object).canonicalize().map_err(|error| {
            format!(
                "{OBJECT_VAR}={}: {error} (an absolute path is needed)",
                object.display()
            )
        });
    }
    let manifest_dir = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let root = manifest_dir
        .parent()
        .ok_or("sg-ctl is not inside the repository")?;
    for source in [
        "Cargo.toml",
        "sg-common/Cargo.toml",
        "sg-common/src",
        "sg-ebpf/Cargo.toml",
        "sg-ebpf/Cargo.lock",
        "sg-ebpf/src",
        "xtask/src/toolchain.rs",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    build(root, &variable("CARGO_CFG_TARGET_ARCH")?)
}

fn build(root: &Path, arch: &str) -> Result<PathBuf, String> {
    let toolchain = Toolchain::detect()?;
    let mut cargo = toolchain::ebpf_cargo(root, &toolchain, "build", arch)
        .map_err(|missing| missing.to_string())?;
    let output = cargo
        .arg("--quiet")
        .output()
        .map_err(|error| format!("cannot run cargo for sg-ebpf: {error}"))?;
    // rustc names files from sg-ebpf's directory.
    let diagnostics =
        String::from_utf8_lossy(&output.stderr).replace("--> src/", "--> sg-ebpf/src/");
    if !output.status.success() {
        return Err(format!("sg-ebpf does not build:\n{diagnostics}"));
    }
    for line in diagnostics.lines() {
        println!("cargo::warning={line}");
    }
    // A copy, so that neither a later build nor a removed target/ebpf changes what this one embeds.
    let object = PathBuf::from(variable("OUT_DIR")?).join("sg-ebpf");
    let built = toolchain::ebpf_target_dir(root)
        .join(toolchain::TARGET)
        .join("release/sg-ebpf");
    std::fs::copy(built, &object)
        .map_err(|error| format!("cannot copy the object to {}: {error}", object.display()))?;
    Ok(object)
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("cargo should set {name}: {error}"))
}
