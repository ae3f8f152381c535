//! `sg-ctl upgrade`.

pub(crate) mod view;

use std::process::ExitCode;

use crate::verb::UpgradeArgs;
use crate::verb::output::{self, note};
use crate::verb::shared::Context;
use crate::verb::upgrade::view::UpgradeView;

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
