//! The command line of `agent`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};
use clap_complete::ArgValueCompleter;
use sg_ctl::record::flowlog;
use sg_policy::model::Pattern;

use crate::verb::shared::value;
use crate::verb::{Hook, Log, Named, Side};

/// Below the long help.
const HELP: &str = "\
FLOW RECORDS:
  One line per 5-tuple, direction, action and window, in the format of AWS VPC Flow Logs.
  Packets of flows are counted by the kernel, all of them. Packets that are dropped, or pass
  without a flow, are counted by the events that are logged of them (`log:` in rule files): of
  untracked TCP only its SYN, and nothing of what is not IP. Flags are those of logged packets.
  A flow whose place in the table was given away before the window's end has its first packet only.
  NODATA stands for an interface of which there is nothing to record, SKIPDATA for one of which
  records are missing: events were lost, or a window had more than 100 000 records.
  Where an interface audits, REJECT is what would have been dropped.

SIGNALS:
  SIGHUP            read the rule files again, and try again to attach what could not be
  SIGTERM, SIGINT   write the records of the window so far, and end; enforcement goes on

EXAMPLES:
  Keep this host as its rule files say, with metrics for Prometheus:
    sg-ctl agent -f /etc/sg/rules.yaml --metrics 127.0.0.1:9100

  Guard virtual machines as they are started, and record who speaks with whom:
    sg-ctl agent -f rules.yaml --attach 'tap*' --side workload --flow-log /var/log/sg/flows.log

  Records with the deciding rule, to another program:
    sg-ctl agent --flow-log - --flow-fields 'start srcaddr dstaddr dstport action sg-rule-id'";

/// Keep this host as rule files say: apply changes, attach interfaces, record flows.
///
/// Runs until it is told to end, and tells systemd how it is. It puts the rule files in
/// force, again whenever they change; wrong ones change nothing and are reported. It attaches every
/// interface that they name or mean by a pattern, or whose name matches --attach, when it appears; and one that was
/// attached when it returns. What is detached by hand stays detached until then. Members of groups
/// follow the addresses of attached interfaces. Enforcement does not depend on it.
#[derive(Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct AgentArgs {
    /// Rule file to apply and to watch; may be repeated. Without any the rules in force are kept.
    #[arg(short, long = "file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// Attach interfaces whose names match: `*`, `?` and `[…]` as in names of files; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) attach: Vec<Pattern>,

    /// Group that interfaces matching --attach carry, in place of those of the rule files; may be
    /// repeated.
    #[arg(short, long = "group", value_name = "NAME", value_delimiter = ',')]
    #[arg(add = ArgValueCompleter::new(Named::Group))]
    #[arg(requires = "attach")]
    pub(crate) groups: Vec<String>,

    /// Which side of interfaces matching --attach is protected; `nic` unless a rule file says
    /// otherwise.
    #[arg(long, value_enum, value_name = "SIDE", requires = "attach")]
    pub(crate) side: Option<Side>,

    /// Where packets of interfaces matching --attach are met on the receiving path.
    #[arg(long, value_enum, value_name = "HOOK", requires = "attach")]
    pub(crate) hook: Option<Hook>,

    /// Interfaces matching --attach judge, count and log, but drop nothing.
    #[arg(long, requires = "attach")]
    pub(crate) audit: bool,

    /// Which verdicts of interfaces matching --attach are logged.
    #[arg(long, value_enum, value_name = "WHICH", requires = "attach")]
    pub(crate) log: Option<Log>,

    /// Forget an interface that a pattern meant when it has been gone for this long: 60s, 5m, 2h.
    #[arg(long, value_name = "TIME", value_parser = value::time, default_value = "60s")]
    pub(crate) forget_after: Duration,

    /// Write flow records to this file, or to standard output (`-`). The agent then is the one
    /// reader of events, and `sg-ctl logs` has to wait.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) flow_log: Option<PathBuf>,

    /// Columns of flow records; those of AWS's default format unless given.
    #[arg(long, value_name = "FIELDS", requires = "flow_log")]
    pub(crate) flow_fields: Option<flowlog::Format>,

    /// Time that one record stands for, in seconds, 600 at most.
    #[arg(
        long,
        value_name = "SECONDS",
        requires = "flow_log",
        default_value_t = 60
    )]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) flow_window: u64,

    /// Size in MiB at which the file of flow records is renamed and a new one begun.
    #[arg(long, value_name = "MIB", requires = "flow_log", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) flow_log_size: u64,

    /// Renamed files of flow records to keep.
    #[arg(long, value_name = "N", requires = "flow_log", default_value_t = 5)]
    pub(crate) flow_log_keep: u32,

    /// Serve metrics for Prometheus at http://ADDRESS:PORT/metrics.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) metrics: Option<SocketAddr>,

    /// Let --metrics listen on an address that other hosts can reach. There is no authentication.
    #[arg(long, requires = "metrics")]
    pub(crate) metrics_public: bool,
}
