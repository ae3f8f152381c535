//! What the blocks of a capture say: of packets, their bytes, time and way; of interfaces, how to
//! read that.

use pcap_parser::traits::PcapNGPacketBlock as _;
use pcap_parser::{Block, InterfaceDescriptionBlock, OptionCode, PcapBlockOwned, PcapNGOption};

/// The obsolete Packet Block of pcapng (appendix A of the specification).
const OBSOLETE_PACKET: u32 = 2;
/// Bytes of one before its packet.
const OBSOLETE_HEADER: usize = 20;
/// `epb_flags` (pcapng, §4.3.1), and `pack_flags` of the obsolete block: in the two low bits 1 is
/// inbound, 2 outbound.
const FLAGS: u16 = 2;
/// Nanoseconds in a second.
const SECOND: u128 = 1_000_000_000;

/// What is known of a packet besides its bytes.
pub(super) struct Head {
    pub(super) time: Option<u64>,
    pub(super) link: u16,
    pub(super) original: usize,
    pub(super) sent: Option<bool>,
}

/// A block that cannot be.
pub(super) struct Damage;

/// The section of a capture that is being read.
#[derive(Debug, Default)]
pub(super) struct Section {
    interfaces: Vec<Interface>,
    /// The byte order of its blocks. The library gives bytes of options and of blocks that it does
    /// not know as they are, and their types as if they were little-endian.
    big_endian: bool,
}

/// An interface of a capture.
#[derive(Clone, Copy, Debug)]
struct Interface {
    link: u16,
    /// Units of time in a second; none when the capture's number makes no sense.
    resolution: Option<u128>,
    /// Seconds to add to times.
    offset: i64,
    /// The most bytes of a packet, 0 for all.
    snaplen: usize,
}

