//! The compiler: what its image answers is what the oracle says, at every border of the rules.
//!
//! Inputs are decoded by `arbitrary`: models without the plausibility that random hosts have.

use std::{collections::BTreeSet, net::IpAddr};

use arbitrary::{Result, Unstructured};
use fastrand::Rng;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use sg_common::{
    flow::Direction,
    policy::{NO_REPLY, Question},
    reason::Reason,
    service,
};
use sg_policy::{
    compile::{RuleNumbers, ZonePolicy, compile},
    model::{
        DEFAULT_GROUP, GroupId, Icmp, IcmpMessage, InterfaceSpec, Model, Peer, PrefixList, Rule,
        SecurityGroup, Service, Transport,
    },
};

use crate::oracle::{Admitted, Host, Wanted, ask};

/// Names of groups, all of which every model has.
const GROUPS: [&str; 3] = [DEFAULT_GROUP, "a", "b"];
/// Names of prefix lists.
const LISTS: [&str; 2] = ["x", "y"];
/// The interface that is asked about.
const ZONE: u32 = 5;
/// Questions to each image.
const QUESTIONS: usize = 300;

/// Compiles a host and asks about the borders of its rules.
pub(super) fn run(input: &[u8]) {
    // Bytes that have run out count as zeros, so this fails for nothing.
    let Ok(host) = host(&mut Unstructured::new(input)) else {
        return;
    };
    let here = [(&host.interface.groups, &host.addresses)];
    let others = host.others.iter().map(|(groups, theirs)| (groups, theirs));
    let zones: Vec<_> = (ZONE..)
        .zip(here.into_iter().chain(others))
        .map(|(zone, (groups, addresses))| ZonePolicy {
            zone,
            groups: groups.clone(),
            addresses: addresses.clone(),
        })
        .collect();
    let mut numbers = RuleNumbers::default();
    let image = compile(&host.model, &zones, &mut numbers, 1).expect("a small model");
    let (addresses, services) = (addresses(&host), services(&host.model));
    let mut rng = Rng::with_seed(0);
    for _ in 0..QUESTIONS {
        let remote = addresses[rng.usize(..addresses.len())];
        let wanted = services[rng.usize(..services.len())];
        let reply = services[rng.usize(..services.len())];
        let reply = matches!((wanted, reply), (Wanted::Port(a, _), Wanted::Port(b, _)) if a == b)
            .then_some(reply);
        let direction = if rng.bool() {
            Direction::Inbound
        } else {
            Direction::Outbound
        };
        let question = Question {
            remote: remote.into(),
            zone: ZONE,
            direction: direction as u32,
            service: key(wanted),
            reply_service: reply.map_or(NO_REPLY, key),
        };
        let answer = image.answer(&question);
        let name = numbers.rule(answer.rule());
        let name = name.map(|rule| (rule.group_id.clone(), rule.rule_id.clone()));
        let found = (answer.reason(), name);
        let expected = match ask(&host, direction, remote, wanted, reply) {
            None => (Reason::NoRule, None),
            Some(Admitted::Tracked(rule)) => (Reason::New, Some(rule)),
            Some(Admitted::Untracked(rule)) => (Reason::Untracked, Some(rule)),
            Some(Admitted::UntrackedReply(rule)) => (Reason::UntrackedReply, Some(rule)),
        };
        assert_eq!(
            expected, found,
            "{direction:?} {remote} {wanted:?}, answering {reply:?}, at {host:#?}"
        );
    }
}

/// The service key of what is wanted.
fn key(wanted: Wanted) -> u32 {
    match wanted {
        Wanted::Port(protocol, port) => service::key(protocol, port),
        Wanted::Message(protocol, kind, code) => service::icmp_key(protocol, kind, code),
        Wanted::Protocol(protocol) => service::key(protocol, 0),
        Wanted::WholeProtocol(protocol) => service::key_without_ports(protocol),
        Wanted::Everything => service::UNKNOWN,
    }
}

