//! Takes events out of the kernel's buffer: for flow records, and for readers on this host.

use std::collections::BTreeMap;
use std::io;

use super::AgentError;
use super::error::system;
use super::live::Live;
use super::recorder::Recorder;
use crate::host::dataplane::{EventStream, EventWatch};
use crate::host::{Host, HostError, loaded};

/// Events that are read before anything else gets its turn.
const TURN: usize = 4096;
/// Events that the kernel's buffer can hold, and more: 8 MiB of 216 bytes each.
const BUFFERED: usize = 40_960;

/// Reading from the programs that are attached now.
struct Session {
    events: EventStream,
    watch: EventWatch,
    /// A program of each zone, to know when others are attached.
    programs: BTreeMap<u32, u32>,
}

/// Whoever takes the events, and where they go.
pub(super) struct Intake {
    session: Option<Session>,
    pub(super) live: Live,
    pub(super) recorder: Option<Recorder>,
}

impl Intake {
    pub(super) fn new() -> Self {
        Self {
            session: None,
            live: Live::new(),
            recorder: None,
        }
    }

    /// Waits for events; for ever while there is nothing to read from.
    pub(super) async fn readable(&self) -> io::Result<()> {
        match &self.session {
            Some(session) => session.watch.readable().await,
            None => std::future::pending().await,
        }
    }

    /// Reads events; returns whether there are more.
    ///
    /// # Errors
    /// When names cannot be read.
    pub(super) fn read(&mut self) -> Result<bool, AgentError> {
        let Some(session) = &mut self.session else {
            return Ok(false);
        };
        let mut count = 0;
        let mut result = Ok(());
        for record in session.events.by_ref().take(TURN) {
            count += 1;
            self.live.push(record);
            if let Some(recorder) = &mut self.recorder {
                result = result.and(recorder.event(&record.event));
            }
        }
        if count > 0 {
            self.live.announce();
        }
        result.map(|()| count == TURN)
    }

    /// Reads what has come so far: not more than the buffer holds, for a flood does not end.
    ///
    /// # Errors
    /// When names cannot be read.
    pub(super) fn drain(&mut self) -> Result<(), AgentError> {
        for _ in 0..BUFFERED.div_ceil(TURN) {
            if !self.read()? {
                break;
            }
        }
        Ok(())
    }

    /// Looks whether other programs are to be read from. To be called about once a second.
    ///
    /// # Errors
    /// When the kernel cannot be asked, or another process reads the events.
    pub(super) fn tick(&mut self, host: &Host) -> Result<(), AgentError> {
        let programs = host.programs()?;
        if let Some(recorder) = &mut self.recorder {
            recorder.tick();
        }
        let is_current = |session: &Session| session.programs == programs;
        if self.session.as_ref().is_some_and(is_current) {
            return Ok(());
        }
        self.drain()?;
        // The lock of the old one must go before the new one is asked for.
        self.session = None;
        if let Some(recorder) = &mut self.recorder {
            recorder.learn_names(host)?;
        }
        match self.open(host, programs) {
            Err(error) => {
                if let Some(recorder) = &mut self.recorder {
                    recorder.miss();
                }
                Err(error)
            }
            opened => opened,
        }
    }

    fn open(&mut self, host: &Host, programs: BTreeMap<u32, u32>) -> Result<(), AgentError> {
        let Some(events) = loaded(host.dataplane().events())? else {
            return Ok(());
        };
        let watch = events.watch().map_err(system("wait for events"))?;
        self.session = Some(Session {
            events,
            watch,
            programs,
        });
        Ok(())
    }
}

/// Whether another process reads the events, and may soon give way.
pub(super) fn is_taken(error: &AgentError) -> bool {
    use crate::host::dataplane::DataplaneError;
    matches!(
        error,
        AgentError::Host(HostError::Dataplane(DataplaneError::EventsTaken))
    )
}
