//! The command line of `replay`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use clap_complete::ArgValueCompleter;
use ipnet::IpNet;

use crate::verb::arguments::help;
use crate::verb::shared::value;
use crate::verb::{Hook, Named, Side};

/// Show what rules would have done to captured traffic.
///
/// Runs the packets of pcap and pcapng files through the programs that `attach` would attach, in
/// the kernel, and prints what becomes of each and what all of it comes to. Flows open, are
/// answered and expire as the times in the capture say. Nothing is attached, and neither the state
/// directory nor anything in force is read or changed; it takes the privileges of `attach`.
#[derive(Args, Debug)]
#[command(after_long_help = help::REPLAY)]
pub(crate) struct ReplayArgs {
    /// Capture (pcap or pcapng), `-` for standard input; several are taken as one, in this order.
    #[arg(value_name = "CAPTURE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) captures: Vec<PathBuf>,

    /// Rule file to judge by (YAML or JSON); may be repeated.
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// The interface whose traffic it is: groups, side and settings are those that the rule files
    /// give it. One of which they say nothing carries the group `default`.
    #[arg(short, long, value_name = "NAME")]
    pub(crate) interface: String,

    /// Addresses of the protected side, an address or a range; may be repeated. Packets from them
    /// are outbound, packets to them inbound, and others are left out and counted. Single
    /// addresses also are members of the interface's groups, as those of an attached interface are.
    #[arg(short, long, value_name = "ADDRESS|CIDR", required = true)]
    #[arg(value_parser = value::range, value_delimiter = ',')]
    pub(crate) local: Vec<IpNet>,

    /// Group that the interface carries, in place of those of the rule files; may be repeated.
    #[arg(short, long = "group", value_name = "NAME", value_delimiter = ',')]
    #[arg(add = ArgValueCompleter::new(Named::Group))]
    pub(crate) groups: Vec<String>,

    /// The program for what the interface receives: `tc`, else XDP.
    #[arg(long, value_enum, value_name = "HOOK")]
    pub(crate) hook: Option<Hook>,

    /// Which side of the interface is protected; `nic` unless a rule file says otherwise.
    #[arg(long, value_enum, value_name = "SIDE")]
    pub(crate) side: Option<Side>,

    /// Print only packets that passed, or that were dropped; all are counted.
    #[arg(long, value_enum, value_name = "WHICH", conflicts_with = "summary")]
    pub(crate) only: Option<Only>,

    /// Print no packets, only what they come to.
    #[arg(long)]
    pub(crate) summary: bool,

    /// Write the packets that were dropped into a new pcapng file, each with its reason as comment.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) write_dropped: Option<PathBuf>,

    /// Print one JSON document per packet and one of the summary, each on a line of its own.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which packets are printed.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Only {
    /// Packets that passed.
    Passed,
    /// Packets that were dropped.
    Dropped,
}
