//! `sg-ctl check`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueHint;
use schemars::JsonSchema;
use serde::Serialize;
use sg_policy::compile::RuleNumbers;
use sg_policy::model::Model;
use sg_policy::rulefile::{self, Diagnostic, Parsed};

use crate::failure::REFUSED;
use crate::verb::output::rule::{MergedRuleView, RuleView};
use crate::verb::output::{self, note};
use crate::verb::shared::arguments::Format;
use crate::verb::shared::rule_files;

/// What the help of `check` says beyond the options.
const HELP: &str = "\
JSON: an object with these fields:
  valid       whether the files may be applied
  findings    errors and warnings: severity, file, line, column, field, message, help
  interfaces  name, groups, and rules, in the order that picks the deciding one: group, group_id,
              direction, id, protocol (tcp, udp, icmp, icmpv6, all, or a number), from_port,
              to_port, icmp_type, icmp_code, peer (a range, pl:NAME or sg:NAME), description,
              file, line, ranges (address ranges that the peer stands for), untracked (protocols
              whose flows need no tracking when this rule admits them)

EXAMPLES:
    sg-ctl check rules.yaml
    sg-ctl check groups.yaml interfaces.yaml --json";

/// Check rule files and show what they come to.
///
/// Reads the files as `apply` would and reports every mistake with its place and remedy. Needs no
/// privileges and touches nothing. Without mistakes it prints the merged rules of each interface:
/// what may come in and what may go out, group by group.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Rule file (YAML or JSON).
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// The answer as JSON.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Answer<'a> {
    valid: bool,
    findings: &'a [Diagnostic],
    interfaces: Vec<Interface<'a>>,
}

#[derive(Serialize, JsonSchema)]
struct Interface<'a> {
    name: &'a str,
    groups: &'a [String],
    rules: Vec<MergedRuleView<'a>>,
}

/// Checks rule files and prints what they come to.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let sources = rule_files::open(&args.files)?;
    let result = rulefile::read(&sources);
    if args.format.json {
        return print_json(result.as_ref());
    }
    let Parsed {
        model, warnings, ..
    } = result?;
    rule_files::warn(&warnings);
    print_table(&model)?;
    Ok(ExitCode::SUCCESS)
}

fn print_json(result: Result<&Parsed, &rulefile::Report>) -> anyhow::Result<ExitCode> {
    let (report, model) = match result {
        Ok(parsed) => (&parsed.warnings, Some(&parsed.model)),
        Err(report) => (report, None),
    };
    let interfaces = model.into_iter().flat_map(|model| {
        model.interfaces.iter().map(|(name, spec)| Interface {
            name,
            groups: &spec.groups,
            rules: MergedRuleView::of_interface(model, name, spec),
        })
    });
    output::json(&Answer {
        valid: result.is_ok(),
        findings: &report.diagnostics,
        interfaces: interfaces.collect(),
    })?;
    Ok(match result {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(REFUSED),
    })
}

/// Prints the rules of each interface, or those of each group if no interface is named.
fn print_table(model: &Model) -> anyhow::Result<()> {
    if model.interfaces.is_empty() {
        note("no interface is named: these are the rules of each group");
        let numbers = RuleNumbers::default();
        let groups = model.groups.values();
        let rules: Vec<_> = groups
            .flat_map(|group| RuleView::of_group(group, &numbers))
            .collect();
        output::text(RuleView::table(&rules, false))?;
        return Ok(());
    }
    let rules: Vec<_> = model
        .interfaces
        .iter()
        .flat_map(|(name, spec)| MergedRuleView::of_interface(model, name, spec))
        .collect();
    output::text(MergedRuleView::table(&rules))?;
    Ok(())
}
