//! Rules, inline and as resources.

use super::references::Target;
use super::resources::{Attribute, Resource};
use super::{Named, Reader, group_ref};
use crate::import::draft::{Peer, Reference, Rule};
use crate::import::values;
use crate::import::view::View;
use crate::model::{Direction, Service};
use crate::text::report::At;

/// What a rule resource or an inline rule says besides its peers.
struct Common {
    at: At,
    group: Reference,
    direction: Direction,
    service: Service,
    description: String,
}

/// The peers of a rule.
#[derive(Default)]
struct Peers {
    known: Vec<Peer>,
    /// Whether some were left out, after a report.
    incomplete: bool,
}

impl Peers {
    fn add(&mut self, peer: Option<Peer>) {
        self.incomplete |= peer.is_none();
        self.known.extend(peer);
    }
}

impl Reader<'_, '_, '_, '_> {
    /// A rule inside a group.
    pub(super) fn inline(&mut self, rule: &Resource<'_>, direction: Direction) {
        const KNOWN: [&str; 9] = [
            "from_port",
            "to_port",
            "protocol",
            "cidr_blocks",
            "ipv6_cidr_blocks",
            "prefix_list_ids",
            "security_groups",
            "self",
            "description",
        ];
        rule.values.warn_of_others(&KNOWN, self.problems);
        let group = Reference::new(&*rule.address);
        if let Some(common) = self.common(rule, "protocol", direction, group) {
            let mut peers = self.ranges_and_lists(rule);
            for group in self.many(rule, "security_groups", Target::Group) {
                add_group(&mut peers, group);
            }
            self.itself(rule, &common, &mut peers);
            self.push(&common, peers, None);
        }
    }

    /// `aws_security_group_rule`.
    pub(super) fn rule(&mut self, resource: &Resource<'_>) {
        let direction = match (resource.attribute("type"), resource.text("type")) {
            (_, Some("ingress")) => Direction::Inbound,
            (_, Some("egress")) => Direction::Outbound,
            (Attribute::Unknown, _) => {
                self.not_known(&resource.at(), "`type` is");
                return;
            }
            _ => {
                let help = "it is `ingress` or `egress`";
                let message = "the `type` of the rule is missing";
                self.problems.error(&resource.at(), message, help);
                return;
            }
        };
        let Some(group) = self.owner(resource) else {
            return;
        };
        if let Some(common) = self.common(resource, "protocol", direction, group) {
            let mut peers = self.ranges_and_lists(resource);
            let source = self.one(resource, "source_security_group_id", Target::Group);
            add_group(&mut peers, source);
            self.itself(resource, &common, &mut peers);
            // Older providers give one id to what AWS keeps as several rules.
            let is_one = peers.known.len() == 1 && !peers.incomplete;
            let id = resource.text("security_group_rule_id");
            self.push(&common, peers, id.filter(|_| is_one));
        }
    }

    /// `aws_vpc_security_group_ingress_rule` and its sister.
    pub(super) fn single_rule(&mut self, resource: &Resource<'_>, direction: Direction) {
        let Some(group) = self.owner(resource) else {
            return;
        };
        let Some(common) = self.common(resource, "ip_protocol", direction, group) else {
            return;
        };
        if let Some(tags) = resource
            .attribute("tags")
            .known()
            .filter(|tags| !tags.is_empty())
        {
            let help = "put what matters into the description of the rule";
            let message = "rules have no tags here: not carried over";
            self.problems.warning(&tags.at(), message, help);
        }
        let mut peers = Peers::default();
        for key in ["cidr_ipv4", "cidr_ipv6"] {
            match self.attribute(resource, key) {
                Attribute::Known(view) => self.range(key, &view, &mut peers),
                Attribute::Unknown => self.unknown_peer(resource, key, &mut peers),
                Attribute::Absent => {}
            }
        }
        let list = self.one(resource, "prefix_list_id", Target::List);
        add_list(&mut peers, list);
        let group = self.one(resource, "referenced_security_group_id", Target::Group);
        add_group(&mut peers, group);
        self.push(&common, peers, resource.text("security_group_rule_id"));
    }

