//! `sg-ctl mode`.

use std::process::ExitCode;

use sg_ctl::host::SshConnection;

use crate::verb::output::trial::ModeView;
use crate::verb::output::{self, note};
use crate::verb::shared::Context;
use crate::verb::{Mode, ModeArgs};

/// Makes an interface enforce, or only audit.
pub(crate) fn run(args: &ModeArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let audit = args.mode == Mode::Audit;
    let confirm_within = args.trial.confirm_within;
    let ssh = SshConnection::current();
    let notes = context
        .host()?
        .set_mode(&args.interface, audit, confirm_within, ssh)?;
    let view = ModeView::new(&args.interface, audit, confirm_within, notes);
    if args.format.json {
        output::json(&view)?;
    } else {
        output::text(&view)?;
        for text in view.notes() {
            note(text);
        }
    }
    Ok(ExitCode::SUCCESS)
}
