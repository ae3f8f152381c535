//! What guests said, read and summed up.

use std::{collections::BTreeSet, time::Duration};

use super::guest::Transcript;
use crate::verifier::Cost;

/// What a guest's console told.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Report {
    /// Debian's version of the kernel, such as `6.1.192-2`.
    pub(super) version: String,
    /// What loading each program cost.
    pub(super) costs: Vec<Cost>,
    /// The runs of the plan, in order.
    pub(super) runs: Vec<Run>,
    /// What is wrong and belongs to no run.
    pub(super) faults: Vec<String>,
    /// From the start of QEMU to its end.
    pub(super) time: Duration,
    /// What was wrong with a boot before this one.
    pub(super) first_boot: Vec<String>,
}

/// Lines that are shown of a test that failed, and of a kernel that did not boot: a whole panic.
const MOST_LINES: usize = 60;

/// One program that ran in a guest.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Run {
    /// Its name in the plan.
    pub(super) name: String,
    /// Whether it came to an end, and a good one.
    pub(super) succeeded: bool,
    /// Seconds it took, if it came to an end, and how it failed, if it did.
    pub(super) ending: String,
    /// Its tests, if it has any.
    pub(super) tests: Vec<Test>,
    /// Whether what follows is what the last of them wrote.
    shows_output: bool,
}

/// One test of a run.
#[derive(Debug, PartialEq)]
pub(super) struct Test {
    /// Its whole name.
    pub(super) name: String,
    /// Whether it passed, also by skipping.
    pub(super) passed: bool,
    /// Why it did nothing, if that is what it did.
    pub(super) skipped: Option<String>,
    /// What it wrote.
    pub(super) output: Vec<String>,
}

/// Hooks, by the end of the names of their test cases, and their titles.
const HOOKS: [(&str, &str); 4] = [
    ("_xdp_native", "xdp"),
    ("_xdp_generic", "xdp-generic"),
    ("_tcx", "tcx"),
    ("_clsact", "clsact"),
];

impl Report {
    /// Reads the console of a guest.
    pub(super) fn read(transcript: &Transcript) -> Self {
        let mut report = Self {
            time: transcript.time,
            faults: transcript.fault.iter().cloned().collect(),
            ..Self::default()
        };
        for line in &transcript.lines {
            report.add(line);
        }
        if !report.has_booted() {
            let said = transcript.lines.len();
            let last = &transcript.lines[said.saturating_sub(MOST_LINES)..];
            report.faults = last.iter().chain(&transcript.fault).cloned().collect();
            report.faults.push("did not boot".to_owned());
        }
        report
    }

    /// Whether the first process ran, which says so.
    pub(super) fn has_booted(&self) -> bool {
        !self.version.is_empty()
    }

    fn add(&mut self, line: &str) {
        if let Some(cost) = Cost::parse(line) {
            self.costs.push(cost);
        } else if let Some(event) = line.strip_prefix("TEST ") {
            self.add_event(event);
        } else if let Some(run) = self.runs.last_mut()
            && run.add(line)
        {
        } else if line.contains("Kernel panic") {
            self.faults.push(line.to_owned());
        }
    }

    fn add_event(&mut self, event: &str) {
        let (name, rest) = event.split_once(' ').unwrap_or((event, ""));
        match (name, rest.split_once(' ').unwrap_or((rest, ""))) {
            ("kernel", _) => {
                let debian = rest
                    .split_once(" Debian ")
                    .map_or(rest, |(_, debian)| debian);
                debian
                    .split(' ')
                    .next()
                    .unwrap_or_default()
                    .clone_into(&mut self.version);
            }
            ("init", _) => self.faults.push(rest.to_owned()),
            (_, ("begins", _)) => self.runs.push(Run {
                name: name.to_owned(),
                ..Run::default()
            }),
            (_, (verdict, ending)) => {
                if let Some(run) = self.runs.last_mut() {
                    run.succeeded = verdict == "OK";
                    ending.clone_into(&mut run.ending);
                }
            }
        }
    }

