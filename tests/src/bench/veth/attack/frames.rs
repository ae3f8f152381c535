//! The attacks, frame by frame.

use std::net::{IpAddr, Ipv4Addr};

use super::{CLIENT, OPEN, SERVER};
use crate::packet::{End, ip, tcp, udp};

/// Where TCP begins in a frame: behind 14 bytes of Ethernet and 20 of IPv4.
const TCP: usize = 14 + 20;
/// Where the fields of a segment are (RFC 9293).
const TCP_SEQUENCE: usize = TCP + 4;
const TCP_ACKNOWLEDGEMENT: usize = TCP + 8;
const TCP_CHECKSUM: usize = TCP + 16;

/// What is done to the flow table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attack {
    /// A SYN from a random source, then a third segment that acknowledges what was never sent.
    Handshakes,
    /// The same from one source, port by port.
    OneSource,
    /// Packets of a protocol without ports, from random sources.
    Portless,
    /// The same from a tenant, to random destinations.
    Tenant,
    /// Datagrams from random sources to a service that answers.
    Datagrams,
    /// Resets of every port of the client, with random sequence numbers.
    Resets,
}

impl Attack {
    pub(super) const ALL: [Self; 6] = [
        Self::Handshakes,
        Self::OneSource,
        Self::Portless,
        Self::Tenant,
        Self::Datagrams,
        Self::Resets,
    ];

    /// The name in tables.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Handshakes => "SYN, third segment forged",
            Self::OneSource => "the same, one source",
            Self::Portless => "no ports, random sources",
            Self::Tenant => "no ports, by a tenant",
            Self::Datagrams => "datagrams that are answered",
            Self::Resets => "blind resets",
        }
    }

    /// Its frame of a number.
    pub(super) fn frame(self, number: u64, random: &mut fastrand::Rng) -> Vec<u8> {
        let server = end(SERVER, OPEN);
        match self {
            Self::Handshakes => {
                // Both segments of a handshake come from the same end.
                let half = number / 2;
                let source = Ipv4Addr::from(
                    u32::from(Ipv4Addr::new(198, 18, 0, 0)) | (half as u32 % (1 << 17)),
                );
                let port = 1024 + (half >> 17) as u16 % 60_000;
                handshake(number, end(source, port), random)
            }
            Self::OneSource => {
                let port = 1024 + (number / 2 % 64_000) as u16;
                handshake(number, end(Ipv4Addr::new(198, 18, 7, 7), port), random)
            }
            Self::Portless => ip(end(stranger(random), 0), server, portless(random))
                .payload(8)
                .bytes(),
            Self::Tenant => {
                let anywhere = Ipv4Addr::from(0x1400_0000 | random.u32(..) & 0x03ff_ffff);
                let tenant = end(Ipv4Addr::new(10, 99, 1, 2), 0);
                let frame = ip(tenant, end(anywhere, 0), portless(random))
                    .payload(8)
                    .bytes();
                to(frame, [2, 0, 0, 0, 0, 3])
            }
            Self::Datagrams => {
                let source = end(stranger(random), random.u16(1024..));
                udp(source, server).payload(8).bytes()
            }
            Self::Resets => {
                let port = 1024 + (number % 64_511) as u16;
                let mut frame = tcp(end(CLIENT, port), server).rst().bytes();
                frame[TCP_SEQUENCE..][..4].copy_from_slice(&random.u32(..).to_be_bytes());
                forged(frame)
            }
        }
    }
}

fn end(address: Ipv4Addr, port: u16) -> End {
    (IpAddr::from(address), port).into()
}

fn stranger(random: &mut fastrand::Rng) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) | random.u32(..1 << 17))
}

fn handshake(number: u64, from: End, random: &mut fastrand::Rng) -> Vec<u8> {
    let segment = tcp(from, end(SERVER, OPEN));
    if number.is_multiple_of(2) {
        return segment.syn().bytes();
    }
    let mut frame = segment.ack().bytes();
    frame[TCP_ACKNOWLEDGEMENT..][..4].copy_from_slice(&random.u32(..).to_be_bytes());
    forged(frame)
}

/// A protocol without ports that nobody has: one of sixteen that are unassigned.
fn portless(random: &mut fastrand::Rng) -> u8 {
    random.u8(200..216)
}

/// The segment with a wrong checksum: no receiver would take it.
fn forged(mut frame: Vec<u8>) -> Vec<u8> {
    frame[TCP_CHECKSUM] ^= 0x12;
    frame
}

/// The frame with another destination.
fn to(mut frame: Vec<u8>, hardware: [u8; 6]) -> Vec<u8> {
    frame[..6].copy_from_slice(&hardware);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_segments_of_a_handshake_come_from_one_end() {
        let mut random = fastrand::Rng::with_seed(1);
        let [syn, third] = [0, 1].map(|number| Attack::Handshakes.frame(number, &mut random));
        // Addresses and ports.
        assert_eq!(syn[26..38], third[26..38]);
        assert_ne!(syn[47], third[47], "flags");
        let [next, _] = [2, 3].map(|number| Attack::Handshakes.frame(number, &mut random));
        assert_ne!(syn[26..38], next[26..38]);
    }
}
