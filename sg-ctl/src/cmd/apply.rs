//! `sg-ctl apply`.

use std::process::ExitCode;

use super::{Context, rule_files};
use crate::cli::ApplyArgs;
use crate::output::change::ApplyView;
use crate::output::{self, note};

/// Puts rule files in force.
pub(crate) fn run(args: &ApplyArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let model = rule_files::model(&args.files)?;
    let summary = context.host()?.apply(model)?;
    let view = ApplyView::new(&summary);
    if args.format.json {
        output::json(&view)?;
    } else {
        output::text(&view)?;
        for text in view.notes() {
            note(text);
        }
    }
    Ok(ExitCode::SUCCESS)
}
