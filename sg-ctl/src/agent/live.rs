//! Passes events on to readers on this host, and keeps the latest for those that come later.
//!
//! Nobody waits for a reader: one that falls behind what is kept finds numbers missing.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;
use sg_common::event::Record;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::host::live::{Greeting, push_frame};

/// Events that are kept: 7 MB.
const KEPT: usize = 32_768;
/// Events that are sent at a time.
const CHUNK: usize = 256;
/// How long readers may take for the last events when the agent ends.
const PATIENCE: Duration = Duration::from_secs(2);

/// The latest events, numbered.
#[derive(Debug)]
struct History {
    server: u64,
    first: u64,
    records: VecDeque<Record>,
}

impl History {
    fn next(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    fn push(&mut self, record: Record) {
        if self.records.len() == KEPT {
            self.records.pop_front();
            self.first += 1;
        }
        self.records.push_back(record);
    }

    /// Appends frames of the events from this number on; returns the number behind them.
    fn copy(&self, from: u64, frames: &mut Vec<u8>) -> u64 {
        let from = from.max(self.first);
        let skipped = (from - self.first) as usize;
        let chunk = self.records.iter().skip(skipped).take(CHUNK);
        let mut next = from;
        for record in chunk {
            push_frame(frames, next, record);
            next += 1;
        }
        next
    }
}

/// What all readers share.
#[derive(Clone, Debug)]
struct Shared(Arc<Mutex<History>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The latest events, and those who read them.
pub(super) struct Live {
    history: Shared,
    grown: watch::Sender<()>,
}

/// The socket that readers connect to, and those who have. Its file goes when this is dropped.
pub(super) struct Readers {
    listener: UnixListener,
    tasks: JoinSet<io::Result<()>>,
    /// How many there may be.
    most: usize,
    path: PathBuf,
    _lock: Flock<File>,
}

impl Live {
    pub(super) fn new() -> Self {
        let history = History {
            // Only to be another one than that of the agent before.
            server: getrandom::u64().unwrap_or_default(),
            first: 0,
            records: VecDeque::new(),
        };
        Self {
            history: Shared(Arc::new(Mutex::new(history))),
            grown: watch::Sender::new(()),
        }
    }

    /// Keeps an event. Readers hear of it when it is [announced](Self::announce).
    pub(super) fn push(&self, record: Record) {
        self.history.lock().push(record);
    }

    /// Lets readers know that there is more.
    pub(super) fn announce(&self) {
        self.grown.send_replace(());
    }
}

impl Readers {
    /// Listens for up to so many readers at a socket of this path, and creates its directory.
    ///
    /// # Errors
    /// When another agent serves there, or the socket cannot be made.
    pub(super) fn listen(path: &Path, most: usize) -> io::Result<Self> {
        let directory = path.parent().unwrap_or(path);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let lock = Flock::lock(File::open(directory)?, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| io::Error::from(errno))?;
        // Under its own name it is closed to others from the first moment on, and takes the place of
        // one that an agent left that was killed.
        let new = path.with_extension("new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&new)?;
        fs::set_permissions(&new, Permissions::from_mode(0o600))?;
        fs::rename(&new, path)?;
        Ok(Self {
            listener,
            tasks: JoinSet::new(),
            most,
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// The next one who may read; for ever when there is none.
    pub(super) async fn next(&self) -> UnixStream {
        let owner = geteuid().as_raw();
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) if is_trusted(&stream, owner) => return stream,
                Ok(_) => {}
                // Too many open files, and the like: it passes.
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Serves another one, if there are not too many.
    pub(super) fn add(&mut self, stream: UnixStream, live: &Live) {
        while self.tasks.try_join_next().is_some() {}
        if self.tasks.len() < self.most {
            let (history, grown) = (live.history.clone(), live.grown.subscribe());
            self.tasks.spawn(send(stream, history, grown));
        }
    }

    /// Lets readers have the last events.
    pub(super) async fn finish(mut self, live: Live) {
        drop(live);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        // Who has not read them by then has been too slow.
        let _ = timeout(PATIENCE, all).await;
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        // If it cannot be removed the next agent replaces it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether a reader is root, or whom the agent runs as.
fn is_trusted(stream: &UnixStream, owner: u32) -> bool {
    let peer = stream.peer_cred();
    peer.is_ok_and(|peer| may_read(peer.uid(), owner))
}

const fn may_read(uid: u32, owner: u32) -> bool {
    uid == 0 || uid == owner
}

/// Sends a reader what there is and what comes, until it goes or the agent ends.
async fn send(
    mut stream: UnixStream,
    history: Shared,
    mut grown: watch::Receiver<()>,
) -> io::Result<()> {
    let greeting = {
        let history = history.lock();
        Greeting {
            server: history.server,
            first: history.first,
            next: history.next(),
        }
    };
    stream.write_all(&greeting.to_bytes()).await?;
    let mut next = greeting.first;
    let mut frames = Vec::new();
    loop {
        grown.borrow_and_update();
        frames.clear();
        next = history.lock().copy(next, &mut frames);
        if !frames.is_empty() {
            stream.write_all(&frames).await?;
            continue;
        }
        let mut nothing = [0];
        tokio::select! {
            closed = grown.changed() => if closed.is_err() {
                // The agent ends; there may be more since the last look.
                return stream.write_all(&rest(&history, next)).await;
            },
            // Readers have nothing to say: it has gone.
            _ = stream.read(&mut nothing) => return Ok(()),
        }
    }
}

fn rest(history: &Shared, mut next: u64) -> Vec<u8> {
    let history = history.lock();
    let mut frames = Vec::new();
    while next < history.next() {
        next = history.copy(next, &mut frames);
    }
    frames
}

#[cfg(test)]
mod tests;
