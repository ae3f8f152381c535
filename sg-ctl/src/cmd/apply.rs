//! `sg-ctl apply`.

use std::process::ExitCode;

use sg_ctl::host::ApplyRequest;

use super::{Context, rule_files, way_in};
use crate::cli::ApplyArgs;
use crate::output::change::ApplyView;
use crate::output::{self, note};

/// Exit status of a dry run that found something to change.
const PENDING: u8 = 3;

/// Puts rule files in force, or shows what that would change.
pub(crate) fn run(args: &ApplyArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let model = rule_files::model(&args.files)?;
    if args.dry_run {
        let summary = context.host()?.plan(model, way_in(args.keep))?;
        show(&ApplyView::planned(&summary), args.format.json)?;
        return Ok(if summary.changed {
            ExitCode::from(PENDING)
        } else {
            ExitCode::SUCCESS
        });
    }
    let confirm_within = args.trial.confirm_within;
    let summary = context.host()?.apply(ApplyRequest {
        model,
        confirm_within,
        way_in: way_in(args.keep),
    })?;
    show(&ApplyView::done(&summary, confirm_within), args.format.json)?;
    Ok(ExitCode::SUCCESS)
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
