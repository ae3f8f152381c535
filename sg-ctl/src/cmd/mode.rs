//! `sg-ctl mode`.

use std::process::ExitCode;

use super::Context;
use crate::cli::{Mode, ModeArgs};
use crate::output;
use crate::output::trial::ModeView;

/// Makes an interface enforce, or only audit.
pub(crate) fn run(args: &ModeArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let audit = args.mode == Mode::Audit;
    let rollback_after = args.trial.rollback_after;
    context
        .host()?
        .set_mode(&args.interface, audit, rollback_after)?;
    let view = ModeView::new(&args.interface, audit, rollback_after);
    if args.format.json {
        output::json(&view)?;
    } else {
        output::text(&view)?;
    }
    Ok(ExitCode::SUCCESS)
}
