//! IPv4 options and IPv6 extension headers: ports are where they are, not where they usually are.

use sg_tests::packet::Extension;

use crate::prelude::*;

const UDP_9000: &str = "
    inbound:
      - { protocol: udp, ports: 9000, sources: [203.0.113.7/32, '2001:db8:cb::7/128'] }
      - { protocol: 50, source: '2001:db8:cb::7/128', description: esp }
    outbound: []
";

fn datagram(family: Family, port: u16) -> Frame {
    udp((family.remote(), 40000), (family.local(), port)).payload(20)
}

#[apply(everywhere)]
fn ports_are_read_behind_ipv4_options(place: Place) {
    // Bytes that would be an admitted or a denied port, were the header 20 bytes long.
    for fill in [[0; 4], [1; 4], [0x9c, 0x40, 0x23, 0x28], [0xff; 4]] {
        for words in 1..=10 {
            let filter = Filter::with_group(place, UDP_9000);
            let options = fill.repeat(words);
            filter
                .inbound(&datagram(V4, 9000).options(&options))
                .passes(Reason::New);
            filter
                .inbound(&datagram(V4, 9001).options(&options))
                .drops(Reason::NoRule);
        }
    }
}

#[rstest]
#[case::hop_by_hop(vec![Extension::padding(0, 1)])]
#[case::routing(vec![Extension::padding(43, 3)])]
#[case::destination_options(vec![Extension::padding(60, 2)])]
#[case::authentication(vec![Extension::authentication()])]
#[case::mobility(vec![Extension::padding(135, 1)])]
#[case::atomic_fragment(vec![Extension::fragment(9, 0, false)])]
#[case::as_recommended(vec![
    Extension::padding(0, 1),
    Extension::padding(60, 1),
    Extension::padding(43, 1),
    Extension::fragment(9, 0, false),
    Extension::authentication(),
    Extension::padding(60, 1),
])]
#[case::as_many_as_are_followed((0..8).map(|_| Extension::padding(60, 1)).collect())]
#[case::one_that_is_long(vec![Extension::padding(60, 100)])]
fn ports_are_read_behind_ipv6_extension_headers(
    #[values(NIC_XDP, NIC_TC, WORKLOAD_XDP, WORKLOAD_TC)] place: Place,
    #[case] extensions: Vec<Extension>,
) {
    let filter = Filter::with_group(place, UDP_9000);
    let mut admitted = datagram(V6, 9000);
    admitted.extensions.clone_from(&extensions);
    let mut denied = datagram(V6, 9001);
    denied.extensions = extensions;
    filter.inbound(&admitted).passes(Reason::New);
    filter.inbound(&denied).drops(Reason::NoRule);
    // The answer belongs to the flow with or without them.
    filter
        .outbound(&datagram(V6, 9000).reply())
        .passes(Reason::Established);
    filter
        .outbound(&admitted.reply())
        .passes(Reason::Established);
}

#[apply(everywhere)]
fn a_chain_beyond_the_bound_is_dropped(place: Place) {
    let filter = Filter::with_group(place, "inbound: [{ type: All traffic, source: '::/0' }]");
    let chain = |length: usize| {
        let mut packet = datagram(V6, 9000);
        packet.extensions = (0..length).map(|_| Extension::padding(60, 1)).collect();
        packet
    };
    filter.inbound(&chain(8)).passes(Reason::Untracked);
    for length in [9, 10, 20] {
        filter
            .inbound(&chain(length))
            .drops(Reason::Ipv6ExtensionChain);
        filter
            .outbound(&chain(length).reply())
            .drops(Reason::Ipv6ExtensionChain);
    }
}

#[apply(everywhere)]
fn hop_by_hop_options_stand_first_or_are_malformed(place: Place) {
    let filter = Filter::with_group(place, UDP_9000);
    let packet = datagram(V6, 9000)
        .extension(Extension::padding(60, 1))
        .extension(Extension::padding(0, 1));
    filter.inbound(&packet).drops(Reason::MalformedIpv6);
}

#[apply(everywhere)]
fn encrypted_payload_is_a_protocol_of_its_own(place: Place) {
    let filter = Filter::with_group(place, UDP_9000);
    let esp = ip(V6.remote(), V6.local(), 50).extension(Extension::padding(60, 1));
    filter.inbound(&esp).passes(Reason::New).by_rule("esp");
}

#[apply(everywhere)]
fn unknown_next_headers_are_protocols_of_their_own(place: Place) {
    let rule = "inbound: [{ protocol: 253, source: '::/0' }, { protocol: 59, source: '::/0' }]";
    let filter = Filter::with_group(place, rule);
    let packet = |protocol| ip(V6.remote(), V6.local(), protocol);
    // Experimental (RFC 3692), and "no next header".
    filter.inbound(&packet(253)).passes(Reason::New);
    filter.inbound(&packet(59)).passes(Reason::New);
    filter.inbound(&packet(254)).drops(Reason::NoRule);
}

#[apply(everywhere)]
fn an_extension_header_number_is_no_header_in_ipv4(place: Place) {
    let filter = Filter::with_group(place, UDP_9000);
    let mut packet = ip(V4.remote(), V4.local(), 60);
    packet.data = [
        &[17, 0, 0, 0, 0, 0, 0, 0][..],
        &datagram(V4, 9000).packet()[20..],
    ]
    .concat();
    filter.inbound(&packet).drops(Reason::NoRule);
}

#[apply(everywhere_in_both_families)]
fn control_messages_of_the_other_family_go_by_their_number(place: Place, family: Family) {
    // Protocol 58 in IPv4, 1 in IPv6.
    let (number, other) = if family == V4 { (58, V6) } else { (1, V4) };
    let all = family.everything();
    let rule = |of: Family| {
        let protocol = of.icmp();
        format!("inbound: [{{ protocol: {protocol}, icmp: all, source: '{all}' }}]")
    };
    let mut message = ip(family.remote(), family.local(), number);
    let request = if number == 58 { 128 } else { 8 };
    message.data = vec![request, 0, 0, 0, 0, 7, 0, 0];
    let filter = Filter::with_group(place, &rule(family));
    filter.inbound(&message).drops(Reason::NoRule);
    drop(filter);
    let filter = Filter::with_group(place, &rule(other));
    filter.inbound(&message).passes(Reason::New);
}

#[rstest]
fn headers_beyond_the_first_buffer_of_a_frame_are_out_of_sight_of_xdp(
    #[values(NIC_XDP, WORKLOAD_XDP)] place: Place,
    #[values(1, 2, 8)] extensions: usize,
) {
    let mut filter = Filter::with_group(
        place,
        "
        inbound: [{ type: All traffic, source: '::/0' }]
        outbound: [{ type: All traffic, destination: '::/0' }]
    ",
    );
    filter.judge_alone();
    let mut packet = datagram(V6, 9000);
    packet.extensions = (0..extensions)
        .map(|_| Extension::padding(60, 256))
        .collect();
    let seen = filter.judge(place.receives(), &packet.bytes());
    match extensions {
        1 => seen.passes(Reason::Untracked),
        2 => seen.drops(Reason::MalformedUdp),
        _ => seen.drops(Reason::MalformedIpv6),
    };
}
