//! `cargo xtask vmtest`: the programs and their tests on other kernels, in virtual machines.

mod foreign;
mod guest;
mod initramfs;
mod kernel;
mod modules;
mod report;
mod selection;

use std::{collections::BTreeMap, fs, panic::resume_unwind, path::Path, str::FromStr, thread};

use anyhow::{Context, Result, anyhow, bail, ensure};

use self::{
    foreign::Foreign,
    guest::{Payload, qemu},
    kernel::{Catalogue, Flavour, Kernel, Series},
    report::Report,
    selection::COSTS,
};
use crate::{
    cargo::{self, Executable},
    machine::Machine,
    privilege::find_program,
    progress::Step,
    root, setup, verifier,
};

/// Series of kernels that `all` stands for, besides the newest; the first must be there.
const SERIES: [&str; 4] = ["6.1", "6.12", "6.18", "7.3"];

/// Options of `cargo xtask vmtest`.
#[derive(clap::Args)]
pub(crate) struct VmtestArgs {
    /// Kernels: series such as 6.12, `newest`, or `all`.
    #[arg(
        long,
        value_name = "SERIES",
        value_delimiter = ',',
        default_value = "all"
    )]
    kernel: Vec<Choice>,

    /// Processor of the guests; arm64 is always emulated, with four processors that run at once.
    #[arg(long, value_enum, default_value_t = Machine::here())]
    arch: Machine,

    /// Load and attach everything, judge random packets, try maps, log, whole networks, and what is left of
    /// an attach or a detach that was killed, but not one decision after the other.
    #[arg(long, conflicts_with = "filter")]
    short: bool,

    /// Boot Debian's full kernels in place of its small ones for clouds: they have PPP.
    #[arg(long, conflicts_with_all = ["short", "record"])]
    full: bool,

    /// Run no tests, but write down what the programs cost, see `cargo xtask verifier`.
    #[arg(long, conflicts_with = "filter")]
    record: bool,

    /// Run the tests whose name contains this.
    #[arg(last = true)]
    filter: Option<String>,
}

/// One value of `--kernel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Series(Series),
    Newest,
    All,
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "newest" => Ok(Self::Newest),
            _ => text.parse().map(Self::Series),
        }
    }
}

/// Boots each kernel, runs programs and tests in it, and prints a table.
///
/// # Errors
/// When something fails on one of the kernels, or one that must be there cannot be had.
pub(crate) fn run(arguments: &VmtestArgs) -> Result<()> {
    let machine = arguments.arch;
    ensure!(
        machine.is_this_one() || !arguments.record,
        "costs are recorded for {}, not for guests of another machine",
        Machine::here().name()
    );
    let toolchain = setup::run()?;
    setup::provide_programs(&[qemu(machine)])?;
    let built = if machine.is_this_one() {
        setup::provide_programs(&[("wg", "wireguard-tools")])?;
        cargo::build_all()?
    } else {
        machine.provide(&toolchain)?;
        let packages = ["--package", "sg-tests", "--package", "sg-ctl"];
        let targets = ["--bins", "--test", "it"];
        let cross = machine.cargo_arguments();
        let words = packages.into_iter().chain(targets);
        let words: Vec<_> = words.chain(cross.iter().map(String::as_str)).collect();
        cargo::build(&words)?
    };
    let mut payload = payload(arguments, &built)?;
    if arguments.record {
        payload.runs.retain(|(name, _)| *name == COSTS);
    }

    let series = |text: &str| text.parse::<Series>().map_err(anyhow::Error::msg);
    let all = SERIES.map(series).into_iter().collect::<Result<Vec<_>>>()?;
    let mut wanted = BTreeMap::new();
    for choice in &arguments.kernel {
        match choice {
            Choice::Series(series) => drop(wanted.insert(*series, Need::Required)),
            Choice::Newest => {}
            Choice::All => {
                for series in &all {
                    wanted.entry(*series).or_insert(Need::IfListed);
                }
                wanted.insert(all[0], Need::Required);
            }
        }
    }
    let flavour = if arguments.full {
        Flavour::Full
    } else {
        Flavour::Cloud
    };
    let named: Vec<_> = wanted.keys().copied().collect();
    let catalogue = Catalogue::read(machine, flavour, &named)?;
    let takes_newest = |choice: &Choice| matches!(choice, Choice::Newest | Choice::All);
    if arguments.kernel.iter().any(takes_newest) {
        let newest = catalogue.newest();
        let newest = newest.with_context(|| no_kernel(&catalogue))?;
        wanted.insert(newest, Need::Required);
    }

    let mut directory = root().join("target/vmtest");
    if !machine.is_this_one() {
        directory.push(machine.debian());
    }
    if arguments.full {
        directory.push("full");
    }
    let fetched = wanted.into_iter().map(|(series, need)| {
        let kernel = match catalogue.fetch(series) {
            Ok(None) if need == Need::Required => Err(anyhow!(no_kernel(&catalogue))),
            fetched => fetched,
        };
        (series, kernel)
    });
    let runs = test(fetched.collect(), &payload, &directory);
    let mut failures = Vec::new();
    let mut rows = Vec::new();
    for (series, report) in runs {
        let Some(report) = report.transpose() else {
            rows.push((series.to_string(), Err("no suite has it".to_owned())));
            continue;
        };
        let found = match &report {
            Ok(report) => report.failures(payload.runs.len()),
            Err(error) => vec![format!("{error:#}")],
        };
        if let Ok(report) = &report {
            if !found.is_empty() {
                let log = guest::log(&directory, series);
                failures.push(format!("{series}: all it said is in {}", log.display()));
            } else if arguments.record && !is_of_this_machine(series) {
                verifier::record(&series.to_string(), &report.costs)?;
            }
        }
        failures.extend(found.iter().map(|failure| format!("{series}: {failure}")));
        let report = report.ok().ok_or_else(|| "FAILED".to_owned());
        rows.push((series.to_string(), report));
    }
    report::print(&rows);
    if !failures.is_empty() {
        println!();
        bail!("{}", failures.join("\n"));
    }
    Ok(())
}

