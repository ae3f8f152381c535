//! Explanations, as a reader finds them.

use std::net::{IpAddr, SocketAddr};

use sg_common::flow::Opening;
use sg_common::settings::{INFRA_DEFAULT, InterfaceSettings};
use sg_common::tcp::Numbers;

use super::*;
use crate::rulefile::{self, Source};

const RULES: &str = "
security_groups:
  web:
    inbound:
      - { id: sgr-0000000000000001, type: HTTPS, source: anywhere-ipv4 }
      - { id: sgr-0000000000000002, type: SSH, source: 10.1.0.0/16 }
      - { id: sgr-0000000000000003, protocol: tcp, ports: 8000-8100, source: 'sg:lb' }
      - { id: sgr-0000000000000004, type: MySQL/Aurora, source: 'pl:office' }
    outbound: []
  open:
    inbound: [{ id: sgr-0000000000000005, type: HTTP, source: anywhere-ipv4 }]
    outbound: [{ id: sgr-0000000000000006, type: All traffic, destination: anywhere-ipv4 }]
  ssh:
    inbound: [{ id: sgr-0000000000000007, type: SSH, source: anywhere-ipv4 }]
  lb: {}
prefix_lists:
  office: [192.0.2.0/25, 192.0.2.128/25, '2001:db8::/32']
members:
  lb: [10.0.1.7]
interfaces:
  eth0: { groups: [web] }
";

fn model() -> Model {
    let source = Source {
        name: "rules.yaml".to_owned(),
        text: RULES.to_owned(),
    };
    rulefile::read(&[source])
        .expect("the rules are right")
        .model
}

/// An interface with these groups.
fn place<'m>(model: &'m Model, groups: &[&str]) -> Place<'m> {
    let mut settings = InterfaceSettings::UNUSED;
    settings.timeouts = [1000; FlowState::SLOTS];
    settings.infra = INFRA_DEFAULT;
    Place {
        model,
        zones: vec![ZonePolicy {
            zone: 3,
            groups: groups.iter().map(|&name| name.to_owned()).collect(),
            addresses: vec![IpAddr::from([10, 0, 1, 5])],
        }],
        zone: 3,
        settings,
        hz: 100,
        now: 1 << 32,
        isolated: false,
    }
}

fn probe(direction: Direction, words: &str) -> Probe {
    let words: Vec<_> = words.split_whitespace().collect();
    Probe::parse(direction, &words).expect("a packet")
}

/// What becomes of an inbound packet at an interface with these groups, no flow being known.
fn explained<'m>(model: &'m Model, groups: &[&str], words: &str) -> Explanation<'m> {
    let probe = probe(Direction::Inbound, words);
    let mut numbers = RuleNumbers::default();
    explain(&place(model, groups), &probe, &mut numbers, None).expect("small rules")
}

fn finding<'e>(explanation: &'e Explanation<'_>, step: &str) -> &'e str {
    let found = explanation.steps.iter().find(|found| found.step == step);
    found.map_or("", |found| &found.finding)
}

#[test]
fn what_is_admitted_names_its_rule_and_how_it_is_tracked() {
    let model = model();
    let explained = explained(&model, &["web"], "tcp 203.0.113.7:40000 443");
    assert_eq!(explained.reason, Reason::New);
    assert_eq!(
        finding(&explained, "rules"),
        "admitted by inbound rule sgr-0000000000000001 of group web: tcp 443 from 0.0.0.0/0"
    );
    assert!(finding(&explained, "track").starts_with("tracked: opens a flow"));
}

#[test]
fn what_is_open_to_all_is_said_to_be_untracked() {
    let model = model();
    let explained = explained(&model, &["open"], "tcp 203.0.113.7:40000 80");
    assert_eq!(explained.reason, Reason::Untracked);
    assert!(finding(&explained, "track").starts_with("untracked: open to all addresses"));
}

#[test]
fn what_is_denied_names_the_rules_that_come_nearest() {
    let model = model();
    let nearest = |words| {
        let explained = explained(&model, &["web"], words);
        assert_eq!(explained.reason, Reason::NoRule);
        let miss = &explained.nearest[0];
        format!("{}: {miss}", miss.rule.id)
    };
    assert_eq!(
        nearest("tcp 10.0.1.9 8080"),
        "sgr-0000000000000003: port matches, source does not: 10.0.1.9 carries no group sg:lb, \
         which has 1 IPv4 member"
    );
    assert_eq!(
        nearest("tcp 203.0.113.7 3306"),
        "sgr-0000000000000004: port matches, source does not: 203.0.113.7 is in none of the 2 \
         IPv4 ranges of pl:office"
    );
    assert_eq!(
        nearest("tcp 2001:db8::7 443"),
        "sgr-0000000000000001: port matches, source does not: 2001:db8::7 is IPv6, and 0.0.0.0/0 \
         says nothing about IPv6"
    );
    assert_eq!(
        nearest("tcp 203.0.113.7 444"),
        "sgr-0000000000000001: source matches, port does not: 444 is not 443"
    );
    assert_eq!(
        nearest("udp 203.0.113.7 443"),
        "sgr-0000000000000001: source matches, protocol does not: the rule is for tcp, not udp"
    );
}

