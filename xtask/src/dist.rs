//! `cargo xtask dist`: sg-ctl for machines without a compiler, as tarball and Debian package.
//!
//! sg-ctl is linked with everything that it needs, the C library included, so both run on any
//! distribution. The same commit, built in the same place by the same tools, gives the same bytes.

mod check;
mod debian;
mod release;

use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    cargo::{self, check, display},
    install::{self, File},
    machine::Machine,
    progress::Step,
    root, setup,
};
use release::Release;

/// Options of `cargo xtask dist`.
#[derive(clap::Args)]
pub(crate) struct DistArgs {
    /// Try what was built: pack it twice, install each in an empty root, run it there. Needs root.
    #[arg(long)]
    check: bool,

    /// Try packages of the program that the tests use, in place of one built for a release: what there
    /// is to try but the program itself, without minutes of building. They are not kept.
    #[arg(long, requires = "check", conflicts_with = "target")]
    as_tested: bool,

    /// The machine to build for.
    #[arg(long, value_enum, default_value_t = Machine::here())]
    target: Machine,
}

/// Name of the package, of its directory of documentation, and of the program.
const NAME: &str = "sg-ctl";

/// What the packages hold of the repository, as `git ls-files` takes it.
const DOCUMENTATION: [&str; 6] = [
    "README.md",
    "ARCHITECTURE.md",
    "LICENSE-*",
    "sg-ebpf/LICENSE-GPL",
    "docs",
    "examples",
];

/// Programs that pack and unpack, and the package that holds each.
const PROGRAMS: [(&str, &str); 3] = [("tar", "tar"), ("gzip", "gzip"), ("xz", "xz-utils")];

/// Builds the packages into `target/dist`, and tries them if asked to.
///
/// # Errors
/// When the set-up, the build, a program that packs, or the trial fails.
pub(crate) fn run(arguments: &DistArgs) -> Result<()> {
    let machine = arguments.target;
    if arguments.check && !machine.is_this_one() {
        bail!(
            "what is built for {} cannot be tried here\nhelp: `cargo xtask vmtest --arch {}` runs it",
            machine.name(),
            machine.debian()
        );
    }
    let toolchain = setup::run()?;
    setup::provide_programs(&PROGRAMS)?;
    if arguments.check {
        setup::provide_programs(&[("dpkg", "dpkg")])?;
    }
    let cargo_deb = setup::provide_cargo_deb(&toolchain)?;
    machine.provide(&toolchain)?;
    let mut release = Release::of_repository(machine)?;
    if arguments.as_tested {
        release.is_trial = true;
        return try_as_tested(&cargo_deb, &release);
    }
    let directory = root().join("target/dist");
    let sg_ctl = build(machine)?;
    let writer = if machine.is_this_one() {
        sg_ctl.clone()
    } else {
        cargo::build_sg_ctl()?
    };
    let files = files(&sg_ctl, &writer, &directory.join("files"))?;

    let packages = Packages::pack(&cargo_deb, &release, &files, &directory)?;
    if arguments.check {
        packages.check(&cargo_deb, &release, &files, Linked::Whole)?;
    }
    println!("{}", packages.sums);
    println!("in {}", directory.display());
    Ok(())
}

/// Packs the program that the tests use, tries the packages, and removes them.
fn try_as_tested(cargo_deb: &Path, release: &Release) -> Result<()> {
    let directory = root().join("target/dist-as-tested");
    let built = cargo::find_sg_ctl(&cargo::build_all()?)?;
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    // As in a release: most of it is for debuggers, and takes most of the time of packing.
    let sg_ctl = directory.join(NAME);
    check(Command::new("strip").arg("-o").args([&sg_ctl, &built]))?;
    let files = files(&sg_ctl, &sg_ctl, &directory.join("files"))?;
    let packages = Packages::pack(cargo_deb, release, &files, &directory)?;
    packages.check(cargo_deb, release, &files, Linked::WithLibraries)?;
    fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {}", directory.display()))
}

/// How a program is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linked {
    /// With everything inside.
    Whole,
    /// It needs the libraries of this machine.
    WithLibraries,
}

/// Builds sg-ctl with the C library inside.
fn build(machine: Machine) -> Result<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| {
        let home = env::var_os("HOME")?;
        Some(Path::new(&home).join(".cargo"))
    });
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    // Messages of panics name source files; where they lay must not make a difference.
    let remap = |from: &Path, to| format!("--remap-path-prefix={}={to}", from.display());
    flags.push(remap(root(), "sg"));
    flags.extend(home.map(|home| remap(&home, "cargo")));
    let config = format!(
        "--config=target.{}.rustflags={}",
        machine.triple(),
        serde_json::to_string(&flags)?
    );
    // Named to cargo also if it is this one, so that build scripts are built as usual.
    let target = machine.cargo_arguments();
    let mut arguments = vec!["--release", "--locked", "--package=sg-ctl", "--bin=sg-ctl"];
    arguments.extend(target.iter().map(String::as_str));
    arguments.push(&config);
    let built = cargo::build(&arguments)?;
    cargo::find_sg_ctl(&built)
}

