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
    fn shown(self, form: &Form, node: &Node) -> Result<Node, Refusal> {
        let known: Vec<_> = self.0.iter().map(|(key, _)| *key).collect();
        let found = Filters::of(form)?.select(vec![self], &known)?;
        Ok(Node::list(found.iter().map(|_| node.clone())))
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
    Ok(Node::fields([("vpcSet", only.shown(form, &node)?)]))
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

/// `DescribeSubnets`: this host.
pub(super) fn subnets(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let place = &call.world.place;
    for id in form.list("SubnetId")? {
        if id != place.subnet_id() {
            let message = format!("The subnet ID '{id}' does not exist");
            return Err(Refusal::new("InvalidSubnetID.NotFound", message));
        }
    }
    pages(form);
    let node = Node::fields([
        ("subnetId", Node::text(place.subnet_id())),
        ("vpcId", Node::text(place.vpc_id())),
        ("state", Node::text("available")),
        ("cidrBlock", Node::text(place.cidr())),
        ("availabilityZone", Node::text(&place.host)),
        ("defaultForAz", Node::text(true)),
        ("ownerId", Node::text(&place.account)),
        ("tagSet", Node::list([])),
    ]);
    let only = Only(vec![
        ("vpc-id", place.vpc_id()),
        ("subnet-id", place.subnet_id()),
        ("availability-zone", place.host.clone()),
        ("owner-id", place.account.clone()),
        ("state", "available".to_owned()),
        ("default-for-az", "true".to_owned()),
    ]);
    Ok(Node::fields([("subnetSet", only.shown(form, &node)?)]))
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
    let mut shown = only.shown(form, &node)?;
    if !names.is_empty() && !names.contains(&region.as_str()) {
        shown = Node::list([]);
    }
    Ok(Node::fields([("regionInfo", shown)]))
}

/// `DescribeAvailabilityZones`: this host.
pub(super) fn availability_zones(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let place = &call.world.place;
    form.get("AllAvailabilityZones");
    form.list("ZoneName")?;
    let node = Node::fields([
        ("zoneName", Node::text(&place.host)),
        ("zoneId", Node::text(&place.host)),
        ("zoneState", Node::text("available")),
        ("regionName", Node::text(&place.region)),
    ]);
    let only = Only(vec![
        ("zone-name", place.host.clone()),
        ("region-name", place.region.clone()),
        ("state", "available".to_owned()),
    ]);
    let shown = only.shown(form, &node)?;
    Ok(Node::fields([("availabilityZoneInfo", shown)]))
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
