//! The latest drops, as the agent passes them on.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use sg_common::event::Event;
use sg_common::reason::{Reason, Verdict};
use sg_ctl::host::live::{LiveEvents, Place};

/// Drops that are kept.
const KEPT: usize = super::LISTED;
/// How long the agent may take for what it has kept.
const PATIENCE: Duration = Duration::from_secs(5);

/// The latest drops. A thread reads along, so that the agent's events do not wait for the next picture.
#[derive(Default)]
pub(crate) struct Drops(Arc<Mutex<Latest>>);

#[derive(Default)]
struct Latest {
    /// Oldest first.
    drops: VecDeque<Event>,
    /// The only zone that is wanted, if not all are.
    only: Option<u32>,
    place: Option<Place>,
    is_connected: bool,
    is_caught_up: bool,
    /// Events that came too fast, of connections that have ended and of this one.
    missed: (u64, u64),
}

impl Drops {
    /// Reads along from now on, and what the agent has kept, if there is an agent and it is not read
    /// along yet. Drops of one zone are wanted, or of all.
    ///
    /// # Errors
    /// When the agent cannot be spoken to.
    pub(crate) fn follow(&self, path: &Path, only: Option<u32>) -> io::Result<()> {
        let place = {
            let mut latest = lock(&self.0);
            latest.only = only;
            if latest.is_connected {
                return Ok(());
            }
            latest.place
        };
        if let Some(events) = LiveEvents::connect(path, place)? {
            let mut latest = lock(&self.0);
            latest.is_connected = true;
            latest.is_caught_up = false;
            let shared = Arc::clone(&self.0);
            thread::spawn(move || read(events, &shared));
        }
        Ok(())
    }

    /// The latest drops, the latest first, and how many events came too fast; `None` without an agent.
    pub(crate) fn latest(&self, limit: usize) -> Option<(Vec<Event>, u64)> {
        let patience = Instant::now() + PATIENCE;
        loop {
            let latest = lock(&self.0);
            if !latest.is_connected {
                return None;
            }
            if latest.is_caught_up || Instant::now() > patience {
                let drops = latest.drops.iter().rev().take(limit).copied();
                return Some((drops.collect(), latest.missed.0 + latest.missed.1));
            }
            drop(latest);
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn lock(shared: &Mutex<Latest>) -> MutexGuard<'_, Latest> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads until the agent ends.
fn read(mut events: LiveEvents, shared: &Mutex<Latest>) {
    loop {
        let mut latest = lock(shared);
        for event in events.by_ref().map(|record| record.event) {
            let is_wanted = latest.only.is_none_or(|zone| zone == u32::from(event.zone));
            if is_drop(&event) && is_wanted {
                if latest.drops.len() == KEPT {
                    latest.drops.pop_front();
                }
                latest.drops.push_back(event);
            }
        }
        latest.place = Some(events.place());
        latest.missed.1 = events.lost();
        latest.is_caught_up |= events.is_caught_up();
        if events.is_over() {
            latest.missed = (latest.missed.0 + latest.missed.1, 0);
            latest.is_connected = false;
            return;
        }
        drop(latest);
        if events.wait().is_err() {
            lock(shared).is_connected = false;
            return;
        }
    }
}

fn is_drop(event: &Event) -> bool {
    Reason::from_code(event.reason).is_none_or(|reason| reason.verdict() == Verdict::Drop)
}
