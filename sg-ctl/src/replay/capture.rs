//! Reads packets from capture files: pcap and pcapng, either byte order, any resolution of time.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use pcap_parser::traits::{PcapNGPacketBlock as _, PcapReaderIterator};
use pcap_parser::{
    Block, EnhancedPacketBlock, InterfaceDescriptionBlock, OptionCode, PcapBlockOwned, PcapError,
    create_reader,
};

/// Bytes that are read at a time; a longer block makes the buffer grow.
const BUFFER: usize = 1 << 16;
/// The longest block that is taken for one: longer lengths are damage.
const LONGEST_BLOCK: usize = 1 << 26;
/// The obsolete Packet Block of pcapng (appendix A of the specification).
const OBSOLETE_PACKET: u32 = 2;
/// `epb_flags` (pcapng, §4.3.1): in its two low bits 1 is inbound, 2 outbound.
const EPB_FLAGS: OptionCode = OptionCode(2);

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
    /// The file contradicts itself, or has blocks that nobody has written since 2012.
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

/// An interface of a capture.
#[derive(Clone, Copy, Debug)]
struct Interface {
    link: u16,
    /// Units of time in a second; none when the capture's number makes no sense.
    resolution: Option<u64>,
    /// Seconds to add to times.
    offset: i64,
    /// The most bytes of a packet, 0 for all.
    snaplen: usize,
}

/// What is known of a packet besides its bytes.
struct Head {
    time: Option<u64>,
    link: u16,
    original: usize,
    sent: Option<bool>,
}

/// A capture file that is being read.
pub struct Capture {
    path: PathBuf,
    reader: Box<dyn PcapReaderIterator + Send>,
    capacity: usize,
    interfaces: Vec<Interface>,
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
            interfaces: Vec::new(),
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
                    let head = take(block, &mut self.interfaces, &mut self.data);
                    (size, head)
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

/// A block that cannot be.
struct Damage;

/// Takes a block: packets go into `data`, interfaces are kept, the rest tells nothing.
fn take(
    block: PcapBlockOwned<'_>,
    interfaces: &mut Vec<Interface>,
    data: &mut Vec<u8>,
) -> Result<Option<Head>, Damage> {
    match block {
        PcapBlockOwned::LegacyHeader(header) => {
            let nanoseconds = header.is_nanosecond_precision();
            interfaces.push(Interface {
                // The upper half may tell of a frame check sequence.
                link: header.network.0.cast_unsigned() as u16,
                resolution: Some(if nanoseconds {
                    1_000_000_000
                } else {
                    1_000_000
                }),
                offset: 0,
                snaplen: 0,
            });
        }
        PcapBlockOwned::Legacy(packet) => {
            let interface = interfaces.first().ok_or(Damage)?;
            let unit = 1_000_000_000 / interface.resolution.unwrap_or(1);
            keep(data, packet.data);
            return Ok(Some(Head {
                time: Some(
                    u64::from(packet.ts_sec) * 1_000_000_000 + u64::from(packet.ts_usec) * unit,
                ),
                link: interface.link,
                original: packet.origlen as usize,
                sent: None,
            }));
        }
        PcapBlockOwned::NG(Block::SectionHeader(_)) => interfaces.clear(),
        PcapBlockOwned::NG(Block::InterfaceDescription(block)) => {
            interfaces.push(Interface::from(&block));
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            let interface = interfaces.get(packet.if_id as usize).ok_or(Damage)?;
            keep(data, packet.packet_data());
            return Ok(Some(Head {
                time: interface.time(u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low)),
                link: interface.link,
                original: packet.origlen as usize,
                sent: sent(&packet),
            }));
        }
        PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
            let interface = interfaces.first().ok_or(Damage)?;
            let captured = packet.packet_data();
            let most = match interface.snaplen {
                0 => captured.len(),
                snaplen => snaplen.min(captured.len()),
            };
            keep(data, &captured[..most]);
            return Ok(Some(Head {
                time: None,
                link: interface.link,
                original: packet.origlen as usize,
                sent: None,
            }));
        }
        // No tool has written these since 2012; passing over them would be silent.
        PcapBlockOwned::NG(Block::Unknown(block)) if block.block_type == OBSOLETE_PACKET => {
            return Err(Damage);
        }
        PcapBlockOwned::NG(_) => {}
    }
    Ok(None)
}

fn keep(data: &mut Vec<u8>, bytes: &[u8]) {
    data.clear();
    data.extend_from_slice(bytes);
}

