//! The agent: keeps this host as rule files say, and tells what happens on it.
//!
//! It enforces nothing: the kernel does, and goes on when the agent ends. It applies rule files when
//! they change, attaches interfaces as they come, follows addresses, writes flow records and metrics.
//! All on one thread, one thing after another, but for metrics, which are read on another; each change
//! is an operation of [`host`](crate::host).

mod apply;
mod descriptors;
mod error;
mod events;
mod files;
mod http;
mod intake;
mod interfaces;
mod live;
mod metrics;
mod notice;
mod recorder;
mod records;
mod table;
mod vpc;
mod wake;

use std::collections::BTreeMap;
use std::error::Error as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

pub use error::AgentError;
pub use interfaces::Attaching;
pub use notice::Notice;
pub use recorder::{FlowLog, FlowLogTarget};

use crate::host::dataplane::LinkWatch;
use crate::host::paths::Paths;
use crate::host::{Host, HostError};
use error::system;
use events::newcomer;
use files::RuleFiles;
use http::MetricsServer;
use intake::Intake;
use interfaces::{Interfaces, is_busy};
use live::Readers;
use metrics::{Own, Tallies};
use recorder::Recorder;
use table::TableWatch;
use vpc::{Vpc, VpcEvent};
use wake::{Signals, at, next, systemd, watch_files};

/// How often it is looked whether other programs are to be read from; systemd's watchdog is told as
/// often that all is well.
const TICK: Duration = Duration::from_secs(1);
/// How long interfaces must be left alone before they are looked at: they come with several messages.
const SETTLE: Duration = Duration::from_millis(100);
/// How long to wait for another sg-ctl that is changing the host.
const BUSY: Duration = Duration::from_secs(1);

/// How often everything is looked at that nobody told has changed: links that others take off, files
/// behind mounts.
const RECHECK: Duration = Duration::from_secs(30);

/// What the agent is to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// State and pins.
    pub paths: Paths,
    /// Rule files; none leaves the rules in force.
    pub files: Vec<PathBuf>,
    /// Interfaces to attach beside those that the rule files name.
    pub attaching: Attaching,
    /// Flow records, if they are wanted.
    pub flow_log: Option<FlowLog>,
    /// Where to serve metrics.
    pub metrics: Option<SocketAddr>,
}

/// Runs until SIGTERM or SIGINT. `tell` is called with everything that happens.
///
/// # Errors
/// When the rule files are wrong at the beginning, or what was asked for cannot be had: a port, a
/// file, the events. Later errors are told, and the agent goes on.
///
/// # Panics
/// Outside a tokio runtime with I/O and time.
pub async fn run(options: Options, tell: &mut dyn FnMut(&Notice<'_>)) -> Result<(), AgentError> {
    let clients = descriptors::raise();
    let mut signals = Signals::new()?;
    // Watching begins first, so that nothing happens unseen.
    let mut touched = watch_files(&options.files)?;
    let links = LinkWatch::open().map_err(system("watch the interfaces"))?;
    let server = match options.metrics {
        Some(address) => Some(MetricsServer::bind(address, clients).await?),
        None => None,
    };
    let (vpc, mut events) = Vpc::new(options.paths.clone());
    let mut agent = Agent {
        files: RuleFiles::new(options.files),
        interfaces: Interfaces::new(options.attaching),
        intake: Intake::new(),
        taken_since: None,
        paths: options.paths,
        tallies: Tallies::default(),
        own: watch::Sender::default(),
        reload_at: None,
        follow_at: None,
        table: TableWatch::new(),
        vpc,
        failures: BTreeMap::new(),
        refusal: None,
        tell,
    };
    let mut readers = agent.listen(clients);
    agent.record(options.flow_log).await?;
    agent.begin()?;
    let mut unread = server.map(|server| agent.expose(server)).transpose()?;
    systemd(&[NotifyState::Ready]);
    agent
        .serve(
            &mut signals,
            &mut touched,
            &links,
            (&mut unread, &mut events, &mut readers),
        )
        .await?;
    systemd(&[NotifyState::Stopping]);
    agent.close_window();
    if let Some(readers) = readers {
        readers.finish(agent.intake.live).await;
    }
    Ok(())
}

struct Agent<'t> {
    paths: Paths,
    files: RuleFiles,
    interfaces: Interfaces,
    /// Takes the events, and records flows.
    intake: Intake,
    /// Since when another process has the events.
    taken_since: Option<Instant>,
    tallies: Tallies,
    /// What whoever reads the metrics gets to know of this agent.
    own: watch::Sender<Own>,
    /// When to read the rule files again.
    reload_at: Option<Instant>,
    /// When to look at the interfaces again.
    follow_at: Option<Instant>,
    table: TableWatch,
    /// The VPC that this host belongs to.
    vpc: Vpc,
    /// The latest failure of each action, so that one that lasts is told once.
    failures: BTreeMap<&'static str, String>,
    /// Why the rule files are not in force, if they are not.
    refusal: Option<String>,
    tell: &'t mut dyn FnMut(&Notice<'_>),
}

