//! What clients ask before and beside groups: VPC, subnet, region; answers that hardly change.

use super::Call;
use crate::api::filters::{Filtered, Filters, Tags};
use crate::api::form::Form;
use crate::api::refusal::Refusal;
use crate::api::xml::Node;

/// The one thing of its kind, with what filters ask of it.
struct Only(Vec<(&'static str, String)>);

impl Filtered for Only {
    fn values(&self, name: &str) -> Option<Vec<String>> {
        let value = self.0.iter().find(|(key, _)| *key == name);
        value.map(|(_, value)| vec![value.clone()])
    }

    fn tags(&self) -> Option<&Tags> {
        static NONE: Tags = Tags::new();
        Some(&NONE)
    }
}

impl Only {
    /// Its node, if the filters of a request take it.
    fn shown(self, form: &Form, node: Node) -> Result<Node, Refusal> {
        shown(vec![(self, node)], form)
    }
}

/// The nodes of those that the filters of a request take.
fn shown(all: Vec<(Only, Node)>, form: &Form) -> Result<Node, Refusal> {
    let Some((first, _)) = all.first() else {
        return Ok(Node::list([]));
    };
    let known: Vec<_> = first.0.iter().map(|(key, _)| *key).collect();
    let found = Filters::of(form)?.select(all, &known)?;
    Ok(Node::list(found.into_iter().map(|(_, node)| node)))
}

impl Filtered for (Only, Node) {
    fn values(&self, name: &str) -> Option<Vec<String>> {
        self.0.values(name)
    }

    fn tags(&self) -> Option<&Tags> {
        self.0.tags()
    }
}

/// Takes the parameters of pages: one page has everything.
fn pages(form: &Form) {
    form.get("MaxResults");
    form.get("NextToken");
}

/// `DescribeVpcs`: the installation.
pub(super) fn vpcs(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    for id in form.list("VpcId")? {
        call.vpc(id)?;
    }
    pages(form);
    let place = &call.world.place;
    let node = Node::fields([
        ("vpcId", Node::text(place.vpc_id())),
        ("ownerId", Node::text(&place.account)),
        ("state", Node::text("available")),
        ("cidrBlock", Node::text(place.cidr())),
        ("isDefault", Node::text(true)),
        ("instanceTenancy", Node::text("default")),
        ("dhcpOptionsId", Node::text("default")),
        ("tagSet", Node::list([])),
    ]);
    let only = Only(vec![
        ("isDefault", "true".to_owned()),
        ("is-default", "true".to_owned()),
        ("vpc-id", place.vpc_id()),
        ("cidr", place.cidr().to_owned()),
        ("cidr-block-association.cidr-block", place.cidr().to_owned()),
        ("owner-id", place.account.clone()),
        ("state", "available".to_owned()),
        ("dhcp-options-id", "default".to_owned()),
    ]);
    Ok(Node::fields([("vpcSet", only.shown(form, node)?)]))
}

/// `DescribeVpcAttribute`.
pub(super) fn vpc_attribute(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let vpc = call.vpc(form.need("VpcId")?)?;
    let node = Node::fields([("vpcId", Node::text(vpc))]);
    let value = |on: bool| Node::fields([("value", Node::text(on))]);
    Ok(match form.need("Attribute")? {
        "enableDnsSupport" => node.with("enableDnsSupport", value(true)),
        "enableDnsHostnames" => node.with("enableDnsHostnames", value(false)),
        "enableNetworkAddressUsageMetrics" => {
            node.with("enableNetworkAddressUsageMetrics", value(false))
        }
        _ => return Err(Refusal::bad("The attribute of the VPC is not known")),
    })
}

/// `DescribeSubnets`: the hosts.
pub(super) fn subnets(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let place = &call.world.place;
    let mut hosts = call.world.hosts();
    let ids = form.list("SubnetId")?;
    for id in &ids {
        if !hosts.iter().any(|host| place.subnet_id(host) == *id) {
            let message = format!("The subnet ID '{id}' does not exist");
            return Err(Refusal::new("InvalidSubnetID.NotFound", message));
        }
    }
    if !ids.is_empty() {
        hosts.retain(|host| ids.contains(&place.subnet_id(host).as_str()));
    }
    pages(form);
    let subnet = |host: &&str| {
        let node = Node::fields([
            ("subnetId", Node::text(place.subnet_id(host))),
            ("vpcId", Node::text(place.vpc_id())),
            ("state", Node::text("available")),
            ("cidrBlock", Node::text(place.cidr())),
            ("availabilityZone", Node::text(host)),
            ("defaultForAz", Node::text(true)),
            ("ownerId", Node::text(&place.account)),
            ("tagSet", Node::list([])),
        ]);
        let only = Only(vec![
            ("vpc-id", place.vpc_id()),
            ("subnet-id", place.subnet_id(host)),
            ("availability-zone", (*host).to_owned()),
            ("owner-id", place.account.clone()),
            ("state", "available".to_owned()),
            ("default-for-az", "true".to_owned()),
        ]);
        (only, node)
    };
    let subnets = hosts.iter().map(subnet).collect();
    Ok(Node::fields([("subnetSet", shown(subnets, form)?)]))
}

/// `DescribeRegions`.
pub(super) fn regions(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let region = &call.world.place.region;
    form.get("AllRegions");
    let names = form.list("RegionName")?;
    let node = Node::fields([
        ("regionName", Node::text(region)),
        ("regionEndpoint", Node::text("ec2")),
        ("optInStatus", Node::text("opt-in-not-required")),
    ]);
    let only = Only(vec![("region-name", region.clone())]);
    let mut shown = only.shown(form, node)?;
    if !names.is_empty() && !names.contains(&region.as_str()) {
        shown = Node::list([]);
    }
    Ok(Node::fields([("regionInfo", shown)]))
}

/// `DescribeAvailabilityZones`: the hosts.
pub(super) fn availability_zones(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let place = &call.world.place;
    form.get("AllAvailabilityZones");
    let names = form.list("ZoneName")?;
    let mut hosts = call.world.hosts();
    if !names.is_empty() {
        hosts.retain(|host| names.contains(host));
    }
    let zone = |host: &&str| {
        let node = Node::fields([
            ("zoneName", Node::text(host)),
            ("zoneId", Node::text(host)),
            ("zoneState", Node::text("available")),
            ("regionName", Node::text(&place.region)),
        ]);
        let only = Only(vec![
            ("zone-name", (*host).to_owned()),
            ("region-name", place.region.clone()),
            ("state", "available".to_owned()),
        ]);
        (only, node)
    };
    let zones = hosts.iter().map(zone).collect();
    Ok(Node::fields([(
        "availabilityZoneInfo",
        shown(zones, form)?,
    )]))
}

/// `DescribeAccountAttributes`.
pub(super) fn account_attributes(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let wanted = form.list("AttributeName")?;
    let known = [
        ("default-vpc", call.world.place.vpc_id()),
        ("supported-platforms", "VPC".to_owned()),
    ];
    let shown = known
        .into_iter()
        .filter(|(name, _)| wanted.is_empty() || wanted.contains(name))
        .map(|(name, value)| {
            let value = Node::fields([("attributeValue", Node::Text(value))]);
            Node::fields([
                ("attributeName", Node::text(name)),
                ("attributeValueSet", Node::list([value])),
            ])
        });
    Ok(Node::fields([("accountAttributeSet", Node::list(shown))]))
}

/// `DescribeSecurityGroupReferences`: from other VPCs, of which there are none.
pub(super) fn references(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    for id in form.list("GroupId")? {
        call.group(id)?;
    }
    Ok(Node::fields([(
        "securityGroupReferenceSet",
        Node::list([]),
    )]))
}

/// `DescribeStaleSecurityGroups`: of other VPCs, of which there are none.
pub(super) fn stale(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    call.vpc(form.need("VpcId")?)?;
    pages(form);
    Ok(Node::fields([("staleSecurityGroupSet", Node::list([]))]))
}
