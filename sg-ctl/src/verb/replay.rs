//! `sg-ctl replay`.

pub(crate) mod packet;
pub(crate) mod view;

use std::collections::BTreeMap;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ValueEnum, ValueHint};
use clap_complete::ArgValueCompleter;
use indicatif::{ProgressBar, ProgressStyle};
use ipnet::IpNet;
use sg_common::reason::Verdict;
use sg_ctl::host;
use sg_ctl::host::state::Overrides;
use sg_ctl::replay::{self, Capture, DropWriter, Guard, IFINDEX, Replay, Skip, Tally, ZONE};

use crate::failure::{REFUSED, refusal, report, report_json};
use crate::verb::output::names::Names;
use crate::verb::output::time::WallClock;
use crate::verb::output::{self, although_gone};
use crate::verb::replay::packet::PacketView;
use crate::verb::replay::view::{Subject, SummaryView};
use crate::verb::shared::arguments::{Hook, Side};
use crate::verb::shared::candidates::Named;
use crate::verb::shared::{Context, rule_files, value};

/// What the help of `replay` says beyond the options.
const HELP: &str = "\
LINES:
  number of the packet in its capture, then as `sg-ctl logs` prints verdicts

JSON: one object per line; `type` tells which:
  verdict  capture, index (number of the packet in its capture, from 1), cut (whether the capture
           lacks part of its headers, for which zeros stand), and the fields of `sg-ctl logs`:
           time, interface, direction, verdict (allow or deny), audited (always false), reason,
           protocol, source, source_port, destination, destination_port, tcp_flags, icmp_type,
           icmp_code, vlan, length, rule (number, id, group, group_id, or null)
  summary  captures, interface, groups, side, hook, first, latest (times), packets, judged, passed,
           dropped (packets and bytes), cut, skipped (not-local, link-type, too-short, too-long),
           reasons (direction, verdict, reason, packets, bytes),
           rules (all of the interface: group, group_id, direction, id, protocol, ports, peer,
           flows, packets, bytes, latest),
           drops (direction, reason, protocol, local, remote, port, icmp_type, icmp_code, packets,
           bytes, first), other_drops (packets of more kinds than are listed)

HOW PACKETS ARE TAKEN:
  Both ends local: outbound. A frame without IP addresses: inbound, unless the capture says that
  this host sent it.
  The first packet comes at the moment of attaching: for 120 s connections that are under way are
  picked up, unless tcp_pickup says otherwise. Time never runs back.
  Bytes that were not captured are zeros. An IPv4 packet of length 0 has what is in its frame:
  segmentation offload was to fill the length in. Frames beyond 3 KiB are judged by their first
  3 KiB, with lengths to match; one whose headers go on beyond that is skipped, too-long.
  Time passes in steps of 1 ms. `audit` and `log` of the interface do not matter.
  Ethernet, Linux cooked (SLL, SLL2), raw IP and BSD loopback captures are taken.

EXAMPLES:
  What would these rules have dropped of yesterday's traffic?
    sg-ctl replay eth0.pcap -f web.yaml -i eth0 --group web --local 10.0.1.5 --only dropped

  Only the counts, and the drops for Wireshark:
    sg-ctl replay eth0.pcap -f web.yaml -i eth0 --local 10.0.1.5 --summary \\
      --write-dropped drops.pcapng

  Who would have been turned away:
    sg-ctl replay day-*.pcap -f web.yaml -i eth0 --local 10.0.1.0/24 --only dropped --json |
      jq -r 'select(.type == \"verdict\") | .source' | sort | uniq -c";

/// Show what rules would have done to captured traffic.
///
/// Runs the packets of pcap and pcapng files through the programs that `attach` would attach, in
/// the kernel, and prints what becomes of each and what all of it comes to. Flows open, are
/// answered and expire as the times in the capture say. Nothing is attached, and neither the state
/// directory nor anything in force is read or changed; it takes the privileges of `attach`.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
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

/// Packets between two looks at the progress.
const STRIDE: u64 = 4096;

/// Judges the packets of captures and prints what becomes of them.
pub(crate) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let model = rule_files::model(&args.files)?;
    let overrides = Overrides {
        groups: (!args.groups.is_empty()).then_some(args.groups),
        side: args.side.map(Into::into),
        hook: args.hook.map(Into::into),
        ..Overrides::default()
    };
    let spec = host::guarded(&model, &args.interface, &overrides)?;
    let captures = args.captures.iter().map(|path| Capture::open(path));
    let captures = captures.collect::<Result<Vec<_>, _>>()?;
    let progress = progress(&captures, args.summary);
    let replay = Replay::new(Guard {
        model: &model,
        spec: &spec,
        local: &args.local,
    })?;
    let drops = args.write_dropped.as_deref().map(create).transpose()?;
    let interfaces = BTreeMap::from([(ZONE, (args.interface.clone(), IFINDEX))]);
    let mut session = Session {
        names: Names::new(replay.numbers().clone(), interfaces),
        replay,
        clock: WallClock::of_captures(),
        stream: BufWriter::new(anstream::stdout()),
        only: args.only,
        is_quiet: args.summary,
        json: args.json,
        drops,
        tally: Tally::default(),
        progress,
    };
    let mut is_whole = true;
    for capture in captures {
        if let Err(error) = session.judge(capture)? {
            although_gone(session.stream.flush())?;
            session.progress.suspend(|| {
                if args.json {
                    report_json(&error)
                } else {
                    report(&error, context.verbose)
                }
            });
            is_whole = false;
        }
    }
    session.progress.finish_and_clear();
    if let (Some(drops), Some(path)) = (session.drops.take(), &args.write_dropped) {
        let written = drops.finish();
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    let summary = SummaryView::new(
        &Subject {
            captures: &args.captures,
            interface: &args.interface,
            spec: &spec,
            model: &model,
            numbers: session.replay.numbers(),
        },
        &session.tally,
        &session.clock,
    );
    let has_lines = session.stream_has_lines();
    let is_alone = args.json && args.summary;
    let printed = if is_alone {
        output::json(&summary)
    } else {
        sum_up(&mut session.stream, &summary, args.json, has_lines)
    };
    although_gone(printed)?;
    Ok(if is_whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(REFUSED)
    })
}

