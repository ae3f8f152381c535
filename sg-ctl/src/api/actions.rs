//! The actions: pure functions over the rules document.
//!
//! An action reads its parameters from a [`Form`] and answers XML or refuses; it changes the document of
//! its [`Call`], which is a copy. Whoever calls it checks the whole and swaps it in the store.

mod authorize;
mod describe;
mod groups;
mod interfaces;
mod lists;
mod lookup;
mod modify;
mod parse;
mod permissions;
mod revoke;
mod show;
mod surroundings;
mod tags;

use std::borrow::Cow;

use super::form::Form;
use super::keys::Role;
use super::pages::Tokens;
use super::refusal::Refusal;
use super::world::World;
use super::xml::Node;
use crate::vpc::Document;

/// What a call works on.
pub struct Call<'c> {
    /// The rules; a copy from the first change on.
    pub document: Cow<'c, Document>,
    /// What surrounds them.
    pub world: &'c World,
    /// What signs tokens of pages.
    pub tokens: &'c Tokens,
    /// Whose key it is.
    pub caller: &'c str,
    /// Makes the bits of new ids; an id is never given twice.
    pub fresh: &'c mut dyn FnMut() -> u128,
}

/// What carries an action out.
type Run = fn(&mut Call<'_>, &Form) -> Result<Node, Refusal>;

/// An action.
#[derive(Clone, Copy)]
pub struct Action {
    /// Its name on the wire.
    pub name: &'static str,
    /// What a key must be allowed for it.
    pub role: Role,
    run: Run,
}

impl Action {
    /// The action of a name.
    ///
    /// # Errors
    /// `InvalidAction` when nobody knows it, `UnsupportedOperation` when it has no meaning here.
    pub fn find(name: &str) -> Result<Self, Refusal> {
        if let Some(action) = ACTIONS.iter().find(|action| action.name == name) {
            return Ok(*action);
        }
        if let Some((_, why)) = UNSUPPORTED.iter().find(|(other, _)| *other == name) {
            return Err(Refusal::unsupported(*why));
        }
        let shown: String = name.chars().take(80).collect();
        let message = format!("The action {shown} is not valid for this web service.");
        Err(Refusal::new("InvalidAction", message))
    }

    /// Carries it out on the call's copy of the document.
    ///
    /// # Errors
    /// Whatever AWS refuses it for; parameters that it does not know; a document that is wrong after.
    pub fn run(&self, call: &mut Call<'_>, form: &Form) -> Result<Node, Refusal> {
        let answer = (self.run)(call, form)?;
        if let Some(unused) = form.unused() {
            let message = format!("The parameter {unused} is not recognized");
            return Err(Refusal::new("UnknownParameter", message));
        }
        if let Cow::Owned(document) = &call.document {
            document.check()?;
        }
        Ok(answer)
    }

    /// Names of all actions.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ACTIONS.iter().map(|action| action.name)
    }
}

const fn read(name: &'static str, run: Run) -> Action {
    Action {
        name,
        role: Role::Read,
        run,
    }
}

const fn write(name: &'static str, run: Run) -> Action {
    Action {
        name,
        role: Role::Admin,
        run,
    }
}

/// All actions.
const ACTIONS: &[Action] = &[
    write("AuthorizeSecurityGroupEgress", authorize::egress),
    write("AuthorizeSecurityGroupIngress", authorize::ingress),
    write("CreateManagedPrefixList", lists::create),
    write("CreateSecurityGroup", groups::create),
    write("CreateTags", tags::create),
    write("DeleteManagedPrefixList", lists::delete),
    write("DeleteSecurityGroup", groups::delete),
    write("DeleteTags", tags::delete),
    read(
        "DescribeAccountAttributes",
        surroundings::account_attributes,
    ),
    read(
        "DescribeAvailabilityZones",
        surroundings::availability_zones,
    ),
    read("DescribeManagedPrefixLists", lists::describe),
    read("DescribeNetworkInterfaceAttribute", interfaces::attribute),
    read("DescribeNetworkInterfaces", interfaces::describe),
    read("DescribePrefixLists", lists::describe_all),
    read("DescribeRegions", surroundings::regions),
    read("DescribeSecurityGroupReferences", surroundings::references),
    read("DescribeSecurityGroupRules", describe::rules),
    read("DescribeSecurityGroups", describe::groups),
    read("DescribeStaleSecurityGroups", surroundings::stale),
    read("DescribeSubnets", surroundings::subnets),
    read("DescribeTags", tags::describe),
    read("DescribeVpcAttribute", surroundings::vpc_attribute),
    read("DescribeVpcs", surroundings::vpcs),
    read("GetManagedPrefixListEntries", lists::entries),
    read("GetSecurityGroupsForVpc", describe::groups_for_vpc),
    write("ModifyManagedPrefixList", lists::modify),
    write("ModifyNetworkInterfaceAttribute", interfaces::modify),
    write("ModifySecurityGroupRules", modify::rules),
    write("RevokeSecurityGroupEgress", revoke::egress),
    write("RevokeSecurityGroupIngress", revoke::ingress),
    write(
        "UpdateSecurityGroupRuleDescriptionsEgress",
        modify::egress_descriptions,
    ),
    write(
        "UpdateSecurityGroupRuleDescriptionsIngress",
        modify::ingress_descriptions,
    ),
];

/// Why interfaces are not made.
const HOSTS: &str = "Network interfaces are those of the hosts: guard one there to see it here.";
/// Why VPCs are not made.
const ONE_VPC: &str = "There is one VPC, the installation itself.";

/// Actions that AWS has, that clients may try, and that have no meaning here.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("AssociateSecurityGroupVpc", ONE_VPC),
    ("AttachNetworkInterface", HOSTS),
    ("CreateDefaultVpc", ONE_VPC),
    ("CreateNetworkInterface", HOSTS),
    ("CreateSubnet", "There is one subnet for each host."),
    ("CreateVpc", ONE_VPC),
    ("DeleteNetworkInterface", HOSTS),
    ("DeleteVpc", ONE_VPC),
    ("DetachNetworkInterface", HOSTS),
    ("DisassociateSecurityGroupVpc", ONE_VPC),
    (
        "RestoreManagedPrefixListVersion",
        "Set the entries that the version had.",
    ),
];
