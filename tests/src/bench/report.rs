//! What was measured: as tables and as JSON.

use std::{
    fmt::{self, Write as _},
    fs,
};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use super::{
    control::{self, Control},
    targets::Target,
    veth::{
        Firewall, VethRow,
        attack::{self, AttackRow},
        flood::FloodRow,
    },
};

/// Everything that one run of the benchmark has found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// Whether amounts were those of `--quick`.
    pub quick: bool,
    /// What programs cost per frame.
    pub cost: Vec<CostRow>,
    /// What packets cost between namespaces.
    pub veth: Vec<VethRow>,
    /// What a flood did to established flows.
    pub flood: Vec<FloodRow>,
    /// What attacks on the flow table did.
    pub attacks: Vec<AttackRow>,
    /// What changes of rules and lists of flows take.
    pub control: Control,
    /// What was aimed at.
    pub targets: Vec<Target>,
}

/// The machine and the version that were measured.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// Release of the kernel.
    pub kernel: String,
    /// Model name of the first processor.
    pub cpu: String,
    /// Number of processors.
    pub cpus: usize,
    /// Commit of the source, `+` when it was changed since.
    pub commit: String,
}

impl Machine {
    /// Describes this machine.
    pub fn here(commit: &str) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == "model name").then(|| value.trim().to_owned())
        });
        Self {
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            cpu: model.unwrap_or_else(|| "unknown".to_owned()),
            cpus: cpuinfo
                .lines()
                .filter(|line| line.starts_with("processor"))
                .count(),
            commit: commit.to_owned(),
        }
    }
}

/// One row of what programs cost.
#[derive(Clone, Debug, Serialize)]
pub struct CostRow {
    /// What it has in common with its neighbours.
    pub scene: String,
    /// What it is about.
    pub name: String,
    /// The reason that every frame came to.
    pub reason: Option<&'static str>,
    /// Without a log.
    pub quiet: Option<Sample>,
    /// With `log: all`.
    pub logged: Option<Sample>,
    /// Why it could not be measured.
    pub refused: Option<String>,
}

/// Nanoseconds per frame over several runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// The quickest run.
    pub min: f64,
    /// The run in the middle.
    pub median: f64,
    /// The quickest run of the empty program at the same hook, in between.
    pub empty: f64,
    /// How far the empty program's run in the middle is beyond that, as a share of it.
    pub scatter: f64,
}

/// The most that runs of an empty program may scatter: beyond that the machine was busy with other
/// things, and differences between programs mean nothing.
const MOST_SCATTER: f64 = 0.1;

impl Sample {
    /// Sums up runs of a program and of the empty one.
    pub fn of(times: &[f64], empties: &[f64]) -> Self {
        Self {
            min: minimum(times),
            median: median(times),
            empty: minimum(empties),
            scatter: median(empties) / minimum(empties) - 1.0,
        }
    }

    /// What the program costs beyond being called.
    pub fn net(&self) -> f64 {
        self.min - self.empty
    }
}

/// The least of some figures.
pub fn minimum(figures: &[f64]) -> f64 {
    figures.iter().copied().fold(f64::INFINITY, f64::min)
}

/// The figure in the middle; 0 of none.
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// A table as sg-ctl prints them. A heading that begins with `>` belongs to a column of numbers.
pub(crate) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(
            headings
                .iter()
                .map(|heading| heading.trim_start_matches('>')),
        );
    for (column, heading) in table.column_iter_mut().zip(headings) {
        column.set_padding((0, 2));
        if heading.starts_with('>') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A table's lines without the blanks at their ends.
pub(crate) fn lines(table: &Table) -> String {
    table.lines().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{}", line.trim_end());
        text
    })
}

fn figure(figure: Option<f64>) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.0}"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine {
            kernel,
            cpu,
            cpus,
            commit,
        } = &self.machine;
        writeln!(f, "sg {commit}, Linux {kernel}, {cpus} × {cpu}")?;
        self.write_cost(f)?;
        self.write_veth(f)?;
        self.write_flood(f)?;
        attack::write(&self.attacks, f)?;
        control::write(&self.control, f)?;
        if !self.targets.is_empty() {
            let mut table = table(&["TARGET", ">AIM", ">MEASURED", ""]);
            let reliable = self.unreliable().is_none();
            for target in &self.targets {
                table.add_row(target.cells(reliable));
            }
            write!(f, "\n{}", lines(&table))?;
        }
        if let Some(scatter) = self.unreliable() {
            writeln!(
                f,
                "\nunreliable: empty programs scatter by {:.0} %, more than {:.0}: measure again on \
                 an idle machine",
                100.0 * scatter,
                100.0 * MOST_SCATTER
            )?;
        }
        Ok(())
    }
}

impl Report {
    /// The worst scatter of an empty program, if it is so much that the figures mean nothing.
    pub fn unreliable(&self) -> Option<f64> {
        let samples = self.cost.iter().flat_map(|row| [row.quiet, row.logged]);
        let scatter = samples.flatten().map(|sample| sample.scatter);
        // Not a number when nothing was measured.
        scatter
            .filter(|scatter| *scatter > MOST_SCATTER)
            .reduce(f64::max)
    }