/// Whether the capturing host sent a packet, if the block tells.
fn sent(packet: &EnhancedPacketBlock<'_>) -> Option<bool> {
    let option = packet
        .options
        .iter()
        .find(|option| option.code == EPB_FLAGS)?;
    let bytes: [u8; 4] = option.value().get(..4)?.try_into().ok()?;
    let flags = if packet.big_endian() {
        u32::from_be_bytes(bytes)
    } else {
        u32::from_le_bytes(bytes)
    };
    match flags & 3 {
        1 => Some(false),
        2 => Some(true),
        _ => None,
    }
}

impl Interface {
    fn from(block: &InterfaceDescriptionBlock<'_>) -> Self {
        Self {
            link: block.linktype.0.cast_unsigned() as u16,
            resolution: block.ts_resolution(),
            offset: block.ts_offset(),
            snaplen: block.snaplen as usize,
        }
    }

    /// Nanoseconds since 1970 of a time in the interface's units.
    fn time(&self, units: u64) -> Option<u64> {
        let resolution = i128::from(self.resolution?);
        let nanoseconds = i128::from(units) * 1_000_000_000 / resolution.max(1);
        u64::try_from(nanoseconds + i128::from(self.offset) * 1_000_000_000).ok()
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
mod tests {
    use super::*;

    /// Time, link type, bytes captured and original length of the packets of a file, and how it
    /// ends.
    type Read = (
        Vec<(Option<u64>, u16, usize, usize)>,
        Result<(), CaptureError>,
    );

    fn read(bytes: &[u8]) -> Read {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("writable");
        let mut capture = Capture::open(file.path()).expect("a capture");
        let mut packets = Vec::new();
        loop {
            match capture.next_packet() {
                Ok(Some(p)) => packets.push((p.time, p.link, p.data.len(), p.original)),
                Ok(None) => return (packets, Ok(())),
                Err(error) => return (packets, Err(error)),
            }
        }
    }

    /// A pcap file of one packet of 3 bytes, of 60, in the byte order that `word` writes.
    fn pcap(magic: u32, word: fn(u32) -> [u8; 4]) -> Vec<u8> {
        let version = word(0x0002_0004);
        let version = if word(1)[0] == 1 {
            [2, 0, 4, 0]
        } else {
            version
        };
        let words = |words: &[u32]| words.iter().copied().flat_map(word).collect::<Vec<_>>();
        [
            &word(magic)[..],
            &version,
            &words(&[0, 0, 262_144, 1, 7, 5, 3, 60]),
            &[1, 2, 3],
        ]
        .concat()
    }

    #[test]
    fn pcap_is_read_in_either_byte_order_and_unit_of_time() {
        for (magic, nanoseconds) in [(0xa1b2_c3d4, 5000), (0xa1b2_3c4d, 5)] {
            for word in [u32::to_le_bytes, u32::to_be_bytes] {
                let (packets, end) = read(&pcap(magic, word));
                assert_eq!(packets, [(Some(7_000_000_000 + nanoseconds), 1, 3, 60)]);
                assert!(end.is_ok());
            }
        }
    }

    #[test]
    fn what_comes_before_the_end_of_a_cut_file_is_read() {
        let whole = pcap(0xa1b2_c3d4, u32::to_le_bytes);
        let twice = [&whole[..], &whole[24..]].concat();
        for length in whole.len() + 1..twice.len() {
            let (packets, end) = read(&twice[..length]);
            assert_eq!(packets.len(), 1, "{length}");
            assert!(matches!(end, Err(CaptureError::CutOff { packets: 1, .. })));
        }
    }

    fn block(kind: u32, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &length, body, &length].concat()
    }

    #[test]
    fn pcapng_has_interfaces_of_its_own_each_and_packets_without_time() {
        let section = block(
            0x0a0d_0d0a,
            &[
                0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255,
            ],
        );
        let ethernet = block(1, &[1, 0, 0, 0, 0, 0, 0, 0]);
        // Raw IP, in nanoseconds.
        let raw = block(
            1,
            &[101, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0],
        );
        let enhanced = |interface: u8| {
            let mut body = [0; 20];
            body[0] = interface;
            body[8] = 50;
            body[12] = 2;
            body[16] = 9;
            block(6, &[&body[..], &[1, 2, 0, 0]].concat())
        };
        let simple = block(3, &[0, 0, 0, 0]);
        let file = [section, ethernet, raw, enhanced(0), enhanced(1), simple].concat();
        let (packets, end) = read(&file);
        assert_eq!(
            packets,
            [
                (Some(50_000), 1, 2, 9),
                (Some(50), 101, 2, 9),
                (None, 1, 0, 0),
            ]
        );
        assert!(end.is_ok());
        let (packets, end) = read(&[&file[..], &enhanced(2)].concat());
        assert_eq!(packets.len(), 3);
        assert!(matches!(end, Err(CaptureError::Damaged { .. })));
    }
}
