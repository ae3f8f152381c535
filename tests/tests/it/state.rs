//! What is remembered about flows, and for how long: vectors S01 to S22.

use crate::prelude::*;

/// What the first vectors share.
const SETUP_U: &str = "
    inbound:
      - { type: HTTP, source: 0.0.0.0/0, description: http }
      - { type: SSH, source: 203.0.113.1/32, description: ssh }
      - { protocol: icmp, icmp: all, source: 0.0.0.0/0 }
    outbound: [{ type: All traffic, destination: 0.0.0.0/0 }]
";
const WITHOUT_HTTP: &str = "
    inbound: [{ type: SSH, source: 203.0.113.1/32 }]
    outbound: [{ type: All traffic, destination: 0.0.0.0/0 }]
";
const WITHOUT_SSH: &str = "
    inbound: [{ type: HTTP, source: 0.0.0.0/0 }]
    outbound: [{ type: All traffic, destination: 0.0.0.0/0 }]
";
const NOTHING: &str = "outbound: []";

fn http() -> Frame {
    tcp("198.51.100.9:40000", "192.0.2.10:80").syn()
}

fn ssh() -> Frame {
    tcp("203.0.113.1:40000", "192.0.2.10:22").syn()
}

#[apply(everywhere)]
fn s01_open_both_ways_is_untracked(place: Place) {
    let filter = Filter::with_group(place, SETUP_U);
    filter
        .inbound(&http())
        .passes(Reason::Untracked)
        .by_rule("http");
    assert!(filter.flows().is_empty());
}

#[apply(everywhere)]
fn s02_a_rule_for_some_addresses_is_tracked(place: Place) {
    let filter = Filter::with_group(place, SETUP_U);
    filter.inbound(&ssh()).passes(Reason::New).by_rule("ssh");
    let (key, flow) = filter.only_flow();
    assert_eq!((key.local_port(), key.remote_port()), (22, 40000));
    assert_eq!(filter.rule(flow.rule).unwrap().description, "ssh");
}

#[apply(everywhere)]
fn s03_an_untracked_flow_ends_with_its_rule(place: Place) {
    let mut filter = Filter::with_group(place, SETUP_U);
    filter.inbound(&http()).passes(Reason::Untracked);
    filter
        .outbound(&http().reply().syn_ack())
        .passes(Reason::UntrackedReply)
        .by_rule("http");
    filter.apply_group(WITHOUT_HTTP);
    filter.inbound(&http().ack()).drops(Reason::NoRule);
}

#[apply(everywhere)]
fn s04_a_tracked_flow_survives_its_rule(place: Place) {
    let mut filter = Filter::with_group(place, SETUP_U);
    filter.inbound(&ssh()).passes(Reason::New);
    filter
        .outbound(&ssh().reply().syn_ack())
        .passes(Reason::Established);
    filter.apply_group(WITHOUT_SSH);
    filter
        .inbound(&ssh().ack())
        .passes(Reason::Established)
        .by_rule("ssh");
    filter
        .outbound(&ssh().reply().ack().payload(100))
        .passes(Reason::Established)
        .by_rule("ssh");
}

#[apply(everywhere)]
fn s05_a_new_flow_needs_a_rule(place: Place) {
    let mut filter = Filter::with_group(place, SETUP_U);
    filter.inbound(&ssh()).passes(Reason::New);
    filter.apply_group(WITHOUT_SSH);
    filter
        .inbound(&tcp("203.0.113.1:40001", "192.0.2.10:22").syn())
        .drops(Reason::NoRule);
}

#[apply(everywhere)]
fn s06_without_a_way_back_for_all_a_flow_is_tracked(place: Place) {
    let mut filter = Filter::with_group(place, SETUP_U);
    filter.apply_group("inbound: [{ type: HTTP, source: 0.0.0.0/0 }]\noutbound: []");
    filter.inbound(&http()).passes(Reason::New);
    filter
        .outbound(&http().reply().syn_ack())
        .passes(Reason::Established);
}

#[apply(everywhere_in_both_families)]
fn s07_an_echo_reply_needs_no_outbound_rule(place: Place, family: Family) {
    let (protocol, all) = (family.icmp(), family.everything());
    let rule = format!("{{ protocol: {protocol}, icmp: all, source: '{all}' }}");
    let filter = Filter::with_group(place, &format!("inbound: [{rule}]\noutbound: []"));
    let request = ping(family.remote(), family.local(), 5);
    filter.inbound(&request).passes(Reason::New);
    filter
        .outbound(&request.reply())
        .passes(Reason::Established);
    filter
        .outbound(&request.reply().icmp_id(6))
        .drops(Reason::NoRule);
}

