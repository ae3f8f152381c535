//! Events as the agent passes them on to readers on this host.
//!
//! The agent takes events out of the ring buffer, keeps the latest, and numbers them. Over a Unix
//! socket it speaks and readers listen, in the byte order of the host:
//!
//! ```text
//! greeting  version (u64), agent (u64, any), number of the oldest event kept (u64), of the next (u64)
//! frame     number (u64), then the record as it lies in the ring buffer
//! ```
//!
//! A reader that is too slow finds numbers missing: so many events it has lost, and nobody else.

use std::io::{self, ErrorKind, Read as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use sg_common::event::Record;
use sg_common::names::LAYOUT_VERSION;

use crate::host::dataplane::EventWatch;

/// Version of what is spoken: that of the records in its upper half.
const VERSION: u64 = (LAYOUT_VERSION as u64) << 32 | 1;

const NUMBER: usize = size_of::<u64>();
/// Bytes of the greeting.
pub const GREETING: usize = 4 * NUMBER;
/// Bytes of a frame.
pub const FRAME: usize = NUMBER + size_of::<Record>();

/// How long the agent may take for its greeting.
const PATIENCE: Duration = Duration::from_secs(30);

/// What an agent says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Another number for each agent.
    pub server: u64,
    /// Number of the oldest event that is kept.
    pub first: u64,
    /// Number of the next event to come.
    pub next: u64,
}

impl Greeting {
    /// As it is sent.
    pub fn to_bytes(self) -> [u8; GREETING] {
        let words = [VERSION, self.server, self.first, self.next];
        let mut bytes = [0; GREETING];
        for (place, word) in bytes.chunks_exact_mut(NUMBER).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// As it is received; `None` from an agent that speaks otherwise.
    fn from_bytes(bytes: &[u8; GREETING]) -> Option<Self> {
        let word = |index: usize| number(&bytes[index * NUMBER..]);
        (word(0) == VERSION).then(|| Self {
            server: word(1),
            first: word(2),
            next: word(3),
        })
    }
}

/// Appends a frame.
pub fn push_frame(frames: &mut Vec<u8>, number: u64, record: &Record) {
    frames.extend(number.to_ne_bytes());
    frames.extend(record.as_bytes());
}

fn number(bytes: &[u8]) -> u64 {
    let (number, _) = bytes.split_first_chunk().expect("a whole number");
    u64::from_ne_bytes(*number)
}

/// How far a reader has come with an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    server: u64,
    next: u64,
}

/// The events of an agent: those that it has kept, then those that come.
///
/// Yields what has arrived, and `None` when there is no more: more may come later, unless
/// [it is over](Self::is_over).
#[derive(Debug)]
pub struct LiveEvents {
    stream: UnixStream,
    buffer: Vec<u8>,
    /// What of the buffer has been read.
    done: usize,
    place: Place,
    /// Where the agent was at the greeting.
    begun: u64,
    lost: u64,
    is_over: bool,
}

/// Whether an agent listens there. It is not greeted.
pub fn is_served(path: &Path) -> bool {
    UnixStream::connect(path).is_ok()
}

impl LiveEvents {
    /// Connects to the agent that listens there, `None` when there is none; goes on `after` a place,
    /// if it is with the same agent.
    ///
    /// # Errors
    /// When this process may not connect, or the agent gives no greeting of this version.
    pub fn connect(path: &Path, after: Option<Place>) -> io::Result<Option<Self>> {
        let mut stream = match UnixStream::connect(path) {
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused
                ) =>
            {
                return Ok(None);
            }
            stream => stream?,
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut bytes = [0; GREETING];
        match stream.read_exact(&mut bytes) {
            // It ends, or does not let this one in.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
                ) =>
            {
                return Ok(None);
            }
            read => read?,
        }
        stream.set_nonblocking(true)?;
        let Some(greeting) = Greeting::from_bytes(&bytes) else {
            let why = "the agent is of another version: restart it";
            return Err(io::Error::new(ErrorKind::InvalidData, why));
        };
        let next = match after {
            Some(place) if place.server == greeting.server => place.next,
            _ => greeting.first,
        };
        Ok(Some(Self {
            stream,
            buffer: Vec::new(),
            done: 0,
            place: Place {
                server: greeting.server,
                next,
            },
            begun: greeting.next,
            lost: 0,
            is_over: false,
        }))
    }

    /// How far this one has come.
    pub const fn place(&self) -> Place {
        self.place
    }

    /// Events that came too fast for this reader.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether everything has been read that there was at the beginning.
    pub const fn is_caught_up(&self) -> bool {
        self.place.next >= self.begun
    }

    /// Whether the agent has ended, and everything that it sent been read.
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Something to wait for events with.
    ///
    /// # Errors
    /// When the kernel has no room for another descriptor.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn watch(&self) -> io::Result<EventWatch> {
        EventWatch::new(self.stream.try_clone()?.into())
    }

    /// Blocks until events have arrived, or it is over.
    ///
    /// # Errors
    /// When the socket cannot be waited for.
    pub fn wait(&mut self) -> io::Result<()> {
        self.stream.set_read_timeout(None)?;
        self.stream.set_nonblocking(false)?;
        self.receive();
        self.stream.set_nonblocking(true)
    }

    /// Reads what has arrived; returns whether there was any.
    fn receive(&mut self) -> bool {
        self.buffer.drain(..self.done);
        self.done = 0;
        let mut bytes = [0; 16 * 1024];
        loop {
            return match self.stream.read(&mut bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => false,
                Ok(length) if length > 0 => {
                    self.buffer.extend(&bytes[..length]);
                    true
                }
                Ok(_) | Err(_) => {
                    self.is_over = true;
                    false
                }
            };
        }
    }
}

impl Iterator for LiveEvents {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            let rest = &self.buffer[self.done..];
            let Some((frame, _)) = rest.split_first_chunk::<FRAME>() else {
                if self.receive() {
                    continue;
                }
                return None;
            };
            let number = number(frame);
            let record = Record::from_bytes(&frame[NUMBER..]);
            self.done += FRAME;
            // What was read before the connection was made anew.
            if number >= self.place.next {
                self.lost += number - self.place.next;
                self.place.next = number + 1;
                return record;
            }
        }
    }
}
