//! The trial of `cargo xtask dist --check`: packages are installed in empty roots and used there.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use super::{Linked, NAME, Packages, debian, output};
use crate::{install::File, libraries::libraries, privilege::elevate, progress::Step};

/// The files of completions, and the shell of each.
const DEBIAN_COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/sg-ctl"),
    ("fish", "share/fish/vendor_completions.d/sg-ctl.fish"),
    ("zsh", "share/zsh/vendor-completions/_sg-ctl"),
];

/// Checks that two runs have packed the same.
///
/// # Errors
/// When they have not.
pub(super) fn same(packages: &Packages, again: &Packages) -> Result<()> {
    ensure!(
        packages.sums == again.sums,
        "packing the same files twice gives different packages:\n{}\n{}",
        packages.sums,
        again.sums
    );
    Ok(())
}

/// Installs each package in an empty root, and tries what it has brought.
///
/// # Errors
/// When something is missing, or does not work.
pub(super) fn run(
    packages: &Packages,
    files: &[File],
    directory: &Path,
    linked: Linked,
) -> Result<()> {
    let step = Step::start("tarball", "unpacking it in an empty root");
    let root = Root::create(directory)?;
    let usr = root.path("usr/local");
    as_root(&["mkdir", "-p"], &[&usr])?;
    let words = ["tar", "--no-same-owner", "--strip-components=1", "-C"];
    as_root(&words, &[&usr, Path::new("-xf"), &packages.tarball])?;
    root.provide(linked, &usr.join("bin/sg-ctl"))?;
    root.try_program("/usr/local")?;
    let program = root.path("usr/local/bin/sg-ctl");
    is_without_date(&program)?;
    if linked == Linked::Whole {
        is_without_crash_points(&program)?;
    }
    let units = root.try_units("/usr/local")?;
    drop(root);
    step.done(&format!("works, {units}"));

    let step = Step::start("Debian package", "installing it in an empty root");
    let root = Root::create(directory)?;
    for list in ["info", "updates", "triggers"] {
        as_root(&["mkdir", "-p"], &[&root.path("var/lib/dpkg").join(list)])?;
    }
    as_root(&["touch"], &[&root.path("var/lib/dpkg/status")])?;
    root.add_shell()?;
    root.dpkg(&["--install"], &[&packages.debian])?;
    root.provide(linked, &root.path("usr/bin/sg-ctl"))?;
    root.try_program("/usr")?;
    root.try_documents()?;
    root.try_files(files)?;
    let units = root.try_units("/usr")?;
    root.dpkg(&["--purge", NAME], &[])?;
    let program = root.path("usr/bin/sg-ctl");
    ensure!(!program.exists(), "{} stays behind", program.display());
    drop(root);
    step.done(&format!("installs, works, {units}, is removed"));
    Ok(())
}

/// Checks that nothing of what kills sg-ctl in tests is left in a program.
fn is_without_crash_points(program: &Path) -> Result<()> {
    let is_debug = contains(program, "SG_CRASH_AT")?;
    ensure!(!is_debug, "{} is a debug build", program.display());
    Ok(())
}

/// Checks that a program does not tell the day of its compilation, as C code may by `__DATE__`: it would
/// be another one tomorrow.
fn is_without_date(program: &Path) -> Result<()> {
    let today = output(Command::new("date").arg("+%b %e %Y").env("LC_ALL", "C"))?;
    let is_dated = contains(program, today.trim_end())?;
    ensure!(!is_dated, "{} tells when it was built", program.display());
    Ok(())
}

fn contains(program: &Path, text: &str) -> Result<bool> {
    let bytes = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let mut windows = bytes.windows(text.len());
    Ok(windows.any(|window| window == text.as_bytes()))
}

/// A root directory of its own, removed when dropped.
struct Root(PathBuf);

impl Root {
    /// Makes it, empty.
    fn create(directory: &Path) -> Result<Self> {
        as_root(&["rm", "-rf", "--one-file-system"], &[directory])?;
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        Ok(Self(directory.to_owned()))
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// Runs sg-ctl with nothing around it but what the package has brought.
    fn sg_ctl(&self, prefix: &str, arguments: &[&str]) -> Result<String> {
        let program = PathBuf::from(format!("{prefix}/bin/sg-ctl"));
        let mut words = vec![self.0.as_path(), &program];
        words.extend(arguments.iter().map(Path::new));
        as_root(&["chroot"], &words)
    }

    fn dpkg(&self, arguments: &[&str], files: &[&Path]) -> Result<String> {
        let mut option = OsString::from("--root=");
        option.push(&self.0);
        let arguments = arguments.iter().map(Path::new);
        let words: Vec<&Path> = [Path::new(&option)]
            .into_iter()
            .chain(arguments)
            .chain(files.iter().copied())
            .collect();
        as_root(&["dpkg"], &words)
    }

    /// Tries the program and the examples.
    fn try_program(&self, prefix: &str) -> Result<()> {
        let version = self.sg_ctl(prefix, &["--version"])?;
        let expected = format!("{NAME} {}\n", env!("CARGO_PKG_VERSION"));
        ensure!(version == expected, "--version prints {version}");

        let examples = format!("{prefix}/share/doc/{NAME}/examples");
        let names = names(&self.path(&examples))?;
        ensure!(!names.is_empty(), "no examples in {examples}");
        for name in names {
            let is = |ending: &str| name.strip_suffix(ending).is_some();
            let verb = match () {
                () if is(".cases.yaml") => "test",
                () if is(".yaml") => "check",
                () => continue,
            };
            self.sg_ctl(prefix, &[verb, &format!("{examples}/{name}")])?;
        }
        Ok(())
    }

    /// Has systemd look at the units, among those of this machine. Says what came of it.
    fn try_units(&self, prefix: &str) -> Result<&'static str> {
        let available = Command::new("systemd-analyze").arg("--version").output();
        if available.is_err() {
            return Ok("units not verified for want of systemd-analyze");
        }
        let units = names(&self.path(&format!("{prefix}/lib/systemd/system")))?;
        ensure!(!units.is_empty(), "no units below {prefix}");
        // What units refer to must be there as well: other units, and the program that signals.
        let others = self.path("usr/lib/systemd/system");
        as_root(&["mkdir", "-p"], &[&others])?;
        let words = ["cp", "--recursive", "--no-clobber"];
        as_root(&words, &[Path::new("/lib/systemd/system/."), &others])?;
        as_root(
            &["install", "-D"],
            &[Path::new("/bin/kill"), &self.path("bin/kill")],
        )?;
        let mut root = OsString::from("--root=");
        root.push(&self.0);
        let verified = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(root)
            .args(&units)
            .output()?;
        let complaints = String::from_utf8_lossy(&verified.stderr);
        ensure!(
            verified.status.success() && complaints.is_empty(),
            "systemd does not take the units: {complaints}"
        );
        Ok("systemd takes the units")
    }

