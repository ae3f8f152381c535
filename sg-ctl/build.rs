//! Compiles the kernel programs (sg-ebpf) and tells sg-ctl where the object is.
//!
//! `SG_EBPF_OBJ=<file>` takes a given object instead.
//! All profiles and `cargo clippy` share one build directory, so the object is compiled once.

use std::{
    env, fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
};

#[path = "../sg-ebpf/object.rs"]
mod object;

/// Names a ready-made object; also the variable that sg-ctl's source reads at compile time.
const OBJECT_VAR: &str = "SG_EBPF_OBJ";

fn main() {
    match object().and_then(|object| Ok((digest(&object)?, object))) {
        Ok((digest, object)) => {
            println!("cargo::rustc-env={OBJECT_VAR}={}", object.display());
            println!("cargo::rustc-env=SG_EBPF_DIGEST={digest:016x}");
        }
        Err(message) => {
            for line in message.lines() {
                println!("cargo::error={line}");
            }
        }
    }
}

/// Tells one object from another.
fn digest(object: &Path) -> Result<u64, String> {
    let content = fs::read(object).map_err(|error| format!("{}: {error}", object.display()))?;
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    Ok(hasher.finish())
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
