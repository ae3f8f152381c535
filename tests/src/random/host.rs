//! Random hosts: groups that overlap, refer to each other and to themselves, and an interface.

use std::collections::BTreeSet;

use fastrand::Rng;
use ipnet::IpNet;
use sg_policy::model::{
    Direction, GroupId, Icmp, IcmpMessage, Infrastructure, InterfaceSpec, Model, Peer, PrefixList,
    Related, Rule, SecurityGroup, Service, Side, TcpPickup, Timeouts, Transport,
};

use super::universe::{LOCAL, OTHERS, address, any_net, net, one_of, percent, port};
use crate::oracle::Host;

/// Names of groups; `default` is the built-in one.
pub(super) const GROUPS: [&str; 5] = ["default", "web", "db", "ops", "empty"];
/// Names of prefix lists.
pub(super) const LISTS: [&str; 2] = ["inner", "outer"];
/// Types of ICMP and ICMPv6 that rules and packets have.
pub(super) const ICMP_TYPES: [u8; 20] = [
    0, 1, 2, 3, 4, 5, 8, 11, 12, 13, 14, 15, 17, 18, 127, 128, 129, 132, 135, 143,
];
/// Ids of rules that are given.
const GIVEN_IDS: [&str; 2] = ["sgr-0123456789abcdef0", "sgr-0123456789abcdef1"];
/// Protocols without ports.
pub(super) const PROTOCOLS: [u8; 6] = [2, 47, 50, 59, 132, 255];

/// A host.
pub(super) fn random(rng: &mut Rng) -> Host {
    let mut model = Model::new();
    let inner: BTreeSet<IpNet> = (0..rng.usize(..4)).map(|_| net(rng)).collect();
    // A list that holds another one; the model has nested lists resolved.
    let own: BTreeSet<IpNet> = (0..rng.usize(..3)).map(|_| net(rng)).collect();
    let outer = &inner | &own;
    for (name, entries) in LISTS.into_iter().zip([inner, outer]) {
        let list = PrefixList {
            entries,
            max_entries: None,
        };
        model.prefix_lists.insert(name.to_owned(), list);
    }
    for name in &GROUPS[1..] {
        model.groups.insert((*name).to_owned(), group(rng, name));
    }
    for name in GROUPS {
        if percent(rng, 60) {
            let v4 = |rng: &mut Rng| percent(rng, 60);
            let members = (0..rng.usize(..5)).map(|_| {
                let v4 = v4(rng);
                address(rng, v4)
            });
            model.members.insert(name.to_owned(), members.collect());
        }
    }
    if percent(rng, 4) {
        widen(rng, &mut model);
    }
    let others = OTHERS[..rng.usize(..=OTHERS.len())]
        .iter()
        .map(|addresses| {
            let addresses = addresses.map(|text| text.parse().expect("an address"));
            (groups(rng), addresses.to_vec())
        });
    Host {
        others: others.collect(),
        model,
        interface: interface(rng),
        addresses: LOCAL.map(|text| text.parse().expect("an address")).to_vec(),
        has_policy: true,
    }
}

/// Adds so many nets, members and rules that look-ups take all their steps.
fn widen(rng: &mut Rng, model: &mut Model) {
    for list in model.prefix_lists.values_mut() {
        list.entries.extend((0..200).map(|_| any_net(rng)));
    }
    let members = model.members.entry("db".to_owned()).or_default();
    members.join(&(0..60).map(|_| any_net(rng).network()).collect());
    for group in model.groups.values_mut() {
        for direction in [Direction::Inbound, Direction::Outbound] {
            let more: Vec<Rule> = (0..30).map(|_| rule(rng, &group.id, direction)).collect();
            let rules = match direction {
                Direction::Inbound => &mut group.inbound,
                Direction::Outbound => &mut group.outbound,
            };
            for rule in more {
                if rules.iter().all(|other| other.id != rule.id) {
                    rules.push(rule);
                }
            }
        }
    }
}

/// Names of groups that an interface carries.
pub(super) fn groups(rng: &mut Rng) -> Vec<String> {
    let mut names = GROUPS;
    rng.shuffle(&mut names);
    let count = 1 + rng.usize(..3);
    names[..count]
        .iter()
        .map(|name| (*name).to_owned())
        .collect()
}

