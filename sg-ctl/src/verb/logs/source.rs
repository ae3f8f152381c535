//! Where events come from: the agent, if one runs here, else the kernel's buffer.

use std::io;

use anyhow::Context as _;
use sg_common::event::Record;
use sg_ctl::host::dataplane::{EventStream, EventWatch};
use sg_ctl::host::live::{LiveEvents, Place, is_served};
use sg_ctl::host::paths::Paths;
use sg_ctl::host::{Host, HostError};

/// A source of events.
pub(crate) enum Source {
    /// The agent, which keeps them for others, too.
    Agent(LiveEvents),
    /// The kernel's buffer, out of which they are taken.
    Ring(EventStream),
}

impl Source {
    /// The source of this moment, with an agent from this place on.
    pub(crate) fn open(host: &Host, paths: &Paths, after: Option<Place>) -> anyhow::Result<Self> {
        // Asked first, for without programs there is nothing to wait for.
        host.dataplane().programs().map_err(HostError::from)?;
        let agent = LiveEvents::connect(&paths.events(), after);
        if let Some(events) = agent.context("cannot read the events of the agent")? {
            return Ok(Self::Agent(events));
        }
        Ok(Self::Ring(host.events()?))
    }

    /// Something to wait for events with.
    pub(crate) fn watch(&self) -> io::Result<EventWatch> {
        match self {
            Self::Agent(events) => events.watch(),
            Self::Ring(events) => events.watch(),
        }
    }

    /// Hands the next event to `keep`, `None` when there is none yet. It stays in the kernel's buffer
    /// when that fails.
    pub(crate) fn take_with<E>(
        &mut self,
        keep: impl FnOnce(&Record) -> Result<(), E>,
    ) -> Result<Option<()>, E> {
        match self {
            Self::Agent(events) => events.next().map(|record| keep(&record)).transpose(),
            Self::Ring(events) => events.take_with(keep),
        }
    }

    /// How far it has been read, if it is an agent's.
    pub(crate) const fn place(&self) -> Option<Place> {
        match self {
            Self::Agent(events) => Some(events.place()),
            Self::Ring(_) => None,
        }
    }

    /// Events that came too fast.
    pub(crate) const fn missed(&self) -> u64 {
        match self {
            Self::Agent(events) => events.lost(),
            Self::Ring(_) => 0,
        }
    }

    /// Whether the agent has ended.
    pub(crate) const fn has_ended(&self) -> bool {
        matches!(self, Self::Agent(events) if events.is_over())
    }

    /// Whether an agent has begun, which needs the events that are still in the buffer.
    pub(crate) fn gives_way(&self, paths: &Paths) -> bool {
        matches!(self, Self::Ring(_)) && is_served(&paths.events())
    }
}