/// Everything that is packed, with its place below a prefix. `writer` is the same program for this
/// machine: it writes its pages and completions.
fn files(sg_ctl: &Path, writer: &Path, staging: &Path) -> Result<Vec<File>> {
    let mut files = install::files(sg_ctl, writer, staging)?;
    let mut add = |patterns: &[&str], place: &dyn Fn(&Path) -> Option<PathBuf>| -> Result<()> {
        for path in tracked(patterns)? {
            files.extend(place(&path).map(|target| File {
                source: root().join(&path),
                target,
                mode: "644",
            }));
        }
        Ok(())
    };
    let documentation = Path::new("share/doc").join(NAME);
    add(&DOCUMENTATION, &|path| Some(documentation.join(path)))?;
    add(&["*.logrotate"], &|path| {
        Some(Path::new("etc/logrotate.d").join(path.file_stem()?))
    })?;
    add(&["*.service"], &|path| {
        Some(Path::new("lib/systemd/system").join(path.file_name()?))
    })?;
    Ok(files)
}

/// Files that git knows by these patterns.
fn tracked(patterns: &[&str]) -> Result<Vec<PathBuf>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--"]).args(patterns);
    let list = output(git.current_dir(root()))?;
    Ok(list.lines().map(PathBuf::from).collect())
}

/// What was packed.
struct Packages {
    directory: PathBuf,
    tarball: PathBuf,
    debian: PathBuf,
    /// As `sha256sum` writes them, also in the file `SHA256SUMS` beside the packages.
    sums: String,
}

impl Packages {
    /// Packs files into a directory.
    fn pack(cargo_deb: &Path, release: &Release, files: &[File], directory: &Path) -> Result<Self> {
        let step = Step::start("packages", &release.commit);
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let name = release.tarball_name();
        stage(files, &directory.join(&name))?;
        let tarball = PathBuf::from(format!("{name}.tar.gz"));
        let effort = if release.is_trial { "-1" } else { "-9" };
        check(
            Command::new("tar")
                .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
                .arg(format!("--mtime=@{}", release.time))
                .arg(format!("--use-compress-program=gzip {effort} -n"))
                .args(["--create", "--file"])
                .args([&tarball, Path::new(&name)])
                .current_dir(directory),
        )?;
        let debian = debian::pack(cargo_deb, release, files, directory)?;
        let sums = output(
            Command::new("sha256sum")
                .args([&tarball, &debian])
                .current_dir(directory),
        )?;
        fs::write(directory.join("SHA256SUMS"), &sums).context("cannot write the sums")?;
        step.done("packed");
        Ok(Self {
            directory: directory.to_owned(),
            tarball: directory.join(tarball),
            debian: directory.join(debian),
            sums: sums.trim_end().to_owned(),
        })
    }

    /// Packs the same files once more, and tries what was packed.
    fn check(
        &self,
        cargo_deb: &Path,
        release: &Release,
        files: &[File],
        linked: Linked,
    ) -> Result<()> {
        let step = Step::start("reproducible", "packing once more");
        let again = Self::pack(cargo_deb, release, files, &self.directory.join("again"))?;
        check::same(self, &again)?;
        step.done("same bytes");
        check::run(self, files, &self.directory.join("root"), linked)
    }
}

/// Lays files out in a directory as they will be installed.
fn stage(files: &[File], directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)
            .with_context(|| format!("cannot empty {}", directory.display()))?;
    }
    for file in files {
        let target = directory.join(&file.target);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)
                .with_context(|| format!("cannot create {}", parent.display()))?;
        }
        fs::copy(&file.source, &target)
            .with_context(|| format!("cannot copy {}", file.source.display()))?;
        let mode = u32::from_str_radix(file.mode, 8).context("a mode is octal")?;
        fs::set_permissions(&target, Permissions::from_mode(mode))?;
    }
    check(
        Command::new("chmod")
            .args(["-R", "u=rwX,go=rX"])
            .arg(directory),
    )
}

/// Runs a program and returns what it printed.
fn output(command: &mut Command) -> Result<String> {
    let line = display(command);
    let output = command
        .output()
        .with_context(|| format!("cannot run `{line}`"))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` failed ({}): {}", output.status, reason.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed no text"))
}
