//! `sg-ctl rollback`.

use std::process::ExitCode;

use sg_ctl::host::SshConnection;

use super::{Context, apply};
use crate::cli::RollbackArgs;
use crate::output::change::ApplyView;

/// Returns to the rules before the last change.
pub(crate) fn run(args: &RollbackArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let rollback_after = args.trial.rollback_after;
    let summary = context
        .host()?
        .rollback(rollback_after, SshConnection::current())?;
    apply::show(&ApplyView::done(&summary, rollback_after), args.format.json)?;
    Ok(ExitCode::SUCCESS)
}
