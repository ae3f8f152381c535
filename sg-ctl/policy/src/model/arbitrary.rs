//! Random models, for tests of whatever reads or writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::{
    DEFAULT_GROUP, Direction, GroupId, Hook, Icmp, IcmpMessage, InterfaceSpec, Limits, LogMode,
    Model, Peer, PrefixList, Rule, SecurityGroup, Service, Shared, Side, Timeouts, Transport,
};

/// Names as AWS takes them, YAML's special signs and words among them.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "null", "yes", "1.10", "0x10", "a: b", "- a", "#a", "{}", "[a]", "*a", "&a"
        ])
        .prop_map(str::to_owned),
        "[a-zA-Z0-9 ._:/()#,@\\[\\]+=&;{}!$*-]{0,12}[a-zA-Z0-9._:/()#,@+=&;{}!$*-]",
    ]
    .prop_filter("a name that AWS takes", |name| {
        !name.starts_with("sg-") && !name.eq_ignore_ascii_case(DEFAULT_GROUP)
    })
}

fn net() -> impl Strategy<Value = IpNet> {
    let v4 = (any::<u32>(), 0..=32u8)
        .prop_map(|(bits, length)| IpNet::V4(Ipv4Net::new_assert(bits.into(), length).trunc()));
    // Below 2000::/4: never an IPv4-mapped address.
    let v6 = (any::<u128>(), 4..=128u8).prop_map(|(bits, length)| {
        IpNet::V6(Ipv6Net::new_assert((bits >> 4 | 2 << 124).into(), length).trunc())
    });
    prop_oneof![v4, v6]
}

fn service() -> impl Strategy<Value = Service> {
    let message = prop_oneof![
        Just(IcmpMessage::Any),
        any::<u8>().prop_map(IcmpMessage::Type),
        any::<(u8, u8)>().prop_map(|(kind, code)| IcmpMessage::TypeAndCode(kind, code)),
    ];
    let protocol = select(vec![Transport::Tcp, Transport::Udp]);
    prop_oneof![
        Just(Service::All),
        (protocol, any::<u16>(), any::<u16>()).prop_map(|(protocol, a, b)| Service::Ports {
            protocol,
            from: a.min(b),
            to: a.max(b),
        }),
        (select(vec![Icmp::V4, Icmp::V6]), message)
            .prop_map(|(protocol, message)| Service::Icmp { protocol, message }),
        any::<u8>().prop_map(Service::protocol),
    ]
}

/// Rules of one direction of the group `id`, about these groups and lists.
fn rules(
    id: GroupId,
    direction: Direction,
    groups: Vec<String>,
    lists: Vec<String>,
) -> impl Strategy<Value = Vec<Rule>> {
    let mut peers = vec![
        net().prop_map(Peer::Cidr).boxed(),
        select(groups).prop_map(Peer::Group).boxed(),
    ];
    if !lists.is_empty() {
        peers.push(select(lists).prop_map(Peer::PrefixList).boxed());
    }
    let given = proptest::option::of("sgr-[0-9a-f]{17}");
    let texts = (
        "([a-z&] ?){0,3}",
        btree_map("[a-z#: ]{1,5}", "[ -~]{0,5}", 0..2),
    );
    let rule = (
        service(),
        proptest::strategy::Union::new(peers),
        given,
        texts,
    );
    vec(rule, 0..6).prop_map(move |rules| {
        let mut seen = BTreeSet::new();
        let rules = rules
            .into_iter()
            .map(|(service, peer, given, (description, tags))| {
                let rule = Rule::new(&id, direction, service, peer);
                (
                    rule.id.clone(),
                    given,
                    Rule {
                        description,
                        tags,
                        ..rule
                    },
                )
            });
        rules
            .filter(|(derived, ..)| seen.insert(derived.clone()))
            .map(|(_, given, rule)| match given {
                Some(id) => Rule {
                    id: id.parse().expect("an id"),
                    ..rule
                },
                None => rule,
            })
            .collect()
    })
}