    fn write_veth(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = self.veth.iter().find(|row| row.firewall == Firewall::None);
        let Some(none) = none else {
            return Ok(());
        };
        writeln!(
            f,
            "\nveth between namespaces, UDP, 1000 flows, 1000 CIDRs: ns of CPU per packet, sender \
             and receiver together; in brackets the throughput beside no firewall\n"
        )?;
        let mut table = table(&[
            "FIREWALL",
            ">ESTABLISHED",
            ">NEW",
            ">DENIED",
            ">TCP CONNECTIONS/S",
            ">BULK TCP GBIT/S",
        ]);
        // Throughput is what grows as costs fall.
        let time = |own: f64, none: f64| format!("{own:.0} ({:.2})", none / own);
        for row in &self.veth {
            let bulk = row.bulk.zip(none.bulk);
            table.add_row([
                row.firewall.name().to_owned(),
                time(row.established, none.established),
                time(row.new, none.new),
                time(row.denied, none.denied),
                format!(
                    "{:.0} ({:.2})",
                    row.connections,
                    row.connections / none.connections
                ),
                bulk.map_or_else(
                    || "-".to_owned(),
                    |(own, none)| format!("{own:.1} ({:.2})", own / none),
                ),
            ]);
        }
        write!(f, "{}", lines(&table))
    }

    fn write_flood(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(FloodRow { flood, .. }) = self.flood.first() else {
            return Ok(());
        };
        writeln!(
            f,
            "\nflood of {flood} new flows, datagrams and SYNs from random sources, by one CPU: ns per \
             packet of established flows that the other sends, medians\n"
        )?;
        let mut table = table(&[
            "FIREWALL", ">BEFORE", ">DURING", ">RATIO", ">AFTER", ">FLOOD/S", ">FLOWS", ">LOST",
        ]);
        for row in &self.flood {
            table.add_row([
                row.firewall.name().to_owned(),
                format!("{:.0}", row.before),
                format!("{:.0}", row.during),
                format!("{:.2}", row.during / row.before),
                format!("{:.0}", row.after),
                format!("{:.0}", row.rate),
                row.established.to_string(),
                row.lost.to_string(),
            ]);
        }
        write!(f, "{}", lines(&table))?;
        for row in &self.flood {
            let Some(told) = &row.told else { continue };
            let counts = told.inbound.iter();
            let counts: Vec<_> = counts
                .map(|(name, count)| format!("{count} {name}"))
                .collect();
            let [before, after] = told.memory;
            let counts = counts.join(", ");
            writeln!(
                f,
                "{}: {counts}; flow table {before} bytes before, {after} after",
                row.firewall.name()
            )?;
        }
        Ok(())
    }

    fn write_cost(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.cost.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\nns per frame, BPF_PROG_TEST_RUN; NET is the minimum less the empty program's"
        )?;
        for scene in self.cost.chunk_by(|a, b| a.scene == b.scene) {
            let mut table = table(&[
                &scene[0].scene.to_uppercase(),
                "REASON",
                ">MIN",
                ">MEDIAN",
                ">NET",
                ">LOGGED",
                ">MEDIAN",
            ]);
            for row in scene {
                if let Some(why) = &row.refused {
                    table.add_row([&row.name, &format!("not measured: {why}")]);
                    continue;
                }
                table.add_row([
                    row.name.clone(),
                    row.reason.unwrap_or("-").to_owned(),
                    figure(row.quiet.map(|sample| sample.min)),
                    figure(row.quiet.map(|sample| sample.median)),
                    figure(row.quiet.as_ref().map(Sample::net)),
                    figure(row.logged.map(|sample| sample.min)),
                    figure(row.logged.map(|sample| sample.median)),
                ]);
            }
            write!(f, "\n{}", lines(&table))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_sums_up_runs() {
        let sample = Sample::of(&[50.0, 40.0, 90.0], &[20.0, 22.0, 25.0]);
        let expected = Sample {
            min: 40.0,
            median: 50.0,
            empty: 20.0,
            scatter: 22.0 / 20.0 - 1.0,
        };
        assert_eq!(sample, expected);
        assert_eq!(format!("{:.0}", sample.net()), "20");
    }

    /// A report of one row, whose empty program took these times.
    fn report(empties: &[f64]) -> Report {
        let sample = Sample::of(&[30.0], empties);
        let row = CostRow {
            scene: "established, the same flow".to_owned(),
            name: "IPv4 TCP, XDP".to_owned(),
            reason: None,
            quiet: Some(sample),
            logged: None,
            refused: None,
        };
        Report {
            machine: Machine::here("unknown"),
            quick: true,
            targets: super::super::targets::of_cost(std::slice::from_ref(&row)),
            cost: vec![row],
            veth: Vec::new(),
            flood: Vec::new(),
            attacks: Vec::new(),
            control: Control::default(),
        }
    }

    #[test]
    fn a_run_on_a_busy_machine_meets_no_target() {
        let calm = report(&[20.0, 21.0, 90.0]);
        assert_eq!(calm.unreliable(), None);
        assert!(calm.to_string().contains("  met\n"), "{calm}");
        let busy = report(&[20.0, 31.0, 31.0]);
        assert!(busy.unreliable().is_some());
        let text = busy.to_string();
        assert!(
            text.contains("scatter by 55 %") && !text.contains("met\n"),
            "{text}"
        );
    }
}
