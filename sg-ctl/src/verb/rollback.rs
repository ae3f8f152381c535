//! `sg-ctl rollback`.

use std::process::ExitCode;

use sg_ctl::host::SshConnection;

use crate::verb::apply::{self, ApplyView};
use crate::verb::shared::Context;
use crate::verb::shared::arguments::{DryRun, Format, Trial};
use crate::verb::vpc;

/// What the help of `rollback` says beyond the options.
const HELP: &str = "\
JSON: as of `sg-ctl apply`

EXAMPLES:
    sg-ctl rollback";

/// Return to the rules before the last change.
///
/// Puts the rules back in force that `apply` (or `attach -f`) replaced last, at one moment and
/// without their files. Interfaces stay attached. A second rollback returns to where the first one
/// came from. A change of rules that waits to be confirmed is undone so, at once.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) dry_run: DryRun,

    #[command(flatten)]
    pub(crate) trial: Trial,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Returns to the rules before the last change.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    if let Some(joined) = context.vpc()? {
        return vpc::rollback(args, joined, context);
    }
    if args.dry_run.dry_run {
        let host = context.host()?;
        let summary = host.would_roll_back(SshConnection::current())?;
        return apply::planned(&summary, args.format.json);
    }
    let confirm_within = args.trial.confirm_within;
    let summary = context
        .host()?
        .rollback(confirm_within, SshConnection::current())?;
    apply::show(&ApplyView::done(&summary, confirm_within), args.format.json)?;
    Ok(ExitCode::SUCCESS)
}
