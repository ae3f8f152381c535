//! `sg-ctl status`.

pub(crate) mod view;

use std::process::ExitCode;

use clap_complete::ArgValueCompleter;
use sg_ctl::host::HostError;

use crate::verb::output::{self, note};
use crate::verb::shared::Context;
use crate::verb::shared::arguments::Format;
use crate::verb::shared::candidates::Named;
use crate::verb::status::view::{StatusView, WithVpc};
use crate::verb::vpc;
use crate::verb::vpc::view::HealthView;

/// What the help of `status` says beyond the options.
const HELP: &str = "\
JSON: an object with these fields:
  generation    of the state on disk
  build         version and digest of the programs of this sg-ctl
  image         generation and kernel_bytes of the policy in the kernel, or null
  flow_table    flows (that fit) and bytes of kernel memory, live (flows), room (the same as
                flows), refused (packets that found no place), refused_at (interfaces), by_state,
                by_interface and by_remote (the first 10): of, flows, packets, bytes; or null
  rule_counters rules (that are counted), room, and bytes of kernel memory, or null
  pending       whether a change is under way or was interrupted
  under_way     whether the process of a change that is pending lives
  problems      interface (or null) and text of everything that is not as it should be
  interfaces    name, state (enforcing, auditing, isolated; preempted: other programs see packets
                first; half-attached; unreachable: pins of its maps are gone; not-attached;
                replaced: another interface has the name; missing), mode,
                deadline (passed and in_ms, or null), ifindex, zone, side, groups, ingress,
                egress, build (of its programs), programs_before (others that see packets first),
                log, passed, dropped and audited (inbound and outbound, packets and bytes),
                reasons (direction, verdict, reason, packets, bytes), flow_share (flows that the
                flow table keeps room for), flows_per_remote (0: any number), events_lost,
                events_suppressed (beyond log_limit: reason, events)
  not_attached  interfaces that the rules name, or match by a pattern, and that are not attached
  vpc           on a host of a VPC: as of `sg-ctl vpc status`

EXIT STATUS:
  4 if there are problems, also of the VPC on a host that guards something; with --check that is all
  that is told

EXAMPLES:
    sg-ctl status
    sg-ctl status --check || notify-the-administrator
    sg-ctl status --counters
    sg-ctl status --json | jq '.interfaces[] | {name, dropped: .dropped.inbound.packets}'";

/// Show what is guarded, and whether it is in order.
///
/// Prints every interface with its groups, hooks and packets by verdict, the top drop reasons, and
/// everything that is not as it should be: an interface that only audits, is missing or half
/// attached, and a kernel that enforces something else than the state on disk says. Ends with exit
/// status 4 if there is anything of the kind.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Only these interfaces, and what concerns all; without a name every one.
    #[arg(value_name = "IFACE", add = ArgValueCompleter::new(Named::Attached))]
    pub(crate) interfaces: Vec<String>,

    /// Print packets and bytes of every reason.
    #[arg(long)]
    pub(crate) counters: bool,

    /// Print nothing: the exit status tells scripts whether everything is in order.
    #[arg(long, conflicts_with_all = ["counters", "json"])]
    pub(crate) check: bool,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Exit status: something is not as it should be.
const PROBLEMS: u8 = 4;

/// Shows what is guarded, and whether it is in order.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
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
    let mut view = StatusView::new(&status);
    let vpc = vpc::health(context)?;
    if let Some(health) = &vpc {
        view.add_problems_of(health);
    }
    let code = if view.has_problems() {
        ExitCode::from(PROBLEMS)
    } else {
        ExitCode::SUCCESS
    };
    if args.check {
        return Ok(code);
    }
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
