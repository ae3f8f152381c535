//! Kernel modules, from the package of a kernel.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use lzma_rust2::XzReader;

/// A module, unpacked.
pub(super) struct Module {
    /// Its name, with underscores.
    pub(super) name: String,
    /// The ELF file.
    pub(super) content: Vec<u8>,
}

/// The modules of one kernel.
pub(super) struct Modules {
    files: BTreeMap<String, PathBuf>,
    /// Paths of those that are part of the kernel image, one a line.
    built_in: String,
}

impl Modules {
    /// Lists the modules below a kernel's module directory.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn list(directory: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        collect(directory, &mut files)
            .with_context(|| format!("cannot list {}", directory.display()))?;
        Ok(Self {
            files,
            // Not in every package.
            built_in: fs::read_to_string(directory.join("modules.builtin")).unwrap_or_default(),
        })
    }

    /// Returns modules and all that they depend on, in an order in which they can be loaded.
    ///
    /// # Errors
    /// When the kernel lacks one of them.
    pub(super) fn resolve(&self, names: &[&str]) -> Result<Vec<Module>> {
        let mut resolved = Vec::new();
        for name in names {
            self.add(name, &mut resolved)?;
        }
        Ok(resolved)
    }

    fn add(&self, name: &str, resolved: &mut Vec<Module>) -> Result<()> {
        if resolved.iter().any(|module| module.name == name) {
            return Ok(());
        }
        let Some(file) = self.files.get(name) else {
            if self.is_built_in(name) {
                return Ok(());
            }
            bail!("this kernel has no module {name}");
        };
        let content = unpack(file)?;
        for dependency in dependencies(&content) {
            self.add(&dependency, resolved)?;
        }
        resolved.push(Module {
            name: name.to_owned(),
            content,
        });
        Ok(())
    }

    fn is_built_in(&self, name: &str) -> bool {
        let mut paths = self.built_in.lines().map(Path::new);
        paths.any(|path| module_name(path).as_deref() == Some(name))
    }
}

fn collect(directory: &Path, files: &mut BTreeMap<String, PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            collect(&path, files)?;
        } else if let Some(name) = module_name(&path) {
            files.insert(name, path);
        }
    }
    Ok(())
}

/// Returns the name of the module in a file, compressed or not.
fn module_name(path: &Path) -> Option<String> {
    let (name, _) = path.file_name()?.to_str()?.split_once(".ko")?;
    Some(name.replace('-', "_"))
}

fn unpack(file: &Path) -> Result<Vec<u8>> {
    let cannot_read = || format!("cannot read {}", file.display());
    let packed = fs::read(file).with_context(cannot_read)?;
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("ko") => Ok(packed),
        Some("xz") => {
            let mut content = Vec::new();
            XzReader::new(&packed[..], true)
                .read_to_end(&mut content)
                .with_context(cannot_read)?;
            Ok(content)
        }
        _ => bail!("{}: not compressed by xz", file.display()),
    }
}

/// Reads `depends=a,b` in a module's section `.modinfo`, whose entries end with zeros.
fn dependencies(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(start) = module.windows(KEY.len()).position(|bytes| bytes == KEY) else {
        return Vec::new();
    };
    let value = &module[start + KEY.len()..];
    let value = value.split(|byte| *byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(value);
    let names = names.split(',').filter(|name| !name.is_empty());
    names.map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_from_modinfo() {
        let module = b"\x7fELF\0license=GPL\0depends=nf-conntrack,llc\0retpoline=Y\0";
        assert_eq!(dependencies(module), ["nf_conntrack", "llc"]);
        assert!(dependencies(b"\0depends=\0name=veth\0").is_empty());
        assert!(dependencies(b"name=veth\0").is_empty());
    }

    #[test]
    fn modules_are_named_as_the_kernel_names_them() {
        let name = |path: &str| module_name(Path::new(path));
        assert_eq!(
            name("kernel/net/sched/cls-bpf.ko.xz").as_deref(),
            Some("cls_bpf")
        );
        assert_eq!(name("kernel/veth.ko").as_deref(), Some("veth"));
        assert_eq!(name("modules.order"), None);
    }
}
