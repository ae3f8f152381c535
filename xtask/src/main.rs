//! Project tasks: `cargo xtask --help` lists them.

mod apt;
mod bench;
mod cargo;
mod demo;
mod dist;
mod ec2;
mod fuzz;
mod install;
mod libraries;
mod lint;
mod machine;
mod privilege;
mod progress;
mod screenshots;
mod setup;
mod soak;
mod test;
mod toolchain;
mod tour;
mod verifier;
mod vmtest;

use std::{
    ffi::OsString,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

/// Set-up, tests, demo and installation of sg.
///
/// Every task does what it needs first: on a fresh machine `cargo xtask demo` and
/// `cargo xtask test` are complete commands. Run them as yourself; what needs root (namespaces,
/// loading programs, installing packages) asks sudo for that part alone.
#[derive(Parser)]
#[command(
    bin_name = "cargo xtask",
    arg_required_else_help = true,
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Gets what compiles the kernel programs; afterwards plain `cargo build` works.
    ///
    /// Provides the source of Rust's `core` library (a component of the toolchain, else from the
    /// package client's mirror), bpf-linker (built against the LLVM inside rustc, so no LLVM
    /// package is needed), `ip`, protoc and etcd (unpacked, not installed). About a minute the first
    /// time, nothing after that.
    ///
    /// The pieces are kept outside `target/`, in `$XDG_CACHE_HOME/sg` or `~/.cache/sg`, one
    /// directory per compiler. `SG_TOOLS_DIR` names another place, `SG_BPF_LINKER` another linker.
    Setup,

    /// Shows sg at work on four connections between namespaces, with the log that proves it.
    ///
    /// Builds sg-ctl, lays out a small network in namespaces, attaches two security groups and
    /// tries who reaches whom. Removes everything again; nothing outside its namespaces changes.
    /// Exits with 0 only if each connection fared as its rules say.
    ///
    /// `cargo xtask demo vpc` is the second act: three hosts of one VPC, on three nodes of etcd. A new
    /// app server joins and reaches the database without anyone writing an address, one leaves and no
    /// longer does, and a node is killed meanwhile. `cargo xtask demo console` serves API and console
    /// on loopback in the first network, in place of the connections.
    Demo {
        /// Which act.
        #[arg(value_enum, conflicts_with_all = ["keep", "clean"])]
        act: Option<Act>,

        /// Leave the network and the rules in place, to play with.
        #[arg(long)]
        keep: bool,

        /// Remove what an earlier demo has left, with `--keep` or by being killed.
        #[arg(long, conflicts_with = "keep")]
        clean: bool,

        /// A ready sg-ctl: neither set-up nor build.
        #[arg(long, hide = true, value_name = "FILE")]
        sg_ctl: Option<PathBuf>,

        /// The directory of etcd.
        #[arg(long, hide = true, value_name = "DIR", requires = "sg_ctl")]
        etcd: Option<PathBuf>,
    },

    /// A part in the demo, played inside a namespace.
    #[command(hide = true, subcommand)]
    DemoHost(demo::Part),

    /// Takes pictures of every page of the console, in both schemes, narrow and wide
    ///
    /// Drives a browser through the console on a host in a namespace, as the tests do, and leaves
    /// the pictures in target/screenshots.
    Screenshots,

    /// Walks through sg-ctl in namespaces and writes docs/tour.md of what it sees.
    ///
    /// Runs every command of the page with the sg-ctl of this tree, in the demo's network, and puts
    /// down what it prints; times and ports are replaced, so that a second walk looks the same.
    /// Fails when a command does not do what the page says about it.
    Tour {
        /// A ready sg-ctl: neither set-up nor build. Prints the page.
        #[arg(long, hide = true, value_name = "FILE")]
        sg_ctl: Option<PathBuf>,
    },

    /// Runs all tests: those that need no root, then the kernel and network tests as root
    ///
    /// Builds as you and elevates the kernel tests alone. `cargo test` runs the first tier only.
    /// Ends with the counts of each tier.
    ///
    /// Examples:
    ///   cargo xtask test
    ///   cargo xtask test fragment              # tests whose name contains `fragment`
    ///   cargo xtask test -- --test-threads 1   # what follows -- goes to the test programs
    #[command(verbatim_doc_comment)]
    Test(test::TestArgs),

    /// Lets AWS's clients loose on `sg-ctl serve`
    ///
    /// boto3 (the acceptance cases), the AWS CLI, the SDK for JavaScript, Ansible and Terraform, in
    /// pinned versions, against interfaces in namespaces, and a look whether a change is in force when
    /// its call is answered. Terraform and its provider may be absent: that is said, and its calls are
    /// made without it. `SG_TF_PLUGINS` names a mirror of providers.
    ///
    /// Examples:
    ///   cargo xtask ec2
    ///   cargo xtask ec2 --only cases,terraform
    ///   cargo xtask ec2 --rounds 200
    #[command(verbatim_doc_comment)]
    Ec2(ec2::Ec2Args),

    /// Runs the kernel tests on other kernels, in virtual machines
    ///
    /// Fetches Debian's kernels by the package client (no root needed), boots each in QEMU, loads
    /// all programs and runs the tests. Without KVM the processor is emulated: half a minute and
    /// more for each kernel. `all` are 6.1, 6.12, 6.18, 7.3 and the newest there is; the first and
    /// the last must be there. What the guests said is left in target/vmtest.
    ///
    /// Examples:
    ///   cargo xtask vmtest
    ///   cargo xtask vmtest --kernel 6.1,newest
    ///   cargo xtask vmtest --kernel 6.12 -- fragment
    ///   cargo xtask vmtest --arch arm64 --kernel 6.12   # cross-built, four emulated processors
    #[command(verbatim_doc_comment)]
    Vmtest(vmtest::VmtestArgs),

    /// Looks for inputs that make the code panic, hang or differ from the oracle
    ///
    /// Runs the fuzz targets (packets, policies, rule files) under libFuzzer, guided by coverage.
    /// What it finds on the way is left in target/fuzzing and is where the next run begins.
    ///
    /// Examples:
    ///   cargo xtask fuzz
    ///   cargo xtask fuzz --target packets --time 8h
    ///   cargo xtask fuzz --target packets --input target/fuzzing/packets-crash-0123
    #[command(verbatim_doc_comment)]
    Fuzz(fuzz::FuzzArgs),

    /// Runs what takes too long to be run for every change
    ///
    /// AWS's clients, packages, all kernels, a busy machine, fuzzing, long random tests: some hours. Each part
    /// is run also when one before it failed; a table at the end says how each went.
    ///
    /// Examples:
    ///   cargo xtask soak
    ///   cargo xtask soak fuzz --fuzz-time 8h
    #[command(verbatim_doc_comment)]
    Soak(soak::SoakArgs),

    /// Measures what the filter costs, beside the same work without it
    ///
    /// Builds with optimisation as you and measures as root, in a quarter of an hour; a quiet
    /// machine gives steady figures. Prints tables, the targets with whether each is met, and
    /// writes everything as JSON.
    ///
    /// Examples:
    ///   cargo xtask bench
    ///   cargo xtask bench --quick
    ///   cargo xtask bench veth
    ///   cargo xtask bench --only denied --only fragments
    #[command(verbatim_doc_comment)]
    Bench(bench::BenchArgs),

    /// Prints what the kernel's verifier makes of each program.
    ///
    /// Loads each on the running kernel: instructions verified (a million is the kernel's limit),
    /// bytes of the translated program and of its machine code, the time it took, and the bytes of
    /// stack of each of its functions or, by newer kernels, of the deepest chain of calls (512 is
    /// the limit).
    Verifier(verifier::VerifierArgs),

    /// Checks formatting, clippy and rustdoc of the host crates and of the kernel programs.
    ///
    /// Any warning is an error. Needs the components rustfmt and clippy.
    Lint,

    /// Installs sg-ctl with its man pages and shell completions
    ///
    /// Builds with optimisation as you; copies with sudo when you may not write to the prefix.
    ///
    /// Examples:
    ///   cargo xtask install
    ///   cargo xtask install --prefix ~/.local
    #[command(verbatim_doc_comment)]
    Install(install::InstallArgs),

    /// Builds a tarball and a Debian package of sg-ctl, for machines without a compiler
    ///
    /// Both hold sg-ctl, linked statically, its man pages and completions, the documentation and the
    /// examples. They go to target/dist, named after version and commit, with their SHA-256 sums.
    /// The same commit, built in the same place by the same tools, gives the same bytes.
    ///
    /// Examples:
    ///   cargo xtask dist
    ///   cargo xtask dist --check
    #[command(verbatim_doc_comment)]
    Dist(dist::DistArgs),
}

