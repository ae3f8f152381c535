//! Compiles the kernel programs (sg-ebpf) and tells sg-ctl where the object is.
//!
//! `SG_EBPF_OBJ=<file>` takes a given object instead.
//! All profiles and `cargo clippy` share one build directory, so the object is compiled once.

use std::{
    env,
    path::{Path, PathBuf},
};

#[path = "../sg-ebpf/object.rs"]
mod object;

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
    println!("cargo::rerun-if-env-changed={OBJECT_VAR}");
    let Some(object) = env::var_os(OBJECT_VAR) else {
        return object::build("sg-ebpf");
    };
    println!("cargo::rerun-if-changed={}", object.display());
    Path::new(&object).canonicalize().map_err(|error| {
        format!(
            "{OBJECT_VAR}={}: {error} (an absolute path is needed)",
            object.display()
        )
    })
}
