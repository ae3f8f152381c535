//! Where the pieces are that compile sg-ebpf, and the one cargo command that uses them.
//!
//! Shared with `sg-ctl/build.rs`, which includes this file: so std only, and no module of xtask.
//! `cargo xtask setup` fills the *tools directory*; everything else only reads it.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::Command,
};

/// The target of the kernel programs; sg supports little-endian hosts only.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// Overrides the tools directory.
pub(crate) const TOOLS_DIR_VAR: &str = "SG_TOOLS_DIR";

/// Names a bpf-linker to use in place of the tools directory's own.
pub(crate) const LINKER_VAR: &str = "SG_BPF_LINKER";

/// The compiler in use and the tools directory that belongs to it.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// The compiler proper, never a rustup proxy.
    pub(crate) rustc: PathBuf,
    /// `rustc --print sysroot`.
    pub(crate) sysroot: PathBuf,
    /// Version without channel, such as `1.95.0`.
    pub(crate) release: String,
    /// Major version of the LLVM inside rustc: bpf-linker must be built for the same.
    pub(crate) llvm_major: u32,
    /// Cache of what setup builds or fetches for exactly this compiler.
    pub(crate) tools: PathBuf,
}

/// Where `core` for [`TARGET`] comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CoreSource {
    /// The sysroot holds a compiled one (a distribution's package): nothing to build.
    Compiled,
    /// The sysroot's own rust-src component.
    Sysroot,
    /// A copy of the standard library's source outside the sysroot.
    Library(PathBuf),
}

/// A piece is missing; displayed as a complete message with its remedy.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; run `cargo xtask setup` once", self.0)
    }
}

