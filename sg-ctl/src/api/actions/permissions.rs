//! Permissions: what a request says of rules, one entry for each rule that it speaks of.

use sg_policy::model::{Direction, Family, Peer, Rule, SecurityGroup, Service};

use super::{Call, parse};
use crate::api::form::{Form, Part};
use crate::api::refusal::Refusal;

/// A rule that a request speaks of.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) service: Service,
    pub(super) peer: Peer,
    /// As given, unchecked; `None` when left out.
    pub(super) description: Option<String>,
}

impl Wanted {
    /// Whether it is this rule: descriptions do not count.
    pub(super) fn is(&self, rule: &Rule) -> bool {
        rule.service == self.service && rule.peer == self.peer
    }

    /// The rule of a group that is meant.
    pub(super) fn find<'g>(
        &self,
        group: &'g SecurityGroup,
        direction: Direction,
    ) -> Option<&'g Rule> {
        group.rules(direction).iter().find(|rule| self.is(rule))
    }
}

/// Every rule that a request speaks of. `strict`: a protocol `all` with ports is refused.
pub(super) fn wanted(call: &Call<'_>, form: &Form, strict: bool) -> Result<Vec<Wanted>, Refusal> {
    if let Some(wanted) = short_form(call, form)? {
        return Ok(vec![wanted]);
    }
    let mut all = Vec::new();
    for part in form.parts("IpPermissions")? {
        let protocol = part.get("IpProtocol");
        let protocol = parse::protocol(protocol.ok_or_else(|| Refusal::missing("IpProtocol"))?)?;
        let (first, last) = (part.get("FromPort"), part.get("ToPort"));
        if strict && protocol == parse::Protocol::All && first.is_some_and(|port| port != "-1") {
            return Err(Refusal::bad(
                "When protocol is ALL, you cannot specify from-port.",
            ));
        }
        let service = parse::service(protocol, first, last)?;
        let peers = peers(call, &part)?;
        if peers.is_empty() {
            // AWS answers with success and makes no rule; people take it for one.
            return Err(Refusal::missing(
                "IpRanges, Ipv6Ranges, PrefixListIds or UserIdGroupPairs: the permission names no source",
            ));
        }
        all.extend(peers.into_iter().map(|(peer, description)| Wanted {
            service,
            peer,
            description,
        }));
    }
    Ok(all)
}

/// The form with one range or one group, without a list.
fn short_form(call: &Call<'_>, form: &Form) -> Result<Option<Wanted>, Refusal> {
    let (cidr, group) = (form.get("CidrIp"), form.get("SourceSecurityGroupName"));
    let peer = match (cidr, group) {
        (Some(cidr), _) => Peer::Cidr(parse::cidr(cidr, Family::V4)?),
        (None, Some(name)) => {
            let owner = form.get("SourceSecurityGroupOwnerId");
            let group = call.group_named(name)?;
            if owner.is_some_and(|owner| owner != call.world.place.account) {
                return Err(Refusal::no_group(name));
            }
            Peer::Group(group.name.clone())
        }
        (None, None) => return Ok(None),
    };
    let protocol = parse::protocol(form.need("IpProtocol")?)?;
    let service = parse::service(protocol, form.get("FromPort"), form.get("ToPort"))?;
    Ok(Some(Wanted {
        service,
        peer,
        description: None,
    }))
}

/// The sources of a permission with their descriptions.
fn peers(call: &Call<'_>, part: &Part<'_>) -> Result<Vec<(Peer, Option<String>)>, Refusal> {
    let described = |part: &Part<'_>| part.get("Description").map(str::to_owned);
    let mut peers = Vec::new();
    let ranges = [
        (Family::V4, "IpRanges", "CidrIp"),
        (Family::V6, "Ipv6Ranges", "CidrIpv6"),
    ];
    for (family, list, key) in ranges {
        for part in part.parts(list)? {
            let net = parse::cidr(part.get(key).unwrap_or_default(), family)?;
            peers.push((Peer::Cidr(net), described(&part)));
        }
    }
    for part in part.parts("PrefixListIds")? {
        let name = call.list(part.get("PrefixListId").unwrap_or_default())?;
        peers.push((Peer::PrefixList(name.to_owned()), described(&part)));
    }
    for part in part.parts("Groups")? {
        let group = call.referenced(&part)?;
        peers.push((Peer::Group(group.name.clone()), described(&part)));
    }
    Ok(peers)
}

/// The refusal of a rule that is there already.
pub(super) fn duplicate(service: Service, peer: &str) -> Refusal {
    let (protocol, from, to) = super::show::wire(service);
    let protocol = match protocol.as_str() {
        "-1" => "ALL".to_owned(),
        name => name.to_ascii_uppercase(),
    };
    let message = format!(
        "the specified rule \"peer: {peer}, {protocol}, from port: {from}, to port: {to}, ALLOW\" \
         already exists"
    );
    Refusal::new("InvalidPermission.Duplicate", message)
}
