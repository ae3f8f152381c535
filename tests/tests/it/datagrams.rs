//! UDP, ICMP queries and other protocols: what counts as one flow, and as its answer.

use sg_common::{flow::Direction, settings::InterfaceSettings};

use crate::prelude::*;

fn remote_rule(family: Family, what: &str, peer: &str) -> String {
    let remote = family.remote();
    let bits = if remote.is_ipv4() { 32 } else { 128 };
    format!("{{ {what}, {peer}: '{remote}/{bits}' }}")
}

#[apply(everywhere_in_both_families)]
fn a_udp_stream_begins_with_the_second_answer(
    place: Place,
    family: Family,
    #[values(Direction::Inbound, Direction::Outbound)] opened: Direction,
) {
    let (local, remote) = (family.local(), family.remote());
    let dns = "protocol: udp, ports: 53";
    let filter = Filter::with_group(
        place,
        &format!(
            "inbound: [{}]\noutbound: [{}]",
            remote_rule(family, dns, "source"),
            remote_rule(family, dns, "destination")
        ),
    );
    let query = match opened {
        Direction::Inbound => udp((remote, 40000), (local, 53)),
        Direction::Outbound => udp((local, 40000), (remote, 53)),
    };
    let ask = || filter.judge(opened, &query.bytes());
    let answer = || filter.judge(opened.reverse(), &query.reply().bytes());
    let state = || FlowState(filter.only_flow().1.state).name();

    ask().passes(Reason::New);
    assert_eq!(state(), FlowState::UDP_UNANSWERED.name());
    ask().passes(Reason::Established);
    assert_eq!(state(), FlowState::UDP_UNANSWERED.name());
    answer().passes(Reason::Established);
    answer().passes(Reason::Established);
    assert_eq!(state(), FlowState::UDP_ANSWERED.name());
    ask().passes(Reason::Established);
    assert_eq!(state(), FlowState::UDP_ASKED_AGAIN.name());
    answer().passes(Reason::Established);
    assert_eq!(state(), FlowState::UDP_STREAM.name());
    assert_eq!(filter.only_flow().1.packets, [3, 3]);
}

#[apply(everywhere_in_both_families)]
fn a_ping_is_told_by_its_identifier(place: Place, family: Family) {
    let echo = format!("protocol: {}, icmp: echo-request", family.icmp());
    let filter = Filter::with_group(
        place,
        &format!("outbound: [{}]", remote_rule(family, &echo, "destination")),
    );
    let request = ping(family.local(), family.remote(), 7);
    filter.outbound(&request).passes(Reason::New);
    filter.inbound(&request.reply()).passes(Reason::Established);
    filter.outbound(&request).passes(Reason::Established);
    filter
        .inbound(&request.reply().icmp_id(8))
        .drops(Reason::NoRule);
    // Nor may the other side ask by our identifier, or we answer what nobody asked.
    filter
        .inbound(&ping(family.remote(), family.local(), 7))
        .drops(Reason::NoRule);
    filter
        .outbound(&ping(family.remote(), family.local(), 7).reply())
        .drops(Reason::NoRule);
    assert_eq!(filter.only_flow().1.packets, [2, 1]);
}

#[apply(everywhere_in_both_families)]
fn pings_of_both_sides_with_one_identifier_are_two_flows(place: Place, family: Family) {
    let echo = format!("protocol: {}, icmp: echo-request", family.icmp());
    let filter = Filter::with_group(
        place,
        &format!(
            "inbound: [{}]\noutbound: [{}]",
            remote_rule(family, &echo, "source"),
            remote_rule(family, &echo, "destination")
        ),
    );
    let ours = ping(family.local(), family.remote(), 7);
    let theirs = ping(family.remote(), family.local(), 7);
    filter.outbound(&ours).passes(Reason::New);
    filter.inbound(&theirs).passes(Reason::New);
    filter.inbound(&ours.reply()).passes(Reason::Established);
    filter.outbound(&theirs.reply()).passes(Reason::Established);
    assert_eq!(filter.flows().len(), 2);
}

