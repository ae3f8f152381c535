//! `sg-ctl restore`.

pub(crate) mod view;

use std::process::ExitCode;

use sg_ctl::host::Restored;

use crate::verb::RestoreArgs;
use crate::verb::output::{self, note};
use crate::verb::restore::view::RestoredView;
use crate::verb::shared::{Context, PENDING};

/// Attaches again what was attached. Fails, after it has tried all, with the first failure.
pub(crate) fn run(args: &RestoreArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let is_dry = args.dry_run.dry_run;
    let mut host = context.host()?;
    let summary = if is_dry {
        host.would_restore(&args.interfaces)?
    } else {
        host.restore(&args.interfaces)?
    };
    let views: Vec<_> = summary.interfaces.iter().map(RestoredView::new).collect();
    if args.format.json {
        output::json(&views)?;
    } else if views.is_empty() {
        note("no interface was attached");
    } else {
        output::text(RestoredView::lines(&views))?;
    }
    let is_due = |(_, restored): &(String, Restored)| matches!(restored, Restored::Due);
    if summary.interfaces.iter().any(is_due) {
        return Ok(ExitCode::from(PENDING));
    }
    for (name, restored) in summary.interfaces {
        if let Restored::Failed(error) = restored {
            return Err(anyhow::Error::from(error).context(format!("cannot attach to {name}")));
        }
    }
    Ok(ExitCode::SUCCESS)
}