#[apply(everywhere_in_both_families)]
fn s08_an_answer_needs_no_inbound_rule(place: Place, family: Family) {
    let all = family.everything();
    let rule = format!("outbound: [{{ type: HTTPS, destination: '{all}' }}]");
    let filter = Filter::with_group(place, &rule);
    let syn = tcp((family.local(), 40000), (family.remote(), 443)).syn();
    filter.outbound(&syn).passes(Reason::New);
    filter
        .inbound(&syn.reply().syn_ack())
        .passes(Reason::Established);
    filter
        .outbound(&syn.clone().ack())
        .passes(Reason::Established);
    // Who asks is not the same as who answers.
    filter
        .inbound(&tcp((family.remote(), 443), (family.local(), 40001)).syn_ack())
        .drops(Reason::NoRule);
}

const DNS: &str = "outbound: [{ protocol: udp, ports: 53, destination: 192.0.2.1/32 }]";

fn dns() -> Frame {
    udp("192.0.2.10:40000", "192.0.2.1:53").payload(30)
}

#[apply(everywhere)]
fn s09_a_udp_answer_comes_within_30_seconds(place: Place) {
    for (silence, in_time) in [(30, true), (31, false)] {
        let mut filter = Filter::with_group(place, DNS);
        filter.outbound(&dns()).passes(Reason::New);
        filter.wait_seconds(silence);
        let seen = filter.inbound(&dns().reply());
        if in_time {
            seen.passes(Reason::Established);
        } else {
            seen.drops(Reason::NoRule);
        }
    }
}

#[apply(everywhere)]
fn s10_a_udp_stream_lives_for_180_seconds(place: Place) {
    for (silence, in_time) in [(179, true), (181, false)] {
        let mut filter = Filter::with_group(place, DNS);
        filter.outbound(&dns()).passes(Reason::New);
        for _ in 0..2 {
            filter.inbound(&dns().reply()).passes(Reason::Established);
            filter.outbound(&dns()).passes(Reason::Established);
        }
        filter.inbound(&dns().reply()).passes(Reason::Established);
        filter.wait_seconds(silence);
        let seen = filter.inbound(&dns().reply());
        if in_time {
            seen.passes(Reason::Established);
        } else {
            seen.drops(Reason::NoRule);
        }
    }
}

/// Opens a connection, lets it idle, and sends one more segment.
fn idle_connection(place: Place, timeouts: &str, idle: u64, survives: bool) {
    let mut filter = Filter::new(
        place,
        &format!(
            "
            security_groups: {{ tested: {{ inbound: [{{ type: SSH, source: 203.0.113.1/32 }}] }} }}
            interfaces: {{ eth0: {{ groups: [tested], timeouts: {{ {timeouts} }} }} }}
            "
        ),
    );
    filter.inbound(&ssh()).passes(Reason::New);
    filter
        .outbound(&ssh().reply().syn_ack())
        .passes(Reason::Established);
    filter.inbound(&ssh().ack()).passes(Reason::Established);
    filter.apply_group(NOTHING);
    filter.wait_seconds(idle);
    let seen = filter.inbound(&ssh().ack().payload(10));
    if survives {
        seen.passes(Reason::Established);
    } else {
        seen.drops(Reason::NoRule);
    }
}

#[apply(everywhere)]
fn s11_an_idle_connection_lives_for_the_time_that_is_set(place: Place) {
    idle_connection(place, "tcp_established: 350", 349, true);
    idle_connection(place, "tcp_established: 350", 351, false);
}

#[apply(everywhere)]
fn s12_an_idle_connection_lives_for_five_days(place: Place) {
    idle_connection(place, "", 431_999, true);
    idle_connection(place, "", 432_001, false);
}

#[apply(everywhere_in_both_families)]
fn s13_other_protocols_are_remembered_for_600_seconds(place: Place, family: Family) {
    for (silence, in_time) in [(599, true), (601, false)] {
        let all = family.everything();
        let rule = format!("outbound: [{{ protocol: 50, destination: '{all}' }}]");
        let mut filter = Filter::with_group(place, &rule);
        let esp = ip(family.local(), family.remote(), 50);
        filter.outbound(&esp).passes(Reason::New);
        filter.wait_seconds(silence);
        let seen = filter.inbound(&esp.reply());
        if in_time {
            seen.passes(Reason::Established);
        } else {
            seen.drops(Reason::NoRule);
        }
    }
}

