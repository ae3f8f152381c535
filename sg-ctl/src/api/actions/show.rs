//! Groups, rules and tags as answers show them.

use std::collections::BTreeMap;

use sg_policy::model::{IcmpMessage, Peer, Rule, SecurityGroup, Service};

use super::Call;
use super::lookup::{Placed, list_id};
use crate::api::xml::Node;

/// Protocol, first and last port as they stand on the wire.
pub(super) fn wire(service: Service) -> (String, i32, i32) {
    match service {
        Service::All => ("-1".to_owned(), -1, -1),
        Service::Ports { protocol, from, to } => (protocol.to_string(), from.into(), to.into()),
        Service::Icmp { protocol, message } => {
            let (kind, code) = match message {
                IcmpMessage::Any => (-1, -1),
                IcmpMessage::Type(kind) => (kind.into(), -1),
                IcmpMessage::TypeAndCode(kind, code) => (kind.into(), code.into()),
            };
            (protocol.to_string(), kind, code)
        }
        Service::Protocol(number) => (number.to_string(), -1, -1),
    }
}

/// Tags.
pub(super) fn tag_set(tags: &BTreeMap<String, String>) -> Node {
    Node::list(
        tags.iter().map(|(key, value)| {
            Node::fields([("key", Node::text(key)), ("value", Node::text(value))])
        }),
    )
}

fn described(node: Node, description: &str) -> Node {
    let text = (!description.is_empty()).then(|| Node::text(description));
    node.with_some("description", text)
}

/// The id of the group that a rule refers to.
fn referenced_id(call: &Call<'_>, name: &str) -> String {
    let group = call.document.model().groups.get(name);
    group.map(|group| group.id.to_string()).unwrap_or_default()
}

/// A rule, flat. `revoked`: as the answer to a revocation shows it.
pub(super) fn rule(call: &Call<'_>, placed: Placed<'_>, revoked: bool) -> Node {
    let place = &call.world.place;
    let Placed {
        group,
        direction,
        rule,
    } = placed;
    let (protocol, from, to) = wire(rule.service);
    let is_egress = direction == sg_policy::model::Direction::Outbound;
    let owner = (!revoked).then(|| Node::text(&place.account));
    let mut node = Node::fields([
        ("securityGroupRuleId", Node::text(&rule.id)),
        ("groupId", Node::text(&group.id)),
    ])
    .with_some("groupOwnerId", owner)
    .with("isEgress", Node::text(is_egress))
    .with("ipProtocol", Node::text(protocol))
    .with("fromPort", Node::text(from))
    .with("toPort", Node::text(to));
    node = match &rule.peer {
        Peer::Cidr(net @ ipnet::IpNet::V4(_)) => node.with("cidrIpv4", Node::text(net)),
        Peer::Cidr(net @ ipnet::IpNet::V6(_)) => node.with("cidrIpv6", Node::text(net)),
        Peer::PrefixList(name) => {
            node.with("prefixListId", Node::text(list_id(&call.document, name)))
        }
        Peer::Group(name) if revoked => {
            node.with("referencedGroupId", Node::text(referenced_id(call, name)))
        }
        Peer::Group(name) => node.with(
            "referencedGroupInfo",
            Node::fields([
                ("groupId", Node::text(referenced_id(call, name))),
                ("userId", Node::text(&place.account)),
            ]),
        ),
    };
    node = described(node, &rule.description);
    if revoked {
        return node;
    }
    let arn = place.arn("security-group-rule", rule.id.as_str());
    node.with("tagSet", tag_set(&rule.tags))
        .with("securityGroupRuleArn", Node::text(arn))
}

/// Rules of one direction, those of one service together: service, peers.
pub(super) fn permissions<'r>(
    call: &Call<'_>,
    rules: impl Iterator<Item = (Service, &'r Peer, &'r str)>,
) -> Node {
    let mut services: Vec<(Service, [Vec<Node>; 4])> = Vec::new();
    for (service, peer, description) in rules {
        let at = services.iter().position(|(known, _)| *known == service);
        let at = at.unwrap_or_else(|| {
            services.push((service, Default::default()));
            services.len() - 1
        });
        let (list, node) = match peer {
            Peer::Group(name) => (
                0,
                Node::fields([
                    ("userId", Node::text(&call.world.place.account)),
                    ("groupId", Node::text(referenced_id(call, name))),
                ]),
            ),
            Peer::Cidr(net @ ipnet::IpNet::V4(_)) => {
                (1, Node::fields([("cidrIp", Node::text(net))]))
            }
            Peer::Cidr(net @ ipnet::IpNet::V6(_)) => {
                (2, Node::fields([("cidrIpv6", Node::text(net))]))
            }
            Peer::PrefixList(name) => (
                3,
                Node::fields([("prefixListId", Node::text(list_id(&call.document, name)))]),
            ),
        };
        services[at].1[list].push(described(node, description));
    }
    Node::list(services.into_iter().map(|(service, lists)| {
        let (protocol, from, to) = wire(service);
        let mut node = Node::fields([("ipProtocol", Node::text(protocol))]);
        if matches!(service, Service::Ports { .. } | Service::Icmp { .. }) {
            node = node
                .with("fromPort", Node::text(from))
                .with("toPort", Node::text(to));
        }
        let names = ["groups", "ipRanges", "ipv6Ranges", "prefixListIds"];
        for (name, list) in names.into_iter().zip(lists) {
            node = node.with(name, Node::List(list));
        }
        node
    }))
}

/// A group with all its rules.
pub(super) fn group(call: &Call<'_>, group: &SecurityGroup) -> Node {
    let place = &call.world.place;
    let of = |rules: &[Rule]| {
        permissions(
            call,
            rules
                .iter()
                .map(|rule| (rule.service, &rule.peer, rule.description.as_str())),
        )
    };
    let tags = Call::group_tags(&call.document, group);
    let arn = place.arn("security-group", group.id.as_str());
    Node::fields([
        ("ownerId", Node::text(&place.account)),
        ("groupId", Node::text(&group.id)),
        ("groupName", Node::text(&group.name)),
        ("groupDescription", Node::text(&group.description)),
        ("vpcId", Node::text(place.vpc_id())),
        ("ipPermissions", of(&group.inbound)),
        ("ipPermissionsEgress", of(&group.outbound)),
        ("tagSet", tag_set(&tags)),
        ("securityGroupArn", Node::text(arn)),
    ])
}
