//! From rules as they are and as they are wanted to the calls that lie between, and what to say of them.

use std::collections::HashSet;

use sg_policy::model::{Direction, Family, Icmp, IcmpMessage, Peer, Rule, RuleId, Service};

use super::names::Names;
use super::rows::Wish;

/// What is to be done to the rules of one direction of a group.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan<'r> {
    /// Rules that go.
    pub(super) remove: Vec<&'r Rule>,
    /// Rules that keep their ids and say something else.
    pub(super) change: Vec<(&'r Rule, Wish)>,
    /// Rules that come.
    pub(super) add: Vec<Wish>,
    /// Rules that stay as they are.
    pub(super) same: usize,
    /// Rows that say what another one says already.
    pub(super) twins: Vec<u32>,
}

/// Which kind of source: AWS changes none into another.
fn source_kind(peer: &Peer) -> u8 {
    match peer {
        Peer::Cidr(net) => u8::from(Family::of(net) == Family::V4),
        Peer::PrefixList(_) => 2,
        Peer::Group(_) => 3,
    }
}

impl<'r> Plan<'r> {
    /// The plan from these rules to those that are wanted. What is wanted as it is keeps its id, also when
    /// its row was deleted and written again.
    pub(super) fn new(rules: &'r [Rule], wishes: Vec<Wish>) -> Self {
        let mut plan = Self::default();
        let mut seen = HashSet::new();
        let mut kept = HashSet::new();
        let mut open = Vec::new();
        for wish in wishes {
            if !seen.insert((wish.service, wish.peer.clone())) {
                plan.twins.push(wish.row);
                continue;
            }
            let is_it = |rule: &&Rule| rule.service == wish.service && rule.peer == wish.peer;
            match rules.iter().find(is_it) {
                Some(rule) => {
                    kept.insert(&rule.id);
                    if rule.description == wish.text {
                        plan.same += 1;
                    } else {
                        plan.change.push((rule, wish));
                    }
                }
                None => open.push(wish),
            }
        }
        for wish in open {
            let mut rules = rules.iter();
            let was = rules.find(|rule| {
                rule.id.as_str() == wish.id
                    && !kept.contains(&rule.id)
                    && source_kind(&rule.peer) == source_kind(&wish.peer)
            });
            match was {
                Some(rule) => {
                    kept.insert(&rule.id);
                    plan.change.push((rule, wish));
                }
                None => plan.add.push(wish),
            }
        }
        plan.remove = rules
            .iter()
            .filter(|rule| !kept.contains(&rule.id))
            .collect();
        plan
    }

    /// Whether nothing is to be done.
    pub(super) fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.change.is_empty() && self.add.is_empty()
    }

    /// The rules that admit no more what they admitted; other words change nothing about that.
    pub(super) fn lost(&self) -> HashSet<RuleId> {
        let changed = self.change.iter();
        let changed = changed
            .filter(|(rule, wish)| rule.service != wish.service || rule.peer != wish.peer)
            .map(|(rule, _)| *rule);
        let gone = self.remove.iter().copied().chain(changed);
        gone.map(|rule| rule.id.clone()).collect()
    }

    /// The calls that carry it out on a group, in an order that never holds more rules than need be.
    pub(super) fn calls(&self, group: &str, direction: Direction, names: &Names<'_>) -> Vec<Pairs> {
        let side = match direction {
            Direction::Inbound => "Ingress",
            Direction::Outbound => "Egress",
        };
        let mut calls = Vec::new();
        if !self.remove.is_empty() {
            let mut call = call(&format!("RevokeSecurityGroup{side}"), group);
            for (number, rule) in (1..).zip(&self.remove) {
                call.push((format!("SecurityGroupRuleId.{number}"), rule.id.to_string()));
            }
            calls.push(call);
        }
        if !self.change.is_empty() {
            let mut call = call("ModifySecurityGroupRules", group);
            for (number, (rule, wish)) in (1..).zip(&self.change) {
                let at = format!("SecurityGroupRule.{number}.");
                call.push((format!("{at}SecurityGroupRuleId"), rule.id.to_string()));
                let at = format!("{at}SecurityGroupRule.");
                call.extend(service(&at, wish.service));
                let key = match source_kind(&wish.peer) {
                    1 => "CidrIpv4",
                    0 => "CidrIpv6",
                    2 => "PrefixListId",
                    _ => "ReferencedGroupId",
                };
                call.push((format!("{at}{key}"), names.id(&wish.peer)));
                call.push((format!("{at}Description"), wish.text.clone()));
            }
            calls.push(call);
        }
        if !self.add.is_empty() {
            let mut call = call(&format!("AuthorizeSecurityGroup{side}"), group);
            for (number, wish) in (1..).zip(&self.add) {
                let at = format!("IpPermissions.{number}.");
                call.extend(service(&at, wish.service));
                let (list, key) = match source_kind(&wish.peer) {
                    1 => ("IpRanges", "CidrIp"),
                    0 => ("Ipv6Ranges", "CidrIpv6"),
                    2 => ("PrefixListIds", "PrefixListId"),
                    _ => ("Groups", "GroupId"),
                };
                call.push((format!("{at}{list}.1.{key}"), names.id(&wish.peer)));
                call.push((format!("{at}{list}.1.Description"), wish.text.clone()));
            }
            calls.push(call);
        }
        calls
    }
}

