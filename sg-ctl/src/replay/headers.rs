//! What must be known of a frame before the programs can judge it: its two ends, how far its
//! headers go, and where they say how long it is.
//!
//! Decides nothing about the packet; what makes no sense is left to the programs.

use std::net::IpAddr;

use sg_common::proto;

use super::frame::be16;

/// `EtherType`s of VLAN tags.
const TAGS: [u16; 2] = [0x8100, 0x88a8];
const ARP: u16 = 0x0806;
/// Extension headers of IPv6 that another header follows.
const EXTENSIONS: [u8; 6] = [0, 43, 44, 51, 60, 135];
/// More extension headers than a packet may have.
const MOST_EXTENSIONS: usize = 16;
/// The most that an ICMP error quotes before the ports of the packet that it is about.
const QUOTED: usize = 40 + 8;
/// Bytes beyond which a length of 0 means a segmented packet of more than 64 KiB (BIG TCP).
const LONGEST_TOLD: usize = 0xffff;

/// A field that holds the length of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Length {
    /// Where the field is.
    at: usize,
    /// Where what it counts begins.
    from: usize,
}

/// The headers of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Headers {
    /// Source and destination, of IP packets and of ARP about IPv4.
    pub(super) ends: Option<(IpAddr, IpAddr)>,
    /// Bytes that the programs read to judge it, if they are there.
    pub(super) needed: usize,
    /// The length of the IP packet.
    packet: Option<Length>,
    /// The length of the UDP datagram.
    datagram: Option<Length>,
    /// Whether it is IPv4 without a length: segmentation offload leaves it to the NIC.
    untold: bool,
}

impl Headers {
    /// Reads the headers as far as they are there.
    pub(super) fn read(frame: &[u8]) -> Self {
        let mut at = 12;
        while TAGS.contains(&be16(frame, at)) {
            at += 4;
        }
        let start = at + 2;
        let mut headers = Self {
            needed: start,
            ..Self::default()
        };
        match be16(frame, at) {
            0x0800 => headers.v4(frame, start),
            0x86dd => headers.v6(frame, start),
            ARP => headers.arp(frame, start),
            _ => {}
        }
        headers
    }

    /// RFC 826: the lengths of hardware and protocol addresses say where the latter are.
    fn arp(&mut self, frame: &[u8], start: usize) {
        let Some(&[hardware, 4]) = frame.get(start + 4..start + 6) else {
            return;
        };
        let (sender, pair) = (start + 8 + usize::from(hardware), 4 + usize::from(hardware));
        if be16(frame, start + 2) == 0x0800 {
            self.ends = v4_ends(frame, sender, sender + pair);
        }
    }

    fn v4(&mut self, frame: &[u8], start: usize) {
        self.untold = be16(frame, start + 2) == 0 && frame.len() >= start + 4;
        self.ends = v4_ends(frame, start + 12, start + 16);
        self.needed = start + 20;
        self.packet = Some(Length {
            at: start + 2,
            from: start,
        });
        let Some([first, ..]) = frame.get(start..self.needed) else {
            return;
        };
        let upper = start + usize::from(first & 15) * 4;
        self.needed = upper.max(self.needed);
        let offset = be16(frame, start + 6) & 0x1fff;
        if offset == 0 {
            self.upper(frame, frame[start + 9], upper);
        }
    }

    fn v6(&mut self, frame: &[u8], start: usize) {
        let address = |at: usize| {
            let octets: [u8; 16] = frame.get(at..at + 16)?.try_into().ok()?;
            Some(IpAddr::from(octets))
        };
        self.ends = address(start + 8).zip(address(start + 24));
        self.needed = start + 40;
        self.packet = Some(Length {
            at: start + 4,
            from: start + 40,
        });
        let Some(mut next) = frame.get(start + 6).copied() else {
            return;
        };
        let mut at = start + 40;
        for _ in 0..MOST_EXTENSIONS {
            if !EXTENSIONS.contains(&next) {
                return self.upper(frame, next, at);
            }
            self.needed = at + 8;
            let Some(&[following, units]) = frame.get(at..at + 2) else {
                return;
            };
            let is_fragment = next == 44;
            let size = match next {
                44 => 8,
                51 => (usize::from(units) + 2) * 4,
                _ => (usize::from(units) + 1) * 8,
            };
            if is_fragment && be16(frame, at + 2) & 0xfff8 != 0 {
                return;
            }
            next = following;
            at += size;
            self.needed = at;
        }
    }

