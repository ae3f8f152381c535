//! `sg-ctl agent`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueHint;
use clap_complete::ArgValueCompleter;
use sg_ctl::agent::{self, AgentError, Attaching, FlowLog, FlowLogTarget, Notice, Options};
use sg_ctl::host::state::Overrides;
use sg_ctl::record::flowlog;
use sg_policy::model::Pattern;

use crate::failure::refusal;
use crate::verb::output::note;
use crate::verb::serve::{self, ApiArgs};
use crate::verb::shared::arguments::{Hook, Log, Side};
use crate::verb::shared::candidates::Named;
use crate::verb::shared::{Context, value};

/// What the help says beyond the options.
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
  The file is opened anew for each window, so logrotate may rename it at any time; the Debian
  package brings a configuration for /var/log/sg/*.log. To a file that has --flow-log-limit nothing
  is added; that is told, and counted as sg_flow_log_errors_total.

SIGNALS:
  SIGHUP            read the rule files and the API's keys again, and try again to attach what could
                    not be
  SIGTERM, SIGINT   write the records of the window so far, and end; enforcement goes on

EXAMPLES:
  Keep this host as its rule files say, with metrics for Prometheus:
    sg-ctl agent -f /etc/sg/rules.yaml --metrics 127.0.0.1:9100

  Guard virtual machines as they are started, and record who speaks with whom:
    sg-ctl agent -f rules.yaml --attach 'tap*' --side workload --flow-log /var/log/sg/flows.log

  The EC2 endpoint and the console beside it:
    sg-ctl agent --api 127.0.0.1:8790

  Records with the deciding rule, to another program:
    sg-ctl agent --flow-log - --flow-fields 'start srcaddr dstaddr dstport action sg-rule-id'";

/// Keep this host as rule files say: apply changes, attach interfaces, record flows.
///
/// Runs until it is told to end, and tells systemd how it is. It puts the rule files in
/// force, again whenever they change; wrong ones change nothing and are reported, and keep it from
/// beginning where nothing was guarded before. It attaches every interface that they name or mean by a
/// pattern, or whose name matches --attach, when it appears; and one that was attached when it returns.
/// What is detached by hand stays detached until it is created anew, or the host reboots. Members of
/// groups follow the addresses of attached interfaces. It reads the events, and passes them on to
/// `sg-ctl logs` and `sg-ctl top`. Enforcement does not depend on it.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
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

    /// Write flow records to this file, or to standard output (`-`).
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

    /// Size in MiB from which on nothing is added to the file until it is renamed or emptied.
    #[arg(
        long,
        value_name = "MIB",
        requires = "flow_log",
        default_value_t = 1024
    )]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) flow_log_limit: u64,

    /// Serve metrics for Prometheus at http://ADDRESS:PORT/metrics.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) metrics: Option<SocketAddr>,

    /// Serve the EC2 endpoint and the console there, too, as `sg-ctl serve` does.
    #[arg(long = "api", value_name = "ADDRESS:PORT")]
    pub(crate) api_address: Option<SocketAddr>,

    #[command(flatten)]
    pub(crate) api: ApiArgs,

    /// Let --metrics listen on an address that other hosts can reach. There is no authentication.
    #[arg(long, requires = "metrics")]
    pub(crate) metrics_public: bool,
}

/// Runs until it is told to end.
pub(crate) fn run(mut args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let api = args.api.clone();
    let api_address = args.api_address.take();
    if api_address.is_none() && api.is_given() {
        return Err(refusal(
            "options of the API, and no --api",
            "add --api ADDRESS:PORT, such as 127.0.0.1:8790",
        ));
    }
    let options = options(args, context)?;
    // Dropped, it ends.
    let _api = api_address
        .map(|address| serve::beside(api, address, context))
        .transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    let mut tell = |notice: &Notice<'_>| note(notice);
    match runtime.block_on(agent::run(options, &mut tell)) {
        // Diagnostics bring their own marks.
        Err(AgentError::Rules(report)) => Err((*report).into()),
        result => Ok(result.map(|()| ExitCode::SUCCESS)?),
    }
}

/// Checks what the command line asks for.
fn options(args: Args, context: &Context) -> anyhow::Result<Options> {
    if args.files.iter().any(|file| file == Path::new("-")) {
        return Err(refusal(
            "standard input cannot be watched",
            "name rule files; `sg-ctl apply -f -` takes rules from a pipe",
        ));
    }
    if let Some(address) = args.metrics
        && !args.metrics_public
        && !address.ip().is_loopback()
    {
        return Err(refusal(
            format!("{address} can be reached from other hosts, and metrics tell much"),
            "listen on 127.0.0.1 or [::1], or give --metrics-public",
        ));
    }
    let flow_log = args.flow_log.map(|path| FlowLog {
        target: if path == Path::new("-") {
            FlowLogTarget::Stdout
        } else {
            FlowLogTarget::File {
                path,
                full: args.flow_log_limit.saturating_mul(1 << 20),
            }
        },
        format: args.flow_fields.unwrap_or_default(),
        window: Duration::from_secs(args.flow_window),
    });
    Ok(Options {
        paths: context.paths.clone(),
        files: args.files,
        attaching: Attaching {
            patterns: args.attach,
            overrides: Overrides {
                groups: (!args.groups.is_empty()).then_some(args.groups),
                addresses: None,
                side: args.side.map(Into::into),
                hook: args.hook.map(Into::into),
                audit: args.audit.then_some(true),
                log: args.log.map(Into::into),
                flow_share: None,
            },
            forget_after: args.forget_after,
        },
        flow_log,
        metrics: args.metrics,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::verb::{Cli, Verb};

    fn parse(arguments: &str) -> Result<Options, String> {
        let words = ["sg-ctl", "agent"]
            .into_iter()
            .chain(arguments.split_whitespace());
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        let context = Context::new(cli.global);
        let Verb::Agent(args) = cli.verb else {
            panic!("not the verb `agent`");
        };
        options(args, &context).map_err(|error| error.to_string())
    }

    #[test]
    fn metrics_are_for_this_host_unless_said_otherwise() {
        for arguments in [
            "--metrics 127.0.0.1:9100",
            "--metrics [::1]:9100",
            "--metrics 0.0.0.0:9100 --metrics-public",
        ] {
            assert!(parse(arguments).is_ok(), "{arguments}");
        }
        for address in ["0.0.0.0:9100", "[::]:9100", "192.0.2.1:9100"] {
            let error = parse(&format!("--metrics {address}")).expect_err("it is not loopback");
            assert!(error.contains("other hosts"), "{error}");
        }
    }

    #[test]
    fn options_that_would_mean_nothing_are_refused() {
        for arguments in [
            "-f -",
            "--side workload",
            "--flow-window 30",
            "--flow-log - --flow-window 601",
            "--flow-log - --flow-fields nothing",
            "--attach [",
            "--metrics-public",
        ] {
            assert!(parse(arguments).is_err(), "{arguments}");
        }
    }
}
