//! `cargo xtask fuzz`: the fuzz targets under libFuzzer, guided by coverage.
//!
//! LLVM's pass for coverage counters is an option of the stable compiler, so neither a nightly one
//! nor cargo-fuzz is needed; libFuzzer itself is C++ and compiled with the crate that wraps it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    str::FromStr,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    cargo::{self, cargo, check, display},
    root, setup,
};

/// Naming it keeps the counters out of build scripts and macros.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Counters for edges, and comparisons that libFuzzer learns values from.
const RUSTFLAGS: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Seconds that one input may take before it counts as a hang, on a busy machine too.
const HANG: u32 = 20;
/// MiB that one input may take.
const MEMORY: u32 = 2048;
/// Lines of a failed run that its error shows.
const TAIL: usize = 40;

/// Options of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub(crate) struct FuzzArgs {
    /// Run this target instead of all.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,

    /// How long to run each target, such as 20s, 10m or 8h.
    #[arg(long, default_value = "20s", value_name = "TIME")]
    time: Time,

    /// Try this one input, once.
    #[arg(long, requires = "target", value_name = "FILE")]
    input: Option<PathBuf>,
}

/// A stretch of time on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Time(Duration);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match &text[digits.len()..] {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return Err("a number and s, m or h are needed, such as 20s".to_owned()),
        };
        let number = digits.parse::<u32>().map_err(|error| error.to_string())?;
        Ok(Self(Duration::from_secs(u64::from(number) * unit)))
    }
}

/// Where the files of one target are.
struct Place {
    name: String,
    /// The most bytes of an input that is made up.
    longest: String,
    /// What earlier runs have found; later ones begin with it.
    corpus: PathBuf,
    /// Seeds that the target makes.
    seeds: PathBuf,
    /// Inputs in the repository, if there are any.
    kept: PathBuf,
    log: PathBuf,
}

/// Builds the targets and runs them one after the other, also when one fails.
///
/// # Errors
/// When the set-up or the build fails, or a target.
pub(crate) fn run(arguments: &FuzzArgs) -> Result<()> {
    setup::run()?;
    setup::provide_programs(&[("c++", "g++")])?;
    let fuzzer = build()?;
    let directory = root().join("target/fuzzing");
    let places = places(&directory)?;
    let is_wanted = |place: &&Place| arguments.target.as_ref().is_none_or(|t| *t == place.name);
    let wanted: Vec<_> = places.iter().filter(is_wanted).collect();
    if wanted.is_empty() {
        let names: Vec<_> = places.iter().map(|place| place.name.as_str()).collect();
        bail!("no such target\nhelp: there are {}", names.join(", "));
    }
    if let Some(input) = &arguments.input {
        let mut command = Command::new(fuzzer);
        command.env("SG_FUZZ_TARGET", &wanted[0].name).arg(input);
        return check(&mut command);
    }
    println!(
        "{:<12} {:>9} {:>9} {:>7} {:>9}",
        "target", "inputs", "per s", "edges", "corpus"
    );
    let mut failures = Vec::new();
    for place in wanted {
        let result = fuzz(&fuzzer, place, arguments.time.0);
        failures.extend(result.err().map(|error| format!("{error:#}")));
    }
    if !failures.is_empty() {
        bail!("{}", failures.join("\n\n"));
    }
    Ok(())
}

/// Builds the program with all targets, with counters.
fn build() -> Result<PathBuf> {
    let flags = RUSTFLAGS.map(|flag| format!("{flag:?}")).join(",");
    let rustflags = format!("target.{TRIPLE}.rustflags=[{flags}]");
    let built = cargo::build(&[
        "--profile=fuzz",
        "--target",
        TRIPLE,
        "--config",
        &rustflags,
        "--package=sg-tests",
        "--bin=sg-fuzz",
        "--features=libfuzzer-sys",
    ])?;
    let program = built.into_iter().next();
    Ok(program.context("cargo built no program sg-fuzz")?.path)
}

