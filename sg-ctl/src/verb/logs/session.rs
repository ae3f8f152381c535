//! Reads events from the programs that are attached, and goes over to others when those change.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use sg_ctl::host::dataplane::{self, DataplaneError, Entry, ProgramMessages};
use sg_ctl::host::live::Place;
use sg_ctl::host::paths::Paths;
use sg_ctl::host::{Host, HostError, Suppressed};
use tokio::time::{MissedTickBehavior, interval};

use crate::verb::logs::printer::Printer;
use crate::verb::logs::source::Source;
use crate::verb::output::names::Names;
use crate::verb::output::note;
use crate::verb::shared::stop::Stop;
use crate::verb::shared::{Context, names};

/// How often counters of lost events and messages of the programs are looked at.
const TICK: Duration = Duration::from_secs(1);

/// Events that are written before anything else gets its turn.
const TURN: usize = 4096;

/// Prints what there is.
pub(crate) async fn once<W: Write>(
    host: Host,
    context: &Context,
    printer: &mut Printer<'_, W>,
) -> anyhow::Result<()> {
    let begin_ns = dataplane::monotonic()?.as_nanos() as u64;
    let mut session = Session::open(host, context, None)?;
    let watch = session.source.watch()?;
    loop {
        let is_more = session.turn(printer)? == TURN;
        let is_done = match &session.source {
            Source::Agent(events) => events.is_caught_up() || events.is_over(),
            // Under a flood the buffer is never empty: what comes from now on is for the next reader.
            Source::Ring(_) => !is_more || session.latest_ns >= begin_ns,
        };
        if is_done {
            break;
        }
        if !is_more {
            watch.readable().await?;
        }
    }
    session.tick(printer)?;
    Ok(printer.flush()?)
}

/// Prints until a signal comes. While nothing is attached it waits.
pub(crate) async fn follow<W: Write>(
    context: &Context,
    printer: &mut Printer<'_, W>,
) -> anyhow::Result<()> {
    let mut stop = Stop::new()?;
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut waiting = None;
    let mut place = None;
    let mut is_first = true;
    loop {
        let mut session = match Session::open(context.host()?, context, place) {
            Ok(session) => session,
            Err(error) => {
                let why = why_to_wait(&error, is_first).ok_or(error)?;
                if waiting.replace(why) != Some(why) {
                    note(why);
                }
                tokio::select! {
                    () = stop.requested() => return Ok(()),
                    _ = tick.tick() => continue,
                }
            }
        };
        (waiting, is_first) = (None, false);
        let watch = session.source.watch()?;
        while !session.is_over {
            let is_more = session.turn(printer)? == TURN;
            printer.flush()?;
            if session.source.has_ended() {
                break;
            }
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
        place = session.source.place().or(place);
    }
}

/// Why events may come later although there are none to be had now. At first somebody else who has
/// them is an error; later it is who comes between two agents.
fn why_to_wait(error: &anyhow::Error, is_first: bool) -> Option<&'static str> {
    match error.downcast_ref()? {
        HostError::Dataplane(DataplaneError::NothingLoaded { .. }) => {
            Some("nothing is attached: waiting")
        }
        HostError::Dataplane(DataplaneError::EventsTaken) if !is_first => {
            Some("another process reads the events: waiting")
        }
        _ => None,
    }
}

/// Reading from the programs that are attached now. Attaching and detaching makes it go over:
/// then there are others to read from.
struct Session {
    host: Host,
    source: Source,
    paths: Paths,
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
    /// Events that this source had too fast, as far as it has been said.
    missed: u64,
}

impl Session {
    fn open(host: Host, context: &Context, after: Option<Place>) -> anyhow::Result<Self> {
        let source = Source::open(&host, &context.paths, after)?;
        let state = host.state()?;
        let programs = host.programs()?;
        let judges = host.dataplane().programs().map_err(HostError::from)?;
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
            source,
            paths: context.paths.clone(),
            programs,
            judges,
            messages,
            may_reload: false,
            is_over: false,
            latest_ns: 0,
            missed: 0,
        })
    }

    /// Prints up to [`TURN`] events; returns how many there were.
    fn turn<W: Write>(&mut self, printer: &mut Printer<'_, W>) -> anyhow::Result<usize> {
        let Self {
            host,
            source,
            names,
            may_reload,
            latest_ns,
            missed,
            ..
        } = self;
        let mut count = 0;
        while count < TURN {
            let taken = source.take_with(|record| -> anyhow::Result<()> {
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
        let more = source.missed() - *missed;
        *missed += more;
        printer.missed(more)?;
        Ok(count)
    }

    /// Prints what does not come as events: how many were lost, and messages of the programs.
    fn tick<W: Write>(&mut self, printer: &mut Printer<'_, W>) -> anyhow::Result<()> {
        self.may_reload = true;
        self.is_over = self.source.gives_way(&self.paths)
            || self.host.programs()? != self.programs
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
