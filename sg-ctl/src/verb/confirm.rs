//! `sg-ctl confirm`.

use std::process::ExitCode;

use crate::verb::ConfirmArgs;
use crate::verb::output::trial::ConfirmView;
use crate::verb::output::{self, note};
use crate::verb::shared::Context;

/// Keeps what is on trial.
pub(crate) fn run(args: &ConfirmArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let (confirmed, notes) = context.host()?.confirm(&args.interfaces)?;
    let view = ConfirmView { confirmed, notes };
    if args.format.json {
        output::json(&view)?;
    } else {
        output::text(&view)?;
        for text in &view.notes {
            note(text);
        }
    }
    Ok(ExitCode::SUCCESS)
}
