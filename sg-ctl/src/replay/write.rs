//! Writes what was dropped as a capture of its own.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use super::{Judgement, Packet};
use crate::host::file;
use crate::record::pcapng::{Captured, Writer};

/// A pcapng file: packets as they were captured, each with the reason as its comment.
#[derive(Debug)]
pub struct DropWriter(Writer<BufWriter<File>>);

impl DropWriter {
    /// Creates the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = BufWriter::new(file::create(path)?);
        Writer::new(file, "sg-ctl replay").map(Self)
    }

    /// Adds a packet.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, packet: &Packet<'_>, judgement: &Judgement) -> io::Result<()> {
        let direction = judgement.direction;
        let comment = format!("{} dropped: {}", direction.name(), judgement.reason.name());
        self.0.write(&Captured {
            interface: None,
            link: packet.link,
            time: judgement.event.time_ns,
            data: packet.data,
            original: packet.original as u32,
            direction,
            comment: &comment,
        })
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.0.flush()
    }
}
