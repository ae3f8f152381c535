//! `sg-ctl top`.

mod drops;
pub(crate) mod picture;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use clap_complete::ArgValueCompleter;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, KeyEvent};
use sg_ctl::host::dataplane::DataplaneError;
use sg_ctl::host::{Host, HostError, Rates, Snapshot};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::verb::output::event::EventView;
use crate::verb::output::names::Names;
use crate::verb::output::time::WallClock;
use crate::verb::output::{self, note};
use crate::verb::shared::candidates::Named;
use crate::verb::shared::stop::Stop;
use crate::verb::shared::{Context, check_attached, names, value};
use crate::verb::top::drops::Drops;
use crate::verb::top::picture::{FlowsBy, Picture, Pressed, Screen, Wanted, draw};

/// What the help says beyond the options.
const HELP: &str = "\
KEYS:
  1, 2, 3, 4   everything; verdicts by reason; flows; drops. Tab and Shift-Tab go round
  s            flows by bits or by packets per second
  p            pause: the picture stands still, and goes on with another p
  up, down     look further down in a long list (also k, j, and by pages)
  ?            help
  q            quit (also Esc and Ctrl-C)

WHAT IT SHOWS:
  Rates are those of the last interval, of packets on this interface and frames from the Ethernet
  header on. PASS/S and BIT/S are what passes, DROP/S what is dropped, AUDIT/S what passes only
  because the interface audits. PASSED and DROPPED count since attach.
  All drops are counted. Those that are listed come from the agent, which takes the log of all
  interfaces: without one, and where `log:` leaves drops out, none are. Nothing is taken from
  `sg-ctl logs`, nor from flow records.

JSON: one object per interval, in one line, with these fields:
  time, interval_ms (that rates are of), policy (generation, or null),
  flow_table (live, room; or null), events_lost (since attach), problems (interface, text),
  interfaces  name, state, log, events_lost, inbound and outbound: passed, dropped and audited, each
              with packets, bytes, packets_per_second, bits_per_second;
              reasons: direction, verdict, reason and the same four
  flows       the fields of `sg-ctl flows`, in and out: packets_per_second, bits_per_second
  drops       the latest first: the fields of `sg-ctl logs`; null while no agent runs

EXAMPLES:
    sg-ctl top
    sg-ctl top --interface eth0 --interval 5s
    sg-ctl top --once --top 20
    sg-ctl top --json | jq '.interfaces[] | {name, drops: .inbound.dropped.packets_per_second}'";

/// Watch interfaces, verdicts, flows and drops.
///
/// A view of the terminal that is drawn anew at each interval: packets that pass and are dropped by
/// interface and direction, the flows that carry most, the latest drops, and how full the flow table
/// is. When standard output is no terminal it prints one picture as text, as with --once.
#[derive(clap::Args, Debug)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Only this interface.
    #[arg(short, long, value_name = "IFACE", add = ArgValueCompleter::new(Named::Attached))]
    pub(crate) interface: Option<String>,

    /// Time between two pictures, which rates are of: 1s, 10s, 1m.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = value::time)]
    pub(crate) interval: Duration,

    /// Print one picture as text, after one interval, and end.
    #[arg(long)]
    pub(crate) once: bool,

    /// With --once and --json: only the first N flows, and the latest N drops.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) top: usize,

    /// Print one JSON object per interval, until interrupted.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flows and drops that can be looked through on the screen.
const LISTED: usize = 1000;

/// Shows what happens.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let mut top = Top::open(args, context)?;
    if args.json {
        top.objects()?;
    } else if args.once || !io::stdout().is_terminal() {
        top.once()?;
    } else {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the event loop")?
            .block_on(top.watch())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What was seen last.
struct Top<'c> {
    args: &'c Args,
    context: &'c Context,
    clock: WallClock,
    now: Snapshot,
    time: String,
    rates: Option<Rates>,
    names: Names,
    drops: Drops,
}

impl<'c> Top<'c> {
    fn open(args: &'c Args, context: &'c Context) -> anyhow::Result<Self> {
        let host = context.host()?;
        let now = host.snapshot()?;
        check_attached(&now.state, args.interface.as_deref())?;
        let clock = WallClock::now()?;
        let mut top = Self {
            args,
            context,
            time: clock.now_text(),
            clock,
            now,
            rates: None,
            names: Names::default(),
            drops: Drops::default(),
        };
        top.read(&host)?;
        Ok(top)
    }

