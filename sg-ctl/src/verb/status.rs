//! `sg-ctl status`.

pub(crate) mod view;

use std::process::ExitCode;

use sg_ctl::host::HostError;

use crate::verb::output::{self, note};
use crate::verb::shared::Context;
use crate::verb::status::view::StatusView;
use crate::verb::vpc::view::{HealthView, WithVpc};
use crate::verb::{StatusArgs, vpc};

/// Exit status: something is not as it should be.
const PROBLEMS: u8 = 4;

/// Shows what is guarded, and whether it is in order.
pub(crate) fn run(args: &StatusArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let host = context.host()?;
    let mut status = host.status()?;
    if !args.interfaces.is_empty() {
        let is_known = |name: &&String| {
            let mut known = status.interfaces.iter().map(|interface| &interface.name);
            known.any(|known| known == *name) || status.not_attached.contains(name)
        };
        if let Some(name) = args.interfaces.iter().find(|name| !is_known(name)) {
            return Err(HostError::not_attached(name, &host.state()?).into());
        }
        let interfaces = &args.interfaces;
        status
            .interfaces
            .retain(|each| interfaces.contains(&each.name));
        status.not_attached.retain(|name| interfaces.contains(name));
    }
    let view = StatusView::new(&status);
    let code = if view.has_problems() {
        ExitCode::from(PROBLEMS)
    } else {
        ExitCode::SUCCESS
    };
    if args.check {
        return Ok(code);
    }
    let vpc = vpc::health(context)?;
    if args.format.json {
        output::json(&WithVpc {
            status: &view,
            vpc: vpc.as_ref(),
        })?;
        return Ok(code);
    }
    if let Some(health) = &vpc {
        output::text(HealthView(health))?;
    }
    if view.is_empty() {
        note("no interface is attached");
    } else {
        output::text(format_args!(
            "{}\n{}\n{}",
            view.policy(),
            view.interfaces(),
            view.traffic()
        ))?;
        if args.counters {
            output::text(format_args!("\n{}", view.reasons()))?;
        }
    }
    for problem in view.problems() {
        note(problem);
    }
    Ok(code)
}