impl Agent<'_> {
    /// The host, opened anew: other processes may have removed what an older one has open.
    fn host(&self) -> Result<Host, AgentError> {
        Ok(Host::open(&self.paths)?)
    }

    /// Does once what later happens on occasion.
    fn begin(&mut self) -> Result<(), AgentError> {
        self.look_at_vpc();
        if let Err(error) = self.apply()
            && !self.is_put_off(&error)
        {
            // What was guarded before is to be looked after. Else somebody begins, and is told at once.
            let state = self.host().and_then(|host| Ok(host.state()?));
            if !state.is_ok_and(|state| !state.attachments.is_empty()) {
                return Err(error);
            }
            self.refused(&error);
        }
        self.follow();
        Ok(())
    }

    async fn serve(
        &mut self,
        signals: &mut Signals,
        touched: &mut Option<mpsc::Receiver<()>>,
        links: &LinkWatch,
        (unread, events, readers): (
            &mut Option<mpsc::Receiver<HostError>>,
            &mut mpsc::Receiver<VpcEvent>,
            &mut Option<Readers>,
        ),
    ) -> Result<(), AgentError> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut recheck = interval_at(Instant::now() + RECHECK, RECHECK);
        recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let window = self.intake.recorder.as_ref().map(Recorder::window);
        let mut window_end = window.map(|window| Instant::now() + window);
        loop {
            let is_more = self.read_events();
            self.publish();
            tokio::select! {
                biased;
                _ = signals.terminate.recv() => return Ok(()),
                _ = signals.interrupt.recv() => return Ok(()),
                _ = signals.hangup.recv() => {
                    self.files.forget();
                    self.refusal = None;
                    self.reload();
                }
                () = next(touched) => {
                    self.refusal = None;
                    self.reload();
                }
                () = at(self.reload_at) => self.reload(),
                changed = links.changed() => {
                    changed.map_err(system("watch the interfaces"))?;
                    self.follow_within(SETTLE);
                }
                Some(event) = events.recv() => self.take_event(event),
                error = next(unread) => self.failed("read metrics", &error.into()),
                reader = newcomer(readers.as_ref()) => self.add_reader(readers.as_mut(), reader),
                _ = tick.tick() => self.tick(),
                () = at(window_end) => {
                    self.close_window();
                    window_end = window.map(|window| Instant::now() + window);
                }
                // Behind all that must not wait for it: many interfaces take several turns.
                () = at(self.follow_at) => self.follow(),
                _ = recheck.tick() => self.recheck(),
                // Readers have their turn meanwhile.
                () = tokio::task::yield_now(), if is_more => {}
                ready = self.intake.readable() => ready.map_err(system("wait for events"))?,
            }
        }
    }

    /// Looks at everything, without saying again what is known.
    fn recheck(&mut self) {
        if self.reload_at.is_none() && !self.files.is_as_refused() {
            self.reload();
        }
        self.follow();
    }

    /// Looks at the interfaces again after this time, if not earlier.
    fn follow_within(&mut self, time: Duration) {
        let then = Instant::now() + time;
        self.follow_at = Some(self.follow_at.map_or(then, |at| at.min(then)));
    }

    /// Attaches what is to be attached, and follows addresses.
    fn follow(&mut self) {
        self.follow_at = None;
        let Self {
            interfaces,
            tallies,
            tell,
            ..
        } = self;
        let mut count = |notice: &Notice<'_>| {
            match notice {
                Notice::Attached { .. } => tallies.attaches += 1,
                Notice::NotAttached { .. } => tallies.attach_errors += 1,
                _ => {}
            }
            tell(notice);
        };
        let followed = Host::open(&self.paths)
            .map_err(AgentError::from)
            .and_then(|mut host| interfaces.follow(&mut host, &mut count));
        let now = Instant::now();
        if followed.is_ok() {
            self.succeeded("follow the interfaces");
        }
        self.follow_at = match followed {
            Ok(false) => self.interfaces.next_look(),
            Ok(true) => Some(now),
            Err(AgentError::Host(error)) if is_busy(&error) => Some(now + BUSY),
            // The next recheck tries again.
            Err(error) => {
                self.failed("follow the interfaces", &error);
                None
            }
        };
        // Events of new programs are read from now on.
        self.take_events();
        self.vpc.poke();
    }

    fn tick(&mut self) {
        systemd(&[NotifyState::Watchdog]);
        self.look_at_vpc();
        self.look_at_trial();
        self.take_events();
        self.look_at_table();
    }

    /// Serves metrics; why they could not be read comes by the receiver.
    fn expose(&self, server: MetricsServer) -> Result<mpsc::Receiver<HostError>, AgentError> {
        let (sender, unread) = mpsc::channel(1);
        let paths = self.paths.clone();
        server.start(self.own.subscribe(), move |own| {
            let host = Host::open(&paths);
            let text = host.and_then(|host| metrics::exposition(&host, own));
            // What lasts is told once: one of several is enough.
            text.map_err(|error| drop(sender.try_send(error))).ok()
        })?;
        Ok(unread)
    }

    /// Shows what it counts, and the VPC, to whoever reads the metrics.
    fn publish(&self) {
        self.own.send_if_modified(|own| {
            let is_new = own.tallies != self.tallies || own.health != self.vpc.health;
            if is_new {
                own.tallies = self.tallies;
                own.health.clone_from(&self.vpc.health);
            }
            is_new
        });
    }

    fn failed(&mut self, action: &'static str, error: &AgentError) {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            text = format!("{text}: {next}");
            cause = next.source();
        }
        if self.failures.insert(action, text.clone()) != Some(text) {
            (self.tell)(&Notice::Failed { action, error });
        }
    }

    /// What failed does not any more: if it fails again, that is told again.
    fn succeeded(&mut self, action: &str) {
        self.failures.remove(action);
    }
}
