//! Frames that are cut off or contradict themselves: dropped in both directions, each for its own
//! reason, though every rule admits everything.

use sg_tests::{
    packet::{ETHERNET_LEN, Extension, patched},
    prog::Hook,
};

use crate::prelude::*;

/// Offsets of fields in untagged frames.
const IPV4_TOTAL_LEN: usize = ETHERNET_LEN + 2;
const IPV6_PAYLOAD_LEN: usize = ETHERNET_LEN + 4;

fn open(place: Place) -> Filter {
    Filter::with_group(
        place,
        "
        inbound: [{ type: All traffic, sources: [0.0.0.0/0, '::/0'] }]
        outbound: [{ type: All traffic, destinations: [0.0.0.0/0, '::/0'] }]
        ",
    )
}

fn segment(family: Family) -> Frame {
    tcp((family.remote(), 40000), (family.local(), 80))
        .syn()
        .payload(10)
}

fn datagram(family: Family) -> Frame {
    udp((family.remote(), 40000), (family.local(), 80)).payload(10)
}

fn malformed_ip(family: Family) -> Reason {
    match family {
        V4 => Reason::MalformedIpv4,
        V6 => Reason::MalformedIpv6,
    }
}

fn transport_offset(family: Family) -> usize {
    ETHERNET_LEN + if family == V4 { 20 } else { 40 }
}

/// Asserts that a frame is dropped for `reason`, whichever way it goes.
#[track_caller]
fn is_dropped(filter: &Filter, frame: &[u8], reason: Reason) {
    filter.inbound(frame).drops(reason).by_no_rule();
    filter.outbound(frame).drops(reason).by_no_rule();
    assert!(filter.flows().is_empty());
}

#[apply(everywhere_in_both_families)]
fn a_frame_cut_anywhere_is_dropped(place: Place, family: Family) {
    let filter = open(place);
    for packet in [
        segment(family),
        datagram(family),
        ping(family.remote(), family.local(), 1).payload(20),
        ip(family.remote(), family.local(), 47),
    ] {
        let frame = packet.bytes();
        let headers = transport_offset(family);
        for length in headers..frame.len() {
            is_dropped(&filter, &frame[..length], malformed_ip(family));
        }
        // The kernel runs TC programs on whole IP headers only, but for tagged frames.
        if place.hook == Hook::Xdp {
            for length in ETHERNET_LEN..headers {
                filter
                    .judge(place.receives(), &frame[..length])
                    .drops(malformed_ip(family));
            }
        }
    }
}

#[apply(everywhere_in_both_families)]
fn a_tagged_frame_cut_anywhere_is_dropped(place: Place, family: Family) {
    let filter = open(place);
    let frame = datagram(family).vlan(5).vlan(6).bytes();
    // The kernel runs TC programs on nothing shorter.
    for length in ETHERNET_LEN + 1..ETHERNET_LEN + 8 {
        is_dropped(&filter, &frame[..length], Reason::MalformedEthernet);
    }
    for length in ETHERNET_LEN + 8..frame.len() {
        is_dropped(&filter, &frame[..length], malformed_ip(family));
    }
}

#[apply(everywhere_in_both_families)]
fn a_frame_may_be_longer_than_its_packet(place: Place, family: Family) {
    let filter = open(place);
    for padding in [1, 18, 100] {
        let frame = [segment(family).bytes(), vec![0; padding]].concat();
        filter.inbound(&frame).passes(Reason::Untracked);
    }
}

#[apply(everywhere)]
fn ipv4_lengths_must_agree(place: Place) {
    let filter = open(place);
    let frame = segment(V4).bytes();
    let packet = (frame.len() - ETHERNET_LEN) as u16;
    let claims = |length: u16| patched(&frame, IPV4_TOTAL_LEN, &length.to_be_bytes());
    for length in (0..20).chain([packet + 1, 1500, u16::MAX]) {
        is_dropped(&filter, &claims(length), Reason::MalformedIpv4);
    }
    for length in 20..40 {
        is_dropped(&filter, &claims(length), Reason::MalformedTcp);
    }
    filter.inbound(&claims(40)).passes(Reason::Untracked);
}

#[apply(everywhere)]
fn ipv4_header_length_and_version_must_be_right(place: Place) {
    let filter = open(place);
    let frame = segment(V4).bytes();
    for version_ihl in (0x40..0x45).chain([0x05, 0x35, 0x55, 0x65, 0xf5]) {
        let frame = patched(&frame, ETHERNET_LEN, &[version_ihl]);
        is_dropped(&filter, &frame, Reason::MalformedIpv4);
    }
    // Of 50 bytes, 32 and more leave no room for a TCP header, 52 and more for nothing.
    for ihl in 8..=12 {
        let frame = patched(&frame, ETHERNET_LEN, &[0x40 | ihl]);
        is_dropped(&filter, &frame, Reason::MalformedTcp);
    }
    for ihl in 13..=15 {
        let frame = patched(&frame, ETHERNET_LEN, &[0x40 | ihl]);
        is_dropped(&filter, &frame, Reason::MalformedIpv4);
    }
}

#[apply(everywhere)]
fn ipv6_lengths_must_agree(place: Place) {
    let filter = open(place);
    let frame = segment(V6).bytes();
    let payload = (frame.len() - ETHERNET_LEN - 40) as u16;
    let claims = |length: u16| patched(&frame, IPV6_PAYLOAD_LEN, &length.to_be_bytes());
    for length in 0..20 {
        is_dropped(&filter, &claims(length), Reason::MalformedTcp);
    }
    for length in [payload + 1, 1500, u16::MAX] {
        is_dropped(&filter, &claims(length), Reason::MalformedIpv6);
    }
    filter.inbound(&claims(20)).passes(Reason::Untracked);
}

