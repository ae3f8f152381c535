//! What is wanted, on disk, written in two phases.
//!
//! ```text
//! state.json           the state in force
//! state.next.json      the state that an operation is bringing into force
//! state.previous.json  the state before the rules last changed
//! lock                 held by whoever writes
//! ```
//!
//! An operation writes the next state, changes the kernel, and renames the next state to the state.
//! When it changes rules, the old state gets a second name before (`state.old.json`), which becomes
//! that of the previous state afterwards: wherever that is cut short, nothing is lost.
//! Whoever finds a next state without an operation finishes it or takes it back: the generation of
//! the image in the kernel tells which (see [`host`](crate::host)).

mod error;
mod mark;
mod record;
mod trial;
mod wanted;

use std::cell::RefCell;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

pub use error::StateError;
pub use mark::FileMark;
pub use record::{AttachmentRecord, Detached, Isolation, Overrides, SshPeer};
pub use wanted::{RulesBefore, State, VpcTrial};

use crate::host::crash::{CrashPoint, reach};

/// Version of the files' format.
const FORMAT: u32 = 1;

/// How long the lock is waited for: operations take a fraction of a second.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the files hold.
#[derive(Serialize, Deserialize)]
struct Stored<S> {
    /// Version of the rest.
    format: u32,
    /// The state.
    state: S,
}

/// The state directory, for reading.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// The state directory at `path`. Touches nothing.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    fn current(&self) -> PathBuf {
        self.path.join("state.json")
    }

    fn next(&self) -> PathBuf {
        self.path.join("state.next.json")
    }

    /// The old state, from before the next one becomes the state until it is the previous one.
    fn old(&self) -> PathBuf {
        self.path.join("state.old.json")
    }

    /// The file of the [previous](StateDir::previous) state.
    fn kept(&self) -> PathBuf {
        self.path.join("state.previous.json")
    }

    /// The state in force; an empty one if there never was any.
    ///
    /// # Errors
    /// When the file cannot be read or is not a state.
    pub fn load(&self) -> Result<State, StateError> {
        let path = self.current();
        if let Some(state) = self.mark().and_then(|mark| mark::remembered(&path, mark)) {
            return Ok(state);
        }
        let Some((state, mark)) = read(&path)? else {
            return Ok(State::default());
        };
        mark::remember(&path, mark, state.clone());
        Ok(state)
    }

    /// The state before the rules last changed, `None` when they never have.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn previous(&self) -> Result<Option<State>, StateError> {
        Ok(read(&self.kept())?.map(|(state, _)| state))
    }

    /// Whether an operation is under way, or was interrupted.
    pub fn is_pending(&self) -> bool {
        self.next().exists()
    }

    /// Whether an operation was interrupted: it is pending, and nobody is working on it.
    pub fn is_interrupted(&self) -> bool {
        let is_left = || self.is_pending() && !self.is_locked();
        // In between another one may have begun.
        is_left() && is_left()
    }

    /// Whether a process has the right to change the state.
    fn is_locked(&self) -> bool {
        File::open(self.lock_path()).is_ok_and(|file| {
            let shared = Flock::lock(file, FlockArg::LockSharedNonblock);
            matches!(shared, Err((_, Errno::EWOULDBLOCK)))
        })
    }

    fn lock_path(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// Takes the lock that writing needs, creating the directory. Waits up to [`PATIENCE`] for an
    /// operation that is under way.
    ///
    /// # Errors
    /// [`StateError::Locked`] when another process goes on holding it.
    pub fn lock(&self) -> Result<StateLock, StateError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
            .map_err(io_error("create", &self.path))?;
        let path = self.lock_path();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(&path)
            .map_err(io_error("open", &path))?;
        let mut file = lock_file(file, &path)?;
        let mut write_pid = || -> io::Result<()> {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        // The number is for the message above; on a full disk the lock must do without it.
        let _ = write_pid();
        Ok(StateLock {
            directory: self.clone(),
            prepared: RefCell::default(),
            _lock: file,
        })
    }
}

/// The right to change the state, until it is dropped.
#[derive(Debug)]
pub struct StateLock {
    directory: StateDir,
    /// What was written by this process and is not the state yet.
    prepared: RefCell<Option<State>>,
    _lock: Flock<File>,
}

