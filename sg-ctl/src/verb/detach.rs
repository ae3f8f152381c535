//! `sg-ctl detach`.

use std::process::ExitCode;

use sg_ctl::host::Target;

use crate::verb::output::change::DetachView;
use crate::verb::shared::{Context, PENDING};
use crate::verb::{DetachArgs, output};

/// Takes one interface or all off guard.
pub(crate) fn run(args: DetachArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let target = match args.interface {
        Some(name) => Target::One(name),
        None if args.missing => Target::Missing,
        None => Target::All,
    };
    let is_dry = args.dry_run.dry_run;
    let mut host = context.host()?;
    let detached = if is_dry {
        host.would_detach(&target)?
    } else {
        host.detach(&target)?
    };
    let is_pending = is_dry && !detached.is_empty();
    let view = DetachView {
        is_dry,
        were_missing: target == Target::Missing,
        detached,
    };
    if args.format.json {
        output::json(&view)?;
    } else {
        output::text(&view)?;
    }
    Ok(if is_pending {
        ExitCode::from(PENDING)
    } else {
        ExitCode::SUCCESS
    })
}
