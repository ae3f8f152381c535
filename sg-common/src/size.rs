//! What a frame counts as: one that is segmented later (GSO) is what it becomes on the wire.

use crate::packet::Packet;
use crate::parse::Parsed;
use crate::proto::{TCP, UDP};

/// Packets and bytes, from the Ethernet header on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    /// Packets, at least 1.
    pub packets: u32,
    /// Bytes of all of them.
    pub bytes: u32,
}

impl Size {
    /// The size of a frame after parsing.
    #[inline(always)]
    pub fn of<P: Packet>(packet: &P, parsed: &Parsed) -> Self {
        let bytes = frame_len(packet, parsed);
        match packet.segment_data() {
            0 => Self { packets: 1, bytes },
            data => Self::from_bits(segmented(parsed, bytes, data, packet.segments())),
        }
    }

    /// Both in one word, as BPF functions take and return them.
    #[inline(always)]
    pub const fn to_bits(self) -> u64 {
        (self.packets as u64) << 32 | self.bytes as u64
    }

    /// From [`Self::to_bits`].
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Self {
        Self {
            packets: (bits >> 32) as u32,
            bytes: bits as u32,
        }
    }
}

/// Length of a frame, without a helper call: what can be read in place, or what the IP header, whose
/// claim has been checked, says.
#[inline(always)]
pub fn frame_len<P: Packet>(packet: &P, parsed: &Parsed) -> u32 {
    parsed.end.max(packet.readable_len())
}

/// The bits of the size of a frame that becomes segments of `data` bytes each, all with the headers
/// that it has now. How many they are the kernel knows (`known`), but for what comes from a virtual
/// machine (0).
#[inline(never)]
fn segmented(parsed: &Parsed, length: u32, data: u32, known: u32) -> u64 {
    let headers = match parsed.protocol {
        TCP => parsed.end.wrapping_sub(parsed.data),
        UDP => parsed.transport_offset + 8,
        _ => parsed.transport_offset,
    }
    .min(length);
    let packets = match known {
        0 => (length - headers).div_ceil(data.max(1)).max(1),
        known => known,
    };
    Size {
        packets,
        bytes: length.wrapping_add((packets - 1).wrapping_mul(headers)),
    }
    .to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(parsed: &Parsed, length: u32, data: u32, known: u32) -> (u32, u32) {
        let size = Size::from_bits(segmented(parsed, length, data, known));
        (size.packets, size.bytes)
    }

    #[test]
    fn segments_count_with_the_headers_that_each_of_them_has() {
        // Ethernet, IPv4, TCP with timestamps: 66 bytes.
        let segment = Parsed {
            protocol: TCP,
            transport_offset: 34,
            end: 66 + 14_480,
            data: 14_480,
            ..Parsed::NOTHING
        };
        for known in [0, 10] {
            assert_eq!(size(&segment, 14_546, 1448, known), (10, 10 * 1514));
        }
        // The last one is shorter.
        let shorter = Parsed {
            end: 66 + 1449,
            data: 1449,
            ..segment
        };
        assert_eq!(size(&shorter, 66 + 1449, 1448, 0), (2, 2 * 66 + 1449));
        let datagrams = Parsed {
            protocol: UDP,
            transport_offset: 34,
            end: 42 + 25 * 1000,
            ..Parsed::NOTHING
        };
        assert_eq!(size(&datagrams, 42 + 25_000, 1000, 0), (25, 25 * 1042));
        // The kernel's number is the better one: this may be a tunnel with headers of its own inside.
        assert_eq!(
            size(&datagrams, 42 + 25_000, 1000, 26),
            (26, 25_000 + 26 * 42)
        );
    }

    #[test]
    fn no_frame_is_less_than_one_packet() {
        assert_eq!(size(&Parsed::NOTHING, 60, 1000, 0), (1, 60));
        let empty = Parsed {
            protocol: TCP,
            transport_offset: 34,
            end: 54,
            ..Parsed::NOTHING
        };
        assert_eq!(size(&empty, 54, 1448, 0), (1, 54));
    }
}