impl StateLock {
    /// The state that an operation left unfinished.
    ///
    /// # Errors
    /// When the file cannot be read. A damaged one is removed: writing it was not finished, so
    /// nothing has been done yet.
    pub fn pending(&self) -> Result<Option<State>, StateError> {
        match read(&self.directory.next()) {
            Err(StateError::Damaged { .. }) => self.discard().map(|()| None),
            Ok(None) => self.finish_keeping().map(|()| None),
            result => Ok(result?.map(|(state, _)| state)),
        }
    }

    /// Writes the state that is to come into force.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn prepare(&self, next: &State) -> Result<(), StateError> {
        let path = self.directory.next();
        let write = || -> io::Result<()> {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .custom_flags(nix::libc::O_NOFOLLOW)
                .open(&path)?;
            reach(CrashPoint::NextCreated);
            let stored = Stored {
                format: FORMAT,
                state: next,
            };
            let mut writer = BufWriter::with_capacity(1 << 16, file);
            serde_json::to_writer(&mut writer, &stored)?;
            writer.into_inner()?.sync_all()
        };
        write().map_err(io_error("write", &path))?;
        self.prepared.replace(Some(next.clone()));
        self.sync()?;
        reach(CrashPoint::NextWritten);
        Ok(())
    }

    /// Writes the state over the old one, without a second file: where there is no room for one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn overwrite(&self, state: &State) -> Result<(), StateError> {
        let path = self.directory.current();
        let write = || -> io::Result<()> {
            let stored = Stored {
                format: FORMAT,
                state,
            };
            let bytes = serde_json::to_vec(&stored).map_err(io::Error::other)?;
            let mut file = OpenOptions::new()
                .write(true)
                .custom_flags(nix::libc::O_NOFOLLOW)
                .open(&path)?;
            file.write_all(&bytes)?;
            file.set_len(bytes.len() as u64)?;
            file.sync_all()
        };
        write().map_err(io_error("write", &path))
    }

    /// Makes the prepared state the state; the old one becomes the [previous](StateDir::previous) one
    /// when `keeps_old`.
    ///
    /// # Errors
    /// When a file cannot be linked or renamed.
    pub fn commit(&self, keeps_old: bool) -> Result<(), StateError> {
        let (next, current, old) = (
            self.directory.next(),
            self.directory.current(),
            self.directory.old(),
        );
        if keeps_old {
            remove(&old)?;
            match std::fs::hard_link(&current, &old) {
                // The first state has none before it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => result.map_err(io_error("link", &old))?,
            }
            reach(CrashPoint::OldLinked);
        }
        std::fs::rename(next, &current).map_err(io_error("replace", &current))?;
        reach(CrashPoint::StateRenamed);
        self.directory.remember(self.prepared.take());
        self.finish_keeping()?;
        self.sync()?;
        reach(CrashPoint::Committed);
        Ok(())
    }

    /// Makes the old state the previous one, if there is an old one.
    fn finish_keeping(&self) -> Result<(), StateError> {
        let kept = self.directory.kept();
        match std::fs::rename(self.directory.old(), &kept) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(io_error("replace", &kept)),
        }
    }

    /// Forgets the prepared state.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn discard(&self) -> Result<(), StateError> {
        self.prepared.take();
        // First: without a next state the old one would be taken for the previous one.
        remove(&self.directory.old())?;
        reach(CrashPoint::OldForgotten);
        remove(&self.directory.next())
    }

    /// Puts a damaged state aside, so that the next one begins empty.
    ///
    /// # Errors
    /// When the file cannot be renamed.
    pub fn put_aside(&self) -> Result<(), StateError> {
        let current = self.directory.current();
        let aside = self.directory.path.join("state.damaged.json");
        std::fs::rename(&current, aside).map_err(io_error("rename", &current))?;
        self.sync()
    }

    /// Makes renames and new files outlive a power failure.
    fn sync(&self) -> Result<(), StateError> {
        let path = &self.directory.path;
        File::open(path)
            .and_then(|directory| directory.sync_all())
            .map_err(io_error("write", path))
    }
}

/// Removes a file, which may be gone already.
fn remove(path: &Path) -> Result<(), StateError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(io_error("remove", path)),
    }
}