/// Writes the seeds of all targets, and tells where everything is.
fn places(directory: &Path) -> Result<Vec<Place>> {
    let seeds = directory.join("seeds");
    if seeds.exists() {
        fs::remove_dir_all(&seeds).with_context(|| format!("cannot empty {}", seeds.display()))?;
    }
    let mut command = cargo(&[
        "run",
        "--quiet",
        "--package=sg-tests",
        "--bin=sg-fuzz-seeds",
    ]);
    let output = command.arg("--").arg(&seeds).output();
    let output = output.context("cannot run cargo")?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed:\n{why}", display(&command));
    }
    let mut places = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (name, longest) = line.split_once(' ').context("an odd line of seeds")?;
        let place = Place {
            corpus: directory.join("corpus").join(name),
            seeds: seeds.join(name),
            kept: root().join("tests/data/fuzz").join(name),
            log: directory.join(format!("{name}.log")),
            name: name.to_owned(),
            longest: longest.to_owned(),
        };
        fs::create_dir_all(&place.corpus)
            .with_context(|| format!("cannot create {}", place.corpus.display()))?;
        places.push(place);
    }
    Ok(places)
}

/// Runs one target, and prints what it came to.
fn fuzz(fuzzer: &Path, place: &Place, time: Duration) -> Result<()> {
    let failed = place.log.with_extension("");
    let log = || format!("cannot write {}", place.log.display());
    let file = File::create(&place.log).with_context(log)?;
    let mut command = Command::new(fuzzer);
    command
        .env("SG_FUZZ_TARGET", &place.name)
        .args([&place.corpus, &place.seeds])
        .args(place.kept.is_dir().then_some(&place.kept))
        .arg(format!("-max_total_time={}", time.as_secs()))
        .arg(format!("-max_len={}", place.longest))
        .arg(format!("-timeout={HANG}"))
        .arg(format!("-rss_limit_mb={MEMORY}"))
        .arg(format!("-artifact_prefix={}-", failed.display()))
        .arg("-print_final_stats=1")
        .stdout(file.try_clone().with_context(log)?)
        .stderr(file);
    let status = command.status().context("cannot run sg-fuzz")?;
    let said = fs::read(&place.log).with_context(|| format!("cannot read {}", place.log.display()));
    let said = String::from_utf8_lossy(&said?).into_owned();
    if !status.success() {
        let lines: Vec<_> = said.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        let name = &place.name;
        bail!(
            "{name}: failed ({status})\n{tail}\n\
             to repeat it: cargo xtask fuzz --target {name} --input FILE\n\
             to keep it: cp FILE tests/data/fuzz/{name}/WHAT.input"
        );
    }
    println!(
        "{:<12} {:>9} {:>9} {:>7} {:>9}",
        place.name,
        after(&said, "stat::number_of_executed_units:"),
        after(&said, "stat::average_exec_per_sec:"),
        after(&said, " cov:"),
        after(&said, " corp:")
    );
    Ok(())
}

/// The word behind the last place where `label` stands.
fn after<'a>(text: &'a str, label: &str) -> &'a str {
    let rest = text.rsplit_once(label).map_or("", |(_, rest)| rest);
    rest.split_whitespace().next().unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let seconds = |text: &str| Ok(text.parse::<Time>()?.0.as_secs());
        assert_eq!(seconds("20s"), Ok::<_, String>(20));
        assert_eq!(seconds("10m"), Ok(600));
        assert_eq!(seconds("8h"), Ok(28800));
        for odd in ["20", "s", "-1s", "1d", ""] {
            assert!(seconds(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn the_last_number_counts() {
        let text = "#1 INITED cov: 1 ft: 2\n#9 DONE cov: 3838 ft: 12800 corp: 1923/28Kb\n";
        assert_eq!(after(text, " cov:"), "3838");
        assert_eq!(after(text, " corp:"), "1923/28Kb");
        assert_eq!(after(text, "stat:"), "?");
    }
}
