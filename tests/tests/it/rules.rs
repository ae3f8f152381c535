//! One rule, one packet without a flow: vectors R01 to R24.

use crate::prelude::*;

const SSH: &str = "
    inbound: [{ protocol: tcp, ports: 22, source: 203.0.113.0/24, description: ssh }]
";

#[apply(everywhere)]
fn r01_a_rule_admits_what_matches_source_and_port(place: Place) {
    let filter = Filter::with_group(place, SSH);
    filter
        .inbound(&tcp("203.0.113.7:40000", "192.0.2.10:22").syn())
        .passes(Reason::New)
        .by_rule("ssh");
}

#[apply(everywhere)]
fn r02_another_source_is_dropped(place: Place) {
    let filter = Filter::with_group(place, SSH);
    for source in ["203.0.114.7:40000", "203.0.112.255:40000", "0.0.0.0:40000"] {
        filter
            .inbound(&tcp(source, "192.0.2.10:22").syn())
            .drops(Reason::NoRule)
            .by_no_rule();
    }
    for source in ["203.0.113.0:40000", "203.0.113.255:40000"] {
        filter
            .inbound(&tcp(source, "192.0.2.10:22").syn())
            .passes(Reason::New);
    }
}

#[apply(everywhere)]
fn r03_another_protocol_is_dropped(place: Place) {
    let filter = Filter::with_group(place, SSH);
    filter
        .inbound(&udp("203.0.113.7:40000", "192.0.2.10:22"))
        .drops(Reason::NoRule);
}

#[apply(everywhere)]
fn r04_a_port_is_the_destination_port(place: Place) {
    let filter = Filter::with_group(place, SSH);
    filter
        .inbound(&tcp("203.0.113.7:22", "192.0.2.10:40000").syn())
        .drops(Reason::NoRule);
}

#[apply(everywhere)]
fn r05_a_rule_for_all_of_one_family_says_nothing_about_the_other(place: Place) {
    let v4 = "inbound: [{ protocol: tcp, ports: 0-65535, source: 0.0.0.0/0 }]\noutbound: []";
    let filter = Filter::with_group(place, v4);
    let (v4_syn, v6_syn) = (
        tcp("203.0.113.7:40000", "192.0.2.10:80").syn(),
        tcp("[2001:db8::1]:40000", "[2001:db8:a::10]:80").syn(),
    );
    filter.inbound(&v6_syn).drops(Reason::NoRule);
    filter.inbound(&v4_syn).passes(Reason::New);
    drop(filter);

    let v6 = "inbound: [{ protocol: tcp, ports: 0-65535, source: '::/0' }]\noutbound: []";
    let filter = Filter::with_group(place, v6);
    filter.inbound(&v4_syn).drops(Reason::NoRule);
    filter.inbound(&v6_syn).passes(Reason::New);
}

#[apply(everywhere)]
fn r06_a_rule_for_all_protocols_admits_every_protocol(place: Place) {
    let all = "inbound: [{ protocol: all, source: 0.0.0.0/0 }]";
    let filter = Filter::with_group(place, all);
    let (from, to) = ("203.0.113.7", "192.0.2.10");
    // GRE, ESP, SCTP, and a number that no protocol has.
    for protocol in [47, 50, 132, 253] {
        filter.inbound(&ip(from, to, protocol)).passes(Reason::New);
    }
    filter.inbound(&ping(from, to, 1)).passes(Reason::New);
    filter
        .inbound(&tcp("203.0.113.7:40000", "192.0.2.10:9999").syn())
        .passes(Reason::Untracked);
    filter
        .inbound(&ip("2001:db8::1", "2001:db8:a::10", 47))
        .drops(Reason::NoRule);
}

/// AWS takes ports with all protocols and ignores them, which opens everything. Rule files refuse
/// them; what AWS makes of them is written `protocol: all`.
#[apply(everywhere)]
fn r07_ports_with_all_protocols_are_refused_and_would_be_ignored(place: Place) {
    let rule = |ports: &str| format!("[{{ protocol: all, {ports} source: 10.0.0.0/8 }}]");
    let source = sg_policy::rulefile::Source {
        name: "rules.yaml".to_owned(),
        text: format!(
            "security_groups: {{ a: {{ inbound: {} }} }}",
            rule("ports: 88,")
        ),
    };
    let report = sg_policy::rulefile::read(&[source]).expect_err("no ports");
    assert_eq!(
        report.diagnostics[0].field,
        "security_groups.a.inbound[0].ports"
    );

    let filter = Filter::with_group(place, &format!("inbound: {}\noutbound: []", rule("")));
    filter
        .inbound(&tcp("10.1.1.1:40000", "192.0.2.10:9999").syn())
        .passes(Reason::New);
}

#[apply(everywhere)]
fn r08_an_icmp_rule_admits_its_type_and_code(place: Place) {
    let filter = Filter::with_group(place, ECHO);
    filter
        .inbound(&ping("203.0.113.7", "192.0.2.10", 1))
        .passes(Reason::New)
        .by_rule("echo");
}