fn host(u: &mut Unstructured<'_>) -> Result<Host> {
    let mut model = Model::new();
    for name in LISTS {
        let list = PrefixList {
            entries: several(u, 6, net)?.into_iter().collect(),
            max_entries: None,
        };
        model.prefix_lists.insert(name.to_owned(), list);
    }
    for name in GROUPS {
        let members = several(u, 4, address)?;
        let members = members.into_iter().collect::<BTreeSet<_>>();
        model.members.insert(name.to_owned(), members.into());
        let mut group = SecurityGroup::built_in();
        group.id = GroupId::derived(name);
        name.clone_into(&mut group.name);
        group.inbound = rules(u, &group.id, Direction::Inbound)?;
        group.outbound = rules(u, &group.id, Direction::Outbound)?;
        model.groups.insert(name.to_owned(), group);
    }
    Ok(Host {
        model,
        interface: InterfaceSpec {
            groups: groups(u)?,
            ..InterfaceSpec::default()
        },
        addresses: several(u, 3, address)?,
        others: several(u, 2, |u| Ok((groups(u)?, several(u, 3, address)?)))?,
        has_policy: true,
    })
}

/// At most so many of something.
fn several<T>(
    u: &mut Unstructured<'_>,
    most: usize,
    mut make: impl FnMut(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    (0..u.int_in_range(0..=most)?).map(|_| make(u)).collect()
}

/// The groups that an interface carries: one at least, none twice.
fn groups(u: &mut Unstructured<'_>) -> Result<Vec<String>> {
    let mut names = GROUPS.to_vec();
    let count = u.int_in_range(1..=names.len())?;
    let mut carried = Vec::new();
    for _ in 0..count {
        let name = names.remove(u.choose_index(names.len())?);
        carried.push(name.to_owned());
    }
    Ok(carried)
}

fn rules(u: &mut Unstructured<'_>, group: &GroupId, direction: Direction) -> Result<Vec<Rule>> {
    let mut rules: Vec<Rule> = Vec::new();
    for (service, peer) in several(u, 8, |u| Ok((service(u)?, peer(u)?)))? {
        let rule = Rule::new(group, direction, service, peer);
        // No group holds a rule twice.
        if rules.iter().all(|other| other.id != rule.id) {
            rules.push(rule);
        }
    }
    Ok(rules)
}

fn peer(u: &mut Unstructured<'_>) -> Result<Peer> {
    Ok(match u.int_in_range(0..=3)? {
        0 => Peer::Group((*u.choose(&GROUPS)?).to_owned()),
        1 => Peer::PrefixList((*u.choose(&LISTS)?).to_owned()),
        _ => Peer::Cidr(net(u)?),
    })
}

fn net(u: &mut Unstructured<'_>) -> Result<IpNet> {
    let net = match address(u)? {
        IpAddr::V4(v4) => Ipv4Net::new(v4, u.int_in_range(0..=32)?).map(IpNet::V4),
        IpAddr::V6(v6) => Ipv6Net::new(v6, u.int_in_range(0..=128)?).map(IpNet::V6),
    };
    Ok(net.expect("a length of the family").trunc())
}

/// An address; often one with few bits, so that nets overlap.
fn address(u: &mut Unstructured<'_>) -> Result<IpAddr> {
    let is_sparse: bool = u.arbitrary()?;
    let byte = u128::from(u.arbitrary::<u8>()?);
    if u.arbitrary()? {
        let bits = if is_sparse {
            (byte as u32).rotate_right(u.int_in_range(0..=31)?)
        } else {
            u.arbitrary()?
        };
        return Ok(IpAddr::V4(bits.into()));
    }
    let bits = if is_sparse {
        byte.rotate_right(u.int_in_range(0..=127)?)
    } else {
        u.arbitrary()?
    };
    // Models hold no IPv4-mapped addresses.
    let mapped = bits >> 32 == 0xffff;
    Ok(IpAddr::V6((if mapped { !bits } else { bits }).into()))
}

fn service(u: &mut Unstructured<'_>) -> Result<Service> {
    Ok(match u.int_in_range(0..=5)? {
        0 => Service::All,
        1 | 2 => {
            let (a, b) = u.arbitrary::<(u16, u16)>()?;
            Service::Ports {
                protocol: *u.choose(&[Transport::Tcp, Transport::Udp])?,
                from: a.min(b),
                to: a.max(b),
            }
        }
        3 => Service::Icmp {
            protocol: *u.choose(&[Icmp::V4, Icmp::V6])?,
            message: match u.int_in_range(0..=2)? {
                0 => IcmpMessage::Any,
                1 => IcmpMessage::Type(u.arbitrary()?),
                _ => IcmpMessage::TypeAndCode(u.arbitrary()?, u.arbitrary()?),
            },
        },
        4 => Service::protocol(*u.choose(&[1, 6, 17, 58])?),
        _ => Service::protocol(u.arbitrary()?),
    })
}

/// The first and the last address of every range that a peer can stand for, and their neighbours.
fn addresses(host: &Host) -> Vec<IpAddr> {
    let model = &host.model;
    let groups = model.groups.values();
    let nets = groups
        .flat_map(|group| group.inbound.iter().chain(&group.outbound))
        .filter_map(|rule| match rule.peer {
            Peer::Cidr(net) => Some(net),
            _ => None,
        });
    let listed = model.prefix_lists.values().flat_map(|list| &list.entries);
    let members = model.members.values().flatten();
    let theirs = host.others.iter().flat_map(|(_, addresses)| addresses);
    let single = members.chain(theirs).chain(&host.addresses).copied();
    let ranges = nets
        .chain(listed.copied())
        .chain(single.map(IpNet::from))
        .chain(["0.0.0.0/0", "::/0"].map(|net| net.parse().expect("a net")));
    // No packet has a mapped address: such a one is malformed.
    let is_mapped =
        |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    let borders: BTreeSet<_> = ranges
        .flat_map(|net| [net.network(), net.broadcast()])
        .flat_map(|border| [-1, 0, 1].map(|step| beside(border, step)))
        .filter(|address| !is_mapped(address))
        .collect();
    borders.into_iter().collect()
}

/// The address so many steps on.
fn beside(address: IpAddr, step: i8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4(v4.to_bits().wrapping_add_signed(step.into()).into()),
        IpAddr::V6(v6) => IpAddr::V6(v6.to_bits().wrapping_add_signed(step.into()).into()),
    }
}

