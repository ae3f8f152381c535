//! Groups come and go.

use sg_policy::model::{DEFAULT_GROUP, Family, Peer, SecurityGroup};

use super::lookup::rules_of;
use super::{Call, parse, show};
use crate::api::form::Form;
use crate::api::refusal::Refusal;
use crate::api::xml::Node;

/// `CreateSecurityGroup`: nothing in, everything out; IPv6 only where the VPC has it, as on AWS.
pub(super) fn create(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let (given, description) = (form.need("GroupName")?, form.need("GroupDescription")?);
    parse::check_text(given, "security group name")?;
    parse::check_text(description, "security group description")?;
    let name = given.trim_end_matches(' ');
    if name.is_empty() || name.starts_with("sg-") {
        return Err(Refusal::bad(
            "Invalid security group name. Names may not be empty or start with 'sg-'",
        ));
    }
    if name.eq_ignore_ascii_case(DEFAULT_GROUP) {
        let message = format!("The security group '{name}' is reserved");
        return Err(Refusal::new("InvalidGroup.Reserved", message));
    }
    if let Some(vpc) = form.get("VpcId") {
        call.vpc(vpc)?;
    }
    let tags = parse::specified_tags(form, "security-group")?;
    if call.group_named(name).is_ok() {
        let message = format!("The security group '{name}' already exists");
        return Err(Refusal::new("InvalidGroup.Duplicate", message));
    }
    let id = call.new_group_id();
    let mut outbound = SecurityGroup::default_outbound(&id);
    if !call.world.place.ipv6 {
        outbound.retain(|rule| rule.peer.whole_family() == Some(Family::V4));
    }
    for rule in &mut outbound {
        rule.id = call.new_rule_id();
    }
    let arn = call.world.place.arn("security-group", id.as_str());
    let answer = Node::fields([
        ("groupId", Node::text(&id)),
        ("tagSet", show::tag_set(&tags)),
        ("securityGroupArn", Node::text(arn)),
    ]);
    call.change().put_group(SecurityGroup {
        id,
        name: name.to_owned(),
        description: description.to_owned(),
        tags,
        inbound: Vec::new(),
        outbound,
    });
    Ok(answer)
}

/// `DeleteSecurityGroup`: not while another group, an interface or a rule file needs it.
pub(super) fn delete(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let group = call.group_of(form)?;
    let id = group.id.to_string();
    if Call::is_default(group) {
        let message =
            format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user");
        return Err(Refusal::new("CannotDelete", message));
    }
    call.check_group_is_api(group)?;
    let (name, users) = (group.name.clone(), users(call, &group.name));
    if !users.is_empty() {
        return Err(Refusal::dependency(&id, &users));
    }
    call.change().remove_group(&name);
    Ok(Node::done().with("groupId", Node::text(id)))
}

/// What needs a group: other groups whose rules refer to it, interfaces that carry it, members that
/// rule files give it.
fn users(call: &Call<'_>, name: &str) -> Vec<String> {
    let model = call.document.model();
    let refers = |group: &&SecurityGroup| {
        group.name != name
            && rules_of(group)
                .any(|placed| matches!(&placed.rule.peer, Peer::Group(other) if other == name))
    };
    let groups = model.groups.values().filter(refers);
    let mut users: Vec<String> = groups.map(|group| group.id.to_string()).collect();
    let interfaces = call.world.interfaces.iter();
    let carrying = interfaces.filter(|each| each.spec.groups.iter().any(|group| group == name));
    users.extend(carrying.map(|each| each.id.clone()));
    for (interface, spec) in &model.interfaces {
        let place = &call.world.place;
        let id = place.eni_id(&place.host, interface);
        if spec.groups.iter().any(|group| group == name) && !users.contains(&id) {
            users.push(id);
        }
    }
    for (pattern, spec) in &model.hosts {
        let place = &call.world.place;
        let id = place.eni_id(pattern.host(), pattern.interface());
        if spec.groups.iter().any(|group| group == name) && !users.contains(&id) {
            // An interface that is not guarded yet, or any that a pattern means.
            users.push(pattern.to_string());
        }
    }
    if model.members.contains_key(name) {
        users.push("members in a rule file".to_owned());
    }
    users.sort();
    users
}

/// What needs a prefix list: groups, by id.
pub(super) fn users_of_list(call: &Call<'_>, name: &str) -> Vec<String> {
    let groups = call.document.model().groups.values();
    let names_it = |group: &&SecurityGroup| {
        rules_of(group)
            .any(|placed| matches!(&placed.rule.peer, Peer::PrefixList(other) if other == name))
    };
    groups
        .filter(names_it)
        .map(|group| group.id.to_string())
        .collect()
}
