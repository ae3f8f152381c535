//! Policies as a whole: overlapping rules, many rules, exchange, absence.

use std::{
    fmt::Write as _, io::ErrorKind, os::unix::process::CommandExt as _, process::Command, thread,
};

use sg_common::image::SIZE_CLASSES;
use sg_tests::packet::arp_request;

use crate::prelude::*;

#[apply(everywhere)]
fn overlapping_sources_add_up(place: Place) {
    let filter = Filter::with_group(
        place,
        "
        inbound:
          - { protocol: tcp, ports: 1-100, source: 10.0.0.0/8, description: wide }
          - { protocol: tcp, ports: 50-200, source: 10.1.0.0/16, description: narrow }
          - { protocol: tcp, ports: 300, source: 10.1.2.3/32, description: host }
        ",
    );
    let syn = |from: &str, port: u16| tcp(from, (V4.local(), port)).syn();
    for (from, port, rule) in [
        ("10.2.0.1:1", 50, Some("wide")),
        ("10.2.0.1:1", 101, None),
        ("10.1.0.1:1", 49, Some("wide")),
        ("10.1.0.1:1", 101, Some("narrow")),
        ("10.1.0.1:1", 201, None),
        ("10.1.0.1:1", 300, None),
        ("10.1.2.3:1", 1, Some("wide")),
        ("10.1.2.3:1", 200, Some("narrow")),
        ("10.1.2.3:1", 300, Some("host")),
        ("10.1.2.4:1", 300, None),
    ] {
        let seen = filter.inbound(&syn(from, port));
        match rule {
            Some(rule) => seen.passes(Reason::New).by_rule(rule),
            None => seen.drops(Reason::NoRule),
        };
    }
}

#[apply(everywhere)]
fn the_first_rule_that_matches_is_the_deciding_one(place: Place) {
    let decides = |groups: &str, rule: &str| {
        let filter = Filter::new(
            place,
            &format!(
                "
                security_groups:
                  a: {{ inbound: [{{ type: SSH, source: 10.0.0.0/8, description: a1 }},
                                  {{ type: SSH, source: 10.1.0.0/16, description: a2 }}] }}
                  b: {{ inbound: [{{ type: SSH, source: 10.1.1.1/32, description: b1 }}] }}
                interfaces: {{ eth0: {{ groups: [{groups}] }} }}
                "
            ),
        );
        filter
            .inbound(&tcp("10.1.1.1:1", (V4.local(), 22)).syn())
            .passes(Reason::New)
            .by_rule(rule);
    };
    decides("a, b", "a1");
    decides("b, a", "b1");
}

/// A thousand rules: odd ports from even networks and the other way round.
fn thousand_rules() -> String {
    let mut rules = String::from("limits: { rules_per_group: 1000, groups_per_interface: 1 }\n");
    rules.push_str("security_groups:\n  tested:\n    inbound:\n");
    for i in 0..1000 {
        let (network, port) = (i % 250, 1000 + i);
        let _ = writeln!(
            rules,
            "      - {{ protocol: tcp, ports: {port}, source: 10.{network}.0.0/16 }}"
        );
    }
    rules.push_str("interfaces: { eth0: { groups: [tested] } }\n");
    rules
}

#[apply(everywhere)]
fn a_thousand_rules_decide_as_one_by_one(place: Place) {
    let filter = Filter::new(place, &thousand_rules());
    for i in (0..1000_u16).step_by(37) {
        let (network, port) = (i % 250, 1000 + i);
        let from = format!("10.{network}.9.9:1");
        let syn = |port| tcp(from.as_str(), (V4.local(), port)).syn();
        filter.inbound(&syn(port)).passes(Reason::New);
        filter.inbound(&syn(port + 1)).drops(Reason::NoRule);
    }
}

/// A child that is forked has a copy of what its parent maps, of an image that is being written too, until
/// it runs another program.
#[test]
fn policies_replace_each_other_while_children_are_forked() {
    let mut filter = Filter::with_group(
        NIC_TC,
        "inbound: [{ protocol: tcp, ports: 80, source: 10.0.0.0/8 }]",
    );
    thread::scope(|scope| {
        let forks = scope.spawn(|| {
            for _ in 0..200 {
                // Only to become a user, even the same one, is it forked. Small systems have no such program,
                // which the child finds out.
                let child = Command::new("true").uid(0).status();
                let was_forked = child.map_or_else(
                    |error| error.kind() == ErrorKind::NotFound,
                    |child| child.success(),
                );
                assert!(was_forked);
            }
        });
        while !forks.is_finished() {
            filter.move_to(SIZE_CLASSES[0] + 1);
        }
    });
    let syn = tcp("10.0.0.1:1", (V4.local(), 80)).syn();
    filter.inbound(&syn).passes(Reason::New);
}

