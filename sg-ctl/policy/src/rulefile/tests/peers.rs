//! Sources and destinations.

use super::{assert_errors, assert_rule_errors, model};
use crate::model::{Direction, Model};

/// The peers of the rules of `web` in one direction.
fn peers(model: &Model, direction: Direction) -> Vec<String> {
    model.groups["web"]
        .rules(direction)
        .iter()
        .map(|rule| rule.peer.to_string())
        .collect()
}

#[test]
fn every_kind_of_peer_is_read() {
    let model = model(
        "security_groups:
  db: { id: sg-0123456789abcdef0 }
  web:
    inbound:
      - { type: HTTPS, source: 10.0.0.0/8 }
      - { type: HTTPS, source: 2001:db8::/32 }
      - { type: HTTPS, source: anywhere-ipv4 }
      - { type: HTTPS, source: anywhere-ipv6 }
      - { type: HTTPS, source: 'sg:web' }
      - { type: HTTPS, source: 'sg:sg-0123456789abcdef0' }
      - { type: HTTPS, source: 'pl:office' }
    outbound:
      - { type: HTTPS, destination: 10.0.0.0/8 }
prefix_lists: { office: [203.0.113.0/24] }
",
    );
    let expected = [
        "10.0.0.0/8",
        "2001:db8::/32",
        "0.0.0.0/0",
        "::/0",
        "sg:web",
        "sg:db",
        "pl:office",
    ];
    assert_eq!(peers(&model, Direction::Inbound), expected);
    assert_eq!(peers(&model, Direction::Outbound), ["10.0.0.0/8"]);
}

#[test]
fn several_sources_are_several_rules() {
    let model = model(
        "security_groups: {web: {inbound: [{type: HTTPS, description: all, \
         sources: [10.0.0.0/8, 'sg:web', '::/0']}]}}",
    );
    assert_eq!(
        peers(&model, Direction::Inbound),
        ["10.0.0.0/8", "sg:web", "::/0"]
    );
    let rules = &model.groups["web"].inbound;
    assert!(rules.iter().all(|rule| rule.description == "all"));
    assert_ne!(rules[0].id, rules[1].id);
}

#[test]
fn r21_rule_file_refuses_host_bits() {
    assert_rule_errors(
        "protocol: tcp, ports: 80, source: 100.68.0.18/18",
        &[
            ".source: `100.68.0.18/18` has bits set beyond its prefix length (write \
           100.68.0.0/18 for the whole range, or 100.68.0.18/32 for the one address)",
        ],
    );
    assert_rule_errors(
        "protocol: tcp, ports: 80, source: '2001:db8::1/64'",
        &[
            ".source: `2001:db8::1/64` has bits set beyond its prefix length (write \
           2001:db8::/64 for the whole range, or 2001:db8::1/128 for the one address)",
        ],
    );
}

#[test]
fn what_is_no_range_is_refused_with_what_was_meant() {
    let peers = "an address range (10.0.0.0/8), sg:NAME, pl:NAME, anywhere-ipv4 or anywhere-ipv6";
    for (source, error) in [
        (
            "10.0.0.5",
            "`10.0.0.5` is a bare address (write 10.0.0.5/32)".to_owned(),
        ),
        (
            "2001:db8::1",
            "`2001:db8::1` is a bare address (write 2001:db8::1/128)".to_owned(),
        ),
        (
            "10.0.0.0/33",
            "`10.0.0.0/33` is not an address range (the length of an IPv4 prefix is a number from \
             0 to 32)"
                .to_owned(),
        ),
        (
            "2001:db8::/129",
            "`2001:db8::/129` is not an address range (the length of an IPv6 prefix is a number \
             from 0 to 128)"
                .to_owned(),
        ),
        (
            "::ffff:10.0.0.0/104",
            "`::ffff:10.0.0.0/104` is an IPv4 range in IPv6 clothes (write 10.0.0.0/8)".to_owned(),
        ),
        (
            "anywhere",
            "`anywhere` is not an address range (write anywhere-ipv4 or anywhere-ipv6: a rule \
             speaks about one family)"
                .to_owned(),
        ),
        (
            "sg-12345678",
            "`sg-12345678` is not an address range (write sg:sg-12345678)".to_owned(),
        ),
        (
            "pl-1",
            "`pl-1` is not an address range (write pl:pl-1)".to_owned(),
        ),
        (
            "sg:",
            "the name is missing (write it right after the colon)".to_owned(),
        ),
        (
            "example.com",
            format!(
                "`example.com` is not an address range (write {peers}; host names cannot be peers)"
            ),
        ),
    ] {
        assert_rule_errors(
            &format!("type: HTTPS, source: '{source}'"),
            &[&format!(".source: {error}")],
        );
    }
}