/// Prints what all packets came to, below their lines.
fn sum_up(
    stream: &mut impl Write,
    summary: &SummaryView<'_>,
    json: bool,
    has_lines: bool,
) -> io::Result<()> {
    if json {
        serde_json::to_writer(&mut *stream, summary)?;
        stream.write_all(b"\n")?;
    } else {
        if has_lines {
            stream.write_all(b"\n")?;
        }
        write!(stream, "{summary}")?;
    }
    stream.flush()
}

fn create(path: &Path) -> anyhow::Result<DropWriter> {
    DropWriter::create(path).map_err(|error| {
        refusal(
            format!("cannot write {}: {error}", path.display()),
            "name a file in a directory that exists and may be written",
        )
    })
}

/// A bar over the bytes of all captures, on a terminal where no lines would get in its way.
fn progress(captures: &[Capture], is_quiet: bool) -> ProgressBar {
    if !io::stderr().is_terminal() || (io::stdout().is_terminal() && !is_quiet) {
        return ProgressBar::hidden();
    }
    let lengths = captures.iter().map(|capture| capture.path().metadata());
    let bytes = lengths.map(|length| length.map_or(0, |metadata| metadata.len()));
    let bar = ProgressBar::new(bytes.sum());
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {eta} {msg}")
    {
        bar.set_style(style);
    }
    bar
}

/// Judging and printing.
struct Session<'a, W: Write> {
    replay: Replay<'a>,
    names: Names,
    clock: WallClock,
    stream: W,
    only: Option<Only>,
    is_quiet: bool,
    json: bool,
    drops: Option<DropWriter>,
    tally: Tally,
    progress: ProgressBar,
}

impl<W: Write> Session<'_, W> {
    /// Judges the packets of a capture. The inner error is one of the capture: what came before it
    /// counts.
    fn judge(&mut self, mut capture: Capture) -> anyhow::Result<anyhow::Result<()>> {
        let name = capture.path().display().to_string();
        let begin = self.progress.position();
        let mut unsupported = (0, 0);
        let mut packets = 0;
        loop {
            let consumed = capture.consumed();
            let packet = match capture.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => break,
                Err(error) => return Ok(Err(error.into())),
            };
            packets += 1;
            if packets % STRIDE == 1 {
                self.progress.set_position(begin + consumed);
                self.progress
                    .set_message(format!("{} packets", self.tally.packets()));
            }
            let judgement = match self.replay.judge(&packet)? {
                Ok(judgement) => judgement,
                Err(skip) => {
                    if skip == Skip::LinkType {
                        unsupported = (unsupported.0 + 1, packet.link);
                    }
                    self.tally.skip(skip);
                    continue;
                }
            };
            self.tally.add(&judgement);
            let is_dropped = judgement.reason.verdict() == Verdict::Drop;
            if is_dropped && let Some(drops) = &mut self.drops {
                drops
                    .write(&packet, &judgement)
                    .context("cannot write the dropped packets")?;
            }
            let is_wanted = match self.only {
                None => true,
                Some(Only::Passed) => !is_dropped,
                Some(Only::Dropped) => is_dropped,
            };
            if is_wanted && !self.is_quiet {
                let view = PacketView::new(&name, &packet, &judgement, &self.clock, &self.names);
                if self.json {
                    serde_json::to_writer(&mut self.stream, &view).map_err(io::Error::from)?;
                    self.stream.write_all(b"\n")?;
                } else {
                    writeln!(self.stream, "{view}")?;
                }
            }
        }
        self.progress.set_position(begin + capture.consumed());
        let (count, link) = unsupported;
        if packets > 0 && count == packets {
            return Ok(Err(refusal(
                format!(
                    "{name} has link type {}, whose frames cannot be judged",
                    replay::link_name(link)
                ),
                replay::SUPPORTED,
            )));
        }
        Ok(Ok(()))
    }

    /// Whether packets stand above the summary.
    fn stream_has_lines(&self) -> bool {
        !self.is_quiet && self.tally.judged() > 0
    }
}
