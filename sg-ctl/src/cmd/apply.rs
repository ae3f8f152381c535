//! `sg-ctl apply`.

use std::process::ExitCode;

use sg_ctl::host::{ApplyRequest, ApplySummary};

use super::{Context, PENDING, rule_files, way_in};
use crate::cli::ApplyArgs;
use crate::output::change::ApplyView;
use crate::output::{self, note};

/// Puts rule files in force, or shows what that would change.
pub(crate) fn run(args: &ApplyArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let model = rule_files::model(&args.files)?;
    if args.dry_run {
        let summary = context.host()?.plan(model, way_in(args.keep))?;
        return planned(&summary, args.format.json);
    }
    let rollback_after = args.trial.rollback_after;
    let summary = context.host()?.apply(ApplyRequest {
        model,
        rollback_after,
        way_in: way_in(args.keep),
    })?;
    show(&ApplyView::done(&summary, rollback_after), args.format.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints what would happen to the rules.
pub(super) fn planned(summary: &ApplySummary, json: bool) -> anyhow::Result<ExitCode> {
    show(&ApplyView::planned(summary), json)?;
    Ok(if summary.changed {
        ExitCode::from(PENDING)
    } else {
        ExitCode::SUCCESS
    })
}

/// Prints what happened to the rules.
pub(super) fn show(view: &ApplyView<'_>, json: bool) -> anyhow::Result<()> {
    if json {
        output::json(view)?;
    } else {
        output::text(view)?;
        for text in view.notes() {
            note(text);
        }
    }
    Ok(())
}