/// The first and the last of everything that a rule names, and their neighbours.
fn services(model: &Model) -> Vec<Wanted> {
    let rules = model
        .groups
        .values()
        .flat_map(|group| group.inbound.iter().chain(&group.outbound));
    let mut wanted = vec![
        Wanted::Port(6, 0),
        Wanted::Port(6, u16::MAX),
        Wanted::Port(17, 0),
        Wanted::Port(17, u16::MAX),
        Wanted::WholeProtocol(6),
        Wanted::WholeProtocol(17),
        Wanted::WholeProtocol(1),
        Wanted::WholeProtocol(0),
        Wanted::WholeProtocol(255),
        Wanted::Message(1, 0, 0),
        Wanted::Message(58, 255, 255),
        Wanted::Protocol(0),
        Wanted::Protocol(255),
    ];
    for rule in rules {
        match rule.service {
            Service::All => {}
            Service::Ports { protocol, from, to } => {
                let borders = [from.wrapping_sub(1), from, to, to.wrapping_add(1)];
                wanted.extend(borders.map(|port| Wanted::Port(protocol.number(), port)));
            }
            Service::Icmp { protocol, message } => {
                let (kind, code) = match message {
                    IcmpMessage::Any => (0, 0),
                    IcmpMessage::Type(kind) => (kind, 0),
                    IcmpMessage::TypeAndCode(kind, code) => (kind, code),
                };
                let number = protocol.number();
                for step in [-1_i8, 0, 1] {
                    let near = |byte: u8| byte.wrapping_add_signed(step);
                    wanted.push(Wanted::Message(number, near(kind), code));
                    wanted.push(Wanted::Message(number, kind, near(code)));
                }
            }
            Service::Protocol(protocol) => {
                for step in [-1, 0, 1] {
                    let near = protocol.wrapping_add_signed(step);
                    wanted.push(Wanted::WholeProtocol(near));
                    if ![1, 6, 17, 58].contains(&near) {
                        wanted.push(Wanted::Protocol(near));
                    }
                }
            }
        }
    }
    wanted
}

/// Bytes without meaning, more and more of them.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut rng = Rng::with_seed(0);
    (1..=64)
        .map(|size| (0..16 * size).map(|_| rng.u8(..)).collect())
        .collect()
}
