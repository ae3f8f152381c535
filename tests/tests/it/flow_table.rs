//! A flow table without room: vector S19. The table of these tests is small, see the harness.

use sg_tests::{oracle::Room, packet::flags, prog::FLOWS};

use crate::prelude::*;

const RULES: &str = "
    inbound: [{ type: SSH, source: 203.0.113.0/24 }]
    outbound: [{ type: DNS (UDP), destination: 203.0.113.0/24 }]
";

/// A query from a port of its own.
fn query(port: u16) -> Frame {
    udp((V4.local(), port), "203.0.113.7:53")
}

/// Opens flows and makes streams of them until there is no room for one more; returns how many.
fn fill(filter: &Filter) -> u16 {
    for port in 1..u16::MAX {
        let seen = filter.outbound(&query(port));
        if seen.event().reason == Reason::FlowTableFull as u8 {
            seen.drops(Reason::FlowTableFull);
            return port - 1;
        }
        seen.passes(Reason::New);
        answer(filter, &query(port));
    }
    panic!("the table has no end");
}

/// Makes a stream of a query that has passed.
fn answer(filter: &Filter, query: &Frame) {
    let reply = query.reply();
    filter.inbound(&reply).passes(Reason::Established);
    filter.outbound(query).passes(Reason::Established);
    filter.inbound(&reply).passes(Reason::Established);
}

/// Some may enter at port 22 and ask at port 53.
fn rules_of(family: Family) -> String {
    let remote = family.remote();
    let bits = if remote.is_ipv4() { 32 } else { 128 };
    let source = format!("source: '{remote}/{bits}'");
    format!(
        "inbound: [{{ type: SSH, {source}, description: ssh }},
                   {{ type: DNS (UDP), {source}, description: dns }}]
outbound: []"
    )
}

/// A connection that both sides have spoken in.
fn established(filter: &Filter, family: Family) -> Frame {
    let segment = tcp((family.remote(), 40000), (family.local(), 22));
    filter.inbound(&segment.clone().syn()).passes(Reason::New);
    filter
        .outbound(&segment.reply().syn_ack())
        .passes(Reason::Established);
    filter
        .inbound(&segment.clone().ack())
        .passes(Reason::Established);
    segment
}

#[apply(everywhere_in_both_families)]
fn s19_a_full_table_refuses_new_flows_and_keeps_the_live_ones(place: Place, family: Family) {
    let mut filter = Filter::with_group(place, &rules_of(family));
    let live = established(&filter, family);
    filter.set_room(Room::Taken);
    let more = tcp((family.remote(), 40001), (family.local(), 22));
    filter
        .inbound(&more.clone().syn())
        .drops(Reason::FlowTableFull)
        .by_rule("ssh");
    filter
        .outbound(&more.reply().syn_ack())
        .drops(Reason::NoRule);
    filter
        .inbound(&live.clone().ack())
        .passes(Reason::Established);
    filter
        .outbound(&live.reply().ack())
        .passes(Reason::Established);
    filter.set_room(Room::Free);
    filter.inbound(&more.syn()).passes(Reason::New);
}

#[apply(everywhere_in_both_families)]
fn fragments_follow_their_first_one_into_a_full_table(place: Place, family: Family) {
    let mut filter = Filter::with_group(place, &rules_of(family));
    let datagram = |port| udp((family.remote(), port), (family.local(), 53)).payload(40);
    filter.inbound(&datagram(40000)).passes(Reason::New);
    for _ in 0..2 {
        filter
            .outbound(&datagram(40000).reply())
            .passes(Reason::Established);
        filter.inbound(&datagram(40000)).passes(Reason::Established);
    }
    filter.set_room(Room::Taken);
    // A first fragment that is refused leaves nothing to its later ones.
    let refused = datagram(40001).fragments(1, 16);
    filter.inbound(&refused[0]).drops(Reason::FlowTableFull);
    filter.inbound(&refused[1]).drops(Reason::FragmentUnknown);
    let admitted = datagram(40000).fragments(2, 16);
    filter.inbound(&admitted[0]).passes(Reason::Established);
    filter.inbound(&admitted[1]).passes(Reason::Fragment);
}

