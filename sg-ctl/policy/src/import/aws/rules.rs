//! Rules, in groups and flat, and the groups that they name.

use std::rc::Rc;

use super::Reader;
use crate::import::draft::{Peer, Reference, Rule};
use crate::import::values;
use crate::import::view::View;
use crate::model::{Direction, Service};
use crate::text::report::{At, Problems};

impl Reader<'_, '_, '_> {
    /// One entry of `IpPermissions`: a rule for each of its peers.
    pub(super) fn permission(
        &mut self,
        item: &View<'_>,
        group: &str,
        owner: &str,
        direction: Direction,
    ) {
        const PEERS: [&str; 4] = [
            "IpRanges",
            "Ipv6Ranges",
            "PrefixListIds",
            "UserIdGroupPairs",
        ];
        let known = [&PEERS[..], &["IpProtocol", "FromPort", "ToPort"]].concat();
        item.warn_of_others(&known, self.problems);
        let Some(service) = self.service(item) else {
            return;
        };
        let says_more = |(key, value): &(&str, View<'_>)| {
            !matches!(*key, "IpProtocol" | "FromPort" | "ToPort") && !value.is_empty()
        };
        if !item.entries().iter().any(says_more) {
            values::no_peer(&item.at(), self.problems);
        }
        let group = Rc::new(Reference::new(group));
        let mut rule = |at: At, peer, description: &str| {
            self.draft.rules.push(Rule {
                at,
                group: Rc::clone(&group),
                direction,
                service,
                peer,
                id: None,
                description: description.to_owned(),
            });
        };
        for key in PEERS {
            for peer in item.list(key, self.problems) {
                let found = match key {
                    "IpRanges" => range(&peer, "CidrIp", self.problems),
                    "Ipv6Ranges" => range(&peer, "CidrIpv6", self.problems),
                    "PrefixListIds" => peer
                        .required("PrefixListId", self.problems)
                        .map(|id| Peer::List(Reference::new(id).into())),
                    _ => group_peer(&peer, owner, self.problems),
                };
                let description = peer.text("Description", self.problems).unwrap_or_default();
                if let Some(found) = found {
                    rule(peer.at(), found, description);
                }
            }
        }
    }

    fn service(&mut self, item: &View<'_>) -> Option<Service> {
        let protocol = item.required("IpProtocol", self.problems)?;
        let from = item.number("FromPort", self.problems);
        let to = item.number("ToPort", self.problems);
        values::service(protocol, from, to, &item.at(), self.problems)
    }

    /// One flat rule of `describe-security-group-rules`.
    pub(super) fn rule(&mut self, item: &View<'_>) {
        const KNOWN: [&str; 16] = [
            "SecurityGroupRuleId",
            "SecurityGroupRuleArn",
            "GroupId",
            "GroupOwnerId",
            "IsEgress",
            "IpProtocol",
            "FromPort",
            "ToPort",
            "CidrIpv4",
            "CidrIpv6",
            "PrefixListId",
            "ReferencedGroupInfo",
            "Description",
            // Of the rule itself, which has none here.
            "Tags",
            "GroupName",
            "VpcId",
        ];
        item.warn_of_others(&KNOWN, self.problems);
        if let Some(tags) = item.get("Tags").filter(|tags| !tags.is_empty()) {
            let help = "put what matters into the description of the rule";
            let message = "rules have no tags here: not carried over";
            self.problems.warning(&tags.at(), message, help);
        }
        let Some(group) = item.required("GroupId", self.problems) else {
            return;
        };
        let direction = match item.required("IsEgress", self.problems) {
            Some("true") => Direction::Outbound,
            Some("false") => Direction::Inbound,
            Some(_) => {
                let help = "it is `true` or `false`";
                self.problems
                    .error(&item.at(), "`IsEgress` is no truth value", help);
                return;
            }
            None => return,
        };
        let service = self.service(item);
        let owner = item.text("GroupOwnerId", self.problems).unwrap_or_default();
        let peer = if item.get("CidrIpv4").is_some() {
            range(item, "CidrIpv4", self.problems)
        } else if item.get("CidrIpv6").is_some() {
            range(item, "CidrIpv6", self.problems)
        } else if let Some(list) = item.text("PrefixListId", self.problems) {
            Some(Peer::List(Reference::new(list).into()))
        } else if let Some(other) = item.get("ReferencedGroupInfo") {
            group_peer(&other, owner, self.problems)
        } else {
            values::no_peer(&item.at(), self.problems);
            None
        };
        let description = item.text("Description", self.problems).unwrap_or_default();
        let id = item.text("SecurityGroupRuleId", self.problems);
        if let (Some(service), Some(peer)) = (service, peer) {
            self.draft.rules.push(Rule {
                at: item.at(),
                group: Reference::new(group).into(),
                direction,
                service,
                peer,
                id: id.map(str::to_owned),
                description: description.to_owned(),
            });
        }
    }
}

fn range(item: &View<'_>, key: &str, problems: &mut Problems<'_>) -> Option<Peer> {
    let text = item.required(key, problems)?;
    let read = match key {
        "CidrIpv6" => values::range_v6,
        _ => values::range_v4,
    };
    read(text, &item.at(), problems).map(Peer::Range)
}

/// The group of a `UserIdGroupPairs` entry or a `ReferencedGroupInfo`.
fn group_peer(item: &View<'_>, owner: &str, problems: &mut Problems<'_>) -> Option<Peer> {
    let mut text = |key| item.text(key, problems);
    let (id, name) = (text("GroupId"), text("GroupName"));
    let (account, vpc) = (text("UserId"), text("VpcId"));
    let (peering, status) = (text("VpcPeeringConnectionId"), text("PeeringStatus"));
    if let Some(status) = status.filter(|status| *status != "active") {
        let message = format!("the VPC peering is `{status}`: on AWS the rule admits nothing");
        let help = "remove the rule, unless its group has members here";
        problems.warning(&item.at(), message, help);
    }
    let key = match (id, name) {
        (Some(id), _) => id.to_owned(),
        (None, Some(name)) => format!("name:{name}"),
        (None, None) => {
            let help = "AWS gives its id or its name";
            problems.error(&item.at(), "the group is not named", help);
            return None;
        }
    };
    let account = account.filter(|account| *account != owner);
    let facts = [
        ("called", name.filter(|_| id.is_some())),
        ("of account", account),
        ("in", vpc),
        ("by peering", peering),
    ];
    let facts = facts
        .iter()
        .filter_map(|(word, fact)| Some(format!("{word} {}", fact.as_ref()?)));
    let about = facts.collect::<Vec<_>>().join(" ");
    let reference = Reference {
        about,
        ..Reference::new(key)
    };
    Some(Peer::Group(reference.into()))
}