    /// Returns what is wrong, nothing if all went well.
    pub(super) fn failures(&self, planned: usize) -> Vec<String> {
        let mut failures = self.faults.clone();
        for run in self.runs.iter().filter(|run| !run.succeeded) {
            failures.push(format!("{} failed after {} s", run.name, run.ending));
            let failed = run.tests.iter().filter(|test| !test.passed);
            for test in failed {
                failures.push(format!("  {}", test.name));
                // Why it panicked comes last.
                let output = &test.output[test.output.len().saturating_sub(MOST_LINES)..];
                failures.extend(output.iter().map(|line| format!("    {line}")));
            }
        }
        if self.runs.len() < planned && failures.is_empty() {
            failures.push("the guest ended early".to_owned());
        }
        failures
    }

    /// Returns why tests did nothing, each reason once.
    fn skipped(&self) -> BTreeSet<&str> {
        let tests = self.runs.iter().flat_map(|run| &run.tests);
        tests.filter_map(|test| test.skipped.as_deref()).collect()
    }

    /// Sums up the tests whose case is named after a hook.
    fn hook(&self, suffix: &str) -> String {
        let is_about = |test: &&Test| test.name.split("::").any(|part| part.ends_with(suffix));
        let tests = self.runs.iter().flat_map(|run| &run.tests);
        let tests: Vec<_> = tests.filter(is_about).collect();
        if tests.iter().all(|test| test.skipped.is_some()) {
            "-".to_owned()
        } else if tests.iter().all(|test| test.passed) {
            "ok".to_owned()
        } else {
            "FAILED".to_owned()
        }
    }
}

impl Run {
    /// Reads a line of a test program; `false` if it is of another kind.
    fn add(&mut self, line: &str) -> bool {
        if let Some((name, verdict)) = line
            .strip_prefix("test ")
            .and_then(|result| result.split_once(" ... "))
        {
            self.tests.push(Test {
                name: name.to_owned(),
                passed: verdict == "ok",
                skipped: None,
                output: Vec::new(),
            });
        } else if let Some(name) = line
            .strip_prefix("---- ")
            .and_then(|title| title.strip_suffix(" stdout ----"))
        {
            // Its output follows: make it the last test.
            self.shows_output = false;
            if let Some(index) = self.tests.iter().position(|test| test.name == name) {
                let test = self.tests.remove(index);
                self.tests.push(test);
                self.shows_output = true;
            }
        } else if let (Some(reason), Some(test)) =
            (line.strip_prefix("skipped: "), self.tests.last_mut())
        {
            test.skipped = Some(reason.to_owned());
        } else if matches!(line, "failures:" | "successes:") {
            self.shows_output = false;
        } else {
            if self.shows_output
                && !line.is_empty()
                && let Some(test) = self.tests.last_mut()
            {
                test.output.push(line.to_owned());
            }
            return false;
        }
        true
    }

    fn cell(&self) -> String {
        let count =
            |counts: fn(&Test) -> bool| self.tests.iter().filter(|test| counts(test)).count();
        let skipped = count(|test| test.skipped.is_some());
        let passed = count(|test| test.passed) - skipped;
        let failed = count(|test| !test.passed);
        match (self.succeeded, passed + skipped, failed) {
            (true, 0, _) => "ok".to_owned(),
            (true, ..) if skipped == 0 => format!("{passed} ok"),
            (true, ..) => format!("{passed} ok, {skipped} skipped"),
            (false, _, 0) => "FAILED".to_owned(),
            (false, ..) => format!("{failed} FAILED"),
        }
    }
}