/// More ranges than an image of the smallest size class holds.
fn large_rules() -> String {
    let mut rules = String::from("limits: { rules_per_group: 30000, product: 30000, ");
    rules.push_str("groups_per_interface: 1, prefix_list_entries: 30000 }\n");
    rules.push_str("security_groups:\n  tested:\n    inbound:\n");
    rules.push_str("      - { type: SSH, source: 'pl:many', description: many }\n");
    rules.push_str("prefix_lists:\n  many:\n");
    for i in 0..28_000_u32 {
        let [_, b, c, d] = (i * 2).to_be_bytes();
        let _ = writeln!(rules, "    - 10.{b}.{c}.{d}/32");
    }
    rules.push_str("interfaces: { eth0: { groups: [tested] } }\n");
    rules
}

#[apply(everywhere)]
fn policies_of_any_size_replace_each_other(place: Place) {
    let [one, two, three] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
    let mut filter = Filter::with_group(place, "inbound: []");
    let syn =
        |from: &str, port: u16| tcp(format!("{from}:{port}").as_str(), (V4.local(), 22)).syn();
    let admits_only = |filter: &Filter, admitted: &str, port| {
        filter
            .inbound(&syn(admitted, port))
            .passes(Reason::New)
            .by_rule(admitted);
        for other in [one, two, three] {
            if other != admitted {
                filter.inbound(&syn(other, port)).drops(Reason::NoRule);
            }
        }
    };
    let only = |from| format!("inbound: [{{ type: SSH, source: {from}/32, description: {from} }}]");
    filter.apply_group(&only(one));
    admits_only(&filter, one, 1);
    filter.apply(&large_rules());
    filter
        .inbound(&syn("10.0.0.2", 2))
        .passes(Reason::New)
        .by_rule("many");
    filter.inbound(&syn("10.0.218.190", 2)).passes(Reason::New);
    filter.inbound(&syn("10.0.0.3", 2)).drops(Reason::NoRule);
    let [medium, large] = [SIZE_CLASSES[0] + 1, SIZE_CLASSES[1] + 1];
    // Words beyond the smallest size, in an image of the largest.
    filter.move_to(large);
    for from in ["10.0.0.4", "10.0.218.188"] {
        let seen = filter.inbound(&syn(from, 2));
        seen.passes(Reason::New).by_rule("many");
    }
    filter.inbound(&syn("10.0.0.5", 2)).drops(Reason::NoRule);
    // Its flow is of the first policy.
    filter
        .inbound(&syn(one, 1))
        .passes(Reason::Established)
        .by_rule(one);
    for (port, (admitted, words)) in (3..).zip([(one, 0), (two, large), (three, medium)]) {
        filter.apply_group_in(&only(admitted), words);
        admits_only(&filter, admitted, port);
    }
}

#[apply(everywhere_in_both_families)]
fn without_a_policy_only_infrastructure_and_flows_pass(place: Place, family: Family) {
    let mut filter = Filter::new(place, "interfaces: { eth0: {} }");
    let syn = tcp((family.local(), 40000), (family.remote(), 443)).syn();
    filter.outbound(&syn).passes(Reason::New);
    filter.forget_policy();
    filter
        .inbound(&syn.reply().syn_ack())
        .passes(Reason::Established);
    let other = tcp((family.local(), 40001), (family.remote(), 443)).syn();
    filter.outbound(&other).drops(Reason::NoPolicy);
    filter.inbound(&other.reply()).drops(Reason::NoPolicy);
    filter
        .inbound(
            &udp((family.remote(), 1), (family.local(), 2))
                .payload(40)
                .fragments(1, 16)[1],
        )
        .drops(Reason::NoPolicy);
    filter
        .inbound(&arp_request([203, 0, 113, 7], [192, 0, 2, 10]))
        .passes(Reason::InfraArp);
}

#[apply(everywhere)]
fn before_it_is_set_up_an_interface_lets_nothing_pass(place: Place) {
    let mut filter = Filter::new(place, "interfaces: { eth0: {} }");
    filter.change_settings(|settings| settings.timeouts.fill(0));
    filter
        .inbound(&arp_request([203, 0, 113, 7], [192, 0, 2, 10]))
        .vanishes();
    filter
        .outbound(&ping(V4.local(), V4.remote(), 1))
        .vanishes();
}