impl Section {
    /// Takes a block: packets go into `data`, interfaces are kept, the rest tells nothing.
    pub(super) fn take(
        &mut self,
        block: PcapBlockOwned<'_>,
        data: &mut Vec<u8>,
    ) -> Result<Option<Head>, Damage> {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                let nanoseconds = header.is_nanosecond_precision();
                self.interfaces.push(Interface {
                    // The upper half may tell of a frame check sequence.
                    link: header.network.0.cast_unsigned() as u16,
                    resolution: Some(if nanoseconds { SECOND } else { 1_000_000 }),
                    offset: 0,
                    snaplen: 0,
                });
            }
            PcapBlockOwned::Legacy(packet) => {
                let interface = self.interfaces.first().ok_or(Damage)?;
                let resolution = interface.resolution.ok_or(Damage)?;
                let units = u128::from(packet.ts_sec) * resolution + u128::from(packet.ts_usec);
                keep(data, packet.data);
                return Ok(Some(Head {
                    time: interface.time(units),
                    link: interface.link,
                    original: packet.origlen as usize,
                    sent: None,
                }));
            }
            PcapBlockOwned::NG(Block::SectionHeader(section)) => {
                self.interfaces.clear();
                self.big_endian = section.big_endian();
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(block)) => {
                self.interfaces.push(self.interface(&block));
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                let interface = self.interfaces.get(packet.if_id as usize).ok_or(Damage)?;
                keep(data, packet.packet_data());
                let flags = value(&packet.options, FLAGS);
                let flags = flags.and_then(|bytes| bytes.get(..4)?.try_into().ok());
                return Ok(Some(Head {
                    time: interface.time(units(packet.ts_high, packet.ts_low)),
                    link: interface.link,
                    original: packet.origlen as usize,
                    sent: flags.and_then(|flags| way(self.number(flags))),
                }));
            }
            PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                let interface = self.interfaces.first().ok_or(Damage)?;
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
            PcapBlockOwned::NG(Block::Unknown(block))
                if self.number(block.block_type.to_le_bytes()) == OBSOLETE_PACKET =>
            {
                return self.obsolete(block.data, data).map(Some).ok_or(Damage);
            }
            PcapBlockOwned::NG(_) => {}
        }
        Ok(None)
    }

    /// A Packet Block, which tools wrote until 2012.
    fn obsolete(&self, body: &[u8], data: &mut Vec<u8>) -> Option<Head> {
        let number = |at: usize| Some(self.number(body.get(at..at + 4)?.try_into().ok()?));
        let index: [u8; 2] = body.get(..2)?.try_into().ok()?;
        let index = if self.big_endian {
            u16::from_be_bytes(index)
        } else {
            u16::from_le_bytes(index)
        };
        let interface = self.interfaces.get(usize::from(index))?;
        let captured = number(12)? as usize;
        keep(data, body.get(OBSOLETE_HEADER..)?.get(..captured)?);
        let options = body.get(OBSOLETE_HEADER + captured.next_multiple_of(4)..);
        let flags = self.option(options.unwrap_or_default(), FLAGS);
        Some(Head {
            time: interface.time(units(number(4)?, number(8)?)),
            link: interface.link,
            original: number(16)? as usize,
            sent: flags.and_then(|flags| way(self.number(flags.get(..4)?.try_into().ok()?))),
        })
    }

    /// The value of an option in bytes of options.
    fn option<'b>(&self, mut bytes: &'b [u8], wanted: u16) -> Option<&'b [u8]> {
        loop {
            let head = self.number(bytes.get(..4)?.try_into().ok()?);
            // Code and length, in the order of the section.
            let (code, length) = if self.big_endian {
                ((head >> 16) as u16, head as u16)
            } else {
                (head as u16, (head >> 16) as u16)
            };
            let length = usize::from(length);
            let value = bytes.get(4..4 + length)?;
            if code == wanted {
                return Some(value);
            }
            if code == 0 {
                return None;
            }
            bytes = bytes.get(4 + length.next_multiple_of(4)..)?;
        }
    }

    fn number(&self, bytes: [u8; 4]) -> u32 {
        if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }
    }

    fn interface(&self, block: &InterfaceDescriptionBlock<'_>) -> Interface {
        let offset = value(&block.options, OptionCode::IfTsoffset.0);
        let offset = offset.and_then(|bytes| bytes.get(..8)?.try_into().ok());
        let offset = offset.map_or(0, |bytes| {
            if self.big_endian {
                i64::from_be_bytes(bytes)
            } else {
                i64::from_le_bytes(bytes)
            }
        });
        Interface {
            link: block.linktype.0.cast_unsigned() as u16,
            resolution: resolution(block.if_tsresol),
            offset,
            snaplen: block.snaplen as usize,
        }
    }
}

impl Interface {
    /// Nanoseconds since 1970 of a time in the interface's units.
    fn time(&self, units: u128) -> Option<u64> {
        // Both halves apart: units of a fine resolution times nanoseconds would not fit.
        let resolution = self.resolution?;
        let (seconds, rest) = (units / resolution, units % resolution);
        let fraction = if resolution <= u128::MAX / SECOND {
            rest * SECOND / resolution
        } else {
            0
        };
        let seconds = i128::try_from(seconds).ok()? + i128::from(self.offset);
        let nanoseconds = u64::try_from(seconds).ok()?.checked_mul(SECOND as u64)?;
        nanoseconds.checked_add(u64::try_from(fraction).ok()?)
    }
}

/// Units in a second that `if_tsresol` tells: a negative power of 10, or with its highest bit of 2.
fn resolution(told: u8) -> Option<u128> {
    match told {
        0..0x80 => 10_u128.checked_pow(u32::from(told)),
        _ => 2_u128.checked_pow(u32::from(told & 0x7f)),
    }
}

fn units(high: u32, low: u32) -> u128 {
    u128::from(u64::from(high) << 32 | u64::from(low))
}

fn keep(data: &mut Vec<u8>, bytes: &[u8]) {
    data.clear();
    data.extend_from_slice(bytes);
}

fn value<'o>(options: &'o [PcapNGOption<'_>], code: u16) -> Option<&'o [u8]> {
    let option = options.iter().find(|option| option.code.0 == code)?;
    Some(option.value())
}

/// Whether the capturing host sent a packet, if its flags tell.
const fn way(flags: u32) -> Option<bool> {
    match flags & 3 {
        1 => Some(false),
        2 => Some(true),
        _ => None,
    }
}
