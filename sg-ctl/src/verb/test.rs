//! `sg-ctl test`.

pub(crate) mod cases;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueHint;
use serde::Deserialize;
use sg_common::flow::Direction;
use sg_ctl::host::HostError;
use sg_policy::compile::RuleNumbers;
use sg_policy::explain::{Probe, explain};
use sg_policy::model::Model;
use sg_policy::rulefile::Source;

use crate::failure::{REFUSED, refusal};
use crate::verb::explain::{offline_place, probe, spec};
use crate::verb::output;
use crate::verb::shared::arguments::Format;
use crate::verb::shared::{rule_files, value};
use crate::verb::test::cases::{CaseView, CasesView};

/// What the help of `test` says beyond the options.
const HELP: &str = "\
CASES:
    rules: [web.yaml]              # beside this file
    cases:
      - name: the internet reaches the web server
        groups: [web]              # or `interface: eth0`, which the rules describe
        inbound: tcp 203.0.113.7:40000 443
        expect: allow              # or `deny`
      - groups: [web]
        inbound: icmp 203.0.113.7
        icmp: 3/4                  # type and code; an echo request without it
        expect: deny
        reason: no-rule            # `reason`, `rule` and `group` may be left out

JSON: an object with these fields:
  passed, failed, cases (file, name, packet, expected, verdict, reason, rule, group, passed, why)

EXAMPLES:
    sg-ctl test cases.yaml
    sg-ctl test cases.yaml -f new-rules.yaml
    sg-ctl test cases.yaml --junit report.xml";

/// Test what rule files allow and deny.
///
/// Reads cases, each a packet and what is expected of it, and asks the rules: a policy's own tests,
/// for continuous integration. Needs no privileges and touches nothing. Exits with 1 if a case
/// fails.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Files of cases (YAML or JSON).
    #[arg(value_name = "CASES", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) cases: Vec<PathBuf>,

    /// Rule file to ask in place of those that the cases name; may be repeated.
    #[arg(short, long = "file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// Write a report of the cases as `JUnit` XML, which CI systems read.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) junit: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// A file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Rule files, beside this one.
    #[serde(default)]
    rules: Vec<PathBuf>,
    cases: Vec<Case>,
}

/// A packet, and what is expected of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: Option<String>,
    interface: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    inbound: Option<String>,
    outbound: Option<String>,
    icmp: Option<String>,
    flags: Option<String>,
    expect: Expected,
    reason: Option<String>,
    rule: Option<String>,
    group: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expected {
    Allow,
    Deny,
}

impl Expected {
    const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// Runs the cases of all files.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut models: BTreeMap<Vec<PathBuf>, Model> = BTreeMap::new();
    let mut views = Vec::new();
    for path in &args.cases {
        let file = read(path)?;
        let rules = if args.files.is_empty() {
            let directory = path.parent().unwrap_or(Path::new(""));
            file.rules
                .iter()
                .map(|rules| directory.join(rules))
                .collect()
        } else {
            args.files.clone()
        };
        if rules.is_empty() {
            return Err(refusal(
                format!("{} names no rule files", path.display()),
                "add `rules: [FILE]` to it, or give -f FILE",
            ));
        }
        if !models.contains_key(&rules) {
            models.insert(rules.clone(), rule_files::model(&rules)?);
        }
        if file.cases.is_empty() {
            return Err(refusal(
                format!("{} holds no case, which would always pass", path.display()),
                "list packets and what is expected of them under `cases`",
            ));
        }
        for (i, case) in file.cases.iter().enumerate() {
            let place = format!("case {} of {}", i + 1, path.display());
            let view = judge(&models[&rules], case).map_err(|error| error.context(place))?;
            views.push(view.of_file(path.display().to_string()));
        }
    }
    let view = CasesView::new(views);
    if let Some(path) = &args.junit {
        let report = view.junit()?;
        fs::write(path, report).map_err(|error| {
            refusal(
                format!("cannot write {}: {error}", path.display()),
                "name a file in a directory that may be written",
            )
        })?;
    }
    output::print(&view, args.format.json)?;
    Ok(if view.failed() == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(REFUSED)
    })
}

fn read(path: &Path) -> anyhow::Result<File> {
    let cannot = |error: &dyn std::fmt::Display| {
        refusal(
            format!("cannot read {}: {error}", path.display()),
            "`sg-ctl test --help` shows the form of a file of cases",
        )
    };
    let source = Source::open(path).map_err(|error| cannot(&error))?;
    serde_saphyr::from_str(&source.text).map_err(|error| cannot(&error))
}

/// Asks the rules about one case.
fn judge(model: &Model, case: &Case) -> anyhow::Result<CaseView> {
    let probe = packet(case)?;
    let spec = spec(model, case.interface.as_deref(), &case.groups)?;
    if case.interface.is_none() && case.groups.is_empty() {
        return Err(refusal(
            "the case does not say where",
            "add `interface: NAME` or `groups: [NAME]`",
        ));
    }
    let place = offline_place(model, &spec);
    let mut numbers = RuleNumbers::default();
    let explanation = explain(&place, &probe, &mut numbers, None).map_err(HostError::from)?;
    let verdict = if explanation.passes() {
        Expected::Allow
    } else {
        Expected::Deny
    };
    let record = numbers.rule(explanation.rule);
    let rule = record.map(|record| record.rule_id.to_string());
    let group = record.map(|record| record.group.clone());
    let reason = explanation.reason.name();
    let mut why = Vec::new();
    let mut expect = |what: &str, wanted: Option<&str>, found: Option<&str>| {
        if wanted.is_some() && wanted != found {
            let (wanted, found) = (wanted.unwrap_or("none"), found.unwrap_or("none"));
            why.push(format!("{what} is {found}, expected {wanted}"));
        }
    };
    expect("verdict", Some(case.expect.name()), Some(verdict.name()));
    expect("reason", case.reason.as_deref(), Some(reason));
    expect("rule", case.rule.as_deref(), rule.as_deref());
    expect("group", case.group.as_deref(), group.as_deref());
    if verdict != case.expect {
        match (explanation.nearest.first(), &rule) {
            (Some(miss), _) => why.push(format!("nearest is {}: {miss}", miss.rule.id)),
            (None, Some(rule)) => why.push(format!("rule {rule} admits it")),
            (None, None) => {}
        }
    }
    Ok(CaseView {
        file: String::new(),
        name: case.name.clone().unwrap_or_else(|| probe.to_string()),
        packet: probe.to_string(),
        expected: case.expect.name(),
        verdict: verdict.name(),
        reason,
        rule,
        group,
        passed: why.is_empty(),
        why,
    })
}

fn packet(case: &Case) -> anyhow::Result<Probe> {
    let (direction, words) = match (&case.inbound, &case.outbound) {
        (Some(words), None) => (Direction::Inbound, words),
        (None, Some(words)) => (Direction::Outbound, words),
        _ => {
            return Err(refusal(
                "the case describes no packet, or two",
                "write `inbound: PROTOCOL SOURCE DESTINATION`, or `outbound`",
            ));
        }
    };
    let mut probe = probe(direction, &words.split_whitespace().collect::<Vec<_>>())?;
    if let Some(message) = &case.icmp {
        probe.message = value::message(message).map_err(|help| field("icmp", message, help))?;
    }
    if let Some(flags) = &case.flags {
        probe.tcp_flags = value::tcp_flags(flags).map_err(|help| field("flags", flags, help))?;
    }
    Ok(probe)
}

fn field(name: &str, text: &str, help: String) -> anyhow::Error {
    refusal(format!("`{name}: {text}` cannot be read"), help)
}
