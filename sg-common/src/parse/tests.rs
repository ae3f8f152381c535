//! The parser on frames built by hand.

use super::*;
use crate::packet::{Bare, Slice};
use crate::proto::DEST_OPTIONS;

fn parse(frame_bytes: &[u8]) -> (Result<Payload, Reason>, Parsed) {
    let mut parsed = Parsed::NOTHING;
    (frame(&Slice(frame_bytes), &mut parsed), parsed)
}

fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    bytes.extend(ether_type.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn ipv6(next: u8, src: [u8; 16], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend((payload.len() as u16).to_be_bytes());
    bytes.extend([next, 64]);
    bytes.extend(src);
    bytes.extend([0x20; 16]);
    bytes.extend(payload);
    ethernet(ETH_IPV6, &bytes)
}

#[test]
fn ipv4_mapped_addresses_on_the_wire_are_malformed() {
    let mut src = [0; 16];
    src[10..].copy_from_slice(&[0xff, 0xff, 10, 0, 0, 1]);
    let udp = [0, 1, 0, 2, 0, 8, 0, 0];
    assert_eq!(parse(&ipv6(UDP, src, &udp)).0, Err(Reason::MalformedIpv6));
    assert_eq!(parse(&ipv6(UDP, [0x20; 16], &udp)).0, Ok(Payload::Ip));
}

#[test]
fn extension_headers_are_followed_up_to_the_bound() {
    for (count, expected) in [
        (0, Ok(Payload::Ip)),
        (MAX_EXTENSION_HEADERS, Ok(Payload::Ip)),
        (MAX_EXTENSION_HEADERS + 1, Err(Reason::Ipv6ExtensionChain)),
    ] {
        let mut payload = Vec::new();
        for i in 0..count {
            let next = if i + 1 == count { UDP } else { DEST_OPTIONS };
            payload.extend([next, 0, 1, 4, 0, 0, 0, 0]);
        }
        payload.extend([0, 1, 0, 2, 0, 8, 0, 0]);
        let first = if count == 0 { UDP } else { DEST_OPTIONS };
        let (result, parsed) = parse(&ipv6(first, [0x20; 16], &payload));
        assert_eq!(result, expected, "{count} headers");
        if result.is_ok() {
            assert_eq!(
                (parsed.protocol, parsed.ports.upper(), parsed.ports.lower()),
                (UDP, 1, 2)
            );
        }
    }
}

#[test]
fn every_truncation_of_a_frame_is_refused_without_reading_past_it() {
    let whole = ipv6(
        TCP,
        [0x20; 16],
        &[
            0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0,
        ],
    );
    assert_eq!(parse(&whole).0, Ok(Payload::Ip));
    for length in 0..whole.len() {
        assert!(parse(&whole[..length]).0.is_err(), "{length} bytes");
    }
}

#[test]
fn a_refused_frame_names_the_tags_that_were_read() {
    let tags = [
        0x00, 0x64, 0x81, 0x00, 0x00, 0x05, 0x81, 0x00, 0, 6, 0x08, 0x00,
    ];
    let frame = ethernet(ETH_8021Q, &tags);
    for (length, ids, reason) in [
        (14 + 3, [0, 0], Reason::MalformedEthernet),
        (14 + 7, [100, 0], Reason::MalformedEthernet),
        (14 + 12, [100, 5], Reason::VlanDepth),
    ] {
        let (result, parsed) = parse(&frame[..length]);
        assert_eq!((result, parsed.vlan.ids()), (Err(reason), ids));
    }
}

#[test]
fn a_frame_without_a_whole_ethernet_header_has_no_tags_of_the_frame_before() {
    let tags = [0x00, 0x64, 0x81, 0x00, 0x00, 0x05, 0x08, 0x06];
    let mut parsed = Parsed::NOTHING;
    let tagged = ethernet(ETH_8021Q, &tags);
    assert_eq!(frame(&Slice(&tagged), &mut parsed), Ok(Payload::Arp));
    assert_eq!(parsed.vlan.ids(), [100, 5]);
    let cut = frame(&Slice(&tagged[..13]), &mut parsed);
    assert_eq!(cut, Err(Reason::MalformedEthernet));
    assert_eq!(parsed.vlan.ids(), [0, 0]);
}

#[test]
fn a_packet_without_a_link_header_is_read_as_behind_one() {
    let udp = [0, 1, 0, 2, 0, 8, 0, 0];
    let framed = ipv6(UDP, [0x20; 16], &udp);
    let (result, behind) = parse(&framed);
    assert_eq!(result, Ok(Payload::Ip));
    let mut parsed = Parsed::NOTHING;
    let packet = &framed[14..];
    assert_eq!(frame(&Bare(ETH_IPV6, packet), &mut parsed), Ok(Payload::Ip));
    let moved = Parsed {
        transport_offset: parsed.transport_offset + 14,
        end: parsed.end + 14,
        ..parsed
    };
    assert_eq!(moved, behind);
    // What the kernel says it is it must be.
    let mut is_bare = |protocol, bytes| frame(&Bare(protocol, bytes), &mut parsed);
    assert_eq!(is_bare(ETH_IPV4, packet), Err(Reason::MalformedIpv4));
    assert_eq!(is_bare(ETH_IPV6, &packet[..39]), Err(Reason::MalformedIpv6));
    assert_eq!(is_bare(0x8847, packet), Ok(Payload::NonIp));
}
