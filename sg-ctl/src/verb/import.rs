//! `sg-ctl import`.

use std::fs;
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;
use sg_policy::import::{self, Imported};
use sg_policy::rulefile::{self, Diagnostic, Report};

use crate::failure::{REFUSED, refusal};
use crate::verb::ImportArgs;
use crate::verb::output::{self, counted, note};
use crate::verb::shared::rule_files;

/// The answer as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    rules: Option<serde_json::Value>,
    findings: &'a [Diagnostic],
    /// Findings that are left out of `findings`: of very many only the first are told.
    omitted_findings: usize,
}

/// Makes a rule file of what other tools wrote.
pub(crate) fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let sources = rule_files::open(&args.files)?;
    let result = import::import(&sources, &args.into());
    if args.json {
        return print_json(args, result.as_ref());
    }
    let Imported { model, warnings } = result?;
    rule_files::warn(&warnings);
    if args.strict && warnings.warnings() > 0 {
        return Err(refused(&warnings));
    }
    let text = rulefile::to_yaml(&model)?;
    match &args.output {
        None => output::text(text)?,
        Some(path) => {
            fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
            note(format!(
                "{} written; next: sg-ctl check {0}",
                path.display()
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn refused(warnings: &Report) -> anyhow::Error {
    let count = counted(warnings.warnings() as u64, "warning");
    refusal(
        format!("{count} with --strict; nothing was written"),
        "correct what they name, or leave out --strict",
    )
}

fn print_json(args: &ImportArgs, result: Result<&Imported, &Report>) -> anyhow::Result<ExitCode> {
    let (report, model) = match result {
        Ok(imported) => (&imported.warnings, Some(&imported.model)),
        Err(report) => (report, None),
    };
    let model = model.filter(|_| !args.strict || report.warnings() == 0);
    output::json(&Answer {
        rules: model.map(rulefile::to_json),
        findings: &report.diagnostics,
        omitted_findings: report.omitted(),
    })?;
    Ok(match model {
        Some(_) => ExitCode::SUCCESS,
        None => ExitCode::from(REFUSED),
    })
}