#[apply(everywhere)]
fn an_ether_type_does_not_make_a_version(place: Place) {
    let filter = open(place);
    for version in (0..=15).filter(|version| *version != 6) {
        let frame = patched(&segment(V6).bytes(), ETHERNET_LEN, &[version << 4]);
        is_dropped(&filter, &frame, Reason::MalformedIpv6);
    }
    let frame = ethernet(0x0800, &segment(V6).packet());
    is_dropped(&filter, &frame, Reason::MalformedIpv4);
    let frame = ethernet(0x86dd, &segment(V4).packet());
    is_dropped(&filter, &frame, Reason::MalformedIpv6);
}

#[apply(everywhere)]
fn an_extension_header_must_fit_the_packet(place: Place) {
    let filter = open(place);
    for number in [0, 43, 60, 135] {
        let frame = segment(V6).extension(Extension::padding(number, 1)).bytes();
        // The header claims 16 bytes and more; the segment behind it has 30.
        for units in [4, 100, 255] {
            let frame = patched(&frame, ETHERNET_LEN + 41, &[units]);
            is_dropped(&filter, &frame, Reason::MalformedIpv6);
        }
    }
    let frame = segment(V6).extension(Extension::authentication()).bytes();
    let frame = patched(&frame, ETHERNET_LEN + 41, &[255]);
    is_dropped(&filter, &frame, Reason::MalformedIpv6);
    // The packet ends inside the extension header.
    let frame = segment(V6).extension(Extension::padding(60, 2)).bytes();
    for payload in 0..16 {
        let frame = patched(&frame, IPV6_PAYLOAD_LEN, &[0, payload]);
        is_dropped(&filter, &frame, Reason::MalformedIpv6);
    }
}

#[apply(everywhere)]
fn an_ipv4_address_in_an_ipv6_packet_is_malformed(place: Place) {
    let filter = open(place);
    let mapped = "::ffff:203.0.113.7";
    let frame = tcp(format!("[{mapped}]:40000").as_str(), (V6.local(), 80)).syn();
    is_dropped(&filter, &frame.bytes(), Reason::MalformedIpv6);
    let frame = tcp((V6.remote(), 40000), format!("[{mapped}]:80").as_str()).syn();
    is_dropped(&filter, &frame.bytes(), Reason::MalformedIpv6);
}

#[apply(everywhere_in_both_families)]
fn a_tcp_header_must_be_whole(place: Place, family: Family) {
    let filter = open(place);
    let whole = segment(family);
    for length in 0..20 {
        let mut cut = ip(family.remote(), family.local(), 6);
        cut.data = whole.packet()[transport_offset(family) - ETHERNET_LEN..][..length].to_vec();
        is_dropped(&filter, &cut.bytes(), Reason::MalformedTcp);
    }
    // The data offset: under 5 words, and beyond the segment's 30 bytes.
    let data_offset = transport_offset(family) + 12;
    for words in (0..5).chain(8..16) {
        let frame = patched(&whole.bytes(), data_offset, &[words << 4]);
        is_dropped(&filter, &frame, Reason::MalformedTcp);
    }
    for words in 5..8 {
        let frame = patched(&whole.bytes(), data_offset, &[words << 4]);
        filter.inbound(&frame).passes(Reason::Untracked);
    }
}

#[apply(everywhere_in_both_families)]
fn a_udp_header_must_be_whole(place: Place, family: Family) {
    let filter = open(place);
    let whole = datagram(family);
    for length in 0..8 {
        let mut cut = ip(family.remote(), family.local(), 17);
        cut.data = whole.packet()[transport_offset(family) - ETHERNET_LEN..][..length].to_vec();
        is_dropped(&filter, &cut.bytes(), Reason::MalformedUdp);
    }
    let claims = |length: u16| {
        let at = transport_offset(family) + 4;
        patched(&whole.bytes(), at, &length.to_be_bytes())
    };
    for length in (0..8).chain([19, 100, u16::MAX]) {
        is_dropped(&filter, &claims(length), Reason::MalformedUdp);
    }
    for length in 8..=18 {
        filter.inbound(&claims(length)).passes(Reason::Untracked);
    }
}

#[apply(everywhere_in_both_families)]
fn an_icmp_header_must_be_whole(place: Place, family: Family) {
    let filter = open(place);
    let protocol = if family == V4 { 1 } else { 58 };
    for length in 0..8 {
        let mut cut = ip(family.remote(), family.local(), protocol);
        cut.data = vec![8; length];
        is_dropped(&filter, &cut.bytes(), Reason::MalformedIcmp);
    }
}

#[apply(everywhere)]
fn a_jumbogram_is_an_empty_packet(place: Place) {
    let filter = open(place);
    // The real length is an option of 32 bits (RFC 2675).
    let mut jumbo = Extension::padding(0, 1);
    jumbo.body[1..].copy_from_slice(&[0xc2, 4, 0, 1, 0, 0]);
    let frame = datagram(V6).extension(jumbo).payload(200).bytes();
    let frame = patched(&frame, IPV6_PAYLOAD_LEN, &[0, 0]);
    is_dropped(&filter, &frame, Reason::MalformedIpv6);
    let frame = patched(&datagram(V6).bytes(), IPV6_PAYLOAD_LEN, &[0, 0]);
    is_dropped(&filter, &frame, Reason::MalformedUdp);
}