#[test]
fn the_protected_side_is_never_a_peer() {
    assert_rule_errors(
        "type: HTTPS, destination: 10.0.0.0/8",
        &[
            ".destination: an inbound rule has no destination: that is always the protected side \
           (write `source` or `sources`)",
        ],
    );
    assert_errors(
        "security_groups: {web: {outbound: [{type: HTTPS, sources: [10.0.0.0/8]}]}}",
        &[
            "1:60 security_groups.web.outbound[0].sources[0]: an outbound rule has no source: that \
           is always the protected side (write `destination` or `destinations`)",
        ],
    );
}

#[test]
fn a_rule_has_peers_given_in_one_way() {
    let example = "write `source: 203.0.113.0/24`, `source: sg:NAME` or `source: pl:NAME`";
    assert_rule_errors(
        "type: HTTPS",
        &[&format!(": the rule has no source ({example})")],
    );
    assert_rule_errors(
        "type: HTTPS, sources: []",
        &[&format!(": `sources` is empty ({example})")],
    );
    assert_rule_errors(
        "type: HTTPS, source: 10.0.0.0/8, sources: [10.0.0.0/8]",
        &[".sources[0]: both `source` and `sources` are given (put everything into `sources`)"],
    );
    assert_rule_errors(
        "type: HTTPS, source: [10.0.0.0/8]",
        &[
            ".source: is a list (write an address range (10.0.0.0/8), sg:NAME, pl:NAME, \
           anywhere-ipv4 or anywhere-ipv6)",
        ],
    );
}

#[test]
fn unknown_references_are_refused() {
    assert_rule_errors(
        "type: HTTPS, sources: ['sg:wbe', 'sg:database', 'pl:office']",
        &[
            ".sources[0]: there is no group `wbe` (did you mean `web`?)",
            ".sources[1]: there is no group `database` (define it under `security_groups`; \
             `NAME: {}` is enough for a group that only other hosts carry)",
            ".sources[2]: there is no prefix list `office` (define it under `prefix_lists`)",
        ],
    );
}

#[test]
fn a_rule_that_stands_twice_is_refused() {
    assert_errors(
        "security_groups:
  db: { id: sg-0123456789abcdef0 }
  web:
    inbound:
      - { type: HTTPS, source: 10.0.0.0/8 }
      - { protocol: 6, ports: 443, source: 10.0.0.0/8, description: other words }
      - { type: SSH, sources: ['sg:db', 'sg:sg-0123456789abcdef0'] }
      - { type: SSH, source: 10.0.0.0/9 }
      - { type: SSH, source: 10.0.0.0/8 }
    outbound:
      - { type: HTTPS, destination: 10.0.0.0/8 }
",
        &[
            "6:44 security_groups.web.inbound[1].source: tcp 443 10.0.0.0/8 is allowed twice \
             (remove this rule or the one in a.yaml:5:32)",
            "7:41 security_groups.web.inbound[2].sources[1]: tcp 22 sg:db is allowed twice \
             (remove this rule or the one in a.yaml:7:32)",
        ],
    );
}
