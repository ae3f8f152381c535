//! `sg-ctl rollback`.

use std::process::ExitCode;

use sg_ctl::host::SshConnection;

use super::{Context, apply};
use crate::cli::RollbackArgs;
use crate::output::change::ApplyView;

/// Returns to the rules before the last change.
pub(crate) fn run(args: &RollbackArgs, context: &Context) -> anyhow::Result<ExitCode> {
    if args.dry_run.dry_run {
        let host = context.host()?;
        let summary = host.would_roll_back(SshConnection::current())?;
        return apply::planned(&summary, args.format.json);
    }
    let rollback_after = args.trial.rollback_after;
    let summary = context
        .host()?
        .rollback(rollback_after, SshConnection::current())?;
    apply::show(&ApplyView::done(&summary, rollback_after), args.format.json)?;
    Ok(ExitCode::SUCCESS)
}
