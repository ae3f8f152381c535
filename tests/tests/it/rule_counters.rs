//! What is counted for each rule, through the programs. Random traffic compares the same with the
//! oracle, see `random`.

use sg_tests::{oracle::Room, prog::FLOWS};

use crate::prelude::*;

/// Rules of every kind of traffic: tracked, untracked, without a flow.
const RULES: &str = "
    inbound:
      - { type: SSH, sources: [203.0.113.7/32, '2001:db8:cb::7/128'], description: ssh }
      - { type: HTTP, sources: [0.0.0.0/0, '::/0'], description: http }
      - { type: MySQL/Aurora, sources: [203.0.113.7/32, '2001:db8:cb::7/128'], description: mysql }
    outbound:
      - { type: All traffic, destinations: [0.0.0.0/0, '::/0'], description: out }
";

/// Flows, packets and bytes that were counted for a rule while something happened.
fn counted(filter: &Filter, description: &str, happens: impl FnOnce()) -> (u64, u64, u64) {
    let before = filter.rule_totals()[description];
    happens();
    let after = filter.rule_totals()[description];
    (
        after.flows - before.flows,
        after.traffic.packets - before.traffic.packets,
        after.traffic.bytes - before.traffic.bytes,
    )
}

fn length(frames: &[&Frame]) -> u64 {
    frames.iter().map(|frame| frame.bytes().len() as u64).sum()
}

#[apply(everywhere_in_both_families)]
fn a_flow_counts_for_the_rule_that_opened_it_in_both_directions(place: Place, family: Family) {
    let filter = Filter::with_group(place, RULES);
    let segment = tcp((family.remote(), 40000), (family.local(), 22));
    let (syn, answer, data) = (
        segment.clone().syn(),
        segment.reply().syn_ack(),
        segment.clone().ack(),
    );
    let ssh = counted(&filter, "ssh", || {
        filter.inbound(&syn).passes(Reason::New).by_rule("ssh");
        filter.outbound(&answer).passes(Reason::Established);
        filter.inbound(&data).passes(Reason::Established);
    });
    assert_eq!(ssh, (1, 3, length(&[&syn, &answer, &data])));
    assert_eq!(filter.rule_totals()["mysql"].flows, 0);
    let totals = filter.rule_totals();
    let hit = |name: &str| totals[name].last_hit;
    assert_eq!((hit("ssh"), hit("mysql")), (filter.now(), 0));
}

#[apply(everywhere_in_both_families)]
fn the_latest_hit_is_the_latest_decision_of_the_rule(place: Place, family: Family) {
    let mut filter = Filter::with_group(place, RULES);
    let segment = |port| tcp((family.remote(), port), (family.local(), 22));
    filter.inbound(&segment(1).syn()).passes(Reason::New);
    let first = filter.now();
    filter.wait_seconds(3);
    filter
        .outbound(&segment(1).reply().syn_ack())
        .passes(Reason::Established);
    assert_eq!(filter.rule_totals()["ssh"].last_hit, first);
    filter.wait_seconds(3);
    filter.inbound(&segment(2).syn()).passes(Reason::New);
    assert_eq!(filter.rule_totals()["ssh"].last_hit, filter.now());
}

#[apply(everywhere_in_both_families)]
fn untracked_packets_count_for_the_rules_that_admit_them(place: Place, family: Family) {
    let filter = Filter::with_group(place, RULES);
    let segment = tcp((family.remote(), 40000), (family.local(), 80));
    let (syn, answer) = (segment.clone().syn(), segment.reply().syn_ack());
    let http = counted(&filter, "http", || {
        filter
            .inbound(&syn)
            .passes(Reason::Untracked)
            .by_rule("http");
        filter.outbound(&answer).passes(Reason::UntrackedReply);
    });
    assert_eq!(http, (0, 2, length(&[&syn, &answer])));
}

#[apply(everywhere_in_both_families)]
fn dropped_packets_count_for_no_rule(place: Place, family: Family) {
    let filter = Filter::with_group(place, RULES);
    let before = filter.rule_totals();
    filter
        .inbound(&tcp((family.remote(), 40000), (family.local(), 81)).syn())
        .drops(Reason::NoRule);
    assert_eq!(filter.rule_totals(), before);
}

#[apply(everywhere_in_both_families)]
fn a_rule_whose_flows_find_no_room_was_hit_and_admitted_nothing(place: Place, family: Family) {
    let mut filter = Filter::with_group(place, RULES);
    filter.set_room(Room::Taken);
    let ssh = counted(&filter, "ssh", || {
        let segment = tcp((family.remote(), 40000), (family.local(), 22));
        filter
            .inbound(&segment.syn())
            .drops(Reason::FlowTableFull)
            .by_rule("ssh");
    });
    assert_eq!(ssh, (0, 0, 0));
    assert_eq!(filter.rule_totals()["ssh"].last_hit, filter.now());
}

#[apply(everywhere_in_both_families)]
fn packets_stay_counted_when_others_take_the_slots_of_their_flows(place: Place, family: Family) {
    let mut filter = Filter::with_group(place, RULES);
    let attempts = 2 * u16::try_from(FLOWS).expect("a small table");
    let syn = |port, to| tcp((family.remote(), port), (family.local(), to)).syn();
    let bytes = syn(1, 22).bytes().len() as u64;
    let expected = u64::from(attempts);
    let ssh = counted(&filter, "ssh", || {
        for port in 0..attempts {
            filter.inbound(&syn(port, 22)).passes(Reason::New);
        }
    });
    assert_eq!(ssh, (expected, expected, expected * bytes));
    // All of them are over, and a flood of another rule's takes their places.
    filter.wait_seconds(1_000);
    let slots = filter.flows().len();
    let mut mysql = (0, 0, 0);
    let ssh = counted(&filter, "ssh", || {
        mysql = counted(&filter, "mysql", || {
            for port in 0..3 * attempts {
                filter.inbound(&syn(port, 3306)).passes(Reason::New);
            }
        });
    });
    assert_eq!(ssh, (0, 0, 0), "nothing is lost, nothing counted twice");
    assert_eq!(mysql, (3 * expected, 3 * expected, 3 * expected * bytes));
    let left = filter
        .flows()
        .iter()
        .filter(|(key, _)| key.local_port() == 22)
        .count();
    assert!(
        left < slots,
        "some slots were taken: {left} of {slots} stay"
    );
}

#[apply(everywhere_in_both_families)]
fn rules_that_stay_go_on_counting_and_those_that_come_back_begin_anew(
    place: Place,
    family: Family,
) {
    let mut filter = Filter::with_group(place, RULES);
    let syn = |port, to| tcp((family.remote(), port), (family.local(), to)).syn();
    filter.inbound(&syn(1, 22)).passes(Reason::New);
    filter.inbound(&syn(1, 3306)).passes(Reason::New);
    let before = filter.rule_totals();
    let without_mysql: Vec<_> = RULES
        .lines()
        .filter(|line| !line.contains("mysql"))
        .collect();
    filter.apply_group(&without_mysql.join("\n"));
    let totals = filter.rule_totals();
    assert_eq!(totals["ssh"], before["ssh"]);
    assert!(!totals.contains_key("mysql"), "it is gone");
    filter.apply_group(RULES);
    let totals = filter.rule_totals();
    assert_eq!(totals["ssh"], before["ssh"]);
    assert_eq!((totals["mysql"].flows, totals["mysql"].last_hit), (0, 0));
}
