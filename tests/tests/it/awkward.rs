//! Ordinary packets that filters often misjudge, in both directions: for a service that may be
//! asked for from both sides, and for its neighbour that may not.

use rstest_reuse::template;
use sg_common::flow::Direction;
use sg_tests::packet::{Extension, flags, patched};

use crate::prelude::*;

/// UDP and TCP 9000 for one peer, inbound and outbound.
fn filter(place: Place, family: Family) -> Filter {
    let remote = family.remote();
    let bits = if remote.is_ipv4() { 32 } else { 128 };
    let rules = |peer: &str| {
        ["udp", "tcp"]
            .map(|protocol| {
                format!("{{ protocol: {protocol}, ports: 9000, {peer}: '{remote}/{bits}' }}")
            })
            .join(", ")
    };
    let (inbound, outbound) = (rules("source"), rules("destination"));
    Filter::with_group(
        place,
        &format!("inbound: [{inbound}]\noutbound: [{outbound}]"),
    )
}

/// A datagram to a port, in a direction.
fn datagram(direction: Direction, family: Family, port: u16) -> Frame {
    let (local, remote) = (family.local(), family.remote());
    let (from, to) = match direction {
        Direction::Inbound => (remote, local),
        Direction::Outbound => (local, remote),
    };
    udp((from, 40000), (to, port)).payload(40)
}

/// The same as a segment that opens a connection.
fn segment(direction: Direction, family: Family, port: u16) -> Frame {
    let datagram = datagram(direction, family, port);
    tcp(datagram.from, datagram.to).syn()
}

/// Every program in every role, packets of both families, opened by either side.
#[template]
#[rstest]
fn both_ways(
    #[values(NIC_XDP, NIC_TC, WORKLOAD_XDP, WORKLOAD_TC)] place: Place,
    #[values(V4, V6)] family: Family,
    #[values(Direction::Inbound, Direction::Outbound)] direction: Direction,
) {
}

/// Asserts that packets to 9000 pass and packets to 9001 do not, whatever `change` does to them.
#[track_caller]
fn goes_by_its_port(
    place: Place,
    family: Family,
    direction: Direction,
    change: impl Fn(Frame) -> Frame,
) {
    for make in [datagram, segment] {
        let filter = filter(place, family);
        let [admitted, denied] = [9000, 9001].map(|port| change(make(direction, family, port)));
        filter
            .judge(direction, &denied.bytes())
            .drops(Reason::NoRule);
        assert!(filter.flows().is_empty());
        filter
            .judge(direction, &admitted.bytes())
            .passes(Reason::New);
        filter
            .judge(direction.reverse(), &admitted.reply().bytes())
            .passes(Reason::Established);
    }
}

#[apply(both_ways)]
fn options_and_extension_headers_do_not_hide_ports(
    place: Place,
    family: Family,
    direction: Direction,
) {
    if family == V4 {
        // Router alert, record route, and bytes that look like ports.
        for options in [
            &[0x94, 4, 0, 0][..],
            &[7, 7, 4, 0, 0, 0, 0, 0],
            &[0x23, 0x28, 0x23, 0x29],
        ] {
            goes_by_its_port(place, family, direction, |packet| packet.options(options));
        }
        return;
    }
    for extension in [
        Extension::padding(0, 1),
        Extension::padding(43, 1),
        Extension::padding(60, 2),
        Extension::authentication(),
        Extension::fragment(7, 0, false),
    ] {
        goes_by_its_port(place, family, direction, |packet| {
            packet.extension(extension.clone())
        });
    }
}

#[apply(both_ways)]
fn tags_do_not_hide_ports(
    place: Place,
    family: Family,
    direction: Direction,
    #[values(0, 1, 2)] tags: u16,
) {
    goes_by_its_port(place, family, direction, |packet| {
        (0..tags).fold(packet, |packet, id| packet.vlan(10 + id))
    });
}

#[apply(both_ways)]
fn port_zero_is_a_port_like_any_other(place: Place, family: Family, direction: Direction) {
    goes_by_its_port(place, family, direction, |mut packet| {
        packet.from.port = 0;
        packet
    });
    let filter = filter(place, family);
    for make in [datagram, segment] {
        filter
            .judge(direction, &make(direction, family, 0).bytes())
            .drops(Reason::NoRule);
    }
}

