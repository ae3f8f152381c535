//! `cargo xtask test`: every tier of tests, each with the rights it needs.

use std::{
    ffi::{OsStr, OsString},
    io::{BufRead, BufReader},
    num::NonZero,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    cargo::{self, Executable, cargo, display, plain},
    privilege, root, setup,
};

/// The test program that needs root.
const KERNEL_TESTS: &str = "it";

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct TestArgs {
    /// Run the tests whose name contains this.
    filter: Option<String>,

    /// Judge a hundred times as many random packets: an hour and more.
    #[arg(long)]
    long: bool,

    /// Where random scenarios begin, as a run that failed has printed it.
    #[arg(long)]
    seed: Option<u64>,

    /// Where to keep pictures of the console's pages.
    #[arg(skip)]
    pictures: Option<PathBuf>,

    /// Passed on to the test programs, such as `--test-threads 1` or `--nocapture`.
    #[arg(last = true)]
    test_program_args: Vec<String>,
}

impl TestArgs {
    /// One test, which keeps pictures of what it sees.
    pub(crate) fn pictures(test: &str, directory: PathBuf) -> Self {
        Self {
            filter: Some(test.to_owned()),
            long: false,
            seed: None,
            pictures: Some(directory),
            test_program_args: Vec::new(),
        }
    }
}

/// What one tier, or all of them, came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u32,
    failed: u32,
    ignored: u32,
    /// Programs that ended without success, be it that a test failed or that they crashed.
    broken: Vec<String>,
    time: Duration,
}

/// Builds and runs all tests.
///
/// # Errors
/// When the set-up, the build or a test fails.
pub(crate) fn run(arguments: &TestArgs) -> Result<()> {
    let toolchain = setup::run()?;
    let etcd = setup::etcd_directory(&toolchain);
    let executables = cargo::build_all()?;
    let sg_ctl = cargo::find_sg_ctl(&executables)?;
    let needs_root = |program: &Executable| program.target == KERNEL_TESTS;
    let options = || arguments.filter.iter().chain(&arguments.test_program_args);

    // The programs themselves: cargo would build some of them anew, and must not run as root.
    let mut unit = Counts::default();
    let mut kernel = Counts::default();
    let tests = || executables.iter().filter(|built| built.is_test);
    let command_line = |program: &Executable| {
        let mut words = environment(program, &sg_ctl, etcd.as_deref(), arguments);
        words.push(program.path.clone().into());
        words.extend(options().map(OsString::from));
        words
    };
    for program in tests().filter(|program| !needs_root(program)) {
        unit.run(program, &mut plain(&command_line(program)))?;
    }
    let mut doc = cargo(&["test", "--quiet", "--workspace", "--doc", "--"]);
    unit.run_titled("documentation", doc.args(options()))?;
    let is_said = |word: &String| word.starts_with("--test-threads");
    let at_once = (!arguments.test_program_args.iter().any(is_said)).then(tests_at_once);
    for program in tests().filter(|program| needs_root(program)) {
        let mut words = command_line(program);
        words.extend(at_once.clone().into_iter().flatten());
        let command = privilege::elevate(&words);
        kernel.run(
            program,
            &mut command.context("cannot run the kernel tests")?,
        )?;
    }
    summarise([("without root", unit), ("as root", kernel)])
}

/// How many tests as root run at once: they wait half of their time, for packets that must not come, for
/// deadlines, for other processes.
fn tests_at_once() -> [OsString; 2] {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    ["--test-threads".into(), (2 * processors).to_string().into()]
}

/// What cargo would set for a test program, and the sg-ctl to test; sudo passes neither on.
fn environment(
    program: &Executable,
    sg_ctl: &Path,
    etcd: Option<&Path>,
    arguments: &TestArgs,
) -> Vec<OsString> {
    let set = |name: &str, value: &OsStr| {
        let mut word = OsString::from(name);
        word.push("=");
        word.push(value);
        word
    };
    let mut words = vec![
        "env".into(),
        set("SG_CTL", sg_ctl.as_os_str()),
        set("CARGO_MANIFEST_DIR", program.directory.as_os_str()),
    ];
    if let Some(directory) = etcd {
        words.push(set("SG_ETCD_DIR", directory.as_os_str()));
    }
    if arguments.long {
        words.push(set("SG_LONG", "1".as_ref()));
    }
    if let Some(directory) = std::env::var_os("SG_CAPTURES") {
        words.push(set("SG_CAPTURES", &directory));
    }
    if let Some(directory) = &arguments.pictures {
        words.push(set("SG_SCREENSHOTS", directory.as_os_str()));
    }
    if let Some(seed) = arguments.seed {
        words.push(set("SG_SEED", seed.to_string().as_ref()));
    }
    words
}

impl Counts {
    /// Runs a test program where cargo would.
    fn run(&mut self, program: &Executable, command: &mut Command) -> Result<()> {
        let directory = &program.directory;
        let package = directory.strip_prefix(root()).unwrap_or(directory);
        let title = format!("{}, {}", package.display(), program.target);
        self.run_titled(&title, command.current_dir(directory))
    }

    /// Runs a test program, shows its output and adds up its results.
    fn run_titled(&mut self, title: &str, command: &mut Command) -> Result<()> {
        let line = display(command);
        println!("== test: {title}");
        let started = Instant::now();
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {line}"))?;
        let stdout = child
            .stdout
            .take()
            .context("a test program without output")?;
        for output in BufReader::new(stdout).lines() {
            let output = output.with_context(|| format!("cannot read from {line}"))?;
            println!("{output}");
            self.add(&output);
        }
        if !child
            .wait()
            .with_context(|| format!("cannot wait for {line}"))?
            .success()
        {
            self.broken.push(title.to_owned());
        }
        self.time += started.elapsed();
        Ok(())
    }

    /// Reads `test result: ok. 3 passed; 0 failed; 0 ignored; …`, the last line of a test program.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        for word in result.split(['.', ';']) {
            let Some((number, what)) = word.trim().split_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse::<u32>() else {
                continue;
            };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

/// Prints the counts of each tier and of all.
fn summarise(tiers: [(&str, Counts); 2]) -> Result<()> {
    let mut all = Counts::default();
    println!(
        "\n{:<14} {:>7} {:>7} {:>8} {:>8}",
        "tests", "passed", "failed", "ignored", "time"
    );
    let row = |name: &str, counts: &Counts| {
        println!(
            "{name:<14} {:>7} {:>7} {:>8} {:>6.1} s",
            counts.passed,
            counts.failed,
            counts.ignored,
            counts.time.as_secs_f32()
        );
    };
    for (name, counts) in tiers {
        row(name, &counts);
        all.passed += counts.passed;
        all.failed += counts.failed;
        all.ignored += counts.ignored;
        all.time += counts.time;
        all.broken.extend(counts.broken);
    }
    row("all", &all);
    if all.passed + all.failed == 0 {
        bail!("no test has run");
    }
    if !all.broken.is_empty() {
        bail!("tests failed in: {}", all.broken.join("; "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_added_up() {
        let mut counts = Counts::default();
        counts.add("running 3 tests");
        counts.add("test a ... ok");
        counts.add(
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; \
             finished in 0.01s",
        );
        counts.add("test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured");
        assert_eq!(
            counts,
            Counts {
                passed: 5,
                failed: 4,
                ignored: 1,
                ..Counts::default()
            }
        );
    }
}
