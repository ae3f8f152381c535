//! From what was captured to the Ethernet frame that the programs are handed.

/// Link types (the registry of link-layer header types).
const ETHERNET: u16 = 1;
const NULL: u16 = 0;
const RAW_BSD: [u16; 2] = [12, 14];
const RAW: u16 = 101;
const LOOP: u16 = 108;
const SLL: u16 = 113;
const IPV4: u16 = 228;
const IPV6: u16 = 229;
const PPP: u16 = 9;
const NFLOG: u16 = 239;
const SLL2: u16 = 276;

/// What is supported, in words.
pub const SUPPORTED: &str =
    "capture on an Ethernet interface, on `any` (Linux cooked), PPP, NFLOG, or raw IP packets";

/// Bytes of an Ethernet header.
pub(super) const ETHERNET_HEADER: usize = 14;
/// Addresses of frames that were captured without any: locally administered ones.
const NOBODY: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
/// Packet type of `LINUX_SLL`: sent by the capturing host.
const OUTGOING: u8 = 4;

/// An Ethernet frame, made of what was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Framed {
    /// Bytes that the whole frame had, captured or not.
    pub(super) length: usize,
    /// Whether the capturing host sent it, if its header tells.
    pub(super) sent: Option<bool>,
}

/// Whether frames of a link type can be judged.
pub fn is_supported(link: u16) -> bool {
    matches!(
        link,
        ETHERNET | NULL | PPP | RAW | LOOP | SLL | IPV4 | IPV6 | NFLOG | SLL2
    ) || RAW_BSD.contains(&link)
}

/// Link types that captures have and that cannot be judged, by name.
const OTHERS: [(u16, &str); 15] = [
    (8, "SLIP"),
    (50, "PPP in HDLC"),
    (51, "PPPoE"),
    (104, "Cisco HDLC"),
    (105, "IEEE 802.11"),
    (109, "OpenBSD's encapsulating interface"),
    (117, "OpenBSD's pflog"),
    (127, "IEEE 802.11 with radiotap"),
    (189, "USB"),
    (192, "PPI"),
    (195, "IEEE 802.15.4"),
    (201, "Bluetooth"),
    (220, "USB"),
    (226, "Solaris ipnet"),
    (227, "CAN"),
];

/// A link type as people call it: its number, and its name if that is known.
pub fn link_name(link: u16) -> String {
    let known = OTHERS.iter().find(|(number, _)| *number == link);
    known.map_or_else(
        || link.to_string(),
        |(number, name)| format!("{number} ({name})"),
    )
}

/// Writes the frame that a captured packet was into `frame`: as far as it was captured, behind an
/// Ethernet header. `None` for link types that are not supported, and for packets without even the
/// header of their link type.
pub(super) fn ethernet(
    link: u16,
    data: &[u8],
    original: usize,
    frame: &mut Vec<u8>,
) -> Option<Framed> {
    frame.clear();
    let (header, ethertype, sent) = match link {
        ETHERNET => {
            frame.extend_from_slice(data);
            return Some(Framed {
                length: original,
                sent: None,
            });
        }
        NULL | LOOP => (4, by_version(data.get(4..)?), None),
        PPP => {
            let (header, ethertype) = ppp(data)?;
            (header, ethertype, None)
        }
        NFLOG => {
            let packet = nflog(data)?;
            (packet, by_version(&data[packet..]), None)
        }
        SLL => {
            let header = data.get(..16)?;
            (16, be16(header, 14), Some(header[1] == OUTGOING))
        }
        SLL2 => {
            let header = data.get(..20)?;
            (20, be16(header, 0), Some(header[10] == OUTGOING))
        }
        _ if is_supported(link) => (0, by_version(data), None),
        _ => return None,
    };
    frame.extend_from_slice(&NOBODY);
    frame.extend_from_slice(&ethertype.to_be_bytes());
    frame.extend_from_slice(&data[header..]);
    Some(Framed {
        length: original.max(data.len()) - header + ETHERNET_HEADER,
        sent,
    })
}

/// The length of a PPP header and the `EtherType` of what follows (RFC 1661 §2, RFC 1662 §3.1): the
/// address and control fields may be there or not.
fn ppp(data: &[u8]) -> Option<(usize, u16)> {
    let at = if data.starts_with(&[0xff, 0x03]) {
        2
    } else {
        0
    };
    // A protocol number is one byte if that is odd.
    let (length, protocol) = match data.get(at)? {
        byte if byte & 1 == 1 => (1, u16::from(*byte)),
        _ => (2, be16(data.get(at..at + 2)?, 0)),
    };
    let ethertype = match protocol {
        0x0021 => 0x0800,
        0x0057 => 0x86dd,
        // Link control and the like: what is no IP.
        _ => 0x880b,
    };
    Some((at + length, ethertype))
}