#[apply(both_ways)]
fn ports_say_nothing_in_encrypted_packets(place: Place, family: Family, direction: Direction) {
    let inner = datagram(direction, family, 9000);
    let mut esp = ip(inner.from, inner.to, 50);
    esp.data = inner.packet();
    filter(place, family)
        .judge(direction, &esp.bytes())
        .drops(Reason::NoRule);
}

#[apply(both_ways)]
fn later_fragments_share_the_fate_of_their_first_one(
    place: Place,
    family: Family,
    direction: Direction,
) {
    let filter = filter(place, family);
    let judge = |frame: &[u8]| filter.judge(direction, frame);
    let pieces = |port, id| datagram(direction, family, port).fragments(id, 16);
    let (admitted, denied) = (pieces(9000, 1), pieces(9001, 2));
    // Before the first one, out of order.
    judge(&admitted[2]).drops(Reason::FragmentUnknown);
    judge(&admitted[0]).passes(Reason::New);
    judge(&admitted[2]).passes(Reason::Fragment);
    judge(&admitted[1]).passes(Reason::Fragment);
    judge(&denied[0]).drops(Reason::NoRule);
    judge(&denied[1]).drops(Reason::FragmentUnknown);
    // Duplicates.
    judge(&admitted[0]).passes(Reason::Established);
    judge(&admitted[1]).passes(Reason::Fragment);
    // The other way a datagram of the same name is another one.
    filter
        .judge(direction.reverse(), &admitted[1])
        .drops(Reason::FragmentUnknown);
}

#[apply(both_ways)]
fn overlapping_fragments_are_each_judged_alone(place: Place, family: Family, direction: Direction) {
    let filter = filter(place, family);
    let judge = |frame: &[u8]| filter.judge(direction, frame);
    let pieces = |port, id| datagram(direction, family, port).fragments(id, 16);
    let admitted = pieces(9000, 1);
    judge(&admitted[0]).passes(Reason::New);
    // Another first fragment for the same datagram, to a port that nobody may use: what it covers
    // stays as the first one left it.
    judge(&pieces(9001, 1)[0]).drops(Reason::NoRule);
    judge(&admitted[1]).passes(Reason::Fragment);
    // A later one that covers all but the first 8 bytes, ports and checksums included.
    let offset = if family == V4 { 14 + 6 } else { 14 + 40 + 2 };
    let one: u16 = if family == V4 { 0x2001 } else { 1 << 3 | 1 };
    judge(&patched(&admitted[1], offset, &one.to_be_bytes())).passes(Reason::Fragment);
    // The same of a datagram without first fragment.
    judge(&patched(&pieces(9000, 2)[1], offset, &one.to_be_bytes())).drops(Reason::FragmentUnknown);
}

#[apply(both_ways)]
fn a_first_fragment_has_its_whole_header(place: Place, family: Family, direction: Direction) {
    let filter = filter(place, family);
    for size in [8, 16] {
        let tiny = &segment(direction, family, 9000)
            .payload(40)
            .fragments(1, size)[..];
        filter
            .judge(direction, &tiny[0])
            .drops(Reason::MalformedTcp);
        filter
            .judge(direction, &tiny[1])
            .drops(Reason::FragmentUnknown);
    }
    let tiny = datagram(direction, family, 9000).fragments(2, 8);
    filter.judge(direction, &tiny[0]).passes(Reason::New);
    filter.judge(direction, &tiny[1]).passes(Reason::Fragment);
}

#[apply(everywhere)]
fn a_flood_of_first_fragments_makes_others_forgotten_and_admits_nothing(place: Place) {
    let mut filter = filter(place, V4);
    let pieces = |id| datagram(Direction::Inbound, V4, 9000).fragments(id, 24);
    let oldest = pieces(0);
    filter.inbound(&oldest[0]).passes(Reason::New);
    // The kernel remembers 16 384 datagrams, the oracle all.
    filter.judge_alone();
    for id in 1..=20_000 {
        filter.flood(&pieces(id)[0], 1);
    }
    let _ = filter.take_events();
    filter.inbound(&oldest[1]).drops(Reason::FragmentUnknown);
    filter.inbound(&pieces(20_000)[1]).passes(Reason::Fragment);
}

