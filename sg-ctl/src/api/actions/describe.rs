//! Groups and rules, as asked for.

use sg_policy::model::{Direction, GroupId, Peer, SecurityGroup};

use super::lookup::{Placed, list_id, rules_of};
use super::{Call, show};
use crate::api::filters::{Filtered, Filters, Tags};
use crate::api::form::Form;
use crate::api::refusal::Refusal;
use crate::api::xml::Node;

/// Sizes of pages.
const SIZES: (usize, usize) = (5, 1000);

/// A group, and what filters ask of it.
struct Asked<'c, 'd> {
    call: &'c Call<'d>,
    group: &'c SecurityGroup,
    tags: std::borrow::Cow<'c, Tags>,
}

/// What filters ask of groups, beside tags.
const GROUP_FILTERS: &[&str] = &[
    "description",
    "group-id",
    "group-name",
    "owner-id",
    "vpc-id",
    "primary-vpc-id",
    "ip-permission.cidr",
    "ip-permission.from-port",
    "ip-permission.group-id",
    "ip-permission.group-name",
    "ip-permission.ipv6-cidr",
    "ip-permission.prefix-list-id",
    "ip-permission.protocol",
    "ip-permission.to-port",
    "ip-permission.user-id",
    "egress.ip-permission.cidr",
    "egress.ip-permission.from-port",
    "egress.ip-permission.group-id",
    "egress.ip-permission.group-name",
    "egress.ip-permission.ipv6-cidr",
    "egress.ip-permission.prefix-list-id",
    "egress.ip-permission.protocol",
    "egress.ip-permission.to-port",
    "egress.ip-permission.user-id",
];

impl Filtered for Asked<'_, '_> {
    fn values(&self, name: &str) -> Option<Vec<String>> {
        let place = &self.call.world.place;
        Some(vec![match name {
            "group-id" => self.group.id.to_string(),
            "group-name" => self.group.name.clone(),
            "description" => self.group.description.clone(),
            "owner-id" => place.account.clone(),
            "vpc-id" | "primary-vpc-id" => place.vpc_id(),
            _ => {
                let (direction, what) = match name.strip_prefix("egress.ip-permission.") {
                    Some(what) => (Direction::Outbound, what),
                    None => (Direction::Inbound, name.strip_prefix("ip-permission.")?),
                };
                return self.rule_values(direction, what);
            }
        }])
    }

    fn tags(&self) -> Option<&Tags> {
        Some(&self.tags)
    }
}

impl Asked<'_, '_> {
    /// The values of all rules of a direction.
    fn rule_values(&self, direction: Direction, what: &str) -> Option<Vec<String>> {
        let rules = self.group.rules(direction).iter();
        let document = &self.call.document;
        rules
            .filter_map(|rule| {
                let (protocol, from, to) = show::wire(rule.service);
                let value = match (what, &rule.peer) {
                    ("protocol", _) => protocol,
                    ("from-port", _) => from.to_string(),
                    ("to-port", _) => to.to_string(),
                    ("cidr", Peer::Cidr(net @ ipnet::IpNet::V4(_)))
                    | ("ipv6-cidr", Peer::Cidr(net @ ipnet::IpNet::V6(_))) => net.to_string(),
                    ("prefix-list-id", Peer::PrefixList(name)) => {
                        list_id(document, name).to_string()
                    }
                    ("group-id", Peer::Group(name)) => {
                        document.model().groups.get(name)?.id.to_string()
                    }
                    ("user-id", Peer::Group(_)) => self.call.world.place.account.clone(),
                    // AWS finds nothing by the name of a group that a rule refers to by its id.
                    (
                        "cidr" | "ipv6-cidr" | "prefix-list-id" | "group-id" | "user-id"
                        | "group-name",
                        _,
                    ) => return None,
                    _ => return Some(None),
                };
                Some(Some(value))
            })
            .collect()
    }
}

