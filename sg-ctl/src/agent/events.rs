//! The agent's part as the one reader of events.

use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

use super::intake::{Intake, is_taken};
use super::live::Readers;
use super::recorder::Recorder;
use super::{Agent, AgentError, FlowLog, http};
use crate::host::Host;

/// How long others may have the events: `logs -f` gives way when it sees the socket.
const TAKEN: Duration = Duration::from_secs(20);
/// How often they are tried for.
const AGAIN: Duration = Duration::from_millis(100);

impl Agent<'_> {
    /// Listens for readers of events.
    pub(super) fn listen(&mut self, clients: usize) -> Option<Readers> {
        let path = self.paths.events();
        match Readers::listen(&path, http::left_of(clients)) {
            Ok(readers) => Some(readers),
            Err(source) => {
                self.failed("serve events", &AgentError::Events { path, source });
                None
            }
        }
    }

    /// Opens the flow log, and has the events from then on.
    pub(super) async fn record(&mut self, flow_log: Option<FlowLog>) -> Result<(), AgentError> {
        let Some(log) = flow_log else {
            return Ok(());
        };
        let patience = Instant::now() + TAKEN;
        loop {
            match self.intake.tick(&self.host()?) {
                Err(error) if is_taken(&error) && Instant::now() < patience => {
                    sleep(AGAIN).await;
                }
                taken => break taken?,
            }
        }
        match log.target.check() {
            // No reason not to begin: it may be renamed before the first window ends.
            Err(full @ AgentError::FlowLogFull { .. }) => self.failed("write flow records", &full),
            checked => checked?,
        }
        self.intake.recorder = Some(Recorder::open(log, self.paths.clone())?);
        Ok(())
    }

    /// Sees to it that events are taken. Whoever has them has a while to give way.
    pub(super) fn take_events(&mut self) {
        let host = self.host();
        match host.and_then(|host| self.intake.tick(&host)) {
            Ok(()) => self.taken_since = None,
            Err(error) => {
                let since = *self.taken_since.get_or_insert_with(Instant::now);
                if !is_taken(&error) || since.elapsed() > TAKEN {
                    self.failed("read events", &error);
                }
            }
        }
    }

    /// Reads events; returns whether there are more.
    pub(super) fn read_events(&mut self) -> bool {
        match self.intake.read() {
            Ok(is_more) => is_more,
            Err(error) => {
                self.failed("read events", &error);
                false
            }
        }
    }

    /// Serves a reader, who finds everything that happened before it came.
    pub(super) fn add_reader(&mut self, readers: Option<&mut Readers>, stream: UnixStream) {
        if let Err(error) = self.intake.drain() {
            self.failed("read events", &error);
        }
        if let Some(readers) = readers {
            readers.add(stream, &self.intake.live);
        }
    }

    pub(super) fn close_window(&mut self) {
        let written = self.with_host("write flow records", |intake, host| {
            intake.drain()?;
            let recorder = intake.recorder.as_mut();
            recorder.map_or(Ok(0), |recorder| recorder.close(host))
        });
        self.tallies.flow_records += written.unwrap_or(0);
        let recorder = self.intake.recorder.as_ref();
        self.tallies.flow_log_errors = recorder.map_or(0, Recorder::unwritten);
    }

    fn with_host<T>(
        &mut self,
        action: &'static str,
        work: impl FnOnce(&mut Intake, &Host) -> Result<T, AgentError>,
    ) -> Option<T> {
        let host = self.host();
        match host.and_then(|host| work(&mut self.intake, &host)) {
            Ok(done) => {
                self.succeeded(action);
                Some(done)
            }
            Err(error) => {
                self.failed(action, &error);
                None
            }
        }
    }
}

/// Waits for a reader of events; for ever without a socket.
pub(super) async fn newcomer(readers: Option<&Readers>) -> UnixStream {
    match readers {
        Some(readers) => readers.next().await,
        None => std::future::pending().await,
    }
}