#[apply(both_ways)]
fn group_addresses_are_addresses_like_any_other(
    place: Place,
    family: Family,
    direction: Direction,
) {
    let groups = match family {
        V4 => &[
            "224.0.0.251",
            "239.255.255.250",
            "255.255.255.255",
            "192.0.2.255",
        ][..],
        V6 => &["ff02::fb", "ff02::1", "ff05::2"],
    };
    for group in groups {
        let bits = if family == V4 { 32 } else { 128 };
        let remote = family.remote();
        let rules = format!(
            "inbound: [{{ protocol: udp, ports: 9000, source: '{remote}/{bits}' }}]
outbound: [{{ protocol: udp, ports: 9000, destination: '{group}/{bits}' }}]"
        );
        let filter = Filter::with_group(place, &rules);
        let packet = |port| {
            let mut packet = datagram(direction, family, port);
            packet.to.address = group.parse().expect("an address");
            packet
        };
        filter
            .judge(direction, &packet(9000).bytes())
            .passes(Reason::New);
        filter
            .judge(direction, &packet(9001).bytes())
            .drops(Reason::NoRule);
        // Who answers does so from an address of its own, and that is no answer to the group.
        let answer = datagram(direction, family, 9000).reply();
        filter
            .judge(direction.reverse(), &answer.bytes())
            .drops(Reason::NoRule);
    }
}

#[apply(everywhere_in_both_families)]
fn our_own_address_as_the_source_is_a_peer_like_any_other(place: Place, family: Family) {
    let own = family.local();
    let bits = if own.is_ipv4() { 32 } else { 128 };
    let spoofed = |port| udp((own, 40000), (own, port));
    let closed = filter(place, family);
    closed.inbound(&spoofed(9000)).drops(Reason::NoRule);
    closed.outbound(&spoofed(9000)).drops(Reason::NoRule);
    // Not even its own group admits it, unless a rule says so.
    let rules = format!(
        "inbound: [{{ protocol: udp, ports: 9000, source: '{own}/{bits}' }}]\noutbound: []"
    );
    let open = Filter::with_group(place, &rules);
    open.inbound(&spoofed(9000)).passes(Reason::New);
    open.inbound(&spoofed(9001)).drops(Reason::NoRule);
}

#[apply(everywhere_in_both_families)]
fn a_hairpinned_flow_is_one_flow_for_each_end(place: Place, family: Family) {
    let (one, other) = (family.local(), family.second_local());
    let bits = if one.is_ipv4() { 32 } else { 128 };
    let rules = format!(
        "inbound: [{{ protocol: tcp, ports: 9000, source: '{one}/{bits}', description: in }}]
outbound: [{{ protocol: tcp, ports: 9000, destination: '{other}/{bits}', description: out }}]"
    );
    let mut filter = Filter::with_group(place, &rules);
    let syn = tcp((one, 40000), (other, 9000)).syn();
    let answer = syn.reply().syn_ack();
    // It leaves, comes back, and so does its answer.
    filter.outbound(&syn).passes(Reason::New).by_rule("out");
    filter.inbound(&syn).passes(Reason::New).by_rule("in");
    assert_eq!(filter.flows().len(), 2);
    filter
        .outbound(&answer)
        .passes(Reason::Established)
        .by_rule("in");
    filter
        .inbound(&answer)
        .passes(Reason::Established)
        .by_rule("out");
    filter.apply_group("outbound: []");
    filter
        .outbound(&syn.clone().ack())
        .passes(Reason::Established);
    filter.inbound(&syn.ack()).passes(Reason::Established);
}

#[apply(both_ways)]
fn a_retransmission_revives_no_flow_whose_rule_is_gone(
    place: Place,
    family: Family,
    direction: Direction,
) {
    let mut filter = filter(place, family);
    let syn = segment(direction, family, 9000).bytes();
    filter.judge(direction, &syn).passes(Reason::New);
    filter.apply_group("outbound: []");
    // While the flow lives it is part of it.
    filter.wait_seconds(60);
    filter.judge(direction, &syn).passes(Reason::Established);
    filter.wait_seconds(61);
    for flags in [flags::SYN, flags::ACK, flags::FIN, flags::RST] {
        let segment = segment(direction, family, 9000).tcp_flags(flags);
        filter
            .judge(direction, &segment.bytes())
            .drops(Reason::NoRule);
    }
}
