//! `sg-ctl flows`.

pub(crate) mod filter;
pub(crate) mod share;

use std::net::IpAddr;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use schemars::JsonSchema;
use serde::Serialize;
use sg_common::addr::Addr;
use sg_common::flow::FlowState;
use sg_ctl::host::{LiveFlow, shares};

use crate::failure::refusal;
use crate::verb::flows::filter::{FlowFilter, wanted};
use crate::verb::flows::share::ShareView;
use crate::verb::output::flow::FlowView;
use crate::verb::output::{self, counted};
use crate::verb::shared::arguments::Format;
use crate::verb::shared::{Context, print_list};

/// What the help of `flows` says beyond the options.
const HELP: &str = "\
JSON: an array of objects with these fields:
  interface, opened (inbound or outbound), protocol, local, local_port, remote, remote_port,
  icmp_type, icmp_id, vlan (ids, outer first), state, age_ms, idle_ms, expires_in_ms,
  packets_in, packets_out, bytes_in, bytes_out,
  rule (number, id, group, group_id of the rule that admitted the flow, or null)
with --by, of objects with these:
  of (what the flows have in common), flows, packets, bytes, percent (of the flows that match)

EXAMPLES:
    sg-ctl flows
    sg-ctl flows --by remote --top 10
    sg-ctl flows --by state --interface eth0
    sg-ctl flows --interface eth0 --protocol tcp --remote 203.0.113.0/24
    sg-ctl flows --top 10 --watch
    sg-ctl flows --json | jq 'map(.bytes_out) | add'
    sg-ctl flows kill --rule sgr-934118424544edd63";

/// What the help of `flows kill` says beyond the options.
const KILL_HELP: &str = "\
JSON: an object with the field `killed`, the number of flows

EXAMPLES:
  End the flows of a rule that has been removed:
    sg-ctl flows kill --rule sgr-934118424544edd63

  Cut off a peer that the rules no longer admit:
    sg-ctl flows kill --remote 203.0.113.7";

/// List live flows, or end some.
///
/// A flow is a connection or an exchange of datagrams that a rule admitted and that is tracked:
/// its packets pass in both directions whatever the rules say about the answers. Each is shown
/// with the rule that admitted it. Filters are combined; a flow must match all of them.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Option<SubVerb>,

    #[command(flatten)]
    pub(crate) filter: FlowFilter,

    /// What comes first; by interface and latest activity without it.
    #[arg(long, value_enum, value_name = "ORDER")]
    pub(crate) sort: Option<FlowOrder>,

    /// Only the first N, by bytes unless --sort says otherwise.
    #[arg(long, value_name = "N")]
    pub(crate) top: Option<usize>,

    /// Add flows up by what they have in common, most flows first; --top N shows the first N.
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with = "sort")]
    pub(crate) by: Option<FlowGrouping>,

    /// List again and again, every 2 seconds unless said otherwise, until interrupted.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "json")]
    pub(crate) watch: Option<u32>,

    #[command(flatten)]
    pub(crate) format: Format,
}

#[derive(Subcommand, Debug)]
pub(crate) enum SubVerb {
    Kill(KillArgs),
}

/// Forget flows: their next packets are judged by the rules.
///
/// Removing a rule leaves the flows that it admitted alive, as on AWS; this ends them. A packet of
/// a flow that was ended passes only if a rule admits it now. Say which flows, or --all.
#[derive(clap::Args, Debug)]
#[command(after_long_help = KILL_HELP)]
pub(crate) struct KillArgs {
    #[command(flatten)]
    pub(crate) filter: FlowFilter,

    /// Every flow.
    #[arg(long)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// What flows have in common.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlowGrouping {
    /// The remote address.
    Remote,
    /// The state.
    State,
    /// The interface.
    Interface,
    /// The rule that admitted them.
    Rule,
}

/// What comes first.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlowOrder {
    /// Most bytes, both directions together.
    Bytes,
    /// Most packets, both directions together.
    Packets,
    /// Oldest.
    Age,
    /// Longest without a packet.
    Idle,
}

/// Lists live flows, or ends some.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    if let Some(SubVerb::Kill(args)) = &args.verb {
        return kill(args, context);
    }
    if let Some(by) = args.by {
        return grouped(args, by, context);
    }
    let Some(seconds) = args.watch else {
        let views = list(args, context)?;
        print_list(&views, args.format.json, "no flows", FlowView::table)?;
        return Ok(ExitCode::SUCCESS);
    };
    loop {
        let views = list(args, context)?;
        output::screen(FlowView::table(&views))?;
        thread::sleep(Duration::from_secs(seconds.into()));
    }
}

