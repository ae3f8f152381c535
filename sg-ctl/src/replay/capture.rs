//! Reads packets from capture files: pcap and pcapng, either byte order, any resolution of time.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use pcap_parser::traits::PcapReaderIterator;
use pcap_parser::{PcapError, create_reader};

use super::blocks::{Damage, Section};

/// Bytes that are read at a time; a longer block makes the buffer grow.
const BUFFER: usize = 1 << 16;
/// The longest block that is taken for one: longer lengths are damage.
const LONGEST_BLOCK: usize = 1 << 26;

/// Why a capture could not be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file cannot be opened or read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file does not begin as captures do.
    #[error("{} is neither a pcap nor a pcapng file", .path.display())]
    NoCapture {
        /// The file.
        path: PathBuf,
    },
    /// The file ends in the middle of a packet.
    #[error("{} is cut off after packet {packets}", .path.display())]
    CutOff {
        /// The file.
        path: PathBuf,
        /// Packets before the end.
        packets: u64,
    },
    /// The file has no packet: nothing can be said of it.
    #[error("{} holds no packet", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file contradicts itself.
    #[error("{} is damaged after packet {packets}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Packets before the damage.
        packets: u64,
    },
}

impl CaptureError {
    /// The remedy, as one sentence for the user.
    pub const fn help(&self) -> &'static str {
        match self {
            Self::Read { .. } => "name captures that exist and may be read; `-` is standard input",
            Self::NoCapture { .. } => {
                "write it with tcpdump -w, dumpcap or tshark; unpack it first if it is packed: \
                 <(zcat FILE)"
            }
            Self::Empty { .. } => "capture again while there is traffic",
            Self::CutOff { .. } | Self::Damaged { .. } => {
                "the packets before that were judged and are counted"
            }
        }
    }
}

/// One packet of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its number in the file, from 1, as other tools count.
    pub number: u64,
    /// Nanoseconds since 1970, if the capture tells.
    pub time: Option<u64>,
    /// Link type (the registry of link-layer header types).
    pub link: u16,
    /// The bytes that were captured.
    pub data: &'a [u8],
    /// Bytes that the packet had.
    pub original: usize,
    /// Whether the capturing host sent it, if the capture tells.
    pub sent: Option<bool>,
}

/// A capture file that is being read.
pub struct Capture {
    path: PathBuf,
    reader: Box<dyn PcapReaderIterator + Send>,
    capacity: usize,
    section: Section,
    /// Bytes of the packet at hand.
    data: Vec<u8>,
    number: u64,
}

impl Capture {
    /// Opens a capture; `-` stands for standard input.
    ///
    /// # Errors
    /// When the file cannot be read or is no capture.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let failed = |source| CaptureError::Read {
            path: path.to_owned(),
            source,
        };
        let input: Box<dyn Read + Send> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            let file = File::open(path).map_err(failed)?;
            if file.metadata().map_err(failed)?.is_dir() {
                return Err(failed(io::ErrorKind::IsADirectory.into()));
            }
            Box::new(file)
        };
        let reader = create_reader(BUFFER, Whole(input));
        Ok(Self {
            path: path.to_owned(),
            reader: reader.map_err(|_error| CaptureError::NoCapture {
                path: path.to_owned(),
            })?,
            capacity: BUFFER,
            section: Section::default(),
            data: Vec::new(),
            number: 0,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file that have been read.
    pub fn consumed(&self) -> u64 {
        self.reader.consumed() as u64
    }

    /// The next packet; `None` at the end.
    ///
    /// # Errors
    /// When the file ends too early, contradicts itself or cannot be read; the packets before that
    /// were good.
    pub fn next_packet(&mut self) -> Result<Option<Packet<'_>>, CaptureError> {
        loop {
            let (size, head) = match self.reader.next() {
                Ok((size, block)) => {
                    let head = self.section.take(block, &mut self.data);
                    (size, head)
                }
                Err(PcapError::Eof) if self.number == 0 => {
                    return Err(CaptureError::Empty {
                        path: self.path.clone(),
                    });
                }
                Err(PcapError::Eof) => return Ok(None),
                Err(PcapError::Incomplete(_)) => {
                    self.refill()?;
                    continue;
                }
                Err(PcapError::BufferTooSmall) if self.capacity < LONGEST_BLOCK => {
                    self.capacity *= 2;
                    self.reader.grow(self.capacity);
                    self.refill()?;
                    continue;
                }
                Err(PcapError::UnexpectedEof) => {
                    return Err(CaptureError::CutOff {
                        path: self.path.clone(),
                        packets: self.number,
                    });
                }
                Err(_) => return Err(self.damaged()),
            };
            self.reader.consume(size);
            let head = head.map_err(|Damage| self.damaged())?;
            if let Some(head) = head {
                self.number += 1;
                return Ok(Some(Packet {
                    number: self.number,
                    time: head.time,
                    link: head.link,
                    data: &self.data,
                    original: head.original.max(self.data.len()),
                    sent: head.sent,
                }));
            }
        }
    }

    fn refill(&mut self) -> Result<(), CaptureError> {
        match self.reader.refill() {
            Ok(()) => Ok(()),
            Err(_) => Err(CaptureError::Read {
                path: self.path.clone(),
                source: io::ErrorKind::Other.into(),
            }),
        }
    }

    fn damaged(&self) -> CaptureError {
        CaptureError::Damaged {
            path: self.path.clone(),
            packets: self.number,
        }
    }
}

/// Fills buffers as far as there is anything: pipes give their bytes in small pieces, and the
/// format is told by the first piece.
struct Whole<R>(R);

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests;