    /// Looks again.
    fn look(&mut self) -> anyhow::Result<()> {
        let host = self.context.host()?;
        let now = host.snapshot()?;
        self.rates = Some(Rates::between(&self.now, &now));
        self.now = now;
        self.time = self.clock.now_text();
        self.read(&host)
    }

    /// Reads along what the agent passes on.
    fn read(&mut self, host: &Host) -> anyhow::Result<()> {
        self.names = match names(host, self.now.state.clone()) {
            // Where nothing is loaded nothing is reported.
            Err(HostError::Dataplane(DataplaneError::NothingLoaded { .. })) => Names::default(),
            names => names?,
        };
        let record = |name| self.now.state.attachments.get(name);
        let wanted = self.args.interface.as_ref().map(record);
        // A zone that is none stands for an interface that is not attached any more.
        let only = wanted.map(|record| record.map_or(u32::MAX, |record| record.zone));
        let path = self.context.paths.events();
        let followed = self.drops.follow(&path, only);
        followed.context("cannot read the events of the agent")
    }

    fn picture(&self, limit: usize, order: FlowsBy) -> Picture<'_> {
        let view = |event| EventView::new(&event, &self.clock, &self.names);
        let drops = self.drops.latest(limit);
        let drops = drops.map(|(drops, missed)| (drops.into_iter().map(view).collect(), missed));
        let wanted = Wanted {
            interface: self.args.interface.as_deref(),
            flows: limit,
            order,
        };
        let time = self.time.clone();
        Picture::new(time, &self.now, self.rates.as_ref(), drops, &wanted)
    }

    /// Prints one picture as text.
    fn once(&mut self) -> anyhow::Result<()> {
        thread::sleep(self.args.interval);
        self.look()?;
        let picture = self.picture(self.args.top, FlowsBy::default());
        if picture.is_empty() {
            note("no interface is attached");
        } else {
            output::text(picture.text())?;
        }
        for line in picture.notes() {
            note(line);
        }
        Ok(())
    }

    /// Prints a JSON object at each interval.
    fn objects(&mut self) -> anyhow::Result<()> {
        loop {
            thread::sleep(self.args.interval);
            self.look()?;
            let mut line = serde_json::to_vec(&self.picture(self.args.top, FlowsBy::default()))?;
            line.push(b'\n');
            let mut stream = io::stdout().lock();
            stream.write_all(&line)?;
            stream.flush()?;
            if self.args.once {
                return Ok(());
            }
        }
    }

    /// Draws on the terminal until the user has seen enough.
    async fn watch(&mut self) -> anyhow::Result<()> {
        let mut stop = Stop::new()?;
        let mut resized = signal(SignalKind::window_change())?;
        let mut tick = interval(self.args.interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first one comes at once.
        tick.tick().await;
        let mut terminal = Terminal::open()?;
        let mut keys = keys();
        let mut screen = Screen::default();
        loop {
            let picture = self.picture(LISTED, screen.order);
            terminal
                .0
                .draw(|frame| draw(frame, &picture, &screen))
                .context("cannot draw on the terminal")?;
            drop(picture);
            tokio::select! {
                () = stop.requested() => return Ok(()),
                key = keys.recv() => match key {
                    Some(key) if screen.press(key) == Pressed::Other => {}
                    // The user quits, or the terminal is gone.
                    _ => return Ok(()),
                },
                _ = resized.recv() => {}
                _ = tick.tick() => if !screen.is_paused {
                    self.look()?;
                },
            }
        }
    }
}

/// The terminal, given back as it was when dropped; after a panic, too.
struct Terminal(DefaultTerminal);

impl Terminal {
    fn open() -> anyhow::Result<Self> {
        let opened = ratatui::try_init();
        if opened.is_err() {
            ratatui::restore();
        }
        Ok(Self(opened.context("cannot draw on the terminal")?))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Keys as they are pressed, from a thread that waits for them and ends with the process.
fn keys() -> mpsc::Receiver<KeyEvent> {
    let (sender, receiver) = mpsc::channel(16);
    thread::spawn(move || {
        while let Ok(event) = event::read() {
            let Some(key) = event.as_key_press_event() else {
                continue;
            };
            if sender.blocking_send(key).is_err() {
                return;
            }
        }
    });
    receiver
}