/// The answer of `kill` as JSON.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Killed {
    /// Number of flows.
    killed: usize,
}

/// Adds flows up.
fn grouped(args: &Args, by: FlowGrouping, context: &Context) -> anyhow::Result<ExitCode> {
    let title = share::title(by);
    let Some(seconds) = args.watch else {
        let views = sums(args, by, context)?;
        let table = |views: &[ShareView]| share::table(title, views);
        print_list(&views, args.format.json, "no flows", table)?;
        return Ok(ExitCode::SUCCESS);
    };
    loop {
        let views = sums(args, by, context)?;
        output::screen(share::table(title, &views))?;
        thread::sleep(Duration::from_secs(seconds.into()));
    }
}

fn sums(args: &Args, by: FlowGrouping, context: &Context) -> anyhow::Result<Vec<ShareView>> {
    let host = context.host()?;
    let state = host.state()?;
    let flows = wanted(&host, &state, &args.filter)?;
    let sums = match by {
        FlowGrouping::Remote => shares(
            &flows,
            |flow| IpAddr::from(flow.key.remote),
            IpAddr::to_string,
        ),
        FlowGrouping::State => {
            let name = |state: &u8| FlowState(*state).name().to_owned();
            shares(&flows, |flow| flow.entry.state, name)
        }
        FlowGrouping::Interface => {
            shares(&flows, |flow| flow.interface.clone(), ToString::to_string)
        }
        FlowGrouping::Rule => shares(
            &flows,
            |flow| flow.entry.rule,
            |rule| share::rule(*rule, &state.numbers),
        ),
    };
    let shown = args.top.unwrap_or(sums.len());
    let total = flows.len() as u64;
    Ok(sums
        .into_iter()
        .take(shown)
        .map(|sum| ShareView::new(sum, total))
        .collect())
}

/// The flows that are asked for, in the order that is asked for.
fn list(args: &Args, context: &Context) -> anyhow::Result<Vec<FlowView>> {
    let host = context.host()?;
    let state = host.state()?;
    let mut flows = wanted(&host, &state, &args.filter)?;
    let order = args.sort.or(args.top.map(|_| FlowOrder::Bytes));
    let compare = |a: &LiveFlow, b: &LiveFlow| match order {
        None => table_order(a).cmp(&table_order(b)),
        Some(order) => rank(b, order)
            .cmp(&rank(a, order))
            .then_with(|| table_order(a).cmp(&table_order(b))),
    };
    // Of a million flows only those that are shown are put in order.
    if let Some(top) = args.top.filter(|top| *top < flows.len()) {
        flows.select_nth_unstable_by(top, compare);
        flows.truncate(top);
    }
    flows.sort_unstable_by(compare);
    let views = flows.iter();
    Ok(views
        .map(|flow| FlowView::new(flow, &state.numbers))
        .collect())
}

/// The order of tables: by interface, then the latest activity first.
fn table_order(flow: &LiveFlow) -> impl Ord {
    let key = &flow.key;
    let end = |address: Addr, port: u16| (IpAddr::from(address), port);
    (
        &*flow.interface,
        key.zone(),
        flow.idle,
        end(key.local, key.local_port()),
        end(key.remote, key.remote_port()),
    )
}

/// How far in front an order puts a flow.
fn rank(flow: &LiveFlow, order: FlowOrder) -> u64 {
    let entry = &flow.entry;
    match order {
        FlowOrder::Bytes => entry.bytes.iter().sum(),
        FlowOrder::Packets => entry.packets.iter().sum(),
        FlowOrder::Age => flow.age.as_millis() as u64,
        FlowOrder::Idle => flow.idle.as_millis() as u64,
    }
}

/// Ends flows.
fn kill(args: &KillArgs, context: &Context) -> anyhow::Result<ExitCode> {
    if args.all != args.filter.is_everything() {
        return Err(refusal(
            "which flows to end is not said",
            "give filters such as --remote or --rule, or else --all, not both",
        ));
    }
    let mut host = context.host()?;
    let state = host.state()?;
    let flows = wanted(&host, &state, &args.filter)?;
    let keys: Vec<_> = flows.iter().map(|flow| flow.key).collect();
    let killed = if keys.is_empty() {
        0
    } else {
        host.delete_flows(&keys)?
    };
    if args.format.json {
        output::json(&Killed { killed })?;
    } else {
        let flows = counted(killed as u64, "flow");
        output::text(format_args!("{flows} ended: rules judge what comes next\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}
