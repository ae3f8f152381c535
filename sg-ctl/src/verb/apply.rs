//! `sg-ctl apply`.

use std::process::ExitCode;

use sg_ctl::host::{ApplyRequest, ApplySummary};

use crate::verb::output::change::ApplyView;
use crate::verb::output::{self, note};
use crate::verb::shared::{Context, PENDING, rule_files, way_in};
use crate::verb::{ApplyArgs, vpc};

/// Puts rule files in force, or shows what that would change.
pub(crate) fn run(args: &ApplyArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let (model, origins) = rule_files::rules(&args.files)?;
    if let Some(joined) = context.vpc()? {
        return vpc::apply(args, (model, origins), joined);
    }
    rule_files::check_is_of_one_host(&model)?;
    let confirm_within = args.trial.confirm_within;
    let request = ApplyRequest {
        model,
        origins,
        confirm_within,
        way_in: way_in(args.keep),
    };
    if args.dry_run {
        let summary = context.host()?.plan(request)?;
        return planned(&summary, args.format.json);
    }
    let summary = context.host()?.apply(request)?;
    show(&ApplyView::done(&summary, confirm_within), args.format.json)?;
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
