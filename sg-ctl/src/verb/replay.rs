//! `sg-ctl replay`.

pub(crate) mod view;

use std::collections::BTreeMap;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use sg_common::reason::Verdict;
use sg_ctl::host;
use sg_ctl::host::state::Overrides;
use sg_ctl::replay::{self, Capture, DropWriter, Guard, IFINDEX, Replay, Skip, Tally, ZONE};

use crate::failure::{REFUSED, refusal, report};
use crate::verb::output::names::Names;
use crate::verb::output::time::WallClock;
use crate::verb::replay::view::{PacketView, Subject, SummaryView};
use crate::verb::shared::{Context, rule_files};
use crate::verb::{Only, ReplayArgs, output};

/// Packets between two looks at the progress.
const STRIDE: u64 = 4096;

/// Judges the packets of captures and prints what becomes of them.
pub(crate) fn run(args: ReplayArgs, context: &Context) -> anyhow::Result<ExitCode> {
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
            session.stream.flush()?;
            session.progress.suspend(|| report(&error, context.verbose));
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
    if args.json && args.summary {
        session.stream.flush()?;
        output::json(&summary)?;
    } else if args.json {
        serde_json::to_writer(&mut session.stream, &summary).map_err(io::Error::from)?;
        session.stream.write_all(b"\n")?;
    } else {
        if session.stream_has_lines() {
            session.stream.write_all(b"\n")?;
        }
        write!(session.stream, "{summary}")?;
    }
    session.stream.flush()?;
    Ok(if is_whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(REFUSED)
    })
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