    /// Compares what the Debian package has installed with what was to be packed. Its pages are
    /// compressed: [`try_documents`](Self::try_documents) looks at them.
    fn try_files(&self, files: &[File]) -> Result<()> {
        let files = files.iter().map(debian::moved);
        for file in files.filter(|file| !file.target.starts_with("usr/share/man")) {
            let installed = self.0.join(&file.target);
            let mode = fs::metadata(&installed)
                .with_context(|| format!("{} is not installed", installed.display()))?
                .permissions()
                .mode();
            ensure!(
                format!("{:o}", mode & 0o7777) == file.mode
                    && fs::read(&installed)? == fs::read(&file.source)?,
                "{} is not as packed, mode {mode:o}",
                installed.display()
            );
        }
        Ok(())
    }

    /// Compares manual pages and completions with those that the program writes.
    fn try_documents(&self) -> Result<()> {
        self.sg_ctl("/usr", &["man", "/man"])?;
        let pages = names(&self.path("man"))?;
        let installed = self.path("usr/share/man/man1");
        let compressed: BTreeSet<_> = pages.iter().map(|page| format!("{page}.gz")).collect();
        ensure!(pages.len() > 10, "only {} manual pages", pages.len());
        ensure!(
            names(&installed)? == compressed,
            "the manual pages are not those of the program"
        );
        for page in &pages {
            let text = output(Command::new("gzip").args(["-dc"]).arg(installed.join(page)))?;
            let expected = fs::read_to_string(self.path("man").join(page))?;
            ensure!(text == expected, "{page} is not the program's");
        }
        for (shell, file) in DEBIAN_COMPLETIONS {
            let installed = self.path("usr").join(file);
            let text = fs::read_to_string(&installed)
                .with_context(|| format!("no completions for {shell}: {}", installed.display()))?;
            let expected = self.sg_ctl("/usr", &["completions", shell])?;
            ensure!(
                text == expected,
                "completions for {shell} are not the program's"
            );
        }
        let documentation = self.path("usr/share/doc").join(NAME);
        for file in ["README.md", "docs/semantics.md"] {
            let file = documentation.join(file);
            ensure!(file.is_file(), "no {}", file.display());
        }
        let copyright = fs::read_to_string(documentation.join("copyright"))?;
        ensure!(
            copyright.lines().any(|line| line.starts_with("aya v")),
            "the licences of what is inside are not in the package: {copyright}"
        );
        Ok(())
    }

    /// Adds what the package's scripts need. The program has none of it: the tarball's root is
    /// without.
    fn add_shell(&self) -> Result<()> {
        for program in ["/bin/sh", "/bin/rm"] {
            let program = Path::new(program);
            self.add_libraries(program)?;
            as_root(
                &["install", "-D"],
                &[program, &self.path(&program.to_string_lossy())],
            )?;
        }
        Ok(())
    }

    /// Adds what a program needs besides itself.
    fn provide(&self, linked: Linked, program: &Path) -> Result<()> {
        match linked {
            Linked::Whole => Ok(()),
            Linked::WithLibraries => self.add_libraries(program),
        }
    }

    fn add_libraries(&self, program: &Path) -> Result<()> {
        for library in libraries(program)? {
            as_root(
                &["install", "-D"],
                &[&library, &self.path(&library.to_string_lossy())],
            )?;
        }
        Ok(())
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        if let Err(error) = as_root(&["rm", "-rf", "--one-file-system"], &[&self.0]) {
            eprintln!("cannot clean up: {error:#}");
        }
    }
}

/// Names of the files in a directory.
fn names(directory: &Path) -> Result<BTreeSet<String>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let mut names = BTreeSet::new();
    for entry in entries {
        let Ok(name) = entry?.file_name().into_string() else {
            bail!("a strange name in {}", directory.display());
        };
        names.insert(name);
    }
    Ok(names)
}

/// Runs a program as root and returns what it printed.
fn as_root(words: &[&str], paths: &[&Path]) -> Result<String> {
    let words: Vec<OsString> = words
        .iter()
        .map(OsString::from)
        .chain(paths.iter().map(|path| path.as_os_str().to_owned()))
        .collect();
    output(&mut elevate(&words)?)
}
