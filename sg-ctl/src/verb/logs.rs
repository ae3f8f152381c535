//! `sg-ctl logs`.

pub(crate) mod lines;

use std::collections::BTreeMap;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use sg_common::event::Record;
use sg_common::reason::{Reason, Verdict};
use sg_ctl::host::dataplane::{self, DataplaneError, Entry, EventStream, ProgramMessages};
use sg_ctl::host::{Host, HostError, Suppressed, file};
use sg_ctl::record::flowlog;
use tokio::time::{MissedTickBehavior, interval};

use crate::failure::refusal;
use crate::verb::logs::lines::{Capture, Form, Log};
use crate::verb::output::event::EventView;
use crate::verb::output::names::Names;
use crate::verb::output::time::WallClock;
use crate::verb::output::{counted, note};
use crate::verb::shared::stop::Stop;
use crate::verb::shared::{Context, check_attached, names};
use crate::verb::{LogFormat, LogsArgs};

/// How often counters of lost events and messages of the programs are looked at.
const TICK: Duration = Duration::from_secs(1);
/// Events that are written before anything else gets its turn.
const TURN: usize = 4096;

/// Prints verdicts that were logged, and with `--follow` those to come.
pub(crate) fn run(args: &LogsArgs, context: &Context) -> anyhow::Result<ExitCode> {
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
        suppressed: BTreeMap::new(),
    };
    if args.follow {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the event loop")?
            .block_on(follow(context, &mut printer))?;
        let shown = counted(printer.shown(), "event");
        let suppressed: u64 = printer.suppressed.values().sum();
        let lost = printer.lost;
        note(format_args!(
            "{shown} shown; {lost} lost and {suppressed} not logged since attach"
        ));
    } else {
        let begin_ns = dataplane::monotonic()?.as_nanos() as u64;
        let mut session = Session::open(host)?;
        // Under a flood the buffer is never empty: what comes from now on is for the next reader.
        while session.turn(&mut printer)? == TURN && session.latest_ns < begin_ns {}
        session.tick(&mut printer)?;
        printer.flush()?;
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
fn form(args: &LogsArgs) -> Form {
    match (&args.fields, args.form) {
        (Some(fields), _) => Form::FlowLog(fields.clone()),
        (None, Some(LogFormat::Vpc)) => Form::FlowLog(flowlog::Format::default()),
        (None, Some(LogFormat::Json)) => Form::Json,
        (None, None) if args.json => Form::Json,
        (None, Some(LogFormat::Text) | None) => Form::Text,
    }
}

/// Prints until a signal comes. While nothing is attached it waits.
async fn follow<W: Write>(context: &Context, printer: &mut Printer<'_, W>) -> anyhow::Result<()> {
    let mut stop = Stop::new()?;
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_waiting = false;
    loop {
        let mut session = match Session::open(context.host()?) {
            Err(HostError::Dataplane(DataplaneError::NothingLoaded { .. })) => {
                if !is_waiting {
                    note("nothing is attached: waiting");
                    is_waiting = true;
                }
                tokio::select! {
                    () = stop.requested() => return Ok(()),
                    _ = tick.tick() => continue,
                }
            }
            session => session?,
        };
        is_waiting = false;
        let watch = session.events.watch()?;
        while !session.is_over {
            let is_more = session.turn(printer)? == TURN;
            printer.flush()?;
            tokio::select! {
                biased;
                () = stop.requested() => {
                    session.tick(printer)?;
                    return Ok(printer.flush()?);
                }
                _ = tick.tick() => session.tick(printer)?,
                () = std::future::ready(()), if is_more => {}
                ready = watch.readable() => ready?,
            }
        }
    }
}

/// Reading from the programs that are attached now. Attaching and detaching makes it go over:
/// then there are others to read from.
struct Session {
    host: Host,
    events: EventStream,
    /// A program of each zone.
    programs: BTreeMap<u32, u32>,
    /// The programs that judge, of all zones together, and what they have to say.
    judges: Vec<(Entry, u32)>,
    messages: Vec<ProgramMessages>,
    names: Names,
    may_reload: bool,
    is_over: bool,
    /// Time of the latest event that was read.
    latest_ns: u64,
}

impl Session {
    fn open(host: Host) -> Result<Self, HostError> {
        let events = host.events()?;
        let state = host.state()?;
        let programs = host.programs()?;
        let judges = host.dataplane().programs()?;
        let mut messages = Vec::new();
        for (entry, program) in &judges {
            match ProgramMessages::open(*program) {
                Ok(source) => messages.push(source),
                Err(error) => note(format_args!("warning: {}: {error}", entry.name())),
            }
        }
        Ok(Self {
            names: names(&host, state)?,
            host,
            events,
            programs,
            judges,
            messages,
            may_reload: false,
            is_over: false,
            latest_ns: 0,
        })
    }

    /// Prints up to [`TURN`] events; returns how many there were.
    fn turn<W: Write>(&mut self, printer: &mut Printer<'_, W>) -> anyhow::Result<usize> {
        let Self {
            host,
            events,
            names,
            may_reload,
            latest_ns,
            ..
        } = self;
        let mut count = 0;
        while count < TURN {
            let taken = events.take_with(|record| -> anyhow::Result<()> {
                let event = record.event;
                *latest_ns = event.time_ns;
                // Rules that were applied after the state was read.
                if *may_reload && !names.know(&event) {
                    *may_reload = false;
                    *names = crate::verb::shared::names(host, host.state()?)?;
                }
                printer.event(record, names)?;
                // What cannot be written out stays for the next reader.
                Ok(printer.flush()?)
            })?;
            if taken.is_none() {
                break;
            }
            count += 1;
        }
        Ok(count)
    }

    /// Prints what does not come as events: how many were lost, and messages of the programs.
    fn tick<W: Write>(&mut self, printer: &mut Printer<'_, W>) -> anyhow::Result<()> {
        self.may_reload = true;
        self.is_over = self.host.programs()? != self.programs
            || self.host.dataplane().programs()? != self.judges;
        let mut lost = 0;
        for zone in self.programs.keys() {
            let counters = self.host.dataplane().counters(*zone)?;
            lost += counters.events_lost;
            if let Some(interface) = self.names.of_zone(*zone) {
                printer.suppressed(*zone, interface, &Suppressed::all(&counters))?;
            }
        }
        printer.lost(lost)?;
        for message in self.messages.iter_mut().flat_map(ProgramMessages::take) {
            let zone = message.zone();
            let interface = zone.and_then(|zone| self.names.of_zone(zone));
            let interface = interface.unwrap_or("unknown");
            printer.message(interface, message.level, &message.text)?;
        }
        Ok(())
    }
}

/// Prints what is wanted of the log.
struct Printer<'a, W> {
    args: &'a LogsArgs,
    clock: WallClock,
    log: Log<W>,
    /// Where packets go in place of lines.
    capture: Option<Capture>,
    /// Events lost since attach, as far as they have been told.
    lost: u64,
    /// Events not logged since attach, by zone and reason, as far as they have been told.
    suppressed: BTreeMap<(u32, &'static str), u64>,
}

impl<W: Write> Printer<'_, W> {
    fn event(&mut self, record: &Record, names: &Names) -> io::Result<()> {
        let view = EventView::new(&record.event, &self.clock, names);
        let is_wanted =
            (view.event.is_denied() || !self.args.denied) && self.is_of(&view.event.interface);
        match &mut self.capture {
            _ if !is_wanted => Ok(()),
            Some(capture) => capture.packet(record, &view, &self.clock),
            None => self.log.verdict(&view),
        }
    }

    /// Verdicts shown so far.
    fn shown(&self) -> u64 {
        let captured = self.capture.as_ref();
        captured.map_or(self.log.verdicts(), Capture::packets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.log.flush()?;
        self.capture.as_mut().map_or(Ok(()), Capture::flush)
    }

    fn message(&mut self, interface: &str, level: &str, text: &str) -> io::Result<()> {
        if self.is_of(interface) {
            self.log
                .message(&self.clock.now_text(), interface, level, text)?;
        }
        Ok(())
    }

    /// Tells of losses, if `total` is more than has been told.
    fn lost(&mut self, total: u64) -> io::Result<()> {
        let more = total.saturating_sub(self.lost);
        // Counters begin anew when an interface is attached.
        self.lost = total;
        if more > 0 {
            self.log.lost(&self.clock.now_text(), more, total)?;
        }
        Ok(())
    }

    /// Tells how many events of an interface were not logged, as far as it has not been told.
    fn suppressed(&mut self, zone: u32, interface: &str, all: &[Suppressed]) -> io::Result<()> {
        let time = self.clock.now_text();
        for Suppressed { reason, events } in all {
            let told = self.suppressed.insert((zone, reason), *events).unwrap_or(0);
            // Counters begin anew when an interface is attached.
            let more = if told > *events {
                *events
            } else {
                *events - told
            };
            let is_wanted = !self.args.denied || is_denied(reason);
            if more > 0 && is_wanted && self.is_of(interface) {
                let counts = (more, *events);
                self.log.suppressed(&time, interface, reason, counts)?;
            }
        }
        Ok(())
    }

    fn is_of(&self, interface: &str) -> bool {
        self.args
            .interface
            .as_ref()
            .is_none_or(|wanted| wanted == interface)
    }
}

/// Whether packets are dropped for a reason of this name.
fn is_denied(name: &str) -> bool {
    let mut reasons = Reason::ALL.iter();
    reasons.any(|reason| reason.name() == name && reason.verdict() == Verdict::Drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sg_common::event::{Event, SNAP};

    use crate::verb::output::event::tests::{denied, passed};
    use crate::verb::output::names::tests::names;

    fn written(args: &LogsArgs, write: impl FnOnce(&mut Printer<'_, &mut Vec<u8>>)) -> String {
        let mut bytes = Vec::new();
        let mut printer = Printer {
            args,
            clock: WallClock::now().expect("time"),
            log: Log::new(&mut bytes, form(args)),
            capture: None,
            lost: 0,
            suppressed: BTreeMap::new(),
        };
        write(&mut printer);
        let text = String::from_utf8(bytes).expect("UTF-8");
        anstream::adapter::strip_str(&text).to_string()
    }

    fn record(event: Event) -> Record {
        Record {
            event,
            captured: 0,
            pad: 0,
            bytes: [0; SNAP],
        }
    }

    fn all() -> LogsArgs {
        LogsArgs {
            follow: false,
            denied: false,
            interface: None,
            form: None,
            fields: None,
            pcapng: None,
            json: false,
        }
    }

    #[test]
    fn filters_leave_out_what_is_not_asked_for() {
        let lines = |args: &LogsArgs| {
            let text = written(args, |printer| {
                printer.event(&record(denied()), &names()).expect("memory");
                printer.event(&record(passed()), &names()).expect("memory");
                printer.message("eth1", "error", "fault").expect("memory");
            });
            text.lines().count()
        };
        assert_eq!(lines(&all()), 3);
        let denied_only = LogsArgs {
            denied: true,
            ..all()
        };
        assert_eq!(lines(&denied_only), 2);
        let eth1 = LogsArgs {
            interface: Some("eth1".to_owned()),
            ..all()
        };
        assert_eq!(lines(&eth1), 1);
    }

    #[test]
    fn losses_are_told_when_they_grow() {
        let text = written(&all(), |printer| {
            for total in [0, 5, 5, 7, 1] {
                printer.lost(total).expect("memory");
            }
        });
        let told: Vec<_> = text
            .lines()
            .map(|line| line.split_once(' ').expect("time").1)
            .collect();
        assert_eq!(
            told,
            [
                "5 events lost since attach: the buffer was full",
                "2 more events lost: the buffer was full (7 since attach)",
            ]
        );
    }
}
