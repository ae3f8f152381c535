//! Tests of the compiler: as much as is promised fits, and what does not is refused.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use sg_common::policy::{NO_REPLY, Question};
use sg_common::reason::Reason;
use sg_common::service;

use super::*;
use crate::model::{GroupId, Service, Transport};

const TCP: u8 = 6;

fn tcp(port: u16) -> Service {
    Service::Ports {
        protocol: Transport::Tcp,
        from: port,
        to: port,
    }
}

/// A group that admits services from peers, and nothing outbound.
fn group(name: &str, inbound: impl IntoIterator<Item = (Service, Peer)>) -> SecurityGroup {
    let id = GroupId::derived(name);
    SecurityGroup {
        inbound: inbound
            .into_iter()
            .map(|(service, peer)| Rule::new(&id, Direction::Inbound, service, peer))
            .collect(),
        outbound: Vec::new(),
        name: name.to_owned(),
        id,
        ..SecurityGroup::built_in()
    }
}

/// Groups, and an interface for each.
fn world(groups: Vec<SecurityGroup>) -> (Model, Vec<ZonePolicy>) {
    let zones = groups.iter().enumerate().map(|(zone, group)| ZonePolicy {
        zone: zone as u32,
        groups: vec![group.name.clone()],
        addresses: Vec::new(),
    });
    let zones = zones.collect();
    let mut model = Model::new();
    let named = groups.into_iter().map(|group| (group.name.clone(), group));
    model.groups.extend(named);
    (model, zones)
}

fn host(number: u32) -> IpAddr {
    Ipv4Addr::from(number).into()
}

fn inbound(image: &Image, zone: u32, remote: IpAddr, port: u16) -> Reason {
    let question = Question {
        remote: remote.into(),
        zone,
        direction: Direction::Inbound as u32,
        service: service::key(TCP, port),
        reply_service: NO_REPLY,
    };
    image.answer(&question).reason()
}

#[test]
fn a_million_members_fit_and_many_more_are_refused() {
    const FIRST: u32 = 10 << 24;
    let members = Peer::Group("many".to_owned());
    let (mut model, zones) = world(vec![group("web", [(tcp(443), members)])]);
    // Every second address: none has a neighbour.
    let alone = |count: u32| (0..count).map(|number| host(FIRST + 2 * number)).collect();
    model.members.insert("many".to_owned(), alone(1_000_000));
    let image = compile(&model, &zones, &mut RuleNumbers::default(), 1).expect("it fits");
    for number in [0, 1, 499_999, 999_999] {
        let member = host(FIRST + 2 * number);
        assert_eq!(inbound(&image, 0, member, 443), Reason::New, "{member}");
        let other = host(FIRST + 2 * number + 1);
        assert_eq!(inbound(&image, 0, other, 443), Reason::NoRule, "{other}");
    }

    model.members.insert("many".to_owned(), alone(1_100_000));
    let refused = compile(&model, &zones, &mut RuleNumbers::default(), 1);
    let error = refused.expect_err("they are too many");
    let ranges = 2_200_001;
    assert_eq!(error, CompileError::TooManyRanges { ranges });
    assert!(error.help().is_some_and(|help| help.contains("ranges")));
}

#[test]
fn a_thousand_policies_take_memory_for_what_they_say() {
    const POLICIES: u32 = 1000;
    const RULES: u32 = 20;
    let peer = |policy: u32, rule: u32| host((20 << 24) + 2 * (rule * POLICIES + policy));
    let groups = (0..POLICIES).map(|policy| {
        let everybody = Peer::Cidr("0.0.0.0/0".parse().expect("a range"));
        let own = (0..RULES).map(move |rule| {
            let range = Peer::Cidr(IpNet::from(peer(policy, rule)));
            (tcp(1000 + rule as u16), range)
        });
        group(&format!("g{policy}"), own.chain([(tcp(80), everybody)]))
    });
    let (model, zones) = world(groups.collect());
    let image = compile(&model, &zones, &mut RuleNumbers::default(), 1).expect("it fits");
    assert_eq!(image.classes(), POLICIES * RULES + 2);
    // One word for each policy, direction and class would be 160 MB.
    let megabytes = size_of_val(image.words()) / 1_000_000;
    assert!(megabytes < 10, "{megabytes} MB");
    for policy in [0, 1, 499, 999] {
        for rule in [0, 7, RULES - 1] {
            let own = peer(policy, rule);
            let other = peer((policy + 1) % POLICIES, rule);
            let port = 1000 + rule as u16;
            let ask = |remote, port| inbound(&image, policy, remote, port);
            assert_eq!(ask(own, port), Reason::New, "{policy} {rule}");
            assert_eq!(ask(own, 80), Reason::New, "{policy} {rule}");
            assert_eq!(ask(own, port + 1), Reason::NoRule, "{policy} {rule}");
            assert_eq!(ask(other, port), Reason::NoRule, "{policy} {rule}");
            assert_eq!(ask(other, 80), Reason::New, "{policy} {rule}");
        }
    }
}

#[test]
fn a_thousand_rules_for_one_peer_fit_and_many_more_are_refused() {
    let peer = Peer::Cidr("10.0.0.0/8".parse().expect("a range"));
    // Every second port: none has a neighbour.
    let admits = |count| {
        let rules = (0..count).map(|number| (tcp(2 * number), peer.clone()));
        world(vec![group("web", rules)])
    };
    let (model, zones) = admits(1000);
    let image = compile(&model, &zones, &mut RuleNumbers::default(), 1).expect("it fits");
    let client = "10.1.2.3".parse().expect("an address");
    for (port, expected) in [(0, Reason::New), (1, Reason::NoRule), (1998, Reason::New)] {
        assert_eq!(inbound(&image, 0, client, port), expected, "{port}");
    }

    let (model, zones) = admits(3000);
    let refused = compile(&model, &zones, &mut RuleNumbers::default(), 1);
    let error = refused.expect_err("they are too many");
    let (groups, ranges) = (vec!["web".to_owned()], 6001);
    assert_eq!(error, CompileError::TooManyServices { groups, ranges });
    assert!(error.help().is_some_and(|help| help.contains("ports")));
}

#[test]
fn what_the_largest_image_does_not_hold_is_refused() {
    let groups = (0..4_u32).map(|number| {
        let peer = Peer::Cidr(IpNet::from(host(number)));
        group(&format!("g{number}"), [(tcp(80), peer)])
    });
    let (model, zones) = world(groups.collect());
    let within = |words| compile_within(words, &model, &zones, &mut RuleNumbers::default(), 1);
    let words = within(LARGEST).expect("it fits").words().len();
    assert!(within(words).is_ok());
    let error = within(words - 1).expect_err("a word is missing");
    let expected = CompileError::TooLarge {
        bytes: words * 4,
        done: 3,
        policies: 4,
    };
    assert_eq!(error, expected);
    assert!(error.help().is_some_and(|help| help.contains("share")));
}