#[test]
fn groups_that_the_interface_does_not_carry_are_named_if_they_would_help() {
    let model = model();
    let explained = explained(&model, &["web"], "tcp 203.0.113.7 22");
    assert!(!explained.passes());
    let names: Vec<_> = explained
        .elsewhere
        .iter()
        .map(|group| &group.name)
        .collect();
    assert_eq!(names, ["ssh"]);
}

#[test]
fn live_flows_decide_before_the_rules() {
    let model = model();
    let at = |state: FlowState| {
        let flow = |key: &FlowKey| {
            assert_eq!(
                (key.zone(), key.local_port(), key.remote_port()),
                (3, 22, 50000)
            );
            let opening = Opening {
                rule: 9,
                state,
                flags: 0,
                packets: 1,
                bytes: 60,
                numbers: Numbers::NONE,
            };
            Some(opening.entry(0))
        };
        let probe = probe(Direction::Inbound, "tcp 203.0.113.7:50000 22");
        let mut numbers = RuleNumbers::default();
        let live = LiveFlows {
            flow: &flow,
            has_room: &|_| true,
        };
        explain(&place(&model, &["web"]), &probe, &mut numbers, Some(&live)).expect("small rules")
    };
    let explained = at(FlowState::TCP_ESTABLISHED);
    assert_eq!((explained.reason, explained.rule), (Reason::Established, 9));
    // A SYN on a flow that is over is new traffic.
    assert_eq!(at(FlowState::TCP_CLOSING).reason, Reason::NoRule);
}

#[test]
fn an_answer_from_another_own_address_is_told_from_what_was_asked() {
    let model = model();
    let mut place = place(&model, &["web"]);
    place.zones[0].addresses.push(IpAddr::from([10, 0, 1, 6]));
    let asked = SocketAddr::from(([10, 0, 1, 6], 53));
    let flow = |key: &FlowKey| {
        let ends = (key.local_port(), key.remote_port());
        let is_asked = IpAddr::from(key.local) == asked.ip() && ends == (53, 40000);
        let opening = Opening {
            rule: 9,
            state: FlowState::UDP_UNANSWERED,
            flags: 0,
            packets: 1,
            bytes: 60,
            numbers: Numbers::NONE,
        };
        is_asked.then(|| opening.entry(0))
    };
    let hints = |words: &str| {
        let probe = probe(Direction::Outbound, words);
        let mut numbers = RuleNumbers::default();
        let live = LiveFlows {
            flow: &flow,
            has_room: &|_| true,
        };
        let explained = explain(&place, &probe, &mut numbers, Some(&live));
        explained.expect("small rules").hints
    };
    let told = hints("udp 10.0.1.5:53 203.0.113.7:40000");
    assert!(told[0].contains("has asked 10.0.1.6, port 53"), "{told:?}");
    assert_eq!(hints("udp 10.0.1.5:53 203.0.113.7:40001"), [""; 0]);
}

#[test]
fn further_connections_of_known_protocols_are_told() {
    let rules = "security_groups:
  ftp: { inbound: [{ protocol: tcp, ports: 21, source: anywhere-ipv4 }], outbound: [] }
  sip: { inbound: [{ protocol: udp, ports: 5060, source: anywhere-ipv4 }], outbound: [] }
  all: { inbound: [{ protocol: tcp, ports: 20-40000, source: anywhere-ipv4 }], outbound: [] }
";
    let source = Source {
        name: "rules.yaml".to_owned(),
        text: rules.to_owned(),
    };
    let model = rulefile::read(&[source])
        .expect("the rules are right")
        .model;
    for (group, words, name) in [
        ("ftp", "tcp 203.0.113.7:40000 50000", Some("FTP")),
        ("ftp", "udp 203.0.113.7:40000 50000", None),
        ("ftp", "tcp 203.0.113.7:40000 22", None),
        ("sip", "udp 203.0.113.7:40000 16384", Some("SIP")),
        ("all", "tcp 203.0.113.7:40000 50000", None),
    ] {
        let told = explained(&model, &[group], words).hints;
        assert_eq!(told.len(), usize::from(name.is_some()), "{words}: {told:?}");
        let speaks = |name| told[0].contains(&format!("speak of {name},"));
        assert!(name.is_none_or(speaks), "{words}: {told:?}");
    }
}