/// An act of the demo.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Act {
    /// Many hosts of one VPC.
    Vpc,
    /// API and console on loopback.
    Console,
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Setup => setup::run().map(drop),
        Task::Demo { clean: true, .. } => clean(),
        Task::Demo {
            act: Some(Act::Vpc),
            sg_ctl,
            etcd,
            ..
        } => demo_vpc(sg_ctl, etcd),
        Task::Demo {
            keep, sg_ctl, act, ..
        } => demo(keep, act, sg_ctl),
        Task::DemoHost(part) => demo::play(&part),
        Task::Screenshots => screenshots::run(),
        Task::Tour { sg_ctl } => tour::run(sg_ctl.as_deref()),
        Task::Test(arguments) => test::run(&arguments),
        Task::Ec2(arguments) => ec2::run(&arguments),
        Task::Vmtest(arguments) => vmtest::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Soak(arguments) => soak::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Verifier(arguments) => verifier::run(&arguments),
        Task::Lint => lint::run(),
        Task::Install(arguments) => install::run(&arguments),
        Task::Dist(arguments) => dist::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Removes a demo, as root: in another program if need be.
fn clean() -> anyhow::Result<()> {
    if privilege::is_root() {
        return demo::remove();
    }
    let again = [
        std::env::current_exe()?.into(),
        "demo".into(),
        "--clean".into(),
    ];
    // Takes this process's place, unless it cannot start.
    Err(privilege::elevate(&again)?.exec().into())
}

