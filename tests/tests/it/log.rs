//! What the log says about a verdict, and when it says anything.

use std::net::IpAddr;

use sg_common::{counters::ZoneCounters, flow::Direction, limit, settings::LOG_UNTRACKED_SYN};
use sg_tests::packet::flags::{ACK, SYN};

use crate::prelude::*;

const RULES: &str = "
    inbound:
      - { type: SSH, sources: [203.0.113.7/32, '2001:db8:cb::7/128'], description: ssh }
      - { type: HTTP, sources: [0.0.0.0/0, '::/0'], description: http }
    outbound:
      - { type: All traffic, destinations: [0.0.0.0/0, '::/0'], description: out }
";

#[apply(everywhere_in_both_families)]
fn an_event_tells_who_spoke_to_whom(place: Place, family: Family) {
    let filter = Filter::with_group(place, RULES);
    let (local, remote) = (family.local(), family.remote());
    let syn = tcp((remote, 40000), (local, 22)).syn();
    let seen = filter.inbound(&syn);
    seen.passes(Reason::New).by_rule("ssh");
    let event = seen.event();
    assert_eq!(IpAddr::from(event.local), local);
    assert_eq!(IpAddr::from(event.remote), remote);
    assert_eq!((event.local_port, event.remote_port), (22, 40000));
    assert_eq!(event.protocol, 6);
    assert_eq!(event.tcp_flags, SYN);
    assert_eq!(event.vlan, [0, 0]);
    assert_eq!(event.ifindex, sg_tests::prog::IFINDEX);
    assert_ne!(event.time_ns, 0);
    let rule = filter.rule(event.rule).expect("a rule decided");
    assert_eq!(
        (rule.group.as_str(), rule.direction.as_str()),
        ("tested", "inbound")
    );

    // The ends stay what they are when the direction changes.
    let seen = filter.outbound(&syn.reply().syn_ack());
    seen.passes(Reason::Established).by_rule("ssh");
    let event = seen.event();
    assert_eq!(IpAddr::from(event.local), local);
    assert_eq!((event.local_port, event.remote_port), (22, 40000));
    assert_eq!(event.tcp_flags, SYN | ACK);
    assert_eq!(event.direction, Direction::Outbound as u8);
}

#[apply(everywhere_in_both_families)]
fn an_event_about_icmp_tells_type_code_and_nothing_of_ports(place: Place, family: Family) {
    let filter = Filter::with_group(place, RULES);
    let kind = if family == V4 { 3 } else { 1 };
    let seen = filter.inbound(&icmp(family.remote(), family.local(), kind, 2));
    seen.drops(Reason::NoRule).by_no_rule();
    let event = seen.event();
    assert_eq!((event.icmp_type, event.icmp_code), (kind, 2));
    assert_eq!(event.tcp_flags, 0);
    assert_eq!((event.local_port, event.remote_port), (0, 0));
}

#[apply(everywhere)]
fn an_event_about_a_malformed_frame_tells_what_was_read_before(place: Place) {
    let filter = Filter::with_group(place, RULES);
    let mut cut = ip(V4.remote(), V4.local(), 6).vlan(5);
    cut.data.truncate(10);
    let seen = filter.inbound(&cut);
    seen.drops(Reason::MalformedTcp);
    let event = seen.event();
    assert_eq!(IpAddr::from(event.remote), V4.remote());
    assert_eq!((event.protocol, event.vlan), (6, [5, 0]));
    assert_eq!((event.local_port, event.remote_port), (0, 0));
}

/// One frame for each of four reasons, and the events that came of them.
fn reasons_logged(filter: &Filter) -> Vec<Reason> {
    let v4 = |from: &str, port: u16| tcp(from, (V4.local(), port)).syn();
    let frames = [
        (v4("203.0.113.7:40000", 22), Reason::New),
        (v4("203.0.113.7:40000", 22).ack(), Reason::Established),
        (v4("203.0.113.7:40000", 80), Reason::Untracked),
        (v4("203.0.113.7:40000", 80).ack(), Reason::Untracked),
        (v4("203.0.113.8:40000", 22), Reason::NoRule),
    ];
    let mut logged = Vec::new();
    for (frame, reason) in frames {
        let seen = filter.inbound(&frame);
        let events = match reason {
            Reason::NoRule => seen.drops(reason).events(),
            _ => seen.passes(reason).events(),
        };
        logged.extend(
            events
                .iter()
                .filter_map(|event| Reason::from_code(event.reason)),
        );
    }
    logged
}

