//! `sg-ctl status`.

use std::process::ExitCode;

use super::Context;
use crate::cli::StatusArgs;
use crate::output::status::StatusView;
use crate::output::{self, note};

/// Exit status: something is not as it should be.
const PROBLEMS: u8 = 4;

/// Shows what is guarded, and whether it is in order.
pub(crate) fn run(args: &StatusArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let status = context.host()?.status()?;
    let view = StatusView::new(&status);
    let code = if view.has_problems() {
        ExitCode::from(PROBLEMS)
    } else {
        ExitCode::SUCCESS
    };
    if args.check {
        return Ok(code);
    }
    if args.format.json {
        output::json(&view)?;
        return Ok(code);
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
    Ok(code)
}
