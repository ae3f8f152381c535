//! `sg-ctl flows`.

use std::net::IpAddr;
use std::process::ExitCode;

use ipnet::IpNet;
use sg_common::addr::Addr;
use sg_ctl::dataplane::DataplaneError;
use sg_ctl::host::{HostError, LiveFlow};

use super::{Context, check_attached, print_list};
use crate::cli::FlowsArgs;
use crate::output::flow::FlowView;
use crate::output::packet;

/// Lists live flows.
pub(crate) fn run(args: &FlowsArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let host = context.host()?;
    let state = host.state()?;
    check_attached(&state, args.interface.as_deref())?;
    let flows = match host.flows() {
        Err(HostError::Dataplane(DataplaneError::NothingLoaded { .. })) => Vec::new(),
        flows => flows?,
    };
    let mut flows: Vec<_> = flows
        .iter()
        .filter(|flow| is_wanted(args, flow))
        .map(|flow| FlowView::new(flow, &state.numbers))
        .collect();
    flows.sort_by(|a, b| a.order().cmp(&b.order()));
    print_list(&flows, args.format.json, "no flows", FlowView::table)?;
    Ok(ExitCode::SUCCESS)
}

/// Whether a flow matches every filter.
fn is_wanted(args: &FlowsArgs, flow: &LiveFlow) -> bool {
    let FlowsArgs {
        interface,
        protocol,
        local,
        remote,
        port,
        format: _,
    } = args;
    let key = &flow.key;
    let has_port = |port: u16| {
        packet::has_ports(key.protocol) && [key.local_port, key.remote_port].contains(&port)
    };
    interface
        .as_ref()
        .is_none_or(|name| *name == flow.interface)
        && protocol.is_none_or(|number| number == key.protocol)
        && local.is_none_or(|range| contains(range, key.local))
        && remote.is_none_or(|range| contains(range, key.remote))
        && port.is_none_or(has_port)
}

fn contains(range: IpNet, address: Addr) -> bool {
    range.contains(&IpAddr::from(address))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Verb};
    use crate::output::flow::tests::flow;

    /// Whether `sg-ctl flows ARGUMENTS` shows a flow of eth0 between 10.0.1.5:443 and
    /// 203.0.113.7:40000.
    fn shows(protocol: u8, arguments: &str) -> bool {
        let words = ["sg-ctl", "flows"]
            .into_iter()
            .chain(arguments.split_whitespace());
        let Verb::Flows(args) = Cli::try_parse_from(words).expect("arguments").verb else {
            panic!("not the verb `flows`");
        };
        is_wanted(&args, &flow(protocol))
    }

    #[test]
    fn a_flow_must_match_every_filter() {
        for arguments in [
            "",
            "--interface eth0 --remote 203.0.113.0/24 --port 443",
            "--protocol tcp --local 10.0.1.5",
            "--port 40000",
        ] {
            assert!(shows(6, arguments), "{arguments}");
        }
        for arguments in [
            "--interface eth1 --port 443",
            "--protocol udp",
            "--local 10.0.2.0/24",
            "--remote ::/0",
            "--port 80 --protocol tcp",
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
