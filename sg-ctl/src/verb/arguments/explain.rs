//! The command line of `explain` and `test`.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use clap_complete::ArgValueCompleter;

use crate::verb::arguments::help;
use crate::verb::shared::value;
use crate::verb::{Format, Named};

/// Explain why a packet passes or is dropped.
///
/// Goes through the steps of the decision for one packet at one interface: by the rules in force and
/// the live flows, or by rule files alone (-f). A packet that passes is shown with the rule that
/// decides and whether it is tracked; one that is dropped with the rules that come nearest and what
/// keeps each from admitting it. The packet is given as source and destination on the wire, or as a
/// line of the log. Of the protected side's end the address may be left out.
#[derive(Args, Debug)]
#[command(after_long_help = help::EXPLAIN)]
#[command(override_usage = help::EXPLAIN_USAGE)]
#[command(group(clap::ArgGroup::new("packet").required(true)))]
pub(crate) struct ExplainArgs {
    /// The interface; may be left out if there is only one.
    #[arg(short, long, value_name = "IFACE", add = ArgValueCompleter::new(Named::Attached))]
    pub(crate) interface: Option<String>,

    /// Rule file to ask in place of the rules in force; may be repeated.
    #[arg(short, long = "file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// With -f: group to carry in place of those that the rule files say; may be repeated.
    #[arg(short, long = "group", value_name = "NAME", value_delimiter = ',')]
    #[arg(add = ArgValueCompleter::new(Named::Group))]
    #[arg(requires = "files")]
    pub(crate) groups: Vec<String>,

    /// A packet that reaches the protected side.
    #[arg(long, num_args = 2..=3, group = "packet")]
    #[arg(value_names = ["PROTOCOL", "SOURCE", "DESTINATION"])]
    pub(crate) inbound: Option<Vec<String>>,

    /// A packet that leaves the protected side.
    #[arg(long, num_args = 2..=3, group = "packet")]
    #[arg(value_names = ["PROTOCOL", "SOURCE", "DESTINATION"])]
    pub(crate) outbound: Option<Vec<String>>,

    /// The packet of a line that `sg-ctl logs` printed, text or JSON; `-` reads the line.
    #[arg(long, value_name = "LINE", group = "packet")]
    pub(crate) log: Option<String>,

    /// Type and code of the ICMP message; an echo request unless said otherwise.
    #[arg(long, value_name = "TYPE[/CODE]", value_parser = value::message, conflicts_with = "log")]
    pub(crate) icmp: Option<[u8; 2]>,

    /// Flags of the TCP segment, such as SYN,ACK; SYN unless said otherwise.
    #[arg(long, value_name = "FLAGS", value_parser = value::tcp_flags, conflicts_with = "log")]
    pub(crate) flags: Option<u8>,

    #[command(flatten)]
    pub(crate) format: Format,
}

/// Test what rule files allow and deny.
///
/// Reads cases, each a packet and what is expected of it, and asks the rules: a policy's own tests,
/// for continuous integration. Needs no privileges and touches nothing. Exits with 1 if a case
/// fails.
#[derive(Args, Debug)]
#[command(after_long_help = help::TEST)]
pub(crate) struct TestArgs {
    /// Files of cases (YAML or JSON).
    #[arg(value_name = "CASES", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) cases: Vec<PathBuf>,

    /// Rule file to ask in place of those that the cases name; may be repeated.
    #[arg(short, long = "file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// Write a report of the cases as `JUnit` XML, which CI systems read.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) junit: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) format: Format,
}
