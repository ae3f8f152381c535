//! `sg-ctl status`.

use std::process::ExitCode;

use super::Context;
use crate::cli::StatusArgs;
use crate::output::status::StatusView;
use crate::output::{self, note};

/// Shows what is guarded, and whether it is in order.
pub(crate) fn run(args: &StatusArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let status = context.host()?.status()?;
    let view = StatusView::new(&status);
    if args.format.json {
        output::json(&view)?;
        return Ok(ExitCode::SUCCESS);
    }
    if view.is_empty() {
        note("no interface is attached");
    } else {
        output::text(format_args!(
            "{}\n{}\n{}",
            view.policy(),
            view.interfaces(),
            view.traffic()
        ))?;
        if args.counters {
            output::text(format_args!("\n{}", view.reasons()))?;
        }
    }
    for problem in view.problems() {
        note(problem);
    }
    Ok(ExitCode::SUCCESS)
}
