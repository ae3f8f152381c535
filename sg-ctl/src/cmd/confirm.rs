//! `sg-ctl confirm`.

use std::process::ExitCode;

use super::Context;
use crate::cli::ConfirmArgs;
use crate::output;
use crate::output::trial::ConfirmView;

/// Keeps what is on trial.
pub(crate) fn run(args: &ConfirmArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let confirmed = context.host()?.confirm()?;
    let view = ConfirmView { confirmed };
    if args.format.json {
        output::json(&view)?;
    } else {
        output::text(&view)?;
    }
    Ok(ExitCode::SUCCESS)
}
