//! `sg-ctl flows`.

pub(crate) mod share;

use std::net::IpAddr;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use ipnet::IpNet;
use sg_common::addr::Addr;
use sg_common::flow::FlowState;
use sg_ctl::host::state::State;
use sg_ctl::host::{Host, LiveFlow, shares};
use sg_policy::compile::RuleNumbers;

use crate::failure::refusal;
use crate::verb::flows::share::ShareView;
use crate::verb::output::flow::FlowView;
use crate::verb::output::{self, counted, packet};
use crate::verb::shared::{Context, check_attached, print_list};
use crate::verb::{FlowFilter, FlowGrouping, FlowOrder, FlowsArgs, FlowsKillArgs, FlowsVerb};

/// Lists live flows, or ends some.
pub(crate) fn run(args: &FlowsArgs, context: &Context) -> anyhow::Result<ExitCode> {
    if let Some(FlowsVerb::Kill(args)) = &args.verb {
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

/// Adds flows up.
fn grouped(args: &FlowsArgs, by: FlowGrouping, context: &Context) -> anyhow::Result<ExitCode> {
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

fn sums(args: &FlowsArgs, by: FlowGrouping, context: &Context) -> anyhow::Result<Vec<ShareView>> {
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
fn list(args: &FlowsArgs, context: &Context) -> anyhow::Result<Vec<FlowView>> {
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
fn kill(args: &FlowsKillArgs, context: &Context) -> anyhow::Result<ExitCode> {
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
        output::json(&serde_json::json!({ "killed": killed }))?;
    } else {
        let flows = counted(killed as u64, "flow");
        output::text(format_args!("{flows} ended: rules judge what comes next\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The live flows that match every filter.
fn wanted(host: &Host, state: &State, filter: &FlowFilter) -> anyhow::Result<Vec<LiveFlow>> {
    check_attached(state, filter.interface.as_deref())?;
    let mut flows = host.flows()?;
    flows.retain(|flow| is_wanted(filter, flow, &state.numbers));
    Ok(flows)
}

impl FlowFilter {
    /// Whether nothing is filtered out.
    fn is_everything(&self) -> bool {
        let Self {
            interface,
            protocol,
            local,
            remote,
            port,
            group,
            rule,
            state,
        } = self;
        interface.is_none()
            && protocol.is_none()
            && local.is_none()
            && remote.is_none()
            && port.is_none()
            && group.is_none()
            && rule.is_none()
            && state.is_none()
    }
}

/// Whether a flow matches every filter.
fn is_wanted(filter: &FlowFilter, flow: &LiveFlow, numbers: &RuleNumbers) -> bool {
    let FlowFilter {
        interface,
        protocol,
        local,
        remote,
        port,
        group,
        rule,
        state,
    } = filter;
    let key = &flow.key;
    let has_port = |port: u16| {
        packet::has_ports(key.protocol()) && [key.local_port(), key.remote_port()].contains(&port)
    };
    let record = numbers.rule(flow.entry.rule);
    let is_of_group = |name: &String| {
        record.is_some_and(|record| record.group == *name || record.group_id.as_str() == name)
    };
    interface
        .as_ref()
        .is_none_or(|name| **name == *flow.interface)
        && protocol.is_none_or(|number| number == key.protocol())
        && local.is_none_or(|range| contains(range, key.local))
        && remote.is_none_or(|range| contains(range, key.remote))
        && port.is_none_or(has_port)
        && group.as_ref().is_none_or(is_of_group)
        && rule
            .as_ref()
            .is_none_or(|id| record.is_some_and(|record| record.rule_id.as_str() == id))
        && state
            .as_ref()
            .is_none_or(|name| FlowState(flow.entry.state).name() == name)
}

fn contains(range: IpNet, address: Addr) -> bool {
    range.contains(&IpAddr::from(address))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::verb::output::flow::tests::flow;
    use crate::verb::output::names::tests::numbers;
    use crate::verb::{Cli, Verb};

    /// Whether `sg-ctl flows ARGUMENTS` shows a flow of eth0 between 10.0.1.5:443 and
    /// 203.0.113.7:40000.
    fn shows(protocol: u8, arguments: &str) -> bool {
        let words = ["sg-ctl", "flows"]
            .into_iter()
            .chain(arguments.split_whitespace());
        let Verb::Flows(args) = Cli::try_parse_from(words).expect("arguments").verb else {
            panic!("not the verb `flows`");
        };
        is_wanted(&args.filter, &flow(protocol), &numbers())
    }

    #[test]
    fn a_flow_must_match_every_filter() {
        for arguments in [
            "",
            "--interface eth0 --remote 203.0.113.0/24 --port 443",
            "--protocol tcp --local 10.0.1.5",
            "--port 40000",
            "--group web --rule sgr-0123456789abcdef0",
            "--group sg-0123456789abcdef0 --state established",
        ] {
            assert!(shows(6, arguments), "{arguments}");
        }
        for arguments in [
            "--interface eth1 --port 443",
            "--protocol udp",
            "--local 10.0.2.0/24",
            "--remote ::/0",
            "--port 80 --protocol tcp",
            "--group db",
            "--rule sgr-0000000000000000f",
            "--state closing",
        ] {
            assert!(!shows(6, arguments), "{arguments}");
        }
    }

    #[test]
    fn only_protocols_with_ports_have_ports() {
        assert!(!shows(1, "--port 443"));
        assert!(shows(1, "--protocol icmp"));
    }
}
