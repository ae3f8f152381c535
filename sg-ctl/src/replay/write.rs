//! Writes what was dropped as a capture of its own.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use pcap_parser::{
    EnhancedPacketBlock, InterfaceDescriptionBlock, Linktype, OptionCode, PcapNGOption,
    SectionHeaderBlock, ToVec as _,
};
use sg_common::flow::Direction;

use super::{Judgement, Packet};

/// `if_tsresol`: nanoseconds.
const NANOSECONDS: u8 = 9;
/// `epb_flags`.
const EPB_FLAGS: OptionCode = OptionCode(2);

/// A pcapng file: packets as they were captured, each with the reason as its comment.
#[derive(Debug)]
pub struct DropWriter {
    file: BufWriter<File>,
    /// Link type of each interface of the file.
    links: Vec<u16>,
}

impl DropWriter {
    /// Creates the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        let mut section = SectionHeaderBlock {
            block_type: 0,
            block_len1: 0,
            bom: 0,
            major_version: 0,
            minor_version: 0,
            section_len: -1,
            options: vec![option(OptionCode::ShbUserAppl, b"sg-ctl replay".to_vec())],
            block_len2: 0,
        };
        file.write_all(&section.to_vec().map_err(failed)?)?;
        Ok(Self {
            file,
            links: Vec::new(),
        })
    }

    /// Adds a packet.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, packet: &Packet<'_>, judgement: &Judgement) -> io::Result<()> {
        let interface = self.interface(packet.link)?;
        let (direction, flags) = match judgement.direction {
            Direction::Inbound => ("inbound", 1_u32),
            Direction::Outbound => ("outbound", 2),
        };
        let comment = format!("{direction} dropped: {}", judgement.reason.name());
        let time = judgement.event.time_ns;
        let mut block = EnhancedPacketBlock {
            block_type: 0,
            block_len1: 0,
            if_id: interface,
            ts_high: (time >> 32) as u32,
            ts_low: time as u32,
            caplen: packet.data.len() as u32,
            origlen: packet.original as u32,
            data: packet.data,
            options: vec![
                option(OptionCode::Comment, comment.into_bytes()),
                option(EPB_FLAGS, flags.to_le_bytes().to_vec()),
            ],
            block_len2: 0,
        };
        self.file.write_all(&block.to_vec().map_err(failed)?)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.flush()
    }

    /// The interface for packets of a link type.
    fn interface(&mut self, link: u16) -> io::Result<u32> {
        if let Some(known) = self.links.iter().position(|each| *each == link) {
            return Ok(known as u32);
        }
        let mut block = InterfaceDescriptionBlock {
            block_type: 0,
            block_len1: 0,
            linktype: Linktype(link.into()),
            reserved: 0,
            snaplen: 0,
            options: Vec::new(),
            block_len2: 0,
            if_tsresol: NANOSECONDS,
            if_tsoffset: 0,
        };
        self.file.write_all(&block.to_vec().map_err(failed)?)?;
        self.links.push(link);
        Ok(self.links.len() as u32 - 1)
    }
}

fn option(code: OptionCode, value: Vec<u8>) -> PcapNGOption<'static> {
    PcapNGOption {
        code,
        len: value.len() as u16,
        value: Cow::Owned(value),
    }
}

fn failed(error: impl std::fmt::Debug) -> io::Error {
    io::Error::other(format!("{error:?}"))
}
