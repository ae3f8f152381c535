//! Fragments: ports are in the first one alone.

use sg_tests::packet::{Extension, patched};

use crate::prelude::*;

/// Bytes per fragment.
const SIZE: usize = 16;

fn rules(family: Family) -> String {
    let remote = family.remote();
    let bits = if remote.is_ipv4() { 32 } else { 128 };
    format!(
        "inbound: [{{ protocol: udp, ports: 9000, source: '{remote}/{bits}', description: in }}]
outbound: []"
    )
}

fn datagram(family: Family, port: u16) -> Frame {
    udp((family.remote(), 40000), (family.local(), port)).payload(40)
}

#[apply(everywhere_in_both_families)]
fn later_fragments_follow_their_first_one(place: Place, family: Family) {
    let filter = Filter::with_group(place, &rules(family));
    let [first, later @ ..] = &datagram(family, 9000).fragments(1, SIZE)[..] else {
        panic!("several fragments");
    };
    filter.inbound(first).passes(Reason::New).by_rule("in");
    assert_eq!(later.len(), 2);
    for fragment in later {
        filter
            .inbound(fragment)
            .passes(Reason::Fragment)
            .by_rule("in");
    }
    // A copy of one, and the next datagram of the flow.
    filter.inbound(&later[0]).passes(Reason::Fragment);
    let next = datagram(family, 9000).fragments(2, SIZE);
    filter.inbound(&next[0]).passes(Reason::Established);
    filter.inbound(&next[2]).passes(Reason::Fragment);
}

#[apply(everywhere_in_both_families)]
fn a_later_fragment_without_a_first_is_dropped(place: Place, family: Family) {
    let filter = Filter::with_group(place, &rules(family));
    let fragments = datagram(family, 9000).fragments(1, SIZE);
    filter
        .inbound(&fragments[1])
        .drops(Reason::FragmentUnknown)
        .by_no_rule();
    filter.inbound(&fragments[0]).passes(Reason::New);
    // Of another datagram, or going the other way.
    let other = datagram(family, 9000).fragments(2, SIZE);
    filter.inbound(&other[1]).drops(Reason::FragmentUnknown);
    filter
        .outbound(&fragments[1])
        .drops(Reason::FragmentUnknown);
    // IPv4 datagrams are told apart by protocol too (RFC 791); IPv6 ones are not, for receivers
    // heed the first fragment alone (RFC 8200 §4.5).
    let other = tcp((family.remote(), 40000), (family.local(), 9000))
        .payload(40)
        .fragments(1, SIZE);
    let seen = filter.inbound(&other[2]);
    match family {
        V4 => seen.drops(Reason::FragmentUnknown),
        V6 => seen.passes(Reason::Fragment),
    };
    filter.inbound(&fragments[1]).passes(Reason::Fragment);
}

#[apply(everywhere_in_both_families)]
fn later_fragments_of_a_denied_first_are_dropped(place: Place, family: Family) {
    let filter = Filter::with_group(place, &rules(family));
    let fragments = datagram(family, 9001).fragments(1, SIZE);
    filter.inbound(&fragments[0]).drops(Reason::NoRule);
    filter.inbound(&fragments[1]).drops(Reason::FragmentUnknown);
}

#[apply(everywhere_in_both_families)]
fn ports_are_not_read_from_later_fragments(place: Place, family: Family) {
    let filter = Filter::with_group(place, &rules(family));
    let mut datagram = datagram(family, 9001);
    // What follows the first fragment looks like the header of an admitted datagram.
    datagram.data[8..16].copy_from_slice(&[0x9c, 0x40, 0x23, 0x28, 0, 16, 0, 0]);
    let fragments = datagram.fragments(1, SIZE);
    filter.inbound(&fragments[1]).drops(Reason::FragmentUnknown);
}

#[apply(everywhere_in_both_families)]
fn a_first_fragment_is_remembered_for_a_minute(place: Place, family: Family) {
    let mut filter = Filter::with_group(place, &rules(family));
    let fragments = datagram(family, 9000).fragments(1, SIZE);
    filter.inbound(&fragments[0]).passes(Reason::New);
    filter.wait_seconds(60);
    filter.inbound(&fragments[1]).passes(Reason::Fragment);
    filter.wait_seconds(1);
    filter.inbound(&fragments[2]).drops(Reason::FragmentUnknown);
}

#[apply(everywhere_in_both_families)]
fn fragments_of_answers_pass(place: Place, family: Family) {
    let filter = Filter::with_group(place, &rules(family));
    let query = datagram(family, 9000);
    filter.inbound(&query).passes(Reason::New);
    let answer = query.reply().fragments(7, SIZE);
    filter.outbound(&answer[0]).passes(Reason::Established);
    filter.outbound(&answer[1]).passes(Reason::Fragment);
    filter.outbound(&answer[2]).passes(Reason::Fragment);
}