/// Builds as the caller, then runs the demo as root: in another program if need be.
fn demo(keep: bool, act: Option<Act>, sg_ctl: Option<PathBuf>) -> anyhow::Result<()> {
    let sg_ctl = if let Some(ready) = sg_ctl {
        ready
    } else {
        setup::run()?;
        cargo::build_sg_ctl()?
    };
    if privilege::is_root() {
        return demo::run(&demo::DemoArgs {
            keep,
            sg_ctl,
            console: act == Some(Act::Console),
        });
    }
    let mut again: Vec<OsString> = vec![std::env::current_exe()?.into(), "demo".into()];
    again.extend(["--sg-ctl".into(), sg_ctl.into()]);
    if act == Some(Act::Console) {
        again.push("console".into());
    }
    if keep {
        again.push("--keep".into());
    }
    // Takes this process's place, unless it cannot start.
    Err(privilege::elevate(&again)?.exec().into())
}

/// The same for the second act.
fn demo_vpc(sg_ctl: Option<PathBuf>, etcd: Option<PathBuf>) -> anyhow::Result<()> {
    let (sg_ctl, etcd) = if let Some(ready) = sg_ctl {
        (ready, etcd)
    } else {
        let toolchain = setup::run()?;
        (cargo::build_sg_ctl()?, setup::etcd_directory(&toolchain))
    };
    if privilege::is_root() {
        return demo::run_vpc(&demo::VpcDemoArgs { sg_ctl, etcd });
    }
    let mut again: Vec<OsString> = vec![std::env::current_exe()?.into(), "demo".into()];
    again.extend(["vpc".into(), "--sg-ctl".into(), sg_ctl.into()]);
    if let Some(etcd) = etcd {
        again.extend(["--etcd".into(), etcd.into()]);
    }
    // Takes this process's place, unless it cannot start.
    Err(privilege::elevate(&again)?.exec().into())
}

/// Returns the root directory of the repository.
fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}
