//! `sg-ctl upgrade`.

use std::process::ExitCode;

use super::Context;
use crate::cli::UpgradeArgs;
use crate::output::upgrade::UpgradeView;
use crate::output::{self, note};

/// Replaces programs that another sg-ctl has loaded.
pub(crate) fn run(args: &UpgradeArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let summary = context.host()?.upgrade()?;
    let view = UpgradeView(&summary);
    if args.format.json {
        output::json(&view)?;
    } else {
        output::text(&view)?;
        for text in &summary.notes {
            note(text);
        }
    }
    Ok(ExitCode::SUCCESS)
}
