//! What guests said, read and summed up.

use std::time::Duration;

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
}

/// One program that ran in a guest.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Run {
    /// Its name in the plan.
    pub(super) name: String,
    /// Whether it came to an end, and a good one.
    pub(super) succeeded: bool,
    /// Seconds it took, if it came to an end, and how it failed, if it did.
    pub(super) ending: String,
    /// Tests that passed.
    pub(super) passed: u32,
    /// Names of tests that failed.
    pub(super) failed: Vec<String>,
}

impl Report {
    /// Reads the console of a guest.
    pub(super) fn read(transcript: &Transcript) -> Self {
        let mut report = Self {
            time: transcript.time,
            ..Self::default()
        };
        for line in &transcript.lines {
            report.add(line);
        }
        if report.version.is_empty() {
            report.faults.push("did not boot".to_owned());
        }
        report
    }

    fn add(&mut self, line: &str) {
        if let Some(cost) = Cost::parse(line) {
            self.costs.push(cost);
        } else if let Some(event) = line.strip_prefix("TEST ") {
            self.add_event(event);
        } else if let (Some(result), Some(run)) = (line.strip_prefix("test "), self.runs.last_mut())
        {
            match result.split_once(" ... ") {
                Some((_, "ok")) => run.passed += 1,
                Some((name, result)) if result.starts_with("FAILED") => {
                    run.failed.push(name.to_owned());
                }
                _ => {}
            }
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
            failures.extend(run.failed.iter().map(|name| format!("  {name}")));
        }
        if self.runs.len() < planned && failures.is_empty() {
            failures.push("the guest ended early".to_owned());
        }
        failures
    }
}

impl Run {
    fn cell(&self) -> String {
        match (self.succeeded, self.failed.len()) {
            (true, _) if self.passed > 0 => format!("{} ok", self.passed),
            (true, _) => "ok".to_owned(),
            (false, 0) => "FAILED".to_owned(),
            (false, failed) => format!("{failed} FAILED"),
        }
    }
}

/// Prints a table of kernels: what the verifier went through, how the runs ended. Kernels that are
/// not to be had have the reason in place of a report.
pub(super) fn print(rows: &[(String, Result<Report, String>)]) {
    let reports = || rows.iter().filter_map(|(_, report)| report.as_ref().ok());
    let mut titles = vec!["kernel".to_owned(), "version".to_owned()];
    let longest = reports().max_by_key(|report| report.runs.len());
    let costs = reports().find(|report| !report.costs.is_empty());
    titles.extend(
        costs
            .into_iter()
            .flat_map(|report| &report.costs)
            .map(|cost| cost.program.clone()),
    );
    let first_run = titles.len();
    titles.extend(
        longest
            .into_iter()
            .flat_map(|report| &report.runs)
            .map(|run| run.name.clone()),
    );
    titles.push("time".to_owned());

    let mut table = vec![titles];
    for (name, report) in rows {
        let mut cells = vec![name.clone()];
        match report {
            Ok(report) => {
                cells.push(report.version.clone());
                let cost = report
                    .costs
                    .iter()
                    .map(|cost| cost.verified_instructions.to_string());
                cells.extend(cost);
                cells.resize(first_run.max(cells.len()), "-".to_owned());
                cells.extend(report.runs.iter().map(Run::cell));
                cells.resize((table[0].len() - 1).max(cells.len()), "-".to_owned());
                cells.push(format!("{:.0} s", report.time.as_secs_f32()));
            }
            Err(reason) => cells.push(reason.clone()),
        }
        table.push(cells);
    }
    let widths: Vec<usize> = (0..table[0].len())
        .map(|column| {
            // A reason is as long as it is: it is the last cell of its row.
            let rows = table.iter().filter(|row| row.len() == table[0].len());
            rows.map(|row| row[column].len()).max().unwrap_or(0)
        })
        .collect();
    println!();
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
        })
    }

    #[test]
    fn a_console_is_read() {
        let report = read(&[
            "[    0.1] Linux",
            "TEST kernel Linux version 6.1.0-56-cloud-amd64 #1 SMP Debian 6.1.192-2 (2026-10-01)",
            "TEST verifier begins",
            r#"{"program":"sg_xdp","verified_instructions":3,"translated_bytes":2,"jited_bytes":1,"stack":"0","load_ms":9}"#,
            "TEST verifier OK 1.5",
            "TEST tests begins",
            "test a::b ... ok",
            "test a::c ... FAILED",
            "TEST tests FAIL 2.5 (exit status: 101)",
        ]);
        assert_eq!(report.version, "6.1.192-2");
        assert_eq!(report.costs[0].verified_instructions, 3);
        assert_eq!(
            report.runs[1],
            Run {
                name: "tests".to_owned(),
                succeeded: false,
                ending: "2.5 (exit status: 101)".to_owned(),
                passed: 1,
                failed: vec!["a::c".to_owned()],
            }
        );
        assert_eq!(
            report.failures(2),
            ["tests failed after 2.5 (exit status: 101) s", "  a::c"]
        );
    }

    #[test]
    fn a_guest_that_says_nothing_has_failed() {
        assert_eq!(read(&["garbage"]).failures(1), ["did not boot"]);
        let early = read(&["TEST kernel 6.1"]);
        assert_eq!(early.failures(1), ["the guest ended early"]);
        let hung = read(&["TEST kernel 6.1", "TEST load begins"]);
        assert_eq!(hung.failures(1), ["load failed after  s"]);
    }
}