const ECHO: &str = "
    inbound:
      - { protocol: icmp, icmp: { type: 8, code: 0 }, source: 0.0.0.0/0, description: echo }
";

#[apply(everywhere)]
fn r09_an_icmp_rule_admits_no_other_type(place: Place) {
    let filter = Filter::with_group(place, ECHO);
    let message = |kind, code| icmp("203.0.113.7", "192.0.2.10", kind, code);
    filter.inbound(&message(13, 0)).drops(Reason::NoRule);
    filter.inbound(&message(8, 1)).drops(Reason::NoRule);
}

#[apply(everywhere)]
fn r10_an_icmp_rule_without_code_admits_every_code(place: Place) {
    let rule = "inbound: [{ protocol: icmp, icmp: { type: 3 }, source: 0.0.0.0/0 }]";
    let filter = Filter::with_group(place, rule);
    let message = |kind, code| icmp("203.0.113.7", "192.0.2.10", kind, code);
    for code in [0, 3, 4, 255] {
        filter.inbound(&message(3, code)).passes(Reason::Stateless);
    }
    filter.inbound(&message(4, 0)).drops(Reason::NoRule);
    assert!(filter.flows().is_empty());
}

#[apply(everywhere)]
fn r11_an_icmp_rule_with_code_admits_no_other_code(place: Place) {
    let rule = "inbound: [{ protocol: icmp, icmp: { type: 3, code: 4 }, source: 0.0.0.0/0 }]";
    let filter = Filter::with_group(place, rule);
    let message = |code| icmp("203.0.113.7", "192.0.2.10", 3, code);
    filter.inbound(&message(3)).drops(Reason::NoRule);
    filter.inbound(&message(4)).passes(Reason::Stateless);
}

#[apply(everywhere)]
fn r12_icmp_is_not_icmpv6(place: Place) {
    let rule = "inbound: [{ protocol: icmp, icmp: all, source: 0.0.0.0/0 }]";
    let filter = Filter::with_group(place, rule);
    filter
        .inbound(&ping("2001:db8::1", "2001:db8:a::10", 1))
        .drops(Reason::NoRule);
    // Protocol 58 in an IPv4 packet is no ICMP either.
    filter
        .inbound(&ip("203.0.113.7", "192.0.2.10", 58))
        .drops(Reason::NoRule);
}

#[apply(everywhere)]
fn r13_a_rule_for_all_of_icmpv6_admits_every_message(place: Place) {
    let rule = "inbound: [{ protocol: icmpv6, icmp: all, source: '::/0' }]";
    let filter = Filter::with_group(place, rule);
    let message = |kind, code| icmp("2001:db8::1", "2001:db8:a::10", kind, code);
    filter.inbound(&message(128, 0)).passes(Reason::New);
    filter.inbound(&message(1, 4)).passes(Reason::Stateless);
}

#[apply(everywhere)]
fn r14_a_protocol_number_admits_the_whole_protocol(place: Place) {
    let rule = "inbound: [{ protocol: 47, source: 198.51.100.1/32, description: gre }]";
    let filter = Filter::with_group(place, rule);
    filter
        .inbound(&ip("198.51.100.1", "192.0.2.10", 47))
        .passes(Reason::New)
        .by_rule("gre");
    filter
        .inbound(&ip("198.51.100.2", "192.0.2.10", 47))
        .drops(Reason::NoRule);
    filter
        .inbound(&ip("198.51.100.1", "192.0.2.10", 48))
        .drops(Reason::NoRule);
}

#[apply(everywhere)]
fn r15_a_port_range_includes_both_ends(place: Place) {
    let rule = "inbound: [{ protocol: tcp, ports: 7000-8000, source: 203.0.113.0/24 }]";
    let filter = Filter::with_group(place, rule);
    for (port, admitted) in [(6999, false), (7000, true), (8000, true), (8001, false)] {
        let to = format!("192.0.2.10:{port}");
        let seen = filter.inbound(&tcp("203.0.113.7:40000", to.as_str()).syn());
        if admitted {
            seen.passes(Reason::New);
        } else {
            seen.drops(Reason::NoRule);
        }
    }
}

#[apply(everywhere)]
fn r16_an_outbound_rule_admits_its_port_alone(place: Place) {
    let rule = "outbound: [{ protocol: tcp, ports: 443, destination: 0.0.0.0/0 }]";
    let filter = Filter::with_group(place, rule);
    filter
        .outbound(&tcp("192.0.2.10:40000", "1.2.3.4:443").syn())
        .passes(Reason::New);
    filter
        .outbound(&tcp("192.0.2.10:40000", "1.2.3.4:80").syn())
        .drops(Reason::NoRule);
}