/// The groups that a request selects, a page of them.
fn select<'c>(
    call: &'c Call<'_>,
    form: &Form,
    groups: Vec<&'c SecurityGroup>,
) -> Result<(Vec<&'c SecurityGroup>, Option<Node>), Refusal> {
    let groups = groups.into_iter().map(|group| Asked {
        call,
        group,
        tags: Call::group_tags(&call.document, group),
    });
    let found = Filters::of(form)?.select(groups.collect(), GROUP_FILTERS)?;
    let found = found.into_iter().map(|each| each.group).collect();
    call.tokens
        .page(form, found, SIZES, |group: &&SecurityGroup| {
            group.id.to_string()
        })
}

/// `DescribeSecurityGroups`.
pub(super) fn groups(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let (ids, names) = (form.list("GroupId")?, form.list("GroupName")?);
    let mut groups = Vec::new();
    for id in &ids {
        groups.push(call.group(id)?);
    }
    for name in &names {
        groups.push(call.group_named(name)?);
    }
    if ids.is_empty() && names.is_empty() {
        groups.extend(call.document.model().groups.values());
    }
    groups.sort_by_key(|group| &group.id);
    groups.dedup_by_key(|group| &group.id);
    let (groups, next) = select(call, form, groups)?;
    let shown = groups.iter().map(|group| show::group(call, group));
    let shown = Node::list(shown);
    Ok(Node::fields([("securityGroupInfo", shown)]).with_some("nextToken", next))
}

/// `GetSecurityGroupsForVpc`.
pub(super) fn groups_for_vpc(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let vpc = call.vpc(form.need("VpcId")?)?;
    let all = call.document.model().groups.values().collect();
    let (groups, next) = select(call, form, all)?;
    let shown = groups.iter().map(|group| {
        Node::fields([
            ("description", Node::text(&group.description)),
            ("groupName", Node::text(&group.name)),
            ("ownerId", Node::text(&call.world.place.account)),
            ("groupId", Node::text(&group.id)),
            (
                "tagSet",
                show::tag_set(&Call::group_tags(&call.document, group)),
            ),
            ("primaryVpcId", Node::text(&vpc)),
        ])
    });
    let shown = Node::list(shown);
    Ok(Node::fields([("securityGroupForVpcSet", shown)]).with_some("nextToken", next))
}

impl Filtered for Placed<'_> {
    fn values(&self, name: &str) -> Option<Vec<String>> {
        Some(vec![match name {
            "group-id" => self.group.id.to_string(),
            "security-group-rule-id" => self.rule.id.to_string(),
            _ => return None,
        }])
    }

    fn tags(&self) -> Option<&Tags> {
        Some(&self.rule.tags)
    }
}

/// `DescribeSecurityGroupRules`.
pub(super) fn rules(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let filters = Filters::of(form)?;
    for (_, values) in filters.iter().filter(|(name, _)| *name == "group-id") {
        for value in values {
            if value.parse::<GroupId>().is_err() && !value.contains(['*', '?']) {
                let message = format!("The security group ID '{value}' is malformed");
                return Err(Refusal::new("InvalidGroupId.Malformed", message));
            }
        }
    }
    let ids = form.list("SecurityGroupRuleId")?;
    let mut rules = Vec::new();
    for id in &ids {
        rules.push(call.rule(id)?);
    }
    if ids.is_empty() {
        rules.extend(call.document.model().groups.values().flat_map(rules_of));
    }
    let rules = filters.select(rules, &["group-id", "security-group-rule-id"])?;
    let key = |placed: &Placed<'_>| placed.rule.id.to_string();
    let (rules, next) = call.tokens.page(form, rules, SIZES, key)?;
    let shown = rules.iter().map(|placed| show::rule(call, *placed, false));
    let shown = Node::list(shown);
    Ok(Node::fields([("securityGroupRuleSet", shown)]).with_some("nextToken", next))
}