    /// Reads the header of what the packet carries.
    fn upper(&mut self, frame: &[u8], protocol: u8, at: usize) {
        let is_error = |kind: &u8| match protocol {
            proto::ICMP => matches!(kind, 3 | 4 | 5 | 11 | 12),
            _ => *kind < 128,
        };
        self.needed = at
            + match protocol {
                proto::TCP => 20,
                proto::ICMP | proto::ICMPV6 if frame.get(at).is_some_and(is_error) => 8 + QUOTED,
                proto::UDP | proto::ICMP | proto::ICMPV6 => 8,
                _ => 0,
            };
        if protocol == proto::UDP {
            self.datagram = Some(Length {
                at: at + 4,
                from: at,
            });
        }
    }

    /// Writes the length of a packet that tells none: all of a frame that had `length` bytes.
    pub(super) fn tell(&self, frame: &mut [u8], length: usize) {
        if let Some(packet) = self.packet.filter(|_| self.untold) {
            let there = length.saturating_sub(packet.from);
            put(frame, packet.at, there.min(LONGEST_TOLD));
        }
    }

    /// Makes a frame that had `length` bytes, and of which all but the beginning is gone, look as
    /// if it had never had more: lengths that were true stay true, and others stay false. Returns
    /// whether that can be done.
    pub(super) fn shorten(&self, frame: &mut [u8], length: usize) -> bool {
        // What is quoted may be cut off: the programs read its ports only.
        if self.needed.saturating_sub(QUOTED) > frame.len() {
            return false;
        }
        let Some(packet) = self.packet else {
            return true;
        };
        let told = usize::from(be16(frame, packet.at));
        let there = length.saturating_sub(packet.from);
        let is_big = told == 0 && (self.untold || there > LONGEST_TOLD);
        let end = packet.from + if is_big { there } else { told };
        if end <= length {
            if let Some(datagram) = self.datagram {
                let told = usize::from(be16(frame, datagram.at));
                if datagram.from + told <= end {
                    cap(frame, datagram);
                }
            }
            if is_big {
                put(frame, packet.at, LONGEST_TOLD);
            }
            cap(frame, packet);
        }
        true
    }
}

/// Has a length count no more than what is there.
fn cap(frame: &mut [u8], length: Length) {
    let there = frame.len().saturating_sub(length.from);
    let told = usize::from(be16(frame, length.at));
    put(frame, length.at, told.min(there));
}

fn put(frame: &mut [u8], at: usize, value: usize) {
    if let Some(field) = frame.get_mut(at..at + 2) {
        field.copy_from_slice(&(value as u16).to_be_bytes());
    }
}