/// A state, and what tells its file from others.
fn read(path: &Path) -> Result<Option<(State, FileMark)>, StateError> {
    #[derive(Deserialize)]
    struct Header {
        format: u32,
    }
    let read = || -> io::Result<(Vec<u8>, FileMark)> {
        let mut file = File::open(path)?;
        // Before the rest: what is overwritten meanwhile has another mark.
        let mark = FileMark::of(&file.metadata()?);
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok((bytes, mark))
    };
    let (bytes, mark) = match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(io_error("read", path))?,
    };
    let damaged = |source| StateError::Damaged {
        path: path.to_owned(),
        source,
    };
    let result = serde_json::from_slice::<Stored<State>>(&bytes);
    if let Ok(Stored {
        format: FORMAT,
        state,
    }) = result
    {
        return Ok(Some((state, mark)));
    }
    // What another version wrote may look like damage.
    let Header { format } = serde_json::from_slice(&bytes).map_err(damaged)?;
    if format != FORMAT {
        return Err(StateError::Format {
            path: path.to_owned(),
            found: format,
        });
    }
    result
        .map(|stored| Some((stored.state, mark)))
        .map_err(damaged)
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    move |source| StateError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Locks the lock file, or says who holds it.
fn lock_file(mut file: File, path: &Path) -> Result<Flock<File>, StateError> {
    let begin = Instant::now();
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => return Ok(locked),
            Err((back, Errno::EWOULDBLOCK)) if begin.elapsed() < PATIENCE => {
                file = back;
                thread::sleep(PATIENCE / 40);
            }
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let mut pid = String::new();
                // Without its number the message is still true.
                let _ = file.read_to_string(&mut pid);
                return Err(StateError::Locked {
                    pid: pid.trim().parse().ok(),
                });
            }
            Err((_, errno)) => return Err(io_error("lock", path)(errno.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A state directory that goes when the test ends.
    fn scratch() -> (tempfile::TempDir, StateDir) {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::new(&directory.path().join("state"));
        (directory, state)
    }

    fn generation(generation: u64) -> State {
        State {
            generation,
            ..State::default()
        }
    }

    #[test]
    fn a_new_directory_holds_an_empty_state() {
        let (_guard, directory) = scratch();
        assert_eq!(directory.load().unwrap(), State::default());
        assert_eq!(directory.lock().unwrap().pending().unwrap(), None);
    }

    #[test]
    fn a_state_from_before_there_were_owners_is_read() {
        let (_guard, directory) = scratch();
        let lock = directory.lock().unwrap();
        lock.prepare(&State::default()).unwrap();
        lock.commit(false).unwrap();
        let text = std::fs::read_to_string(directory.current()).unwrap();
        assert!(!text.contains("owners"), "{text}");
        assert_eq!(directory.load().unwrap(), State::default());
        let mark = directory.mark();
        lock.prepare(&generation(1)).unwrap();
        lock.commit(false).unwrap();
        assert_ne!(directory.mark(), mark);
    }

    #[test]
    fn what_is_remembered_gives_way_to_what_another_process_wrote() {
        let (_guard, directory) = scratch();
        let lock = directory.lock().unwrap();
        lock.prepare(&generation(1)).unwrap();
        lock.commit(false).unwrap();
        let read = || {
            let (state, mark) = read(&directory.current()).unwrap().unwrap();
            (state, Some(mark))
        };
        assert_eq!(read(), (directory.load().unwrap(), directory.mark()));
        // As long as the one before.
        let text = std::fs::read_to_string(directory.current()).unwrap();
        let other = text.replace("\"generation\":1", "\"generation\":2");
        let aside = directory.path.join("aside");
        std::fs::write(&aside, other).unwrap();
        std::fs::rename(&aside, directory.current()).unwrap();
        assert_eq!(directory.load().unwrap(), generation(2));
        assert_eq!(read(), (directory.load().unwrap(), directory.mark()));
    }

    #[test]
    fn the_state_changes_at_commit_only() {
        let (_guard, directory) = scratch();
        let lock = directory.lock().unwrap();
        lock.prepare(&generation(1)).unwrap();
        assert_eq!(directory.load().unwrap(), State::default());
        assert_eq!(lock.pending().unwrap(), Some(generation(1)));
        lock.commit(false).unwrap();
        assert_eq!(directory.load().unwrap(), generation(1));
        assert_eq!(lock.pending().unwrap(), None);
        lock.prepare(&generation(2)).unwrap();
        lock.discard().unwrap();
        assert!(!directory.is_pending());
        assert_eq!(directory.load().unwrap(), generation(1));
    }

    #[test]
    fn the_previous_state_is_that_before_the_rules_changed() {
        let (_guard, directory) = scratch();
        let lock = directory.lock().unwrap();
        let change = |number, keeps_old| {
            lock.prepare(&generation(number)).unwrap();
            lock.commit(keeps_old).unwrap();
            lock.directory
                .previous()
                .unwrap()
                .map(|state| state.generation)
        };
        assert_eq!(change(1, true), None, "there was none before");
        assert_eq!(change(2, true), Some(1));
        assert_eq!(change(3, false), Some(1));
        assert_eq!(change(4, true), Some(3));
    }

    #[test]
    fn keeping_the_old_state_may_be_cut_short_anywhere() {
        let (_guard, directory) = scratch();
        let lock = directory.lock().unwrap();
        let previous = || {
            lock.directory
                .previous()
                .unwrap()
                .map(|state| state.generation)
        };
        for number in [1, 2] {
            lock.prepare(&generation(number)).unwrap();
            lock.commit(true).unwrap();
        }
        // After the link: the next state is there still, and is finished or taken back.
        lock.prepare(&generation(3)).unwrap();
        std::fs::hard_link(directory.current(), directory.old()).unwrap();
        assert_eq!(lock.pending().unwrap(), Some(generation(3)));
        lock.discard().unwrap();
        assert_eq!((lock.pending().unwrap(), previous()), (None, Some(1)));
        lock.prepare(&generation(3)).unwrap();
        std::fs::hard_link(directory.current(), directory.old()).unwrap();
        lock.commit(true).unwrap();
        assert_eq!(previous(), Some(2));
        // After the state was replaced.
        lock.prepare(&generation(4)).unwrap();
        std::fs::hard_link(directory.current(), directory.old()).unwrap();
        std::fs::rename(directory.next(), directory.current()).unwrap();
        assert_eq!(lock.pending().unwrap(), None);
        assert_eq!(directory.load().unwrap(), generation(4));
        assert_eq!(previous(), Some(3));
    }

    #[test]
    fn one_process_writes_at_a_time() {
        let (_guard, directory) = scratch();
        let lock = directory.lock().unwrap();
        let error = directory.lock().unwrap_err();
        let me = std::process::id();
        assert_eq!(
            error.to_string(),
            format!("another sg-ctl is at work (process {me})")
        );
        drop(lock);
        directory.lock().unwrap();
    }

    #[test]
    fn an_operation_that_ends_soon_is_waited_for() {
        let (_guard, directory) = scratch();
        let lock = directory.lock().unwrap();
        let other = directory.clone();
        let waiting = thread::spawn(move || other.lock().map(|_lock| Instant::now()));
        thread::sleep(PATIENCE / 10);
        let released = Instant::now();
        drop(lock);
        assert!(waiting.join().unwrap().unwrap() >= released);
    }

    #[test]
    fn a_torn_next_state_counts_as_none() {
        let (_guard, directory) = scratch();
        let lock = directory.lock().unwrap();
        lock.prepare(&generation(1)).unwrap();
        let path = directory.next();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(lock.pending().unwrap(), None);
        assert!(!directory.is_pending());
    }

    #[test]
    fn damage_and_other_formats_are_told_apart() {
        let (_guard, directory) = scratch();
        let lock = directory.lock().unwrap();
        std::fs::write(directory.current(), "{").unwrap();
        assert!(matches!(directory.load(), Err(StateError::Damaged { .. })));
        std::fs::write(directory.current(), r#"{"format": 99, "new": true}"#).unwrap();
        assert!(matches!(
            directory.load(),
            Err(StateError::Format { found: 99, .. })
        ));
        lock.put_aside().unwrap();
        assert_eq!(directory.load().unwrap(), State::default());
    }
}
