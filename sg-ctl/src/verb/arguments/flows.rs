//! The command line of `flows`.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum};
use clap_complete::ArgValueCompleter;
use ipnet::IpNet;
use sg_common::flow::FlowState;

use crate::verb::arguments::help;
use crate::verb::shared::value;
use crate::verb::{Format, Named};

/// List live flows, or end some.
///
/// A flow is a connection or an exchange of datagrams that a rule admitted and that is tracked:
/// its packets pass in both directions whatever the rules say about the answers. Each is shown
/// with the rule that admitted it. Filters are combined; a flow must match all of them.
#[derive(Args, Debug)]
#[command(after_long_help = help::FLOWS)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct FlowsArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<FlowsVerb>,

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
pub(crate) enum FlowsVerb {
    Kill(FlowsKillArgs),
}

/// Forget flows: their next packets are judged by the rules.
///
/// Removing a rule leaves the flows that it admitted alive, as on AWS; this ends them. A packet of
/// a flow that was ended passes only if a rule admits it now. Say which flows, or --all.
#[derive(Args, Debug)]
#[command(after_long_help = help::FLOWS_KILL)]
pub(crate) struct FlowsKillArgs {
    #[command(flatten)]
    pub(crate) filter: FlowFilter,

    /// Every flow.
    #[arg(long)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Which flows.
#[derive(Args, Clone, Debug)]
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