impl Toolchain {
    /// Asks `rustc` (the one cargo names in `RUSTC`, else that of the `PATH`) what it is.
    ///
    /// # Errors
    /// When rustc cannot be run, or prints something else than expected.
    pub(crate) fn detect() -> Result<Self, String> {
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let ask = |arguments: &[&str]| -> Result<String, String> {
            let output = Command::new(&rustc)
                .args(arguments)
                .output()
                .map_err(|error| format!("cannot run `{}`: {error}", rustc.display()))?;
            if !output.status.success() {
                let reason = String::from_utf8_lossy(&output.stderr);
                return Err(format!("`{}` failed: {}", rustc.display(), reason.trim()));
            }
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let sysroot = PathBuf::from(ask(&["--print", "sysroot"])?);
        let version = ask(&["-vV"])?;
        let field = |name: &str| {
            version
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .ok_or_else(|| format!("`rustc -vV` names no {name}:\n{version}"))
        };
        let release = field("release")?.to_owned();
        let commit = field("commit-hash")?;
        let llvm = field("LLVM version")?;
        let llvm_major = llvm
            .split('.')
            .next()
            .and_then(|major| major.parse().ok())
            .ok_or_else(|| format!("`rustc -vV` names an odd LLVM version: {llvm}"))?;
        let key = format!("{release}-{}", commit.get(..9).unwrap_or(commit));
        Ok(Self {
            rustc: sysroot.join("bin/rustc"),
            sysroot,
            tools: tools_root()?.join(key),
            release,
            llvm_major,
        })
    }

    /// Finds `core` for [`TARGET`]; the first that exists wins.
    pub(crate) fn core_source(&self) -> Option<CoreSource> {
        let rustlib = self.sysroot.join("lib/rustlib");
        // The lock file is what cargo reads first: a directory without it is no use.
        let usable = |library: &Path| library.join("Cargo.lock").is_file();
        if rustlib.join(TARGET).is_dir() {
            return Some(CoreSource::Compiled);
        }
        if usable(&rustlib.join("src/rust/library")) {
            return Some(CoreSource::Sysroot);
        }
        [
            self.library(),
            PathBuf::from(format!("/usr/src/rustc-{}/library", self.release)),
        ]
        .into_iter()
        .find(|library| usable(library))
        .map(CoreSource::Library)
    }

    /// Where setup puts the standard library's source when the sysroot cannot have it.
    pub(crate) fn library(&self) -> PathBuf {
        self.tools.join("library")
    }

    /// Returns the linker to use: the named one, or setup's own if it runs.
    ///
    /// One on the `PATH` is never taken: it may have been built for an older LLVM, which it does
    /// not tell, and then fails on our bitcode with `Invalid record`.
    ///
    /// # Errors
    /// When there is none, or it does not run.
    pub(crate) fn linker(&self) -> Result<PathBuf, Missing> {
        let named = env::var_os(LINKER_VAR).map(PathBuf::from);
        let linker = named.unwrap_or_else(|| self.tools.join("bin/bpf-linker"));
        match Command::new(&linker).arg("--version").output() {
            Ok(output) if output.status.success() => Ok(linker),
            Ok(output) => Err(Missing(format!(
                "bpf-linker at {} does not run: {}",
                linker.display(),
                String::from_utf8_lossy(&output.stderr).trim()
            ))),
            Err(error) => Err(Missing(format!(
                "no bpf-linker at {}: {error}",
                linker.display()
            ))),
        }
    }
}

/// Returns the directory of all tools directories: it outlives `cargo clean`.
///
/// # Errors
/// When nothing in the environment says where that could be.
pub(crate) fn tools_root() -> Result<PathBuf, String> {
    let set = |name: &str| {
        let value = env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    let root = set(TOOLS_DIR_VAR)
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("sg")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/sg")))
        .ok_or_else(|| format!("neither HOME nor {TOOLS_DIR_VAR} says where to keep tools"))?;
    // Setup and build script run in different directories.
    if root.is_relative() {
        return Err(format!(
            "the tools directory must be an absolute path, not {}",
            root.display()
        ));
    }
    Ok(root)
}

/// Returns the directory that cargo builds sg-ebpf in: one for all profiles of the host side,
/// apart from theirs so that the two cargo processes never wait for each other.
pub(crate) fn ebpf_target_dir(root: &Path) -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    root.join(target).join("ebpf")
}

/// Prepares `cargo VERB` (build, clippy, doc) on sg-ebpf, for kernels of architecture `arch`.
///
/// # Errors
/// When `core` or the linker is missing.
pub(crate) fn ebpf_cargo(
    root: &Path,
    toolchain: &Toolchain,
    verb: &str,
    arch: &str,
) -> Result<Command, Missing> {
    let core = toolchain
        .core_source()
        .ok_or_else(|| Missing(format!("no source of `core` for {TARGET}")))?;
    let linker = toolchain.linker()?;
    let flags = [
        &format!("--cfg=bpf_target_arch=\"{arch}\""),
        // Type information, without which the kernel shows no map or line by name.
        "-Clink-arg=--btf",
        // Headers lie in packets as they please: one load per field, not one per byte. Every
        // architecture that the programs compile for can do it, and the verifier knows.
        "-Clink-arg=--cpu-features=+allows-misaligned-mem-access",
    ];
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What the calling cargo sets for the host side must not leak into this build.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_host_only) {
            cargo.env_remove(name);
        }
    }
    cargo
        .current_dir(root.join("sg-ebpf"))
        .arg(verb)
        .args(["--release", "--target", TARGET, "--target-dir"])
        .arg(ebpf_target_dir(root))
        .env("RUSTC", &toolchain.rustc)
        // core is built from source and aya-ebpf uses inline assembly for BPF: both are unstable.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", linker)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    if core != CoreSource::Compiled {
        cargo.arg("-Zbuild-std=core");
    }
    if let CoreSource::Library(library) = core {
        // cargo's only way to take the library from outside the sysroot; the toolchain is pinned.
        cargo.env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
    }
    Ok(cargo)
}

/// Returns whether an environment variable configures the build of the host side.
fn is_host_only(name: &str) -> bool {
    const KEPT: [&str; 6] = [
        "CARGO_HOME",
        "CARGO_MAKEFLAGS",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
    ];
    const HOST_ONLY: [&str; 8] = [
        "DEBUG",
        "HOST",
        "NUM_JOBS",
        "OPT_LEVEL",
        "OUT_DIR",
        "PROFILE",
        "RUSTFLAGS",
        "TARGET",
    ];
    let of_cargo = name.starts_with("CARGO_") && !KEPT.iter().any(|kept| name.starts_with(kept));
    of_cargo || name.starts_with("RUSTC") || HOST_ONLY.contains(&name)
}