#[apply(everywhere_in_both_families)]
fn r17_without_outbound_rules_nothing_new_leaves(place: Place, family: Family) {
    let all_may_enter = "inbound: [{ type: All traffic, sources: [0.0.0.0/0, '::/0'] }]";
    let filter = Filter::with_group(place, &format!("{all_may_enter}\noutbound: []"));
    let (local, remote) = (family.local(), family.remote());
    filter
        .outbound(&tcp((local, 40000), (remote, 80)).syn())
        .drops(Reason::NoRule);
    filter
        .outbound(&udp((local, 40000), (remote, 53)))
        .drops(Reason::NoRule);
    filter
        .outbound(&ping(local, remote, 1))
        .drops(Reason::NoRule);
    filter
        .outbound(&ip(local, remote, 47))
        .drops(Reason::NoRule);
}

#[apply(everywhere)]
fn r18_all_groups_of_an_interface_are_merged(place: Place) {
    let filter = Filter::new(
        place,
        "
        security_groups:
          a: { inbound: [{ protocol: tcp, ports: 80, source: 0.0.0.0/0, description: a }] }
          b: { inbound: [{ protocol: tcp, ports: 443, source: 0.0.0.0/0, description: b }] }
        interfaces: { eth0: { groups: [a, b] } }
        ",
    );
    let syn = |port: u16| tcp("203.0.113.7:40000", (Family::V4.local(), port)).syn();
    filter
        .inbound(&syn(80))
        .passes(Reason::Untracked)
        .by_rule("a");
    filter
        .inbound(&syn(443))
        .passes(Reason::Untracked)
        .by_rule("b");
    filter.inbound(&syn(22)).drops(Reason::NoRule);
}

/// Two interfaces of one host with the same group.
fn two_members(inbound: &str) -> String {
    format!(
        "
        security_groups: {{ x: {{ inbound: [{inbound}] }} }}
        interfaces: {{ eth0: {{ groups: [x] }}, eth1: {{ groups: [x] }} }}
        "
    )
}

#[apply(everywhere_in_both_families)]
fn r19_members_reach_each_other_by_a_rule_that_names_their_group(place: Place, family: Family) {
    let rule = "{ type: SSH, source: 'sg:x', description: self }";
    let filter = Filter::new(place, &two_members(rule));
    let syn = |from| tcp((from, 40000), (family.local(), 22)).syn();
    filter
        .inbound(&syn(family.second_local()))
        .passes(Reason::New)
        .by_rule("self");
    filter.inbound(&syn(family.remote())).drops(Reason::NoRule);
}

#[apply(everywhere_in_both_families)]
fn r20_members_do_not_reach_each_other_without_a_rule(place: Place, family: Family) {
    let filter = Filter::new(place, &two_members(""));
    filter
        .inbound(&tcp((family.second_local(), 40000), (family.local(), 22)).syn())
        .drops(Reason::NoRule);
}

#[apply(everywhere)]
fn r21_a_cidr_covers_its_canonical_range(place: Place) {
    let rule = "inbound: [{ protocol: tcp, ports: 80, source: 100.68.0.0/18 }]";
    let filter = Filter::with_group(place, rule);
    let syn = |from: &str| tcp(from, "192.0.2.10:80").syn();
    for inside in ["100.68.0.0:40000", "100.68.63.255:40000"] {
        filter.inbound(&syn(inside)).passes(Reason::New);
    }
    for outside in ["100.67.255.255:40000", "100.68.64.0:40000"] {
        filter.inbound(&syn(outside)).drops(Reason::NoRule);
    }
}

#[apply(everywhere)]
fn r22_port_zero_is_a_port(place: Place) {
    let rule = "inbound: [{ protocol: tcp, ports: 0, source: 10.0.0.0/8 }]";
    let filter = Filter::with_group(place, rule);
    let syn = |to: &str| tcp("10.1.1.1:40000", to).syn();
    filter.inbound(&syn("192.0.2.10:0")).passes(Reason::New);
    filter.inbound(&syn("192.0.2.10:1")).drops(Reason::NoRule);
}

#[apply(everywhere_in_both_families)]
fn r23_the_default_group_admits_members_alone(place: Place, family: Family) {
    let filter = Filter::new(place, "interfaces: { eth0: {}, eth1: {} }");
    let syn = |from| tcp((from, 40000), (family.local(), 22)).syn();
    filter.inbound(&syn(family.remote())).drops(Reason::NoRule);
    filter
        .inbound(&syn(family.second_local()))
        .passes(Reason::New);
}

#[apply(everywhere)]
fn r24_the_default_group_lets_everything_leave(place: Place) {
    let filter = Filter::new(place, "interfaces: { eth0: {} }");
    let v4 = tcp("192.0.2.10:40000", "203.0.113.7:80").syn();
    let v6 = tcp("[2001:db8:a::10]:40000", "[2001:db8::1]:80").syn();
    filter.outbound(&v4).passes(Reason::New);
    filter.outbound(&v6).passes(Reason::New);
    drop(filter);

    let v4_alone = "
        security_groups: { default: { outbound: [{ type: All traffic, destination: 0.0.0.0/0 }] } }
        interfaces: { eth0: {} }
    ";
    let filter = Filter::new(place, v4_alone);
    filter.outbound(&v4).passes(Reason::New);
    filter.outbound(&v6).drops(Reason::NoRule);
}