/// Parameters of a call.
pub(super) type Pairs = Vec<(String, String)>;

fn call(action: &str, group: &str) -> Pairs {
    vec![
        ("Action".to_owned(), action.to_owned()),
        ("GroupId".to_owned(), group.to_owned()),
    ]
}

/// Protocol and ports, as calls give them.
fn service(at: &str, service: Service) -> Pairs {
    let (protocol, ports) = match service {
        Service::All => ("-1".to_owned(), None),
        Service::Ports { protocol, from, to } => {
            (protocol.to_string(), Some((i32::from(from), i32::from(to))))
        }
        Service::Icmp { protocol, message } => {
            let ports = match message {
                IcmpMessage::Any => (-1, -1),
                IcmpMessage::Type(kind) => (i32::from(kind), -1),
                IcmpMessage::TypeAndCode(kind, code) => (i32::from(kind), i32::from(code)),
            };
            (protocol.to_string(), Some(ports))
        }
        Service::Protocol(number) => (number.to_string(), None),
    };
    let mut pairs = vec![(format!("{at}IpProtocol"), protocol)];
    if let Some((from, to)) = ports {
        pairs.push((format!("{at}FromPort"), from.to_string()));
        pairs.push((format!("{at}ToPort"), to.to_string()));
    }
    pairs
}

/// What is allowed and may not be meant, with the row.
pub(super) fn warnings(
    wishes: &[Wish],
    direction: Direction,
    quota: u32,
    names: &Names<'_>,
) -> Vec<String> {
    let mut warnings = Vec::new();
    for wish in wishes {
        let row = wish.row;
        let is_open = direction == Direction::Inbound && wish.peer.whole_family().is_some();
        let admits = |port: u16| match wish.service {
            Service::All => true,
            Service::Ports { from, to, .. } => (from..=to).contains(&port),
            _ => false,
        };
        for (name, port) in [("SSH", 22), ("RDP", 3389)] {
            if is_open && admits(port) {
                warnings.push(format!(
                    "Rule {row} lets everybody in to {name} (port {port})."
                ));
            }
        }
        if let Service::Icmp {
            protocol: Icmp::V4,
            message: IcmpMessage::TypeAndCode(8, 8),
        } = wish.service
        {
            warnings.push(format!(
                "Rule {row}: a ping has type 8 and code 0; 8/8 admits none."
            ));
        }
    }
    for family in Family::ALL {
        let lists = &names.model.prefix_lists;
        let weight: u32 = wishes
            .iter()
            .map(|wish| wish.peer.weight(family, lists))
            .sum();
        if weight + 5 > quota {
            warnings.push(format!("{weight} of {quota} {family} rules are used."));
        }
    }
    warnings
}