#[apply(everywhere)]
fn other_icmp_queries_are_flows_too(place: Place) {
    let filter = Filter::with_group(
        place,
        "outbound: [{ protocol: icmp, icmp: all, destination: 0.0.0.0/0 }]",
    );
    // Timestamp, information, address mask.
    for kind in [13, 15, 17] {
        let request = icmp("192.0.2.10", "203.0.113.7", kind, 0).icmp_id(9);
        filter.outbound(&request).passes(Reason::New);
        filter.inbound(&request.reply()).passes(Reason::Established);
    }
    // An echo reply is the answer to none of them.
    filter
        .inbound(&icmp("203.0.113.7", "192.0.2.10", 0, 0).icmp_id(9))
        .drops(Reason::NoRule);
}

#[apply(everywhere)]
fn an_unasked_reply_that_a_rule_admits_opens_nothing(place: Place) {
    let rule = "inbound: [{ protocol: icmp, icmp: echo-reply, source: 203.0.113.0/24 }]";
    let filter = Filter::with_group(place, &format!("{rule}\noutbound: []"));
    let reply = icmp("203.0.113.7", "192.0.2.10", 0, 0).icmp_id(3);
    filter.inbound(&reply).passes(Reason::Stateless);
    assert!(filter.flows().is_empty());
}

#[apply(everywhere)]
fn icmp_is_forgotten_after_30_seconds(place: Place) {
    for (silence, in_time) in [(30, true), (31, false)] {
        let mut filter = Filter::with_group(
            place,
            "outbound: [{ protocol: icmp, icmp: all, destination: 0.0.0.0/0 }]",
        );
        let request = ping("192.0.2.10", "203.0.113.7", 1);
        filter.outbound(&request).passes(Reason::New);
        filter.wait_seconds(silence);
        let seen = filter.inbound(&request.reply());
        if in_time {
            seen.passes(Reason::Established);
        } else {
            seen.drops(Reason::NoRule);
        }
    }
}

#[apply(everywhere_in_both_families)]
fn other_protocols_are_told_by_address_and_number(place: Place, family: Family) {
    let gre = remote_rule(family, "protocol: 47", "destination");
    let filter = Filter::with_group(place, &format!("outbound: [{gre}]"));
    let (local, remote) = (family.local(), family.remote());
    filter.outbound(&ip(local, remote, 47)).passes(Reason::New);
    filter
        .inbound(&ip(remote, local, 47))
        .passes(Reason::Established);
    filter.inbound(&ip(remote, local, 50)).drops(Reason::NoRule);
    filter
        .inbound(&ip(family.router(), local, 47))
        .drops(Reason::NoRule);
    filter
        .inbound(&ip(remote, family.second_local(), 47))
        .drops(Reason::NoRule);
}

#[apply(everywhere)]
fn traffic_refreshes_a_flow(place: Place) {
    let mut filter = Filter::with_group(
        place,
        "outbound: [{ protocol: udp, ports: 53, destination: 192.0.2.1/32 }]",
    );
    let query = udp("192.0.2.10:40000", "192.0.2.1:53");
    filter.outbound(&query).passes(Reason::New);
    for _ in 0..5 {
        filter.wait_seconds(29);
        filter.outbound(&query).passes(Reason::Established);
        filter.wait_seconds(29);
        filter.inbound(&query.reply()).passes(Reason::Established);
    }
}

/// Whether a forgotten flow still lies in its slot is a matter of luck, and so must not matter.
#[apply(everywhere)]
fn longer_timeouts_bring_no_forgotten_flow_back(place: Place) {
    let mut filter = Filter::with_group(
        place,
        "outbound: [{ protocol: udp, ports: 53, destination: 192.0.2.1/32 }]",
    );
    let query = udp("192.0.2.10:40000", "192.0.2.1:53");
    let other = udp("192.0.2.10:40001", "192.0.2.1:53");
    filter.outbound(&query).passes(Reason::New);
    filter.wait_seconds(10);
    filter.outbound(&other).passes(Reason::New);
    filter.wait_seconds(21);
    let longer = |settings: &mut InterfaceSettings| {
        settings.timeouts = settings.timeouts.map(|jiffies| 10 * jiffies);
    };
    filter.change_settings(longer);
    filter.inbound(&query.reply()).drops(Reason::NoRule);
    // The filter's own oracle has not learned of the timeouts.
    filter.judge_alone();
    filter.wait_seconds(60);
    filter.inbound(&other.reply()).passes(Reason::Established);
    assert_eq!(filter.flows().len(), 1);
}
