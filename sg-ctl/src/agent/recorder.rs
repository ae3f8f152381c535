//! Adds up events and flows, and writes flow records.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use sg_common::event::Event;

use super::records::{Closed, Span, Window};
use super::{AgentError, error::system};
use crate::host::dataplane;
use crate::host::file;
use crate::host::paths::Paths;
use crate::host::{Host, HostError, loaded};
use crate::record::flowlog::{Format, Gap};
use sg_policy::compile::RuleNumbers;

/// Where flow records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowLogTarget {
    /// Standard output.
    Stdout,
    /// A file, a new one being its owner's alone; what was in it stays.
    File {
        /// Where it is.
        path: PathBuf,
        /// Bytes from which on it is not written to, so that nobody's traffic fills the disk.
        full: u64,
    },
}

impl FlowLogTarget {
    /// Sees whether it can be written to.
    ///
    /// # Errors
    /// Those of [`append`](Self::append).
    pub(super) fn check(&self) -> Result<(), AgentError> {
        self.append("")
    }

    /// Adds lines, all or, in a file that can be cut back, none. The file is opened anew each time, so that
    /// whoever renames it, as logrotate does, has nobody to tell.
    ///
    /// # Errors
    /// When they cannot be written, or the file has its size.
    fn append(&self, lines: &str) -> Result<(), AgentError> {
        let failed = |to: String| move |source| AgentError::FlowLog { to, source };
        let Self::File { path, full } = self else {
            let mut stdout = io::stdout().lock();
            let written = stdout.write_all(lines.as_bytes());
            return written
                .and_then(|()| stdout.flush())
                .map_err(failed("standard output".to_owned()));
        };
        // To open it would wait for whoever reads it.
        let is_pipe = fs::metadata(path).is_ok_and(|known| known.file_type().is_fifo());
        let opened = if is_pipe {
            Err(io::Error::other(
                "it is a named pipe; `-` is standard output",
            ))
        } else {
            file::append(path)
        };
        let append = |mut file: fs::File| {
            let length = file.metadata()?.len();
            if length >= *full {
                return Ok(Err(length));
            }
            // A reader finds no half line, now or in front of the next window's.
            file.write_all(lines.as_bytes()).inspect_err(|_| {
                if file.metadata().is_ok_and(|now| now.len() > length) {
                    let _ = file.set_len(length);
                }
            })?;
            Ok(Ok(()))
        };
        let appended = opened.and_then(append);
        appended
            .map_err(failed(path.display().to_string()))?
            .map_err(|length| AgentError::FlowLogFull {
                path: path.clone(),
                mib: length >> 20,
            })
    }
}

/// What is recorded, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowLog {
    /// Where records go.
    pub target: FlowLogTarget,
    /// Their columns.
    pub format: Format,
    /// Time that is added up into one record.
    pub window: Duration,
}

/// Adds up what happens and writes it down.
pub(super) struct Recorder {
    log: FlowLog,
    window: Window,
    paths: Paths,
    /// Name and interface index of each zone, and the rules: as they were when last read.
    interfaces: BTreeMap<u32, (String, u32)>,
    numbers: RuleNumbers,
    /// Whether names may be read again for the sake of an event.
    may_reload: bool,
    /// Events of each zone that the log does not have, as far as they have been told.
    lost: BTreeMap<u32, u64>,
    /// Windows that could not be written.
    unwritten: u64,
    /// Nanoseconds from the monotonic clock to Unix time.
    offset: i128,
}

impl Recorder {
    /// Looks at the flows that there are: what they have done does not count.
    ///
    /// # Errors
    /// When the flows cannot be read.
    pub(super) fn open(log: FlowLog, paths: Paths) -> Result<Self, AgentError> {
        let host = Host::open(&paths)?;
        let offset = offset()?;
        let mut window = Window::new(unix_now()?);
        if let Some(flows) = loaded(host.dataplane().flows())? {
            for (key, entry) in flows {
                window.known(key, &entry);
            }
        }
        let mut recorder = Self {
            log,
            window,
            paths,
            interfaces: BTreeMap::new(),
            numbers: RuleNumbers::default(),
            may_reload: false,
            lost: BTreeMap::new(),
            unwritten: 0,
            offset,
        };
        recorder.learn_names(&host)?;
        for zone in recorder.interfaces.keys().copied().collect::<Vec<_>>() {
            let lost = host.dataplane().counters(zone).map_err(HostError::from)?;
            recorder.lost.insert(zone, lost.events_missing());
        }
        Ok(recorder)
    }

    /// How long a window is.
    pub(super) const fn window(&self) -> Duration {
        self.log.window
    }

    /// Windows that could not be written.
    pub(super) const fn unwritten(&self) -> u64 {
        self.unwritten
    }

