//! Compiles an object of sg-ebpf: for the build scripts of the packages that embed one.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use object::{
    build::{
        Result as ElfResult,
        elf::{Builder, SectionData},
    },
    elf::SHT_STRTAB,
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

/// Builds the object `name` for the package whose build script this is; returns what is
/// to be embedded, in the script's `OUT_DIR`.
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
    // Another file, so that neither a later build nor a removed target/ebpf changes what this one embeds.
    let object = PathBuf::from(variable("OUT_DIR")?).join(name);
    let built = toolchain::ebpf_target_dir(root)
        .join(toolchain::TARGET)
        .join("release")
        .join(name);
    let cannot = |what: &str, path: &Path, error: &dyn std::fmt::Display| {
        format!("cannot {what} the object {}: {error}", path.display())
    };
    let whole = fs::read(&built).map_err(|error| cannot("read", &built, &error))?;
    let stripped = strip(&whole).map_err(|error| cannot("strip", &built, &error))?;
    fs::write(&object, stripped).map_err(|error| cannot("write", &object, &error))?;
    Ok(object)
}

/// The object without what debuggers read, five sixths of it: the loader looks at each section and
/// each relocation whenever a command loads it. BTF stays, which the kernel reads.
fn strip(object: &[u8]) -> ElfResult<Vec<u8>> {
    let mut elf = Builder::read(object)?;
    for section in &mut elf.sections {
        let name = section.name.as_slice();
        // Neither the kernel nor a loader relocates BTF.
        section.delete = [&b".debug_"[..], b".rel.debug_", b".rel.BTF"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
    }
    // LLVM has one table for the names of symbols and of sections, the writer two.
    let names = elf.sections.add();
    names.name = b".shstrtab"[..].into();
    names.sh_type = SHT_STRTAB;
    names.sh_addralign = 1;
    names.data = SectionData::SectionString;
    let mut stripped = Vec::new();
    elf.write(&mut stripped)?;
    Ok(stripped)
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("cargo should set {name}: {error}"))
}
