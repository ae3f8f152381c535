//! Tests of the compiler: the image's answers against the rules, read off by eye.

use std::net::IpAddr;

use sg_common::addr::Addr;
use sg_common::policy::{NO_REPLY, Question};
use sg_common::reason::Reason;
use sg_common::service;

use super::*;
use crate::model::{
    Direction, Icmp, IcmpMessage, PrefixList, Rule, SecurityGroup, Service, Transport,
};

const TCP: u8 = 6;
const UDP: u8 = 17;

fn ports(protocol: Transport, from: u16, to: u16) -> Service {
    Service::Ports { protocol, from, to }
}

fn tcp(port: u16) -> Service {
    ports(Transport::Tcp, port, port)
}

fn group(name: &str, inbound: &[(Service, &str)], outbound: &[(Service, &str)]) -> SecurityGroup {
    let mut group = SecurityGroup::built_in();
    group.id = crate::model::GroupId::derived(name);
    name.clone_into(&mut group.name);
    let rules = |direction, rules: &[(Service, &str)]| {
        rules
            .iter()
            .map(|(service, peer)| {
                Rule::new(&group.id, direction, *service, peer.parse().expect("peer"))
            })
            .collect()
    };
    group.inbound = rules(Direction::Inbound, inbound);
    group.outbound = rules(Direction::Outbound, outbound);
    group
}

