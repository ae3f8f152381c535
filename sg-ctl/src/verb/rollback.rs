//! `sg-ctl rollback`.

use std::process::ExitCode;

use sg_ctl::host::SshConnection;

use crate::verb::output::change::ApplyView;
use crate::verb::shared::Context;
use crate::verb::{RollbackArgs, apply, vpc};

/// Returns to the rules before the last change.
pub(crate) fn run(args: &RollbackArgs, context: &Context) -> anyhow::Result<ExitCode> {
    if let Some(joined) = context.vpc()? {
        return vpc::rollback(args, joined);
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
