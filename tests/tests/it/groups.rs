//! Groups as peers: vectors G01 to G07. The guarded interface has group `b`; `a` is elsewhere.

use crate::prelude::*;

/// `b` admits 5432 from `a`, whose members are these addresses.
fn rules(members: &str) -> String {
    format!(
        "
        security_groups:
          a: {{}}
          b: {{ inbound: [{{ type: PostgreSQL, source: 'sg:a', description: from a }}] }}
        members: {{ a: [{members}] }}
        interfaces: {{ eth0: {{ groups: [b] }} }}
        "
    )
}

fn syn(from: &str) -> Frame {
    tcp(from, "192.0.2.10:5432").syn()
}

#[apply(everywhere)]
fn g01_a_group_stands_for_the_private_addresses_of_its_members(place: Place) {
    let filter = Filter::new(place, &rules("10.0.1.5"));
    filter
        .inbound(&syn("10.0.1.5:40000"))
        .passes(Reason::New)
        .by_rule("from a");
    // Its address on the internet is not one of its own.
    filter
        .inbound(&syn("198.51.100.5:40000"))
        .drops(Reason::NoRule);
}

#[apply(everywhere)]
fn g02_a_second_address_of_a_member_counts(place: Place) {
    let mut filter = Filter::new(place, &rules("10.0.1.5"));
    filter.inbound(&syn("10.0.1.6:40000")).drops(Reason::NoRule);
    filter.apply(&rules("10.0.1.5, 10.0.1.6"));
    filter.inbound(&syn("10.0.1.6:40000")).passes(Reason::New);
}

#[apply(everywhere)]
fn g03_a_former_member_keeps_its_connections_and_opens_no_more(place: Place) {
    let mut filter = Filter::new(place, &rules("10.0.1.5"));
    let first = syn("10.0.1.5:40000");
    filter.inbound(&first).passes(Reason::New);
    filter
        .outbound(&first.reply().syn_ack())
        .passes(Reason::Established);
    filter.apply(&rules(""));
    filter
        .inbound(&first.clone().ack())
        .passes(Reason::Established)
        .by_rule("from a");
    filter.inbound(&syn("10.0.1.5:40001")).drops(Reason::NoRule);
}

#[test]
fn g04_a_group_that_is_referred_to_cannot_be_left_out() {
    let source = sg_policy::rulefile::Source {
        name: "rules.yaml".to_owned(),
        text: "security_groups: { b: { inbound: [{ type: SSH, source: 'sg:a' }] } }".to_owned(),
    };
    let report = sg_policy::rulefile::read(&[source]).expect_err("there is no group a");
    let [finding] = &report.diagnostics[..] else {
        panic!("not one error: {report}");
    };
    assert_eq!(finding.field, "security_groups.b.inbound[0].source");
}

#[apply(everywhere_in_both_families)]
fn g05_a_group_without_members_stands_for_nobody(place: Place, family: Family) {
    let filter = Filter::new(place, &rules(""));
    filter
        .inbound(&tcp((family.remote(), 40000), (family.local(), 5432)).syn())
        .drops(Reason::NoRule);
}

#[apply(everywhere)]
fn g06_a_member_behind_address_translation_does_not_count(place: Place) {
    let filter = Filter::new(place, &rules("10.0.1.5"));
    filter.inbound(&syn("10.0.9.9:40000")).drops(Reason::NoRule);
}

#[apply(everywhere)]
fn g07_an_ipv6_address_of_a_member_counts(place: Place) {
    let filter = Filter::new(place, &rules("10.0.1.5, '2001:db8::c'"));
    let syn = |from: &str| tcp(from, "[2001:db8:a::10]:5432").syn();
    filter
        .inbound(&syn("[2001:db8::c]:40000"))
        .passes(Reason::New);
    filter
        .inbound(&syn("[2001:db8::d]:40000"))
        .drops(Reason::NoRule);
}

#[apply(everywhere)]
fn a_group_as_destination_stands_for_its_members(place: Place) {
    let rules = "
        security_groups:
          a: {}
          b: { outbound: [{ type: SSH, destination: 'sg:a' }] }
        members: { a: [10.0.1.5] }
        interfaces: { eth0: { groups: [b] } }
    ";
    let filter = Filter::new(place, rules);
    filter
        .outbound(&tcp("192.0.2.10:40000", "10.0.1.5:22").syn())
        .passes(Reason::New);
    filter
        .outbound(&tcp("192.0.2.10:40000", "10.0.1.6:22").syn())
        .drops(Reason::NoRule);
}

#[apply(everywhere_in_both_families)]
fn a_prefix_list_stands_for_its_ranges(place: Place, family: Family) {
    let rules = "
        security_groups: { tested: { inbound: [{ type: SSH, source: 'pl:office' }] } }
        prefix_lists:
          office: [203.0.113.0/24, 'pl:tunnel']
          tunnel: ['2001:db8:cb::/48']
        interfaces: { eth0: { groups: [tested] } }
    ";
    let filter = Filter::new(place, rules);
    filter
        .inbound(&tcp((family.remote(), 40000), (family.local(), 22)).syn())
        .passes(Reason::New);
    filter
        .inbound(&tcp((family.router(), 40000), (family.local(), 22)).syn())
        .drops(Reason::NoRule);
}