#[apply(everywhere_in_both_families)]
fn a_rule_without_ports_admits_later_fragments(place: Place, family: Family) {
    let all = family.everything();
    for (service, admits) in [
        ("type: All traffic", true),
        ("protocol: udp, ports: all", true),
        ("protocol: udp, ports: 1-65535", false),
        ("protocol: tcp, ports: all", false),
    ] {
        let rule = format!("inbound: [{{ {service}, source: '{all}', description: in }}]");
        let filter = Filter::with_group(place, &rule);
        let fragments = datagram(family, 9000).fragments(1, SIZE);
        let seen = filter.inbound(&fragments[1]);
        if admits {
            seen.passes(Reason::Fragment).by_rule("in");
        } else {
            seen.drops(Reason::FragmentUnknown);
        }
    }
}

#[apply(everywhere)]
fn a_later_fragment_that_begins_with_a_header_is_of_no_known_protocol(place: Place) {
    for number in [0, 43, 44, 51, 60, 135] {
        let later = ip(V6.remote(), V6.local(), number);
        let later = later.extension(Extension::fragment(7, 185, false));
        for (service, admits) in [
            (format!("protocol: {number}"), false),
            ("protocol: udp, ports: all".to_owned(), false),
            ("type: All traffic".to_owned(), true),
        ] {
            let rule = format!("inbound: [{{ {service}, source: '::/0', description: in }}]");
            let filter = Filter::with_group(place, &rule);
            let seen = filter.inbound(&later);
            if admits {
                seen.passes(Reason::Fragment).by_rule("in");
            } else {
                seen.drops(Reason::FragmentUnknown);
            }
        }
    }
}

#[apply(everywhere_in_both_families)]
fn a_first_fragment_without_its_whole_header_is_dropped(place: Place, family: Family) {
    let all = family.everything();
    let rule = format!("inbound: [{{ type: All traffic, source: '{all}' }}]");
    let filter = Filter::with_group(place, &rule);
    // A TCP header has 20 bytes, and its flags are at byte 13.
    for size in [8, 16] {
        let fragments = tcp((family.remote(), 40000), (family.local(), 80))
            .syn()
            .payload(40)
            .fragments(1, size);
        filter.inbound(&fragments[0]).drops(Reason::MalformedTcp);
    }
    // A UDP header has 8.
    let fragments = datagram(family, 80).fragments(1, 8);
    filter.inbound(&fragments[0]).passes(Reason::Untracked);
}

#[apply(everywhere)]
fn an_atomic_fragment_is_a_whole_packet(place: Place) {
    let filter = Filter::with_group(place, &rules(V6));
    let atomic = |port| datagram(V6, port).extension(Extension::fragment(1, 0, false));
    filter.inbound(&atomic(9000)).passes(Reason::New);
    filter.inbound(&atomic(9001)).drops(Reason::NoRule);
    // It leaves nothing for others.
    let fragments = datagram(V6, 9000).fragments(1, SIZE);
    filter.inbound(&fragments[1]).drops(Reason::FragmentUnknown);
}

#[apply(everywhere)]
fn fragments_behind_extension_headers_are_followed(place: Place) {
    let filter = Filter::with_group(place, &rules(V6));
    let datagram = datagram(V6, 9000).extension(Extension::padding(0, 2));
    let fragments = datagram.fragments(1, SIZE);
    filter.inbound(&fragments[0]).passes(Reason::New);
    filter.inbound(&fragments[1]).passes(Reason::Fragment);
}

#[apply(everywhere)]
fn extension_headers_may_be_inside_the_fragments(place: Place) {
    let filter = Filter::with_group(place, &rules(V6));
    // Destination options for the destination alone come behind the fragment header (RFC 8200
    // §4.1): the later fragments then name them, not UDP, as what follows.
    let mut datagram = ip(V6.remote(), V6.local(), 60);
    let udp = udp((V6.remote(), 40000), (V6.local(), 9000)).payload(40);
    datagram.data = [&[17, 0, 1, 4, 0, 0, 0, 0][..], &udp.packet()[40..]].concat();
    let fragments = datagram.fragments(1, SIZE);
    filter.inbound(&fragments[0]).passes(Reason::New);
    filter.inbound(&fragments[1]).passes(Reason::Fragment);
}

#[apply(everywhere_in_both_families)]
fn fragments_of_different_vlans_are_different(place: Place, family: Family) {
    let filter = Filter::with_group(place, &rules(family));
    let fragments = |vlan| datagram(family, 9000).vlan(vlan).fragments(1, SIZE);
    filter.inbound(&fragments(5)[0]).passes(Reason::New);
    filter.inbound(&fragments(5)[1]).passes(Reason::Fragment);
    filter
        .inbound(&fragments(6)[1])
        .drops(Reason::FragmentUnknown);
}

#[apply(everywhere)]
fn do_not_fragment_is_no_fragment(place: Place) {
    let filter = Filter::with_group(place, &rules(V4));
    let frame = patched(&datagram(V4, 9000).bytes(), 14 + 6, &[0x40]);
    filter.inbound(&frame).passes(Reason::New);
    // The reserved bit (RFC 3514) is none of our business.
    let frame = patched(&frame, 14 + 6, &[0x80]);
    filter.inbound(&frame).passes(Reason::Established);
}