#[apply(everywhere)]
fn s14_a_datagram_from_another_port_is_no_answer(place: Place) {
    let filter = Filter::with_group(place, DNS);
    filter.outbound(&dns()).passes(Reason::New);
    filter
        .inbound(&udp("192.0.2.1:54", "192.0.2.10:40000"))
        .drops(Reason::NoRule);
    filter
        .inbound(&udp("192.0.2.1:53", "192.0.2.10:40001"))
        .drops(Reason::NoRule);
}

#[apply(everywhere)]
fn s15_each_family_needs_its_own_way_back_to_be_untracked(place: Place) {
    let filter = Filter::with_group(
        place,
        "
        inbound: [{ type: HTTP, sources: [0.0.0.0/0, '::/0'] }]
        outbound: [{ type: All traffic, destination: 0.0.0.0/0 }]
        ",
    );
    filter.inbound(&http()).passes(Reason::Untracked);
    filter
        .inbound(&tcp("[2001:db8::1]:40000", "[2001:db8:a::10]:80").syn())
        .passes(Reason::New);
}

#[apply(everywhere)]
fn s16_a_way_back_through_some_ports_is_not_enough(place: Place) {
    let filter = Filter::with_group(
        place,
        "
        inbound: [{ type: HTTP, source: 0.0.0.0/0 }]
        outbound: [{ protocol: tcp, ports: 1024-65535, destination: 0.0.0.0/0 }]
        ",
    );
    filter.inbound(&http()).passes(Reason::New);
}

#[apply(everywhere)]
fn s17_two_halves_are_not_the_whole(place: Place) {
    let filter = Filter::with_group(
        place,
        "
        inbound: [{ type: HTTP, sources: [0.0.0.0/1, 128.0.0.0/1] }]
        outbound: [{ type: All traffic, destination: 0.0.0.0/0 }]
        ",
    );
    filter.inbound(&http()).passes(Reason::New);
}

#[apply(everywhere)]
fn s18_an_exchange_of_groups_cuts_untracked_flows_alone(place: Place) {
    let mut filter = Filter::with_group(place, SETUP_U);
    filter.inbound(&ssh()).passes(Reason::New);
    filter.inbound(&http()).passes(Reason::Untracked);
    filter.apply(
        "
        security_groups: { closed: { outbound: [] } }
        interfaces: { eth0: { groups: [closed] } }
        ",
    );
    filter.inbound(&ssh().ack()).passes(Reason::Established);
    filter.inbound(&http().ack()).drops(Reason::NoRule);
}

#[apply(everywhere_in_both_families)]
fn s20_a_segment_of_no_flow_needs_a_rule(place: Place, family: Family) {
    let filter = Filter::with_group(place, NOTHING);
    let segment = tcp((family.remote(), 40000), (family.local(), 80)).ack();
    filter.inbound(&segment).drops(Reason::NoRule);
    filter.outbound(&segment.reply()).drops(Reason::NoRule);
}

#[apply(everywhere)]
fn s21_a_segment_of_no_flow_passes_by_a_rule(place: Place) {
    let mut filter = Filter::with_group(place, SETUP_U);
    // For two minutes after attach it is taken for a connection that is older than the filter.
    filter.wait_seconds(120);
    filter.inbound(&ssh().ack()).passes(Reason::New);
    assert_eq!(filter.only_flow().1.state, FlowState::TCP_PICKED_UP.0);
    filter.wait_seconds(61);
    for _ in 0..2 {
        filter
            .inbound(&ssh().ack())
            .passes(Reason::MidStream)
            .by_rule("ssh");
    }
}

#[apply(everywhere)]
fn s22_another_source_port_is_another_flow(place: Place) {
    let mut filter = Filter::with_group(place, SETUP_U);
    filter.inbound(&ssh()).passes(Reason::New);
    let moved = tcp("203.0.113.1:40001", "192.0.2.10:22");
    filter.inbound(&moved.clone().syn()).passes(Reason::New);
    assert_eq!(filter.flows().len(), 2);
    filter.apply_group(WITHOUT_SSH);
    filter.inbound(&moved.ack()).passes(Reason::Established);
    filter
        .inbound(&tcp("203.0.113.1:40002", "192.0.2.10:22").ack())
        .drops(Reason::NoRule);
}
