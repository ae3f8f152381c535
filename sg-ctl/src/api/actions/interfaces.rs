//! Interfaces of hosts, as AWS's network interfaces.

use super::Call;
use crate::api::filters::{Filtered, Filters, Tags};
use crate::api::form::Form;
use crate::api::refusal::Refusal;
use crate::api::world::{Eni, Place};
use crate::api::xml::Node;
use crate::vpc::Owned;

/// An interface, and where it is.
struct Shown<'c> {
    eni: &'c Eni,
    place: &'c Place,
    groups: Vec<(String, String)>,
}

/// What filters ask of interfaces.
const FILTERS: &[&str] = &[
    "addresses.private-ip-address",
    "availability-zone",
    "description",
    "group-id",
    "group-name",
    "interface-type",
    "ipv6-addresses.ipv6-address",
    "mac-address",
    "network-interface-id",
    "owner-id",
    "private-ip-address",
    "status",
    "subnet-id",
    "vpc-id",
];

impl Filtered for Shown<'_> {
    fn values(&self, name: &str) -> Option<Vec<String>> {
        let addresses = |is_v4: bool| {
            let addresses = self.eni.addresses.iter();
            let of_family = addresses.filter(move |address| address.is_ipv4() == is_v4);
            of_family.map(ToString::to_string).collect()
        };
        Some(vec![match name {
            "group-id" => return Some(self.groups.iter().map(|(id, _)| id.clone()).collect()),
            "group-name" => {
                return Some(self.groups.iter().map(|(_, name)| name.clone()).collect());
            }
            "private-ip-address" | "addresses.private-ip-address" => return Some(addresses(true)),
            "ipv6-addresses.ipv6-address" => return Some(addresses(false)),
            "network-interface-id" => self.eni.id.clone(),
            "description" => self.description(),
            "mac-address" => self.eni.mac.clone(),
            "status" => self.status().to_owned(),
            "interface-type" => "interface".to_owned(),
            "owner-id" => self.place.account.clone(),
            "availability-zone" => self.eni.host.clone(),
            "subnet-id" => self.place.subnet_id(&self.eni.host),
            "vpc-id" => self.place.vpc_id(),
            _ => return None,
        }])
    }

    fn tags(&self) -> Option<&Tags> {
        static NONE: Tags = Tags::new();
        Some(&NONE)
    }
}

impl<'c> Shown<'c> {
    fn of(call: &'c Call<'_>, eni: &'c Eni) -> Self {
        let groups = &call.document.model().groups;
        let carried = eni.spec.groups.iter().filter_map(|name| groups.get(name));
        Self {
            eni,
            place: &call.world.place,
            groups: carried
                .map(|group| (group.id.to_string(), group.name.clone()))
                .collect(),
        }
    }

    fn description(&self) -> String {
        format!("{}/{}", self.eni.host, self.eni.name)
    }

    const fn status(&self) -> &'static str {
        if self.eni.in_use {
            "in-use"
        } else {
            "available"
        }
    }

    fn group_set(&self) -> Node {
        Node::list(self.groups.iter().map(|(id, name)| {
            Node::fields([("groupId", Node::text(id)), ("groupName", Node::text(name))])
        }))
    }

    fn node(&self) -> Node {
        let Self { eni, place, .. } = self;
        let first = eni.addresses.iter().find(|address| address.is_ipv4());
        let v4 = eni.addresses.iter().filter(|address| address.is_ipv4());
        let v6 = eni.addresses.iter().filter(|address| address.is_ipv6());
        let private = v4.map(|address| {
            Node::fields([
                ("privateIpAddress", Node::text(address)),
                ("primary", Node::text(Some(address) == first)),
            ])
        });
        let ipv6 = v6.map(|address| Node::fields([("ipv6Address", Node::text(address))]));
        Node::fields([
            ("networkInterfaceId", Node::text(&eni.id)),
            ("subnetId", Node::text(place.subnet_id(&eni.host))),
            ("vpcId", Node::text(place.vpc_id())),
            ("availabilityZone", Node::text(&eni.host)),
            ("description", Node::text(self.description())),
            ("ownerId", Node::text(&place.account)),
            ("requesterManaged", Node::text(false)),
            ("status", Node::text(self.status())),
            ("macAddress", Node::text(&eni.mac)),
        ])
        .with_some("privateIpAddress", first.map(Node::text))
        .with("sourceDestCheck", Node::text(false))
        .with("interfaceType", Node::text("interface"))
        .with("groupSet", self.group_set())
        .with("tagSet", Node::list([]))
        .with("privateIpAddressesSet", Node::list(private))
        .with("ipv6AddressesSet", Node::list(ipv6))
    }
}