fn group(rng: &mut Rng, name: &str) -> SecurityGroup {
    let mut group = SecurityGroup::built_in();
    group.id = GroupId::derived(name);
    name.clone_into(&mut group.name);
    let most = if name == "empty" { 0 } else { 7 };
    for direction in [Direction::Inbound, Direction::Outbound] {
        let mut rules: Vec<Rule> = Vec::new();
        for _ in 0..rng.usize(..=most) {
            let rule = rule(rng, &group.id, direction);
            // No group holds a rule twice.
            if rules.iter().all(|other| other.id != rule.id) {
                rules.push(rule);
            }
        }
        match direction {
            Direction::Inbound => group.inbound = rules,
            Direction::Outbound if percent(rng, 30) => {
                group.outbound = SecurityGroup::default_outbound(&group.id);
            }
            Direction::Outbound => group.outbound = rules,
        }
    }
    group
}

/// A rule of a group.
pub(super) fn rule(rng: &mut Rng, group: &GroupId, direction: Direction) -> Rule {
    let peer = match rng.u32(..100) {
        0..65 => Peer::Cidr(net(rng)),
        65..80 => Peer::PrefixList(one_of(rng, &LISTS).to_owned()),
        _ => Peer::Group(one_of(rng, &GROUPS).to_owned()),
    };
    let mut rule = Rule::new(group, direction, service(rng), peer);
    if percent(rng, 3) {
        // Given ids need not differ between groups.
        rule.id = one_of(rng, &GIVEN_IDS).parse().expect("an id");
    }
    rule
}

fn service(rng: &mut Rng) -> Service {
    let protocol = one_of(rng, &[Transport::Tcp, Transport::Udp]);
    let icmp = one_of(rng, &[Icmp::V4, Icmp::V6]);
    match rng.u32(..100) {
        0..12 => Service::All,
        12..40 => {
            let port = port(rng);
            Service::Ports {
                protocol,
                from: port,
                to: port,
            }
        }
        40..55 => {
            let (a, b) = if percent(rng, 30) {
                (rng.u16(..), rng.u16(..))
            } else {
                (port(rng), port(rng))
            };
            Service::Ports {
                protocol,
                from: a.min(b),
                to: a.max(b),
            }
        }
        55..70 => Service::protocol(protocol.number()),
        70..78 => Service::protocol(icmp.number()),
        78..85 => Service::Icmp {
            protocol: icmp,
            message: IcmpMessage::Type(one_of(rng, &ICMP_TYPES)),
        },
        85..92 => Service::Icmp {
            protocol: icmp,
            message: IcmpMessage::TypeAndCode(one_of(rng, &ICMP_TYPES), rng.u8(..5)),
        },
        92..95 => Service::protocol(one_of(rng, &[0, 44, 60])),
        _ => Service::protocol(one_of(rng, &PROTOCOLS)),
    }
}

/// The settings of an interface: the defaults in half of all cases.
pub(super) fn interface(rng: &mut Rng) -> InterfaceSpec {
    let mut spec = InterfaceSpec {
        groups: groups(rng),
        side: one_of(rng, &[Side::Nic, Side::Workload]),
        ..InterfaceSpec::default()
    };
    spec.infrastructure.ec2 = Some(rng.bool());
    if percent(rng, 50) {
        return spec;
    }
    spec.audit = percent(rng, 10);
    spec.related = one_of(
        rng,
        &[Related::Off, Related::Pmtud, Related::Errors, Related::All],
    );
    spec.tcp_pickup = one_of(
        rng,
        &[TcpPickup::Attach, TcpPickup::Always, TcpPickup::Never],
    );
    let mut on = || percent(rng, 80);
    spec.infrastructure = Infrastructure {
        arp: on(),
        non_ip: on(),
        nd: on(),
        mld: on(),
        igmp: on(),
        dhcp4: on(),
        dhcp6: on(),
        ec2: spec.infrastructure.ec2,
    };
    let mut seconds = || 1 + rng.u32(..300);
    spec.timeouts = Timeouts {
        tcp_established: seconds(),
        tcp_half_open: seconds(),
        tcp_half_closed: seconds(),
        tcp_closing: seconds(),
        udp: seconds(),
        udp_stream: seconds(),
        icmp: seconds(),
        other: seconds(),
    };
    spec
}
