//! `sg-ctl detach`.

use std::process::ExitCode;

use sg_ctl::host::Target;

use super::Context;
use crate::cli::DetachArgs;
use crate::output;
use crate::output::change::DetachView;

/// Takes one interface or all off guard.
pub(crate) fn run(args: DetachArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let target = match args.interface {
        Some(name) => Target::One(name),
        None if args.missing => Target::Missing,
        None => Target::All,
    };
    let detached = context.host()?.detach(&target)?;
    let view = DetachView {
        were_missing: target == Target::Missing,
        detached,
    };
    if args.format.json {
        output::json(&view)?;
    } else {
        output::text(&view)?;
    }
    Ok(ExitCode::SUCCESS)
}
