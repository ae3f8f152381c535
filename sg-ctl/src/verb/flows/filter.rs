//! Which flows are meant.

use std::net::IpAddr;

use clap::builder::PossibleValuesParser;
use clap_complete::ArgValueCompleter;
use ipnet::IpNet;
use sg_common::addr::Addr;
use sg_common::flow::FlowState;
use sg_ctl::host::state::State;
use sg_ctl::host::{Host, LiveFlow};
use sg_policy::compile::RuleNumbers;

use crate::verb::output::packet;
use crate::verb::shared::candidates::Named;
use crate::verb::shared::{check_attached, value};

/// Which flows.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct FlowFilter {
    /// Only flows of this interface.
    #[arg(short, long, value_name = "IFACE", add = ArgValueCompleter::new(Named::Attached))]
    pub(crate) interface: Option<String>,

    /// Only this protocol: a name (tcp, udp, icmp, icmpv6) or a number.
    #[arg(short, long, value_name = "PROTOCOL", value_parser = value::protocol)]
    pub(crate) protocol: Option<u8>,

    /// Only flows whose local address is in this range.
    #[arg(short, long, value_name = "ADDRESS|CIDR", value_parser = value::range)]
    pub(crate) local: Option<IpNet>,

    /// Only flows whose remote address is in this range.
    #[arg(short, long, value_name = "ADDRESS|CIDR", value_parser = value::range)]
    pub(crate) remote: Option<IpNet>,

    /// Only TCP and UDP flows with this port, on either side.
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,

    /// Only flows that a rule of this group admitted (name or id).
    #[arg(short, long, value_name = "NAME", add = ArgValueCompleter::new(Named::Group))]
    pub(crate) group: Option<String>,

    /// Only flows that this rule admitted (id).
    #[arg(long, value_name = "ID", add = ArgValueCompleter::new(Named::Rule))]
    pub(crate) rule: Option<String>,

    /// Only flows in this state, as the list shows it.
    #[arg(long, value_name = "STATE")]
    #[arg(value_parser = PossibleValuesParser::new(FlowState::ALL.map(FlowState::name)))]
    pub(crate) state: Option<String>,
}

/// The live flows that match every filter.
pub(crate) fn wanted(
    host: &Host,
    state: &State,
    filter: &FlowFilter,
) -> anyhow::Result<Vec<LiveFlow>> {
    check_attached(state, filter.interface.as_deref())?;
    let mut flows = host.flows()?;
    flows.retain(|flow| is_wanted(filter, flow, &state.numbers));
    Ok(flows)
}

impl FlowFilter {
    /// Whether nothing is filtered out.
    pub(crate) fn is_everything(&self) -> bool {
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
