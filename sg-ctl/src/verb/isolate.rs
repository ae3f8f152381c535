//! `sg-ctl isolate`.

pub(crate) mod view;

use std::process::ExitCode;

use sg_ctl::host::{IsolateRequest, SshConnection};

use crate::verb::IsolateArgs;
use crate::verb::isolate::view::IsolateView;
use crate::verb::output::{self, note};
use crate::verb::shared::{Context, PENDING};

/// Cuts an interface off, or gives it back what it had.
pub(crate) fn run(args: &IsolateArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let request = if args.release {
        IsolateRequest::Release
    } else {
        IsolateRequest::Isolate {
            ssh: SshConnection::current(),
            keep: match (args.keep_ssh, args.cut_ssh) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                _ => None,
            },
        }
    };
    let mut host = context.host()?;
    let summary = if args.dry_run {
        host.would_isolate(&args.interface, &request)?
    } else {
        host.isolate(&args.interface, &request)?
    };
    let view = IsolateView::new(&summary, !args.dry_run);
    if args.format.json {
        output::json(&view)?;
    } else {
        output::text(&view)?;
        for text in view.notes() {
            note(text);
        }
    }
    Ok(if args.dry_run && summary.changed {
        ExitCode::from(PENDING)
    } else {
        ExitCode::SUCCESS
    })
}