fn group(
    name: String,
    groups: Vec<String>,
    lists: Vec<String>,
) -> impl Strategy<Value = SecurityGroup> {
    proptest::option::of("sg-[0-9a-f]{17}").prop_flat_map(move |given| {
        let name = name.clone();
        let id = given.map_or_else(|| GroupId::derived(&name), |id| id.parse().expect("an id"));
        let rules = |direction| rules(id.clone(), direction, groups.clone(), lists.clone());
        let outbound = prop_oneof![
            Just(SecurityGroup::default_outbound(&id)),
            rules(Direction::Outbound),
        ];
        let tags = btree_map("[a-z#: ]{1,5}", "[ -~]{0,5}", 0..3);
        (rules(Direction::Inbound), outbound, tags, "[a-z ]{0,9}").prop_map(
            move |(inbound, outbound, tags, description)| SecurityGroup {
                id: id.clone(),
                name: name.clone(),
                description,
                tags,
                inbound,
                outbound,
            },
        )
    })
}

fn interface(groups: Vec<String>) -> impl Strategy<Value = InterfaceSpec> {
    let most = groups.len().min(5);
    (
        subsequence(groups, 1..=most).prop_shuffle(),
        select(vec![Side::Nic, Side::Workload]),
        select(vec![Hook::Auto, Hook::XdpGeneric]),
        any::<(bool, bool, Option<bool>)>(),
        select(vec![LogMode::Denied, LogMode::Off]),
        (60..=180u32, btree_set(net(), 0..3)),
        proptest::option::of(1..=1000u32),
    )
        .prop_map(
            |(groups, side, hook, (audit, dhcp4, ec2), log, (udp_stream, nets), flow_share)| {
                let mut spec = InterfaceSpec {
                    groups,
                    addresses: nets.into_iter().collect(),
                    side,
                    hook,
                    audit,
                    log,
                    flow_share,
                    ..InterfaceSpec::default()
                };
                spec.infrastructure.dhcp4 = dhcp4;
                spec.infrastructure.ec2 = ec2;
                spec.timeouts = Timeouts {
                    udp_stream,
                    ..Timeouts::default()
                };
                spec
            },
        )
}

/// A model of everything that rule files can say.
pub(crate) fn model() -> impl Strategy<Value = Model> {
    let list = (btree_set(net(), 0..4), option::of(4..9u32)).prop_map(|(entries, max_entries)| {
        PrefixList {
            entries,
            max_entries,
        }
    });
    (vec(name(), 0..4), btree_map(name(), list, 0..3)).prop_flat_map(|(mut names, prefix_lists)| {
        names.sort_by_key(|name| name.to_lowercase());
        names.dedup_by_key(|name| name.to_lowercase());
        names.push(DEFAULT_GROUP.to_owned());
        let lists: Vec<String> = prefix_lists.keys().cloned().collect();
        let groups: Vec<_> = names
            .iter()
            .map(|name| group(name.clone(), names.clone(), lists.clone()))
            .collect();
        let members = btree_map(
            select(names.clone()),
            btree_set(any::<[u8; 4]>(), 0..3),
            0..3,
        );
        let interfaces = btree_map(
            "[*?]?[a-z0-9.-]{1,9}([*]|[\\[][0-9][\\]])?x",
            interface(names),
            0..3,
        );
        // Those of one host, or of the hosts of a VPC.
        let interfaces = (interfaces, option::of("[a-z0-9-]{1,5}[*]?")).prop_map(
            |(interfaces, host)| match host {
                None => (interfaces, Shared::default()),
                Some(host) => {
                    let hosts = interfaces.into_iter().filter_map(|(name, spec)| {
                        Some((format!("{host}/{name}").parse().ok()?, spec))
                    });
                    (BTreeMap::new(), hosts.collect())
                }
            },
        );
        (
            groups,
            Just(prefix_lists),
            members,
            interfaces,
            1000..2000u32,
        )
            .prop_map(
                |(groups, prefix_lists, members, (interfaces, hosts), product)| Model {
                    groups: groups
                        .into_iter()
                        .map(|group| (group.name.clone(), group))
                        .collect(),
                    prefix_lists,
                    members: members
                        .into_iter()
                        .map(|(name, set)| (name, set.into_iter().map(IpAddr::from).collect()))
                        .collect::<BTreeMap<_, _>>(),
                    interfaces,
                    hosts,
                    limits: Limits {
                        product,
                        ..Limits::default()
                    },
                },
            )
    })
}
