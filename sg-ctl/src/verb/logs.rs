//! `sg-ctl logs`.

pub(crate) mod lines;
pub(crate) mod printer;
mod session;
mod source;

use std::collections::BTreeMap;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ValueEnum, ValueHint};
use clap_complete::ArgValueCompleter;
use sg_ctl::host::file;
use sg_ctl::record::flowlog;

use crate::failure::refusal;
use crate::verb::logs::lines::{Capture, Form, Log};
use crate::verb::logs::printer::Printer;
use crate::verb::logs::session::{follow, once};
use crate::verb::output::time::WallClock;
use crate::verb::output::{counted, note};
use crate::verb::shared::candidates::Named;
use crate::verb::shared::{Context, check_attached};

/// What the help of `logs` says beyond the options.
const HELP: &str = "\
LINES:
  time, interface, direction, verdict (ALLOW, DENY, AUDIT-DENY), reason, protocol,
  source -> destination as on the wire, then as far as the packet has them
  flags= (TCP), type= code= (ICMP), vlan=, length=, and rule= group= of the deciding rule

JSON: one object per line; `type` tells which:
  verdict  time, interface, direction, verdict (allow or deny), audited, reason, protocol, source,
           source_port, destination, destination_port, tcp_flags, icmp_type, icmp_code, vlan,
           length, rule (number, id, group, group_id, or null)
  lost     time, events (lost since the last such line), total (lost since attach)
  missed   time, events (of the agent's, which came faster than they were read, since the last such
           line), total
  suppressed  time, interface, reason, events (not logged since the last such line, for there were
           more than log_limit), total (not logged since attach)
  message  time, interface, level, text (a message of the programs themselves)

FIELDS:
  of AWS: version, account-id, interface-id, srcaddr, dstaddr, srcport, dstport, protocol, packets,
          bytes, start, end, action, log-status, tcp-flags, type, pkt-srcaddr, pkt-dstaddr,
          flow-direction
  ours:   sg-rule-id, sg-name (group), sg-reason

EXAMPLES:
  What was dropped until now, and what is being dropped:
    sg-ctl logs --denied
    sg-ctl logs -f --denied --interface eth0

  For tools that read AWS VPC Flow Logs, and with what those cannot say:
    sg-ctl logs -f --format vpc
    sg-ctl logs -f --fields 'version srcaddr dstaddr dstport action sg-reason sg-rule-id'

  Dropped packets for Wireshark (their first 128 bytes), those that wait and those to come:
    sg-ctl logs --denied --pcapng drops.pcapng
    sg-ctl logs -f --denied --pcapng - | wireshark -k -i -

  Who knocks on closed ports:
    sg-ctl logs --json | jq -r 'select(.reason == \"no-rule\") | .source' | sort | uniq -c";

/// Print verdicts as they were logged.
///
/// Prints the events that there are, and with -f goes on until it is interrupted.
/// What is logged is a setting of the interface (`log:` in rule files, `attach --log`): dropped
/// packets and new flows unless set otherwise. While the agent runs it takes events out of the
/// kernel's buffer and keeps the latest 32 768, for any number of readers. Without an agent, reading
/// takes events out of the buffer, those too that a filter leaves out, so there is one reader at a
/// time. Events that found the buffer full are counted and told. Messages of the programs themselves, which tell of faults, are printed too.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Go on, and print events as they happen, until interrupted.
    #[arg(short = 'F', visible_short_alias = 'f', long)]
    pub(crate) follow: bool,

    /// Only packets that were dropped, or would have been if the interface did not only audit.
    #[arg(long)]
    pub(crate) denied: bool,

    /// Only events of this interface.
    #[arg(short, long, value_name = "IFACE", add = ArgValueCompleter::new(Named::Attached))]
    pub(crate) interface: Option<String>,

    /// Form of the lines.
    #[arg(
        long = "format",
        value_enum,
        value_name = "FORM",
        conflicts_with = "json"
    )]
    pub(crate) form: Option<Format>,

    /// Columns of AWS flow logs to print, and in which order: names divided by blanks or commas,
    /// also in the form `${name}`.
    #[arg(long, value_name = "FIELDS", conflicts_with_all = ["json", "form"])]
    pub(crate) fields: Option<flowlog::Format>,

    /// Write the beginnings of the packets in place of lines, for Wireshark: pcapng, each with verdict,
    /// reason and rule as its comment; `-` is standard output.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    #[arg(conflicts_with_all = ["json", "form", "fields"])]
    pub(crate) pcapng: Option<PathBuf>,

    /// Print one JSON document per line in place of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Form of the lines of a log.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Text for people.
    Text,
    /// One JSON document per line.
    Json,
    /// The default line of AWS VPC Flow Logs (version 2), one per packet; what is not IP is left out.
    Vpc,
}

/// Prints verdicts that were logged, and with `--follow` those to come.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let host = context.host()?;
    check_attached(&host.state()?, args.interface.as_deref())?;
    let capture = args.pcapng.as_deref().map(capture).transpose()?;
    let lines: Box<dyn Write> = match capture {
        // What is not a packet is told beside the capture.
        Some(_) => Box::new(anstream::stderr()),
        None => Box::new(BufWriter::new(anstream::stdout())),
    };
    let mut printer = Printer {
        args,
        clock: WallClock::now()?,
        log: Log::new(lines, form(args)),
        capture,
        lost: 0,
        missed: 0,
        suppressed: BTreeMap::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    if args.follow {
        runtime.block_on(follow(context, &mut printer))?;
        let shown = counted(printer.shown(), "event");
        let suppressed: u64 = printer.suppressed.values().sum();
        let Printer { lost, missed, .. } = printer;
        note(format_args!(
            "{shown} shown; {lost} lost and {suppressed} not logged since attach"
        ));
        if missed > 0 {
            note(format_args!(
                "{missed} missed: they came faster than they were read"
            ));
        }
    } else {
        runtime.block_on(once(host, context, &mut printer))?;
        if printer.shown() == 0 {
            note("no events");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Begins a capture in a file, or on standard output for `-`.
fn capture(path: &Path) -> anyhow::Result<Capture> {
    let stream: io::Result<Box<dyn Write>> = if path.as_os_str() == "-" {
        if io::stdout().is_terminal() {
            return Err(refusal(
                "a capture is no text for a terminal".to_owned(),
                "write it to a file, or pipe it: sg-ctl logs -f --pcapng - | tcpdump -r -",
            ));
        }
        Ok(Box::new(BufWriter::new(io::stdout())))
    } else {
        file::create(path).map(|file| Box::new(BufWriter::new(file)) as Box<dyn Write>)
    };
    stream.and_then(Capture::new).map_err(|error| {
        refusal(
            format!("cannot write {}: {error}", path.display()),
            "name a file in a directory that exists and may be written",
        )
    })
}

/// The form of the lines that is asked for.
fn form(args: &Args) -> Form {
    match (&args.fields, args.form) {
        (Some(fields), _) => Form::FlowLog(fields.clone()),
        (None, Some(Format::Vpc)) => Form::FlowLog(flowlog::Format::default()),
        (None, Some(Format::Json)) => Form::Json,
        (None, None) if args.json => Form::Json,
        (None, Some(Format::Text) | None) => Form::Text,
    }
}