fn v4_ends(frame: &[u8], source: usize, destination: usize) -> Option<(IpAddr, IpAddr)> {
    let address = |at: usize| {
        let octets: [u8; 4] = frame.get(at..at + 4)?.try_into().ok()?;
        Some(IpAddr::from(octets))
    };
    address(source).zip(address(destination))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETHERNET: [u8; 12] = [2; 12];

    /// A UDP datagram from 192.0.2.1 to 192.0.2.2 with `told` and `datagram` in its length fields,
    /// in a frame of so many bytes.
    fn v4(told: u16, datagram: u16, bytes: usize) -> Vec<u8> {
        let mut frame = ETHERNET.to_vec();
        frame.extend([0x08, 0x00, 0x45, 0]);
        frame.extend(told.to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
        frame.extend([0, 53, 0, 54]);
        frame.extend(datagram.to_be_bytes());
        frame.resize(bytes, 0);
        frame
    }

    fn ends(source: &str, destination: &str) -> (IpAddr, IpAddr) {
        let address = |text: &str| text.parse().expect("address");
        (address(source), address(destination))
    }

    #[test]
    fn finds_the_ends_behind_any_number_of_tags() {
        let plain = v4(100, 80, 114);
        let headers = Headers::read(&plain);
        assert_eq!(headers.ends, Some(ends("192.0.2.1", "192.0.2.2")));
        assert_eq!(headers.needed, 14 + 20 + 8);
        for tags in 1..4 {
            let mut tagged = plain[..12].to_vec();
            tagged.extend([0x81, 0, 0, 7].repeat(tags));
            tagged.extend(&plain[12..]);
            let found = Headers::read(&tagged);
            assert_eq!(found.ends, headers.ends);
            assert_eq!(found.needed, headers.needed + 4 * tags);
        }
    }

    #[test]
    fn finds_the_ends_of_ipv6_and_arp() {
        let mut frame = ETHERNET.to_vec();
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 16, 0, 64]);
        frame.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        frame.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        frame.extend([6, 0, 0, 0, 0, 0, 0, 0]);
        let headers = Headers::read(&frame);
        assert_eq!(headers.ends, Some(ends("2001:db8::1", "2001:db8::2")));
        assert_eq!(headers.needed, 14 + 40 + 8 + 20);

        let mut frame = ETHERNET.to_vec();
        frame.extend([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]);
        frame.extend([
            2, 2, 2, 2, 2, 2, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 2,
        ]);
        assert_eq!(
            Headers::read(&frame).ends,
            Some(ends("192.0.2.1", "192.0.2.2"))
        );
    }

    #[test]
    fn what_is_cut_off_has_no_ends() {
        let frame = v4(100, 80, 114);
        for length in 0..=frame.len() {
            let headers = Headers::read(&frame[..length]);
            assert_eq!(headers.ends.is_some(), length >= 34, "{length}");
            assert_eq!(length >= headers.needed, length >= 42, "{length}");
        }
    }

    /// The lengths of a frame of `length` bytes after it was cut to 200.
    fn shortened(told: u16, datagram: u16, length: usize) -> (u16, u16) {
        let mut frame = v4(told, datagram, 200);
        assert!(Headers::read(&frame).shorten(&mut frame, length));
        (be16(&frame, 16), be16(&frame, 38))
    }

    #[test]
    fn lengths_that_were_true_stay_true() {
        assert_eq!(shortened(986, 966, 1000), (186, 166));
        assert_eq!(shortened(500, 480, 1000), (186, 166));
        assert_eq!(shortened(100, 80, 1000), (100, 80));
        assert_eq!(shortened(500, 40, 1000), (186, 40));
    }

    #[test]
    fn lengths_that_were_false_stay_false() {
        assert_eq!(shortened(987, 966, 1000), (987, 966));
        assert_eq!(shortened(986, 967, 1000), (186, 967));
        assert_eq!(shortened(19, 0, 1000), (19, 0));
        assert_eq!(shortened(986, 0, 1000), (186, 0));
    }

    #[test]
    fn a_packet_without_a_length_has_that_of_its_frame() {
        assert_eq!(shortened(0, 966, 1000), (186, 166));
        let mut frame = v4(0, 966, 1000);
        Headers::read(&frame).tell(&mut frame, 1000);
        assert_eq!(be16(&frame, 16), 986);
        let mut told = v4(19, 966, 1000);
        Headers::read(&told).tell(&mut told, 1000);
        assert_eq!(be16(&told, 16), 19);
    }

    #[test]
    fn addresses_of_arp_are_where_its_lengths_say() {
        // IP over InfiniBand has hardware addresses of 20 bytes (RFC 4391).
        for hardware in [0_u8, 6, 20] {
            let mut frame = ETHERNET.to_vec();
            frame.extend([0x08, 0x06, 0, 32, 8, 0, hardware, 4, 0, 1]);
            for address in [1, 2] {
                frame.extend(vec![9; usize::from(hardware)]);
                frame.extend([192, 0, 2, address]);
            }
            let found = Headers::read(&frame).ends;
            assert_eq!(found, Some(ends("192.0.2.1", "192.0.2.2")), "{hardware}");
            frame[19] = 16;
            assert_eq!(Headers::read(&frame).ends, None);
        }
    }

    #[test]
    fn a_packet_beyond_64_kib_may_leave_its_length_out() {
        assert_eq!(shortened(0, 40, 100_000), (186, 40));
    }

    #[test]
    fn what_has_more_headers_than_are_left_cannot_be_shortened() {
        let mut frame = ETHERNET.to_vec();
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0x10, 0, 60, 64]);
        frame.resize(54, 0);
        frame.extend([6, 255]);
        frame.resize(200, 0);
        assert!(!Headers::read(&frame).shorten(&mut frame, 4150));
    }
}