/// Where the packet begins that an NFLOG record has: behind a header of four bytes come attributes,
/// each with its length and its type in the order of bytes of the capturing machine, padded to four
/// bytes (`include/uapi/linux/netfilter/nfnetlink_log.h`).
fn nflog(data: &[u8]) -> Option<usize> {
    const PAYLOAD: u16 = 9;
    let mut at = 4;
    loop {
        let head = data.get(at..at + 4)?;
        let word = |low: usize| u16::from_le_bytes([head[low], head[low + 1]]);
        let length = usize::from(word(0));
        if word(2) & 0x7fff == PAYLOAD {
            return Some(at + 4);
        }
        at += length.max(4).next_multiple_of(4);
    }
}

/// The `EtherType` of an IP packet, by its version; what is neither is a malformed IPv4 packet.
fn by_version(packet: &[u8]) -> u16 {
    match packet.first().map(|byte| byte >> 4) {
        Some(6) => 0x86dd,
        _ => 0x0800,
    }
}

pub(super) fn be16(bytes: &[u8], at: usize) -> u16 {
    match bytes.get(at..at + 2) {
        Some(&[high, low]) => u16::from_be_bytes([high, low]),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: [u8; 20] = [
        0x45, 0, 0, 20, 0, 0, 0, 0, 64, 47, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
    ];

    /// The frame that a packet of a link type becomes, and what is known of it.
    fn framed(link: u16, header: &[u8], original: usize) -> Option<(Vec<u8>, Framed)> {
        let mut frame = vec![9; 3];
        let data = [header, &PACKET].concat();
        let framed = ethernet(link, &data, original, &mut frame)?;
        Some((frame, framed))
    }

    fn with_header(ethertype: [u8; 2]) -> Vec<u8> {
        [&NOBODY[..], &ethertype, &PACKET].concat()
    }

    #[test]
    fn ppp_and_nflog_are_taken_off() {
        for header in [&[0x00, 0x21][..], &[0x21], &[0xff, 0x03, 0x00, 0x21]] {
            let (frame, found) = framed(PPP, header, 20 + header.len()).expect("supported");
            assert_eq!(
                (frame, found.length),
                (with_header([8, 0]), 34),
                "{header:?}"
            );
        }
        let (frame, _) = framed(PPP, &[0xc0, 0x21], 22).expect("supported");
        assert_eq!(frame[12..14], [0x88, 0x0b]);
        // A prefix of five bytes and its padding, then the packet.
        let attributes = [
            2, 0, 0, 0, 9, 0, 10, 0, b'i', b'n', b':', b' ', 0, 0, 0, 0, 24, 0, 9, 0,
        ];
        let (frame, found) = framed(NFLOG, &attributes, 40).expect("supported");
        assert_eq!((frame, found.length), (with_header([8, 0]), 34));
        assert!(framed(NFLOG, &attributes[..8], 28).is_none());
    }

    #[test]
    fn ethernet_frames_stay_as_they_are() {
        let (frame, framed) = framed(1, &with_header([8, 0])[..14], 60).expect("supported");
        assert_eq!(frame, with_header([8, 0]));
        assert_eq!(
            framed,
            Framed {
                length: 60,
                sent: None
            }
        );
    }

    #[test]
    fn raw_packets_get_a_header_for_their_version() {
        for link in [12, 14, 101, 228] {
            let (frame, framed) = framed(link, &[], 100).expect("supported");
            assert_eq!(frame, with_header([8, 0]), "{link}");
            assert_eq!(framed.length, 114);
        }
        let mut frame = Vec::new();
        ethernet(229, &[0x60; 40], 40, &mut frame).expect("supported");
        assert_eq!(frame[12..15], [0x86, 0xdd, 0x60]);
    }

    #[test]
    fn cooked_packets_keep_their_protocol_and_tell_their_way() {
        let mut v1 = [0; 16];
        v1[1] = 4;
        v1[14..].copy_from_slice(&[8, 0]);
        let (frame, framed1) = framed(113, &v1, 116).expect("supported");
        assert_eq!(frame, with_header([8, 0]));
        assert_eq!(
            framed1,
            Framed {
                length: 114,
                sent: Some(true)
            }
        );
        let mut v2 = [0; 20];
        v2[..2].copy_from_slice(&[0x86, 0xdd]);
        let (frame, framed2) = framed(276, &v2, 40).expect("supported");
        assert_eq!(frame, with_header([0x86, 0xdd]));
        assert_eq!(
            framed2,
            Framed {
                length: 34,
                sent: Some(false)
            }
        );
    }

    #[test]
    fn loopback_packets_lose_their_family() {
        let (frame, framed) = framed(0, &[2, 0, 0, 0], 24).expect("supported");
        assert_eq!(frame, with_header([8, 0]));
        assert_eq!(framed.length, 34);
    }

    #[test]
    fn link_types_have_names() {
        assert_eq!(link_name(127), "127 (IEEE 802.11 with radiotap)");
        assert_eq!(link_name(149), "149");
        assert!(OTHERS.iter().all(|(link, _)| !is_supported(*link)));
    }

    #[test]
    fn what_cannot_be_a_frame_is_none() {
        assert_eq!(framed(105, &[], 20), None);
        assert_eq!(ethernet(113, &[0; 15], 15, &mut Vec::new()), None);
        assert_eq!(ethernet(276, &[0; 19], 19, &mut Vec::new()), None);
    }
}
