//! Rules come: all of a call or none.

use std::collections::HashSet;

use sg_policy::model::{Direction, Peer, Rule};

use super::lookup::{Placed, rules_mut};
use super::permissions::{duplicate, wanted};
use super::{Call, parse, show};
use crate::api::form::Form;
use crate::api::refusal::Refusal;
use crate::api::xml::Node;

/// `AuthorizeSecurityGroupIngress`.
pub(super) fn ingress(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    authorize(call, form, Direction::Inbound)
}

/// `AuthorizeSecurityGroupEgress`.
pub(super) fn egress(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    authorize(call, form, Direction::Outbound)
}

fn authorize(call: &mut Call<'_>, form: &Form, direction: Direction) -> Result<Node, Refusal> {
    let name = call.own_group_of(form)?;
    let wanted = wanted(call, form, false)?;
    if wanted.is_empty() {
        return Err(Refusal::missing("ipPermissions"));
    }
    let tags = parse::specified_tags(form, "security-group-rule")?;
    let mut seen = HashSet::new();
    if !wanted
        .iter()
        .all(|each| seen.insert((each.service, &each.peer)))
    {
        return Err(Refusal::bad(
            "The same permission must not appear multiple times",
        ));
    }
    let mut made = Vec::with_capacity(wanted.len());
    for each in &wanted {
        let group = &call.document.model().groups[&name];
        if each.find(group, direction).is_some() {
            return Err(duplicate(each.service, &peer_id(call, &each.peer)));
        }
        let description = each.description.as_deref();
        let description = parse::description(description, "rule description")?;
        let rule = Rule {
            id: call.new_rule_id(),
            service: each.service,
            peer: each.peer.clone(),
            description,
            tags: tags.clone(),
            location: None,
        };
        made.push(rule.id.clone());
        if let Some(group) = call.change().group_mut(&name) {
            rules_mut(group, direction).push(rule);
        }
    }
    let group = &call.document.model().groups[&name];
    let rules = group.rules(direction).iter();
    let shown = rules.filter(|rule| made.contains(&rule.id)).map(|rule| {
        let placed = Placed {
            group,
            direction,
            rule,
        };
        show::rule(call, placed, false)
    });
    Ok(Node::done().with("securityGroupRuleSet", Node::list(shown)))
}

/// A source as texts about rules name it.
pub(super) fn peer_id(call: &Call<'_>, peer: &Peer) -> String {
    match peer {
        Peer::Cidr(net) => net.to_string(),
        Peer::PrefixList(name) => super::lookup::list_id(&call.document, name).to_string(),
        Peer::Group(name) => {
            let group = call.document.model().groups.get(name);
            group.map(|group| group.id.to_string()).unwrap_or_default()
        }
    }
}