fn find<'c>(call: &'c Call<'_>, id: &str) -> Result<&'c Eni, Refusal> {
    let mut interfaces = call.world.interfaces.iter();
    let found = interfaces.find(|eni| eni.id == id);
    found.ok_or_else(|| Refusal::no_interface(id))
}

/// `DescribeNetworkInterfaces`.
pub(super) fn describe(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let ids = form.list("NetworkInterfaceId")?;
    let mut interfaces = Vec::new();
    for id in &ids {
        interfaces.push(Shown::of(call, find(call, id)?));
    }
    if ids.is_empty() {
        let all = call.world.interfaces.iter();
        interfaces.extend(all.map(|eni| Shown::of(call, eni)));
    }
    let found = Filters::of(form)?.select(interfaces, FILTERS)?;
    let key = |shown: &Shown<'_>| shown.eni.id.clone();
    let (found, next) = call.tokens.page(form, found, (5, 1000), key)?;
    let shown = Node::list(found.iter().map(Shown::node));
    Ok(Node::fields([("networkInterfaceSet", shown)]).with_some("nextToken", next))
}

/// `DescribeNetworkInterfaceAttribute`.
pub(super) fn attribute(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let eni = find(call, form.need("NetworkInterfaceId")?)?;
    let shown = Shown::of(call, eni);
    let node = Node::fields([("networkInterfaceId", Node::text(&eni.id))]);
    let value = |node| Node::fields([("value", node)]);
    Ok(match form.need("Attribute")? {
        "groupSet" => node.with("groupSet", shown.group_set()),
        "description" => node.with("description", value(Node::Text(shown.description()))),
        "sourceDestCheck" => node.with("sourceDestCheck", value(Node::text(false))),
        other => {
            let shown: String = other.chars().take(40).collect();
            return Err(Refusal::bad(format!(
                "The attribute '{shown}' is not known"
            )));
        }
    })
}

/// `ModifyNetworkInterfaceAttribute`: which groups an interface carries.
pub(super) fn modify(call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
    let eni = find(call, form.need("NetworkInterfaceId")?)?;
    let ids = form.list("SecurityGroupId")?;
    let timeouts = form.parts("ConnectionTrackingSpecification")?;
    if !timeouts.is_empty() || has_timeouts(form) {
        return Err(Refusal::unsupported(
            "Idle times of an interface are set in a rule file, under `timeouts:`",
        ));
    }
    if ids.is_empty() {
        let message = "No attributes specified.";
        return Err(Refusal::new("InvalidParameterCombination", message));
    }
    check_interface_is_api(call, eni)?;
    let mut names: Vec<String> = Vec::new();
    for id in ids {
        let name = &call.group(id)?.name;
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let limit = call.document.model().limits.groups_per_interface as usize;
    if names.len() > limit {
        return Err(Refusal::groups_per_interface());
    }
    let name = call.world.place.entry(&eni.host, &eni.name);
    let spec = eni.spec.clone();
    if spec.groups != names {
        call.change().assign(&name, spec, names);
    }
    Ok(Node::done())
}

/// Whether a request sets idle times.
fn has_timeouts(form: &Form) -> bool {
    let mut keys = form.pairs().keys();
    keys.any(|key| key.starts_with("ConnectionTrackingSpecification"))
}

/// Refuses to change what rule files say of an interface.
fn check_interface_is_api(call: &Call<'_>, eni: &Eni) -> Result<(), Refusal> {
    let entry = call.world.place.entry(&eni.host, &eni.name);
    let what = format!("What the interface {entry} carries");
    call.check_owner(Owned::Interface, &entry, &what)?;
    if call.document.owners().is_api(Owned::Interface, &entry) {
        return Ok(());
    }
    // A pattern of a rule file means it, too.
    match call
        .document
        .model()
        .on_host(&eni.host)
        .interface(&eni.name)
    {
        Some(_) => Err(Refusal::not_permitted(format!(
            "{what} belongs to a rule file, which means it by a pattern: change it there"
        ))),
        None => Ok(()),
    }
}
