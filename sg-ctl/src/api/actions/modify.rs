//! Rules become others and keep their ids.

use sg_policy::model::{Direction, Family, Peer, RuleId, Service};

use super::authorize::peer_id;
use super::lookup::rules_mut;
use super::permissions::{duplicate, wanted};
use super::{Call, parse};
use crate::api::form::{Form, Part};
use crate::api::refusal::Refusal;
use crate::api::xml::Node;

/// The keys of which a rule names exactly one.
const SOURCES: [&str; 4] = ["CidrIpv4", "CidrIpv6", "PrefixListId", "ReferencedGroupId"];

/// `ModifySecurityGroupRules`: several rules at once, which may swap places.
pub(super) fn rules(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let group = call.group(form.need("GroupId")?)?;
    call.check_group_is_api(group)?;
    let name = group.name.clone();
    let changes = form.parts("SecurityGroupRule")?;
    if changes.is_empty() {
        return Err(Refusal::missing("SecurityGroupRules"));
    }
    let mut touched: Vec<(RuleId, Direction)> = Vec::new();
    for change in changes {
        let id = change.get("SecurityGroupRuleId").unwrap_or_default();
        let placed = call.rule_of(&name, None, id)?;
        let (id, direction) = (placed.rule.id.clone(), placed.direction);
        let new = new_rule(call, &change.part("SecurityGroupRule"))?;
        if source_kind(&placed.rule.peer) != source_kind(&new.1) {
            return Err(Refusal::bad(format!(
                "Invalid rule type for security group rule '{id}'. The type of its source cannot \
                 be changed."
            )));
        }
        let (service, peer, description) = new;
        if let Some(group) = call.change().group_mut(&name) {
            let mut rules = rules_mut(group, direction).iter_mut();
            if let Some(rule) = rules.find(|rule| rule.id == id) {
                (rule.service, rule.peer, rule.description) = (service, peer, description);
            }
        }
        touched.push((id, direction));
    }
    for (id, direction) in &touched {
        check_twins(call, &name, *direction, id)?;
    }
    Ok(Node::done())
}

/// Which of [`SOURCES`] a peer is.
fn source_kind(peer: &Peer) -> &'static str {
    match peer {
        Peer::Cidr(net) if Family::of(net) == Family::V4 => SOURCES[0],
        Peer::Cidr(_) => SOURCES[1],
        Peer::PrefixList(_) => SOURCES[2],
        Peer::Group(_) => SOURCES[3],
    }
}

fn new_rule(call: &Call<'_>, part: &Part<'_>) -> Result<(Service, Peer, String), Refusal> {
    let protocol = part.get("IpProtocol").ok_or_else(|| {
        Refusal::bad(
            "Invalid value 'null' for protocol. VPC security group rules must specify protocols \
             explicitly.",
        )
    })?;
    let sources = SOURCES
        .iter()
        .filter_map(|key| Some((*key, part.get(key)?)));
    let sources: Vec<_> = sources.collect();
    let (key, value) = match sources[..] {
        [one] => one,
        [] => {
            return Err(Refusal::new(
                "MissingParameter",
                "The request must contain exactly one of: cidrIp, cidrIpv6, prefixListId, or \
                 referencedGroupId",
            ));
        }
        _ => {
            return Err(Refusal::new(
                "InvalidParameterCombination",
                "Only one of cidrIp, cidrIpv6, prefixListId, or referencedGroupId can be specified",
            ));
        }
    };
    let protocol = parse::protocol(protocol)?;
    let (first, last) = (part.get("FromPort"), part.get("ToPort"));
    let has_ports = !matches!((first, last), (None | Some("-1"), None | Some("-1")));
    if protocol == parse::Protocol::All && has_ports {
        return Err(Refusal::bad(
            "You may not specify all protocols and specific ports. Please specify each protocol \
             and port range combination individually, or all protocols and no port range.",
        ));
    }
    let service = parse::service(protocol, first, last)?;
    let peer = match key {
        "CidrIpv4" => Peer::Cidr(parse::cidr(value, Family::V4)?),
        "CidrIpv6" => Peer::Cidr(parse::cidr(value, Family::V6)?),
        "PrefixListId" => Peer::PrefixList(call.list(value)?.to_owned()),
        _ => Peer::Group(call.group(value)?.name.clone()),
    };
    let description = parse::description(part.get("Description"), "rule description")?;
    Ok((service, peer, description))
}

/// Refuses a rule that another one of the group has become, or was already.
fn check_twins(
    call: &Call<'_>,
    name: &str,
    direction: Direction,
    id: &RuleId,
) -> Result<(), Refusal> {
    let group = &call.document.model().groups[name];
    let rules = group.rules(direction);
    let Some(rule) = rules.iter().find(|rule| rule.id == *id) else {
        return Ok(());
    };
    let is_twin =
        |other: &&sg_policy::model::Rule| other.service == rule.service && other.peer == rule.peer;
    if rules.iter().filter(is_twin).count() > 1 {
        return Err(duplicate(rule.service, &peer_id(call, &rule.peer)));
    }
    Ok(())
}

/// `UpdateSecurityGroupRuleDescriptionsIngress`.
pub(super) fn ingress_descriptions(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    descriptions(call, form, Direction::Inbound)
}

/// `UpdateSecurityGroupRuleDescriptionsEgress`.
pub(super) fn egress_descriptions(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    descriptions(call, form, Direction::Outbound)
}

fn descriptions(call: &mut Call<'_>, form: &Form, direction: Direction) -> Result<Node, Refusal> {
    let name = call.own_group_of(form)?;
    let mut changes: Vec<(RuleId, String)> = Vec::new();
    for part in form.parts("SecurityGroupRuleDescription")? {
        let id = part.get("SecurityGroupRuleId").unwrap_or_default();
        let id = call.rule_of(&name, Some(direction), id)?.rule.id.clone();
        let text = parse::description(part.get("Description"), "rule description")?;
        changes.push((id, text));
    }
    let group = &call.document.model().groups[&name];
    for each in wanted(call, form, true)? {
        let rule = each
            .find(group, direction)
            .ok_or_else(Refusal::no_permission)?;
        let text = parse::description(each.description.as_deref(), "rule description")?;
        changes.push((rule.id.clone(), text));
    }
    if changes.is_empty() {
        return Err(Refusal::missing("ipPermissions"));
    }
    if let Some(group) = call.change().group_mut(&name) {
        for rule in rules_mut(group, direction) {
            if let Some((_, text)) = changes.iter().rfind(|(id, _)| *id == rule.id) {
                rule.description.clone_from(text);
            }
        }
    }
    Ok(Node::done())
}
