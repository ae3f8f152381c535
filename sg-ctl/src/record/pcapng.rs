//! Writes captures that say of each packet what became of it: pcapng, which Wireshark reads.

use std::borrow::Cow;
use std::io::{self, Write};

use pcap_parser::{
    EnhancedPacketBlock, InterfaceDescriptionBlock, Linktype, OptionCode, PcapNGOption,
    SectionHeaderBlock, ToVec as _,
};
use sg_common::flow::Direction;

/// Link type of frames with Ethernet headers.
pub const ETHERNET: u16 = 1;
/// Link type of packets that begin with their IP header.
pub const RAW: u16 = 101;

/// `if_tsresol`: nanoseconds.
const NANOSECONDS: u8 = 9;
/// `if_name`.
const IF_NAME: OptionCode = OptionCode(2);
/// `epb_flags`.
const EPB_FLAGS: OptionCode = OptionCode(2);

/// A packet to write.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    /// Name of the interface, if it is known.
    pub interface: Option<&'a str>,
    /// Link type.
    pub link: u16,
    /// Nanoseconds since 1970.
    pub time: u64,
    /// The first bytes, or all.
    pub data: &'a [u8],
    /// Bytes that the packet had.
    pub original: u32,
    /// Which way it went.
    pub direction: Direction,
    /// What became of it.
    pub comment: &'a str,
}

/// A capture that is being written.
#[derive(Debug)]
pub struct Writer<W> {
    stream: W,
    /// Name and link type of each interface that was described.
    interfaces: Vec<(Option<String>, u16)>,
}

impl<W: Write> Writer<W> {
    /// Begins a capture that names the application.
    ///
    /// # Errors
    /// When the stream cannot be written, as with all of these.
    pub fn new(mut stream: W, application: &str) -> io::Result<Self> {
        let mut section = SectionHeaderBlock {
            block_type: 0,
            block_len1: 0,
            bom: 0,
            major_version: 0,
            minor_version: 0,
            section_len: -1,
            options: vec![option(OptionCode::ShbUserAppl, application.as_bytes())],
            block_len2: 0,
        };
        stream.write_all(&section.to_vec().map_err(failed)?)?;
        Ok(Self {
            stream,
            interfaces: Vec::new(),
        })
    }

    /// Adds a packet.
    pub fn write(&mut self, packet: &Captured<'_>) -> io::Result<()> {
        let flags = match packet.direction {
            Direction::Inbound => 1_u32,
            Direction::Outbound => 2,
        };
        let mut block = EnhancedPacketBlock {
            block_type: 0,
            block_len1: 0,
            if_id: self.interface(packet.interface, packet.link)?,
            ts_high: (packet.time >> 32) as u32,
            ts_low: packet.time as u32,
            caplen: packet.data.len() as u32,
            origlen: packet.original,
            data: packet.data,
            options: vec![
                option(OptionCode::Comment, packet.comment.as_bytes()),
                option(EPB_FLAGS, &flags.to_le_bytes()),
            ],
            block_len2: 0,
        };
        self.stream.write_all(&block.to_vec().map_err(failed)?)
    }

    /// Makes sure that everything written so far is seen.
    pub fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }

    /// The number of an interface; describes it when it is a new one.
    fn interface(&mut self, name: Option<&str>, link: u16) -> io::Result<u32> {
        let is_known =
            |(known, its): &(Option<String>, u16)| known.as_deref() == name && *its == link;
        if let Some(number) = self.interfaces.iter().position(is_known) {
            return Ok(number as u32);
        }
        let mut block = InterfaceDescriptionBlock {
            block_type: 0,
            block_len1: 0,
            linktype: Linktype(link.into()),
            reserved: 0,
            snaplen: 0,
            options: name
                .map(|name| option(IF_NAME, name.as_bytes()))
                .into_iter()
                .collect(),
            block_len2: 0,
            if_tsresol: NANOSECONDS,
            if_tsoffset: 0,
        };
        self.stream.write_all(&block.to_vec().map_err(failed)?)?;
        self.interfaces.push((name.map(str::to_owned), link));
        Ok(self.interfaces.len() as u32 - 1)
    }
}

fn option(code: OptionCode, value: &[u8]) -> PcapNGOption<'static> {
    // Longer ones cannot be said; comments are a line.
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    PcapNGOption {
        code,
        len: value.len() as u16,
        value: Cow::Owned(value.to_vec()),
    }
}

fn failed(error: impl std::fmt::Debug) -> io::Error {
    io::Error::other(format!("{error:?}"))
}

#[cfg(test)]
mod tests {
    use pcap_parser::traits::{PcapNGPacketBlock as _, PcapReaderIterator as _};
    use pcap_parser::{Block, PcapBlockOwned, PcapError, PcapNGReader};

    use super::*;

    /// Interface names, and of each packet its interface, bytes, original length and comment.
    type Read = (Vec<String>, Vec<(u32, Vec<u8>, u32, String)>);

    fn text(options: &[PcapNGOption<'_>], code: OptionCode) -> String {
        let found = options.iter().find(|option| option.code == code);
        let value = found.map_or(&b""[..], |option| &option.value[..usize::from(option.len)]);
        String::from_utf8(value.to_vec()).expect("UTF-8")
    }

    fn read(bytes: &[u8]) -> Read {
        let mut reader = PcapNGReader::new(65_536, bytes).expect("a section");
        let mut found = (Vec::new(), Vec::new());
        loop {
            match reader.next() {
                Ok((length, PcapBlockOwned::NG(block))) => {
                    match block {
                        Block::InterfaceDescription(block) => {
                            assert_eq!(block.linktype, Linktype(ETHERNET.into()));
                            found.0.push(text(&block.options, IF_NAME));
                        }
                        Block::EnhancedPacket(block) => found.1.push((
                            block.if_id,
                            block.packet_data().to_vec(),
                            block.origlen,
                            text(&block.options, OptionCode::Comment),
                        )),
                        _ => {}
                    }
                    reader.consume(length);
                }
                Err(PcapError::Incomplete(_)) => reader.refill().expect("memory"),
                Err(PcapError::Eof) => return found,
                Ok(_) => panic!("another format"),
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    #[test]
    fn packets_are_read_back_with_their_interfaces_and_comments() {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, "test").expect("memory");
        for (interface, data, comment) in [
            ("eth0", &[1, 2, 3][..], "inbound DENY no-rule"),
            ("tap7", &[4; 128], "outbound DENY malformed-tcp"),
            ("eth0", &[5; 61], "inbound ALLOW new rule=sgr-1"),
        ] {
            let packet = Captured {
                interface: Some(interface),
                link: ETHERNET,
                time: 1_772_366_401_500_000_000,
                data,
                original: 1514,
                direction: Direction::Inbound,
                comment,
            };
            writer.write(&packet).expect("memory");
        }
        writer.flush().expect("memory");
        let (interfaces, packets) = read(&bytes);
        assert_eq!(interfaces, ["eth0", "tap7"]);
        let expected = [
            (0, vec![1, 2, 3], 1514, "inbound DENY no-rule".to_owned()),
            (
                1,
                vec![4; 128],
                1514,
                "outbound DENY malformed-tcp".to_owned(),
            ),
            (
                0,
                vec![5; 61],
                1514,
                "inbound ALLOW new rule=sgr-1".to_owned(),
            ),
        ];
        assert_eq!(packets, expected);
    }
}