#[apply(everywhere)]
fn a_table_that_fills_by_itself_refuses_new_flows_and_keeps_the_live_ones(place: Place) {
    let filter = Filter::with_group(place, RULES);
    let flows = fill(&filter);
    assert!(u32::from(flows) >= FLOWS, "only {flows} flows");
    assert_eq!(filter.flows().len(), usize::from(flows));
    for port in 1..=flows {
        filter
            .inbound(&query(port).reply())
            .passes(Reason::Established);
    }
    // Refused again: it left nothing behind.
    filter
        .outbound(&query(flows + 1))
        .drops(Reason::FlowTableFull);
    filter
        .inbound(&query(flows + 1).reply())
        .drops(Reason::NoRule);
}

#[apply(everywhere)]
fn expired_flows_make_room(place: Place) {
    let mut filter = Filter::with_group(place, RULES);
    let flows = fill(&filter);
    filter.wait_seconds(181);
    for port in flows + 1..flows + 100 {
        filter.outbound(&query(port)).passes(Reason::New);
    }
}

/// Flows that only one side has spoken in, or that were answered once, make room for others.
#[apply(everywhere)]
fn flows_give_way_by_evidence(place: Place) {
    let filter = Filter::with_group(place, RULES);
    let live = established(&filter, V4);
    for port in 1..=u16::try_from(4 * FLOWS).expect("a small table") {
        filter.outbound(&query(port)).passes(Reason::New);
        let reply = query(port).reply();
        filter.inbound(&reply).passes(Reason::Established);
    }
    let last = filter.inbound(&query(u16::try_from(4 * FLOWS).expect("small")).reply());
    last.passes(Reason::Established);
    let segment = tcp("203.0.113.7:40001", "192.0.2.10:22");
    filter.inbound(&segment.clone().syn()).passes(Reason::New);
    let answer = segment.reply().syn_ack();
    filter.outbound(&answer).passes(Reason::Established);
    filter.inbound(&live.ack()).passes(Reason::Established);
}

#[rstest]
#[case::of_syn(flags::SYN)]
#[case::of_ack(flags::ACK)]
fn a_flood_of_half_open_flows_pushes_out_its_own_alone(
    #[values(NIC_XDP, NIC_TC, WORKLOAD_XDP, WORKLOAD_TC)] place: Place,
    #[case] flags: u8,
) {
    let mut filter = Filter::with_group(place, RULES);
    let live = established(&filter, V4);
    for port in 1..=u16::try_from(4 * FLOWS).expect("a small table") {
        let from = format!("203.0.113.9:{port}");
        filter
            .inbound(&tcp(from.as_str(), "192.0.2.10:22").tcp_flags(flags))
            .passes(Reason::New);
    }
    filter.apply_group("outbound: []");
    filter.inbound(&live.ack()).passes(Reason::Established);
}

#[apply(everywhere)]
fn flows_of_a_remote_address_beyond_its_limit_give_way(place: Place) {
    let rules = "inbound: []\noutbound: [{ type: DNS (UDP), destination: 203.0.113.0/24 }]";
    let mut filter = Filter::with_group(place, rules);
    filter.change_settings(|settings| settings.flows_per_remote = 8);
    // Twice what the table has slots for, all of them streams: the address takes from itself.
    for port in 1..=4 * FLOWS as u16 {
        filter.outbound(&query(port)).passes(Reason::New);
        answer(&filter, &query(port));
    }
    let other = udp((V4.local(), 9), "203.0.113.8:53");
    filter.outbound(&other).passes(Reason::New);
    filter.inbound(&other.reply()).passes(Reason::Established);
    // Without a limit streams are kept.
    filter.change_settings(|settings| settings.flows_per_remote = 0);
    let refused = (1..100).any(|port| {
        let seen = filter.outbound(&udp((V4.local(), port), "203.0.113.9:53"));
        seen.event().reason == Reason::FlowTableFull as u8
    });
    assert!(refused, "the table is full");
}
