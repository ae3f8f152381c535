//! Rules go: all of a call or none.

use sg_policy::model::{Direction, RuleId};

use super::lookup::{Placed, rules_mut};
use super::permissions::{Wanted, wanted};
use super::{Call, show};
use crate::api::form::Form;
use crate::api::refusal::Refusal;
use crate::api::xml::Node;

/// `RevokeSecurityGroupIngress`.
pub(super) fn ingress(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    revoke(call, form, Direction::Inbound)
}

/// `RevokeSecurityGroupEgress`.
pub(super) fn egress(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    revoke(call, form, Direction::Outbound)
}

fn revoke(call: &mut Call<'_>, form: &Form, direction: Direction) -> Result<Node, Refusal> {
    let name = call.own_group_of(form)?;
    let mut going: Vec<RuleId> = Vec::new();
    for id in form.list("SecurityGroupRuleId")? {
        going.push(call.rule_of(&name, Some(direction), id)?.rule.id.clone());
    }
    let wanted = wanted(call, form, false)?;
    if going.is_empty() && wanted.is_empty() {
        return Err(Refusal::missing("ipPermissions"));
    }
    let group = &call.document.model().groups[&name];
    let mut missed: Vec<&Wanted> = Vec::new();
    for each in &wanted {
        // In the default VPC, as on AWS, what is not there is told and the rest goes.
        match each.find(group, direction) {
            Some(rule) => going.push(rule.id.clone()),
            None => missed.push(each),
        }
    }
    let rules = group.rules(direction).iter();
    let revoked = rules.filter(|rule| going.contains(&rule.id)).map(|rule| {
        let placed = Placed {
            group,
            direction,
            rule,
        };
        show::rule(call, placed, true)
    });
    let revoked = Node::list(revoked);
    let missed = missed.iter().map(|each| (each.service, &each.peer, ""));
    let answer = Node::done()
        .with("unknownIpPermissionSet", show::permissions(call, missed))
        .with("revokedSecurityGroupRuleSet", revoked);
    if !going.is_empty()
        && let Some(group) = call.change().group_mut(&name)
    {
        rules_mut(group, direction).retain(|rule| !going.contains(&rule.id));
    }
    Ok(answer)
}