    /// Adds an event.
    ///
    /// # Errors
    /// When names cannot be read.
    pub(super) fn event(&mut self, event: &Event) -> Result<(), AgentError> {
        let zone = u32::from(event.zone);
        let is_of = |(_, index): &(String, u32)| *index == event.ifindex;
        if self.may_reload && !self.interfaces.get(&zone).is_some_and(is_of) {
            self.may_reload = false;
            self.learn_names(&Host::open(&self.paths)?)?;
        }
        let Some((name, _)) = self.interfaces.get(&zone).filter(|known| is_of(known)) else {
            // Of an interface that is gone.
            return Ok(());
        };
        let nanoseconds = i128::from(event.time_ns) + self.offset;
        let time = (nanoseconds / 1_000_000_000) as i64;
        self.window.event(name, event, time);
        Ok(())
    }

    /// Lets names be read again when an event asks for it. To be called about once a second.
    pub(super) const fn tick(&mut self) {
        self.may_reload = true;
    }

    /// Notes that records of all interfaces are missing.
    pub(super) fn miss(&mut self) {
        for (name, _) in self.interfaces.values() {
            self.window.lost(name);
        }
    }

    /// Ends the window: looks at all flows and writes its records. Returns how many.
    ///
    /// # Errors
    /// When the kernel cannot be read, or the log not be written.
    pub(super) fn close(&mut self, host: &Host) -> Result<u64, AgentError> {
        self.learn_names(host)?;
        self.offset = offset()?;
        self.grow(host)?;
        for (zone, (name, _)) in &self.interfaces {
            let Some(counters) = loaded(host.dataplane().counters(*zone))? else {
                continue;
            };
            let missing = counters.events_missing();
            let told = self.lost.insert(*zone, missing);
            // Counters begin anew when an interface is attached.
            let told = told.filter(|told| *told <= missing);
            if missing > told.unwrap_or(0) {
                self.window.lost(name);
            }
        }
        let closed = self.window.close(unix_now()?, &self.numbers);
        let (lines, written) = self.lines(&closed);
        if let Err(error) = self.log.target.append(&lines) {
            // The first window that is written again says that records are missing.
            self.miss();
            self.unwritten += 1;
            return Err(error);
        }
        Ok(written)
    }

    /// Adds what flows have grown by.
    fn grow(&mut self, host: &Host) -> Result<(), AgentError> {
        let Some(flows) = loaded(host.dataplane().flows())? else {
            return Ok(());
        };
        let clock = host.dataplane().clock().map_err(HostError::from)?;
        let now = unix_now()?;
        let at = |jiffies| now - clock.since(jiffies).as_secs().cast_signed();
        for (key, entry) in flows {
            if let Some((name, _)) = self.interfaces.get(&u32::from(key.zone())) {
                let span = Span {
                    first: at(entry.created),
                    latest: at(entry.last_seen),
                };
                self.window.flow(name, key, &entry, span);
            }
        }
        Ok(())
    }

    /// The lines of a window, and how many of them are records.
    fn lines(&self, closed: &Closed) -> (String, u64) {
        let mut lines = String::new();
        let mut add = |line: &str| {
            lines.push_str(line);
            lines.push('\n');
        };
        let mut written = 0;
        for record in closed.records.values().flatten() {
            add(&self.log.format.line(record));
            written += 1;
        }
        for (name, _) in self.interfaces.values() {
            let gap = match (
                closed.short.contains(name),
                closed.records.contains_key(name),
            ) {
                (true, _) => Gap::SkipData,
                (false, false) => Gap::NoData,
                (false, true) => continue,
            };
            add(&self.log.format.gap(name, closed.start, closed.end, gap));
        }
        (lines, written)
    }

    /// Reads the names of interfaces and rules.
    ///
    /// # Errors
    /// When the state or the kernel cannot be read.
    pub(super) fn learn_names(&mut self, host: &Host) -> Result<(), AgentError> {
        let state = host.state()?;
        self.interfaces.clear();
        for (name, record) in state.attachments {
            if let Some(settings) = loaded(host.dataplane().settings(record.zone))? {
                self.interfaces
                    .insert(record.zone, (name, settings.ifindex));
            }
        }
        self.numbers = state.numbers;
        Ok(())
    }
}

fn nanoseconds(clock: ClockId) -> Result<i128, AgentError> {
    let time = clock_gettime(clock).map_err(|errno| system("read the clock")(errno.into()))?;
    Ok(i128::from(time.tv_sec()) * 1_000_000_000 + i128::from(time.tv_nsec()))
}

fn offset() -> Result<i128, AgentError> {
    let monotonic = dataplane::monotonic().map_err(system("read the clock"))?;
    Ok(nanoseconds(ClockId::CLOCK_REALTIME)? - monotonic.as_nanos().cast_signed())
}

fn unix_now() -> Result<i64, AgentError> {
    Ok((nanoseconds(ClockId::CLOCK_REALTIME)? / 1_000_000_000) as i64)
}