    /// The group that a rule resource adds to.
    fn owner(&mut self, resource: &Resource<'_>) -> Option<Reference> {
        let key = "security_group_id";
        match self.one(resource, key, Target::Group) {
            Named::Known(name) => return Some(group_ref(&name)),
            Named::Unknown => {}
            Named::Nothing if matches!(resource.attribute(key), Attribute::Unknown) => {
                self.not_known(&resource.at(), &format!("`{key}` is"));
            }
            Named::Nothing => {
                let help = "this is not what Terraform writes: was the file edited?";
                let message = "the rule belongs to no group";
                self.problems.error(&resource.at(), message, help);
            }
        }
        None
    }

    /// What every rule states; `None` after a report.
    fn common(
        &mut self,
        rule: &Resource<'_>,
        protocol: &str,
        direction: Direction,
        group: Reference,
    ) -> Option<Common> {
        let at = rule.at();
        for key in [protocol, "from_port", "to_port"] {
            if matches!(rule.attribute(key), Attribute::Unknown) {
                self.not_known(&at, &format!("`{key}` is"));
                return None;
            }
        }
        let values = &rule.values;
        let service = values::service(
            values.required(protocol, self.problems)?,
            values.number("from_port", self.problems),
            values.number("to_port", self.problems),
            &at,
            self.problems,
        )?;
        Some(Common {
            at,
            group,
            direction,
            service,
            description: rule.text("description").unwrap_or_default().to_owned(),
        })
    }

    fn ranges_and_lists(&mut self, rule: &Resource<'_>) -> Peers {
        let mut peers = Peers::default();
        for key in ["cidr_blocks", "ipv6_cidr_blocks"] {
            match self.attribute(rule, key) {
                Attribute::Known(ranges) => {
                    for range in ranges.items() {
                        self.range(key, &range, &mut peers);
                    }
                }
                Attribute::Unknown => self.unknown_peer(rule, key, &mut peers),
                Attribute::Absent => {}
            }
        }
        for list in self.many(rule, "prefix_list_ids", Target::List) {
            add_list(&mut peers, list);
        }
        peers
    }

    fn range(&mut self, key: &str, range: &View<'_>, peers: &mut Peers) {
        let Some(text) = range.as_text() else {
            self.not_known(&range.at(), &format!("a range in `{key}` is"));
            peers.incomplete = true;
            return;
        };
        let read = match key {
            "cidr_blocks" | "cidr_ipv4" => values::range_v4,
            _ => values::range_v6,
        };
        peers.add(read(text, &range.at(), self.problems).map(Peer::Range));
    }

    fn unknown_peer(&mut self, rule: &Resource<'_>, key: &str, peers: &mut Peers) {
        self.not_known(&rule.at(), &format!("`{key}` is"));
        peers.incomplete = true;
    }

    fn itself(&mut self, rule: &Resource<'_>, common: &Common, peers: &mut Peers) {
        match self.attribute(rule, "self") {
            Attribute::Known(view) if view.as_text() == Some("true") => {
                peers.add(Some(Peer::Group(common.group.clone().into())));
            }
            Attribute::Unknown => self.unknown_peer(rule, "self", peers),
            _ => {}
        }
    }

    /// Adds a rule for each peer; AWS refuses one that has none.
    fn push(&mut self, common: &Common, peers: Peers, id: Option<&str>) {
        if peers.known.is_empty() && !peers.incomplete {
            values::no_peer(&common.at, self.problems);
        }
        for peer in peers.known {
            self.draft.rules.push(Rule {
                at: common.at.clone(),
                group: common.group.clone().into(),
                direction: common.direction,
                service: common.service,
                peer,
                id: id.map(str::to_owned),
                description: common.description.clone(),
            });
        }
    }
}

fn add_group(peers: &mut Peers, group: Named) {
    match group {
        Named::Known(name) => peers.add(Some(Peer::Group(group_ref(&name).into()))),
        Named::Unknown => peers.incomplete = true,
        Named::Nothing => {}
    }
}

fn add_list(peers: &mut Peers, list: Named) {
    match list {
        Named::Known(name) => peers.add(Some(Peer::List(Reference::new(name).into()))),
        Named::Unknown => peers.incomplete = true,
        Named::Nothing => {}
    }
}