/// Services and peers of some rules.
type Rules<'a> = &'a [(Service, &'a str)];

struct World {
    model: Model,
    zones: Vec<ZonePolicy>,
    numbers: RuleNumbers,
}

impl World {
    fn new(groups: &[SecurityGroup]) -> Self {
        let mut model = Model::new();
        for group in groups {
            model.groups.insert(group.name.clone(), group.clone());
        }
        Self {
            model,
            zones: vec![ZonePolicy {
                zone: 0,
                groups: groups.iter().map(|group| group.name.clone()).collect(),
                addresses: vec![],
            }],
            numbers: RuleNumbers::default(),
        }
    }

    fn image(&mut self) -> Image {
        compile(&self.model, &self.zones, &mut self.numbers, 7).expect("compiles")
    }

    fn ask(&mut self, direction: Direction, remote: &str, service: u32, reply: u32) -> Outcome {
        self.image().answer(&Question {
            remote: Addr::from(remote.parse::<IpAddr>().expect("address")),
            zone: 0,
            direction: direction as u32,
            service,
            reply_service: reply,
        })
    }

    fn inbound(&mut self, remote: &str, service: u32) -> Reason {
        self.ask(Direction::Inbound, remote, service, NO_REPLY)
            .reason()
    }
}

#[test]
fn ports_and_addresses_decide_and_borders_are_inclusive() {
    let mut world = World::new(&[group(
        "web",
        &[
            (ports(Transport::Tcp, 7000, 8000), "203.0.113.0/24"),
            (tcp(443), "2001:db8::/32"),
        ],
        &[],
    )]);
    for (remote, port, expected) in [
        ("203.0.113.0", 7000, Reason::New),
        ("203.0.113.255", 8000, Reason::New),
        ("203.0.113.7", 6999, Reason::NoRule),
        ("203.0.113.7", 8001, Reason::NoRule),
        ("203.0.112.255", 7000, Reason::NoRule),
        ("203.0.114.0", 7000, Reason::NoRule),
        ("2001:db8::1", 443, Reason::New),
        ("2001:db9::1", 443, Reason::NoRule),
        ("2001:db8::1", 7000, Reason::NoRule),
    ] {
        assert_eq!(
            world.inbound(remote, service::key(TCP, port)),
            expected,
            "{remote} {port}"
        );
    }
    assert_eq!(
        world.inbound("203.0.113.7", service::key(UDP, 7000)),
        Reason::NoRule
    );
}

#[test]
fn families_are_apart() {
    let mut world = World::new(&[group("six", &[(Service::All, "::/0")], &[])]);
    assert_eq!(
        world.inbound("2001:db8::1", service::key(TCP, 1)),
        Reason::New
    );
    assert_eq!(world.inbound("::", service::key(TCP, 1)), Reason::New);
    assert_eq!(
        world.inbound("192.0.2.1", service::key(TCP, 1)),
        Reason::NoRule
    );
    let mut world = World::new(&[group("four", &[(Service::All, "0.0.0.0/0")], &[])]);
    assert_eq!(
        world.inbound("192.0.2.1", service::key(TCP, 1)),
        Reason::New
    );
    assert_eq!(
        world.inbound("255.255.255.255", service::key(TCP, 1)),
        Reason::New
    );
    assert_eq!(
        world.inbound("2001:db8::1", service::key(TCP, 1)),
        Reason::NoRule
    );
}

#[test]
fn the_first_matching_rule_is_named() {
    let mut world = World::new(&[
        group(
            "a",
            &[(tcp(22), "10.0.0.0/8"), (tcp(22), "10.1.0.0/16")],
            &[],
        ),
        group("b", &[(Service::All, "10.1.2.0/24")], &[]),
    ]);
    for (remote, port, group, peer) in [
        ("10.1.2.3", 22, "a", "10.0.0.0/8"),
        ("10.1.2.3", 80, "b", "10.1.2.0/24"),
    ] {
        let outcome = world.ask(
            Direction::Inbound,
            remote,
            service::key(TCP, port),
            NO_REPLY,
        );
        let record = world.numbers.rule(outcome.rule()).expect("a known rule");
        assert_eq!(
            (record.group.as_str(), record.peer.to_string().as_str()),
            (group, peer)
        );
    }
}

#[test]
fn untracked_needs_all_addresses_and_all_answers() {
    let all_out = (Service::All, "0.0.0.0/0");
    let cases: [(Rules<'_>, Rules<'_>, Reason); 5] = [
        (&[(tcp(80), "0.0.0.0/0")], &[all_out], Reason::Untracked),
        (
            &[(tcp(80), "0.0.0.0/0")],
            &[(ports(Transport::Tcp, 1024, 65535), "0.0.0.0/0")],
            Reason::New,
        ),
        (
            &[(tcp(80), "0.0.0.0/1"), (tcp(80), "128.0.0.0/1")],
            &[all_out],
            Reason::New,
        ),
        (
            &[(tcp(80), "0.0.0.0/0")],
            &[(Service::All, "::/0")],
            Reason::New,
        ),
        (
            &[(tcp(80), "198.51.100.0/24"), (tcp(80), "0.0.0.0/0")],
            &[all_out],
            Reason::Untracked,
        ),
    ];
    for (inbound, outbound, expected) in cases {
        let mut world = World::new(&[group("web", inbound, outbound)]);
        assert_eq!(
            world.inbound("198.51.100.9", service::key(TCP, 80)),
            expected,
            "{inbound:?} {outbound:?}"
        );
    }
}

#[test]
fn the_answer_within_an_untracked_flow_is_untracked() {
    let mut world = World::new(&[group(
        "web",
        &[(tcp(80), "0.0.0.0/0"), (tcp(22), "198.51.100.0/24")],
        &[(Service::All, "0.0.0.0/0")],
    )]);
    let mut answer = |source_port| {
        world
            .ask(
                Direction::Outbound,
                "198.51.100.9",
                service::key(TCP, 40000),
                service::key(TCP, source_port),
            )
            .reason()
    };
    assert_eq!(answer(80), Reason::UntrackedReply);
    assert_eq!(answer(22), Reason::New);
    assert_eq!(answer(9), Reason::New);
}

#[test]
fn icmp_and_whole_protocols() {
    let echo = Service::Icmp {
        protocol: Icmp::V4,
        message: IcmpMessage::TypeAndCode(8, 0),
    };
    let unreachable = Service::Icmp {
        protocol: Icmp::V4,
        message: IcmpMessage::Type(3),
    };
    let mut world = World::new(&[group(
        "probe",
        &[
            (echo, "0.0.0.0/0"),
            (unreachable, "0.0.0.0/0"),
            (Service::Protocol(47), "192.0.2.1/32"),
            (Service::Protocol(0), "192.0.2.1/32"),
            (Service::Protocol(60), "192.0.2.1/32"),
        ],
        &[],
    )]);
    for (key, expected) in [
        (service::icmp_key(1, 8, 0), Reason::New),
        (service::icmp_key(1, 13, 0), Reason::NoRule),
        (service::icmp_key(1, 3, 4), Reason::New),
        (service::icmp_key(1, 3, 255), Reason::New),
        (service::icmp_key(1, 4, 0), Reason::NoRule),
        (service::key(47, 0), Reason::New),
        (service::key(46, 0), Reason::NoRule),
        (service::key_without_ports(47), Reason::New),
        (service::key_without_ports(1), Reason::NoRule),
        (service::key_without_ports(60), Reason::New),
        (service::UNKNOWN, Reason::NoRule),
    ] {
        assert_eq!(world.inbound("192.0.2.1", key), expected, "{key:#x}");
    }
}

#[test]
fn groups_stand_for_their_members_here_and_elsewhere() {
    let mut world = World::new(&[group("db", &[(tcp(3306), "sg:app")], &[])]);
    let mysql = service::key(TCP, 3306);
    world
        .model
        .groups
        .insert("app".into(), group("app", &[], &[]));
    assert_eq!(world.inbound("10.0.1.10", mysql), Reason::NoRule);
    let addresses = ["10.0.1.10", "2001:db8::c"].map(|ip| ip.parse().expect("address"));
    world.model.members.insert("app".into(), addresses.into());
    world.zones.push(ZonePolicy {
        zone: 3,
        groups: vec!["app".into()],
        addresses: vec!["10.0.1.11".parse().expect("address")],
    });
    for (remote, expected) in [
        ("10.0.1.10", Reason::New),
        ("10.0.1.11", Reason::New),
        ("2001:db8::c", Reason::New),
        ("10.0.1.12", Reason::NoRule),
    ] {
        assert_eq!(world.inbound(remote, mysql), expected, "{remote}");
    }
}

#[test]
fn prefix_lists_may_overlap_themselves() {
    let mut world = World::new(&[group("web", &[(tcp(80), "pl:office")], &[])]);
    let nets = [
        "10.0.0.0/8",
        "10.1.0.0/16",
        "10.1.2.0/24",
        "11.0.0.0/8",
        "::/0",
    ];
    let entries = nets.map(|net| net.parse().expect("net")).into();
    world.model.prefix_lists.insert(
        "office".into(),
        PrefixList {
            entries,
            max_entries: None,
        },
    );
    for (remote, expected) in [
        ("10.1.2.3", Reason::New),
        ("10.2.0.0", Reason::New),
        ("11.255.255.255", Reason::New),
        ("12.0.0.0", Reason::NoRule),
        ("9.255.255.255", Reason::NoRule),
        ("2001:db8::1", Reason::New),
    ] {
        assert_eq!(
            world.inbound(remote, service::key(TCP, 80)),
            expected,
            "{remote}"
        );
    }
    // One peer: the world outside and the list, whatever its entries.
    assert_eq!(world.image().classes(), 2);
}

#[test]
fn numbers_are_kept_across_compilations() {
    let mut world = World::new(&[group("web", &[(tcp(80), "10.0.0.0/8")], &[])]);
    let before = world
        .ask(
            Direction::Inbound,
            "10.0.0.1",
            service::key(TCP, 80),
            NO_REPLY,
        )
        .rule();
    let text = serde_json::to_string(&world.numbers).expect("serialises");
    world.numbers = serde_json::from_str(&text).expect("parses");
    let web = world.model.groups.get_mut("web").expect("group");
    let rule = Rule::new(
        &web.id,
        Direction::Inbound,
        tcp(22),
        "10.0.0.0/8".parse().expect("peer"),
    );
    web.inbound.insert(0, rule);
    let after = world
        .ask(
            Direction::Inbound,
            "10.0.0.1",
            service::key(TCP, 80),
            NO_REPLY,
        )
        .rule();
    assert_eq!(before, after);
}

#[test]
fn a_zone_without_policy_has_no_answer() {
    let mut world = World::new(&[group("web", &[(Service::All, "0.0.0.0/0")], &[])]);
    let image = world.image();
    for zone in [1, 1023] {
        let outcome = image.answer(&Question {
            remote: Addr::from("192.0.2.1".parse::<IpAddr>().expect("address")),
            zone,
            direction: 0,
            service: service::key(TCP, 80),
            reply_service: NO_REPLY,
        });
        assert_eq!(outcome.reason(), Reason::NoPolicy);
    }
    assert_eq!(image.generation(), 7);
    world.zones[0].groups.push("nobody".into());
    assert_eq!(
        compile(&world.model, &world.zones, &mut world.numbers, 8),
        Err(CompileError::UnknownGroup {
            group: "nobody".into()
        })
    );
}