/// Whether this machine runs a kernel of the series: then `cargo xtask verifier --record` writes its
/// costs down, which are greater than a guest's where only the machine mitigates Spectre.
fn is_of_this_machine(series: Series) -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.starts_with(&format!("{series}."))
}

/// Whether a kernel that is not to be had is a failure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Required,
    IfListed,
}

fn no_kernel(catalogue: &Catalogue) -> String {
    let missing = catalogue.missing().join("\n");
    format!("no suite has such a kernel\n{missing}")
        .trim_end()
        .to_owned()
}

/// A series, and what there is of it; `None` where no suite has one that nobody needs.
type Of<T> = (Series, Result<Option<T>>);

/// Boots kernels, two at once where they are this machine's, for a guest waits half of its time, as its
/// tests do; returns what came of each.
fn test(mut kernels: Vec<Of<Kernel>>, payload: &Payload, directory: &Path) -> Vec<Of<Report>> {
    let at_once = if payload.machine.is_this_one() { 2 } else { 1 };
    let mut reports = Vec::new();
    while !kernels.is_empty() {
        let next = kernels.drain(..at_once.min(kernels.len()));
        reports.extend(at_once_of(next.collect(), payload, directory));
    }
    reports
}

fn at_once_of(kernels: Vec<Of<Kernel>>, payload: &Payload, directory: &Path) -> Vec<Of<Report>> {
    let names = kernels.iter().map(|(series, _)| series.to_string());
    let names = names.collect::<Vec<_>>().join(" and ");
    let step = Step::start(&format!("kernel {names}"), "running");
    let boot = |kernel: Kernel| {
        let first = Report::read(&guest::run(&kernel, payload, directory)?);
        if first.has_booted() {
            return Ok(first);
        }
        // Nothing of ours has run: a newest kernel may fail in its own start, which no change of ours
        // can mend. What it said is shown with what came of the second time.
        let second = Report::read(&guest::run(&kernel, payload, directory)?);
        Ok(Report {
            first_boot: first.faults,
            ..second
        })
    };
    let reports: Vec<Of<Report>> = thread::scope(|scope| {
        let started = kernels.into_iter().map(|(series, kernel)| {
            let run = scope.spawn(move || kernel?.map(boot).transpose());
            (series, run)
        });
        let ended = started.collect::<Vec<_>>().into_iter();
        ended
            .map(|(series, run)| {
                (
                    series,
                    run.join().unwrap_or_else(|panic| resume_unwind(panic)),
                )
            })
            .collect()
    });
    let is_passed = |report: &Report| report.failures(payload.runs.len()).is_empty();
    let all = reports.iter().all(|(_, report)| {
        let report = report.as_ref();
        report.is_ok_and(|report| report.as_ref().is_none_or(is_passed))
    });
    if all {
        step.done("passed");
    }
    reports
}

/// What runs in a guest: the costs of the programs, then the tests.
fn payload(arguments: &VmtestArgs, built: &[Executable]) -> Result<Payload> {
    let machine = arguments.arch;
    let find = |name: &str, is_test: bool| {
        let is_it = |built: &&Executable| built.target == name && built.is_test == is_test;
        let found = built.iter().find(is_it);
        let found = found.with_context(|| format!("cargo built no program {name}"))?;
        anyhow::Ok(found.path.clone())
    };
    let foreign = if machine.is_this_one() {
        None
    } else {
        Some(Foreign::provide(machine)?)
    };
    let system = |name: &str| match &foreign {
        Some(foreign) => foreign.program(name),
        None => find_program(name).with_context(|| format!("no program `{name}` on this machine")),
    };
    // Half of the time a test waits for what should not come; so one processor has two to run.
    let threads = if machine.is_this_one() { 2 } else { 4 };
    let runs = selection::runs(threads, arguments.filter.as_deref(), arguments.short);
    Ok(Payload {
        machine,
        init: find("sg-vm-init", false)?,
        programs: vec![
            ("sg-verifier", find("sg-verifier", false)?),
            ("sg-ctl", find("sg-ctl", false)?),
            ("it", find("it", true)?),
            ("ip", system("ip")?),
            ("sleep", system("sleep")?),
            ("cp", system("cp")?),
            ("wg", system("wg")?),
        ],
        runs,
        libraries: foreign.map(|foreign| foreign.root),
    })
}