/// Prints a table of kernels: what the verifier went through, which hooks work, how the runs ended.
/// Kernels that are not to be had have the reason in place of a report.
pub(super) fn print(rows: &[(String, Result<Report, String>)]) {
    let reports = || rows.iter().filter_map(|(_, report)| report.as_ref().ok());
    let costs = reports().find(|report| !report.costs.is_empty());
    let costs = costs.map(|report| &report.costs[..]).unwrap_or_default();
    let longest = reports().max_by_key(|report| report.runs.len());
    let runs = longest.map(|report| &report.runs[..]).unwrap_or_default();

    let mut titles = vec!["kernel", "version"];
    titles.extend(costs.iter().map(|cost| cost.program.as_str()));
    titles.extend(HOOKS.map(|(_, title)| title));
    titles.extend(runs.iter().map(|run| run.name.as_str()));
    titles.push("time");
    let mut table = vec![titles.into_iter().map(str::to_owned).collect()];
    for (name, report) in rows {
        let report = match report {
            Ok(report) => report,
            Err(reason) => {
                table.push(vec![name.clone(), reason.clone()]);
                continue;
            }
        };
        let mut row = vec![name.clone(), report.version.clone()];
        row.extend(costs.iter().map(|cost| {
            let same = report.costs.iter().find(|own| own.program == cost.program);
            same.map_or_else(missing, |own| own.verified_instructions.to_string())
        }));
        row.extend(HOOKS.map(|(suffix, _)| report.hook(suffix)));
        row.extend(runs.iter().map(|run| {
            let same = report.runs.iter().find(|own| own.name == run.name);
            same.map_or_else(missing, Run::cell)
        }));
        row.push(format!("{:.0} s", report.time.as_secs_f32()));
        table.push(row);
    }
    println!();
    print_columns(&table);
    for (name, report) in rows {
        for line in report.iter().flat_map(|report| &report.first_boot) {
            println!("{name}: before it booted: {line}");
        }
        for reason in report.iter().flat_map(Report::skipped) {
            println!("{name}: skipped: {reason}");
        }
    }
}

fn missing() -> String {
    "-".to_owned()
}

/// Prints rows with cells of a column below each other. The last cell of a short row may be long.
fn print_columns(table: &[Vec<String>]) {
    let columns = table.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let rows = table.iter().filter(|row| row.len() == columns);
        rows.map(|row| row[column].len()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    for row in table {
        let cells = row.iter().zip(&widths);
        let line: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        println!("{}", line.join("  ").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Report {
        Report::read(&Transcript {
            lines: lines.iter().map(|&line| line.to_owned()).collect(),
            time: Duration::ZERO,
            fault: None,
        })
    }

    #[test]
    fn a_console_is_read() {
        let report = read(&[
            "[    0.1] Linux",
            "TEST kernel Linux version 6.1.0-56-cloud-amd64 #1 SMP Debian 6.1.192-2 (2026-10-01)",
            "TEST verifier begins",
            r#"{"program":"sg_xdp_inbound","verified_instructions":3,"translated_bytes":2,"helper_calls":1,"map_uses":1,"jited_bytes":1,"stack":"0","load_ms":9}"#,
            "TEST verifier OK 1.5",
            "TEST tests begins",
            "test a::case_1_tcx ... ok",
            "test a::case_2_clsact ... FAILED",
            "test a::c ... ok",
            "successes:",
            "",
            "---- a::case_1_tcx stdout ----",
            "skipped: no TCX",
            "",
            "",
            "successes:",
            "    a::case_1_tcx",
            "",
            "failures:",
            "",
            "---- a::case_2_clsact stdout ----",
            "",
            "thread panicked: no clsact",
            "",
            "failures:",
            "    a::case_2_clsact",
            "TEST tests FAIL 2.5 (exit status: 101)",
        ]);
        assert_eq!(report.version, "6.1.192-2");
        assert_eq!(report.costs[0].verified_instructions, 3);
        let run = &report.runs[1];
        assert_eq!((run.succeeded, &run.cell()[..]), (false, "1 FAILED"));
        assert_eq!(report.hook("_tcx"), "-");
        assert_eq!(report.hook("_clsact"), "FAILED");
        assert_eq!(report.skipped(), BTreeSet::from(["no TCX"]));
        assert_eq!(
            report.failures(2),
            [
                "tests failed after 2.5 (exit status: 101) s",
                "  a::case_2_clsact",
                "    thread panicked: no clsact"
            ]
        );
    }

    #[test]
    fn a_guest_that_says_nothing_has_failed() {
        assert_eq!(read(&["garbage"]).failures(1), ["garbage", "did not boot"]);
        let early = read(&["TEST kernel 6.1"]);
        assert_eq!(early.failures(1), ["the guest ended early"]);
        let hung = read(&["TEST kernel 6.1", "TEST load begins"]);
        assert_eq!(hung.failures(1), ["load failed after  s"]);
    }
}
