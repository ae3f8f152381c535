//! Prefix lists and members.

use std::fmt::Write as _;

use super::{assert_errors, model};
use crate::model::{Family, Model};

fn entries(model: &Model, name: &str) -> Vec<String> {
    model.prefix_lists[name]
        .entries
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn lists_are_flattened() {
    let model = model(
        "prefix_lists:
  office: [203.0.113.0/24, '2001:db8:1::/48']
  branches: { entries: [198.51.100.0/24], max_entries: 20 }
  all: ['pl:office', 'pl:branches', 192.0.2.0/24, 198.51.100.0/24]
  none: []
",
    );
    let all = [
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "2001:db8:1::/48",
    ];
    assert_eq!(entries(&model, "all"), all);
    let weights = |name: &str| Family::ALL.map(|family| model.prefix_lists[name].weight(family));
    assert_eq!(weights("all"), [3, 1]);
    assert_eq!(weights("branches"), [20, 0]);
    assert_eq!(weights("none"), [0, 0]);
}

#[test]
fn lists_that_contain_themselves_are_refused() {
    assert_errors(
        "prefix_lists:\n  a: ['pl:b']\n  b: ['pl:c']\n  c: ['pl:b']\n  d: ['pl:d']\n",
        &[
            "4:7 prefix_lists.c[0]: the prefix list `b` contains itself (remove one of the \
             references: a → b → c → b)",
            "5:7 prefix_lists.d[0]: the prefix list `d` contains itself (remove one of the \
             references: d → d)",
        ],
    );
}

#[test]
fn very_deep_lists_are_refused_not_followed() {
    let mut text = "prefix_lists:\n".to_owned();
    for number in 1000..2000 {
        let _ = writeln!(text, "  l{number}: ['pl:l{}']", number + 1);
    }
    text.push_str("  l2000: []\n");
    let report = super::read(&super::sources(&[&text])).expect_err("too deep");
    assert!(
        report.diagnostics[0].message.contains("more than 16 deep"),
        "{report}"
    );
}

#[test]
fn entries_are_ranges_or_lists() {
    assert_errors(
        "prefix_lists:
  a: [10.0.0.1, 10.0.0.1/8, 'sg:web', 'pl:b', 'pl:']
  b: { max_entries: 3 }
  c: [10.0.0.0/8, 10.0.0.0/8]
  d: { entries: [10.0.0.0/8, 11.0.0.0/8], max_entries: 1 }
  e: ['pl:f']
",
        &[
            "2:7 prefix_lists.a[0]: `10.0.0.1` is a bare address (write 10.0.0.1/32)",
            "2:17 prefix_lists.a[1]: `10.0.0.1/8` has bits set beyond its prefix length (write \
             10.0.0.0/8 for the whole range, or 10.0.0.1/32 for the one address)",
            "2:29 prefix_lists.a[2]: a prefix list cannot hold a security group (name the group \
             as the source or destination of a rule instead)",
            "2:47 prefix_lists.a[4]: the name is missing (write it right after the colon)",
            "3:6 prefix_lists.b: the list has no entries (write `entries: [203.0.113.0/24]`)",
            "4:19 prefix_lists.c[1]: 10.0.0.0/8 stands in the list twice (keep one of them)",
            "5:56 prefix_lists.d.max_entries: the list has 2 entries, more than its size 1 \
             (write `max_entries: 2`, or more)",
            "6:7 prefix_lists.e[0]: there is no prefix list `f` (define it under \
             `prefix_lists`)",
        ],
    );
}

#[test]
fn members_are_single_addresses_of_known_groups() {
    let model = model(
        "security_groups: {web: {id: sg-12345678}}\nmembers: {sg-12345678: [10.0.1.10, '2001:db8::1']}\n",
    );
    let members: Vec<String> = model.members["web"]
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(members, ["10.0.1.10", "2001:db8::1"]);

    assert_errors(
        "security_groups: {web: {id: sg-12345678}, db: {}}
members:
  web: [10.0.1.10/32, 10.0.0.0/8, here, '::ffff:10.0.0.1']
  db: [10.0.0.1, 10.0.0.1]
  bd: [10.0.0.1]
",
        &[
            "3:9 members.web[0]: `10.0.1.10/32` is a range (members are single addresses: write \
             10.0.1.10)",
            "3:23 members.web[1]: `10.0.0.0/8` is not an address (write a single IPv4 or IPv6 \
             address, such as 10.0.1.10)",
            "3:35 members.web[2]: `here` is not an address (write a single IPv4 or IPv6 address, \
             such as 10.0.1.10)",
            "3:41 members.web[3]: `::ffff:10.0.0.1` is an IPv4 address in IPv6 clothes (write \
             10.0.0.1)",
            "4:18 members.db[1]: 10.0.0.1 is listed twice (keep one of them)",
            "5:3 members.bd: there is no group `bd` (did you mean `db`?)",
        ],
    );
    assert_errors(
        "security_groups: {web: {id: sg-12345678}}\nmembers: {web: [], sg-12345678: []}\n",
        &[
            "2:20 members.sg-12345678: the member list of `web` is defined twice (`web` is already \
           defined in a.yaml:2:11: remove or rename one of them)",
        ],
    );
}

#[test]
fn members_may_stand_in_any_order() {
    let listed = |addresses: &str| {
        format!("security_groups: {{web: {{}}}}\nmembers: {{web: [{addresses}]}}\n")
    };
    let model = model(&listed(
        "10.0.0.5, '2001:db8::1', 10.0.0.3, 10.0.0.9, '::1', 10.0.0.4",
    ));
    let members: Vec<String> = model.members["web"]
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        members,
        [
            "10.0.0.3",
            "10.0.0.4",
            "10.0.0.5",
            "10.0.0.9",
            "::1",
            "2001:db8::1"
        ]
    );
    assert_errors(
        &listed("10.0.0.5, 10.0.0.3, 10.0.0.5, 10.0.0.9, 10.0.0.3"),
        &[
            "2:37 members.web[2]: 10.0.0.5 is listed twice (keep one of them)",
            "2:57 members.web[4]: 10.0.0.3 is listed twice (keep one of them)",
        ],
    );
}
