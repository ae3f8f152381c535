//! The rules of an interface: those of all its groups together.

use super::{Direction, InterfaceSpec, Model, Peer, Rule, SecurityGroup, Transport};

/// A rule as an interface has it.
#[derive(Clone, Debug)]
pub struct MergedRule<'m> {
    /// Inbound or outbound.
    pub direction: Direction,
    /// The group it comes from.
    pub group: &'m SecurityGroup,
    /// The rule.
    pub rule: &'m Rule,
    /// The protocols whose flows need no tracking when this rule admits them.
    pub untracked: Vec<Transport>,
}

impl Model {
    /// All rules of an interface, in the order that picks the deciding one among those that
    /// match: inbound before outbound, then by the order of groups, then as written.
    pub fn merged_rules(&self, interface: &InterfaceSpec) -> Vec<MergedRule<'_>> {
        let groups: Vec<&SecurityGroup> = interface
            .groups
            .iter()
            .filter_map(|name| self.groups.get(name))
            .collect();
        let mut merged = Vec::new();
        for direction in Direction::ALL {
            for group in &groups {
                merged.extend(group.rules(direction).iter().map(|rule| {
                    let answers = groups
                        .iter()
                        .flat_map(|group| group.rules(direction.reverse()));
                    MergedRule {
                        direction,
                        group,
                        rule,
                        untracked: untracked(rule, &answers),
                    }
                }));
            }
        }
        merged
    }

    /// How many address ranges a peer stands for: entries of a prefix list, listed members of a
    /// group. Addresses of interfaces of this host that carry the group are not counted.
    pub fn ranges(&self, peer: &Peer) -> usize {
        match peer {
            Peer::Cidr(_) => 1,
            Peer::PrefixList(name) => self
                .prefix_lists
                .get(name)
                .map_or(0, |list| list.entries.len()),
            Peer::Group(name) => self
                .members
                .get(name)
                .map_or(0, |addresses| addresses.len()),
        }
    }
}

/// AWS's rule for untracked flows (aws-semantics §2.2): TCP or UDP, admitted by a rule for all
/// addresses of a family, when a rule of the other direction admits every answer, that is all
/// addresses of the same family and all ports.
fn untracked<'m>(
    rule: &Rule,
    answers: &(impl Iterator<Item = &'m Rule> + Clone),
) -> Vec<Transport> {
    let Some(family) = rule.peer.whole_family() else {
        return Vec::new();
    };
    [Transport::Tcp, Transport::Udp]
        .into_iter()
        .filter(|transport| rule.service.admits_some_of(*transport))
        .filter(|transport| {
            answers.clone().any(|answer| {
                answer.peer.whole_family() == Some(family)
                    && answer.service.admits_all_of(*transport)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GroupId, Service};

    /// What is untracked for a rule on `service` from all of IPv4, when these rules may answer.
    fn untracked_with(service: Service, answers: &[(Service, &str)]) -> Vec<Transport> {
        let id = GroupId::derived("web");
        let rule = |service, peer: &str| {
            Rule::new(
                &id,
                Direction::Inbound,
                service,
                peer.parse().expect("peer"),
            )
        };
        let answers: Vec<Rule> = answers.iter().map(|(s, peer)| rule(*s, peer)).collect();
        untracked(&rule(service, "0.0.0.0/0"), &answers.iter())
    }

    #[test]
    fn flows_are_untracked_when_both_directions_are_open_to_all() {
        use Transport::{Tcp, Udp};
        let http = Service::Ports {
            protocol: Tcp,
            from: 80,
            to: 80,
        };
        let high = Service::Ports {
            protocol: Tcp,
            from: 1024,
            to: 65535,
        };
        let tcp = Service::protocol(Tcp.number());
        for (service, answers, expected) in [
            (http, &[(Service::All, "0.0.0.0/0")][..], &[Tcp][..]),
            (Service::All, &[(Service::All, "0.0.0.0/0")], &[Tcp, Udp]),
            (Service::All, &[(tcp, "0.0.0.0/0")], &[Tcp]),
            (Service::protocol(1), &[(Service::All, "0.0.0.0/0")], &[]),
            (http, &[(Service::All, "::/0")], &[]),
            (http, &[(high, "0.0.0.0/0")], &[]),
            (
                http,
                &[(Service::All, "0.0.0.0/1"), (Service::All, "128.0.0.0/1")],
                &[],
            ),
            (http, &[], &[]),
        ] {
            assert_eq!(
                untracked_with(service, answers),
                expected,
                "{service} {answers:?}"
            );
        }
    }

    #[test]
    fn groups_are_merged_in_the_order_of_the_interface() {
        let mut model = Model::new();
        let mut web = SecurityGroup::built_in();
        web.name = "web".to_owned();
        model.groups.insert(web.name.clone(), web);
        let groups = ["web", "default"].map(str::to_owned).to_vec();
        let merged = model.merged_rules(&InterfaceSpec {
            groups,
            ..InterfaceSpec::default()
        });
        let order: Vec<_> = merged
            .iter()
            .map(|each| (each.direction.name(), each.group.name.as_str()))
            .collect();
        let expected = [
            ("inbound", "web"),
            ("inbound", "default"),
            ("outbound", "web"),
            ("outbound", "web"),
            ("outbound", "default"),
            ("outbound", "default"),
        ];
        assert_eq!(order, expected);
    }
}