#[apply(everywhere)]
fn only_the_reasons_that_are_asked_for_are_logged(place: Place) {
    let log = |bits: u64| {
        let mut filter = Filter::with_group(place, RULES);
        filter.change_settings(|settings| settings.log_reasons = bits);
        reasons_logged(&filter)
    };
    let bit = |reason: Reason| 1 << reason as u8;
    assert_eq!(log(0), []);
    assert_eq!(log(bit(Reason::NoRule)), [Reason::NoRule]);
    assert_eq!(
        log(bit(Reason::New) | bit(Reason::NoRule)),
        [Reason::New, Reason::NoRule]
    );
    assert_eq!(
        log(bit(Reason::Untracked)),
        [Reason::Untracked, Reason::Untracked]
    );
    // Of an untracked connection the SYN is enough.
    assert_eq!(log(LOG_UNTRACKED_SYN), [Reason::Untracked]);
}

#[apply(everywhere)]
fn verdicts_that_find_the_log_full_are_counted_and_stand(place: Place) {
    let filter = Filter::with_group(place, "outbound: []");
    let frame = tcp("203.0.113.7:40000", "192.0.2.10:22").syn().bytes();
    let before = filter.counters();
    let sent = 100_000;
    filter.flood(&frame, sent);
    let after = filter.counters();
    let tally = after.reasons[0][Reason::NoRule as usize].packets
        - before.reasons[0][Reason::NoRule as usize].packets;
    let lost = after.events_lost - before.events_lost;
    assert_eq!(tally, u64::from(sent));
    let kept = filter.take_events().len() as u64;
    assert_eq!(kept + lost, u64::from(sent));
    assert!(lost > 0 && kept > 0, "{kept} kept, {lost} lost");
    filter.inbound(&frame).drops(Reason::NoRule);
}

#[apply(everywhere)]
fn events_beyond_the_limit_are_counted_and_those_of_each_second_are_logged(place: Place) {
    let mut filter = Filter::with_group(place, RULES);
    let hz = filter.hz();
    filter.change_settings(|settings| settings.log_interval = limit::interval(100, hz));
    filter.wait_seconds(1);
    let stranger = tcp("198.51.100.1:40000", "192.0.2.10:22").syn().bytes();
    let dropped = |counters: &ZoneCounters| counters.reasons[0][Reason::NoRule as usize].packets;
    for (seconds, expected) in [(0, 100), (0, 0), (1, 100), (60, 100)] {
        filter.wait_seconds(seconds);
        let before = filter.counters();
        filter.flood(&stranger, 1000);
        let after = filter.counters();
        assert_eq!(
            dropped(&after) - dropped(&before),
            1000,
            "every drop is counted"
        );
        assert_eq!(filter.take_events().len(), expected);
        let suppressed = |counters: &ZoneCounters| counters.events_suppressed;
        let mut expected_suppressed = suppressed(&before);
        expected_suppressed[Reason::NoRule as usize] += 1000 - expected as u64;
        assert_eq!(suppressed(&after), expected_suppressed);
        assert_eq!(after.events_lost, before.events_lost);
    }
}

#[apply(everywhere)]
fn every_drop_of_a_flood_is_logged_or_lost_or_suppressed(place: Place) {
    const FLOOD: u32 = 100_000;
    const LIMIT: u32 = 80_000;
    let mut filter = Filter::with_group(place, RULES);
    filter.judge_alone();
    let hz = filter.hz();
    filter.change_settings(|settings| settings.log_interval = limit::interval(LIMIT, hz));
    filter.wait_seconds(1);
    let stranger = tcp("198.51.100.1:40000", "192.0.2.10:22").syn().bytes();
    let before = filter.counters();
    filter.flood(&stranger, FLOOD);
    let after = filter.counters();
    let code = Reason::NoRule as usize;
    let dropped = after.reasons[0][code].packets - before.reasons[0][code].packets;
    let lost = after.events_lost - before.events_lost;
    let suppressed = after.events_suppressed[code] - before.events_suppressed[code];
    let logged = filter.take_events().len() as u64;
    assert_eq!(dropped, u64::from(FLOOD));
    assert_eq!(
        logged + lost + suppressed,
        dropped,
        "{logged} + {lost} + {suppressed}"
    );
    assert!(lost > 0, "the buffer is smaller than the burst");
    // Rounding the time of a token up costs some.
    let admitted = u64::from(FLOOD) - suppressed;
    assert!(
        admitted <= u64::from(LIMIT) && admitted > u64::from(LIMIT - LIMIT / 100),
        "{admitted}"
    );
}