#[test]
fn a_new_flow_without_a_place_is_refused_now() {
    let model = model();
    let probe = probe(Direction::Inbound, "tcp 10.1.2.9:50000 22");
    let mut numbers = RuleNumbers::default();
    let place = place(&model, &["web"]);
    let mut at = |has_room: bool| {
        let live = LiveFlows {
            flow: &|_| None,
            has_room: &|_| has_room,
        };
        explain(&place, &probe, &mut numbers, Some(&live)).expect("small rules")
    };
    assert_eq!(at(true).reason, Reason::New);
    let full = at(false);
    assert_eq!(full.reason, Reason::FlowTableFull);
    assert_ne!(full.rule, 0, "the rule that admits it is named");
    assert!(finding(&full, "track").contains("no place"), "{full:?}");
    assert!(full.nearest.is_empty(), "{full:?}");
}

#[test]
fn an_isolated_interface_says_so_and_names_no_rule_that_comes_near() {
    let model = model();
    let mut place = place(&model, &[]);
    place.isolated = true;
    let probe = probe(Direction::Inbound, "tcp 10.1.2.9:50000 22");
    let isolated = explain(&place, &probe, &mut RuleNumbers::default(), None).expect("small rules");
    assert_eq!(isolated.reason, Reason::NoRule);
    assert!(finding(&isolated, "isolation").contains("isolated"));
    assert!(isolated.nearest.is_empty() && isolated.elsewhere.is_empty());
}

#[test]
fn infrastructure_is_said_to_be_never_filtered() {
    let model = model();
    let explained = explained(&model, &["web"], "udp 10.0.0.2:67 68");
    assert_eq!(explained.reason, Reason::InfraDhcp4);
    assert_eq!(explained.steps.len(), 2);
}

/// The words never contradict the verdict.
#[test]
fn messages_of_the_link_are_taken_for_genuine_ones() {
    let model = model();
    for (direction, words, kind, reason) in [
        (Direction::Inbound, "icmpv6 fe80::1", 134, Reason::InfraNd),
        (Direction::Outbound, "icmpv6 ff02::1", 134, Reason::NoRule),
        (
            Direction::Outbound,
            "icmpv6 ff02::16",
            143,
            Reason::InfraMld,
        ),
        (
            Direction::Inbound,
            "2 10.0.0.1 224.0.0.1",
            0x11,
            Reason::InfraIgmp,
        ),
        (
            Direction::Outbound,
            "2 10.0.0.5 239.1.1.1",
            0x16,
            Reason::InfraIgmp,
        ),
    ] {
        let mut probe = probe(direction, words);
        probe.message[0] = kind;
        let mut numbers = RuleNumbers::default();
        let explained = explain(&place(&model, &["web"]), &probe, &mut numbers, None);
        assert_eq!(explained.expect("small rules").reason, reason, "{words}");
    }
}

#[test]
fn a_packet_is_denied_exactly_if_every_rule_misses() {
    let model = model();
    let (mut passed, mut denied) = (0, 0);
    for groups in [&["web"][..], &["open"], &["ssh", "web"], &["lb"]] {
        let place = place(&model, groups);
        for (direction, protocol, address, port) in questions() {
            let words = match direction {
                Direction::Inbound => format!("{protocol} {address} {port}"),
                Direction::Outbound => format!("{protocol} {}", SocketAddr::new(address, port)),
            };
            let probe = probe(direction, &words);
            let mut numbers = RuleNumbers::default();
            let explained = explain(&place, &probe, &mut numbers, None).expect("small rules");
            let carried = carried(&place);
            let rules: usize = carried
                .iter()
                .map(|group| group.rules(direction).len())
                .sum();
            let misses = near::nearest(&model, &place.zones, carried, &probe).len();
            assert_eq!(explained.passes(), misses < rules, "{groups:?} {probe}");
            *if explained.passes() {
                &mut passed
            } else {
                &mut denied
            } += 1;
        }
    }
    assert!(
        passed > 50 && denied > 50,
        "{passed} passed, {denied} were denied"
    );
}

/// Packets that rules admit for all kinds of reasons, and their neighbours.
fn questions() -> impl Iterator<Item = (Direction, &'static str, IpAddr, u16)> {
    let addresses = ["10.1.2.3", "10.0.1.7", "192.0.2.200", "2001:db8::1", "::1"];
    Direction::ALL.into_iter().flat_map(move |direction| {
        ["tcp", "udp"].into_iter().flat_map(move |protocol| {
            addresses.into_iter().flat_map(move |address| {
                let address = address.parse().expect("an address");
                [22, 80, 443, 3306, 8000, 8100, 8101]
                    .map(|port| (direction, protocol, address, port))
            })
        })
    })
}
