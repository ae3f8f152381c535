//! Rules, in groups and flat.

use super::{Reader, text};
use crate::import::draft::{self, Peer, Reference};
use crate::import::values;
use crate::import::view::View;
use crate::model::{Direction, Service, Transport};
use crate::text::report::{At, Problems};

/// Protocols by the names that Neutron knows, besides those that have ports or types.
const PROTOCOLS: [(&str, u8); 19] = [
    ("ah", 51),
    ("dccp", 33),
    ("egp", 8),
    ("esp", 50),
    ("gre", 47),
    ("igmp", 2),
    ("ipip", 4),
    ("ipv6-encap", 41),
    ("ipv6-frag", 44),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("ipv6-route", 43),
    ("ospf", 89),
    ("pgm", 113),
    ("rsvp", 46),
    ("sctp", 132),
    ("udplite", 136),
    ("vrrp", 112),
    ("l2tp", 115),
];

/// A rule, and the family that it speaks of.
pub(super) struct Rule {
    pub(super) draft: draft::Rule,
    is_v6: bool,
}

impl Rule {
    /// What the same rule of the other family has in common with one that names a group, unless
    /// its protocol belongs to one family anyway.
    pub(super) fn pair(&self) -> Option<String> {
        let draft = &self.draft;
        let Peer::Group(group) = &draft.peer else {
            return None;
        };
        let is_of_both = !matches!(draft.service, Service::Icmp { .. });
        is_of_both.then(|| {
            let direction = draft.direction;
            format!(
                "{} {direction:?} {} {}",
                draft.group.key, draft.service, group.key
            )
        })
    }

    /// A bit for the family.
    pub(super) const fn family(&self) -> u8 {
        if self.is_v6 { 2 } else { 1 }
    }
}

impl Reader<'_, '_, '_> {
    /// A rule of this group, or of the one that it names.
    pub(super) fn rule(&mut self, item: &View<'_>, group: Option<&str>) {
        let at = item.at();
        let given = text(item, &["security_group_id", "Security Group"]);
        let Some(group) = group.or(given) else {
            let help = "import `openstack security group rule list --long` without a group";
            self.problems
                .error(&at, "the rule does not say which group it is of", help);
            return;
        };
        let direction = match text(item, &["direction", "Direction"]) {
            Some("ingress") => Direction::Inbound,
            Some("egress") => Direction::Outbound,
            _ => {
                let help = "import `openstack security group rule list --long`";
                self.problems.error(&at, "the rule has no direction", help);
                return;
            }
        };
        let is_v6 = match text(item, &["ethertype", "Ethertype"]) {
            Some("IPv4") => false,
            Some("IPv6") => true,
            _ => {
                let help = "import `openstack security group rule list --long`";
                self.problems
                    .error(&at, "the rule has no family (`Ethertype`)", help);
                return;
            }
        };
        let Some(service) = service(item, is_v6, self.problems) else {
            return;
        };
        let Some(peer) = self.peer(item, is_v6) else {
            return;
        };
        let description = text(item, &["description", "Description"]).unwrap_or_default();
        self.rules.push(Rule {
            draft: draft::Rule {
                at,
                group: Reference::new(group).into(),
                direction,
                service,
                peer,
                id: None,
                description: description.to_owned(),
            },
            is_v6,
        });
    }

    fn peer(&mut self, item: &View<'_>, is_v6: bool) -> Option<Peer> {
        let at = item.at();
        let addresses = ["remote_address_group_id", "Remote Address Group"];
        if text(item, &addresses).is_some() {
            let message = "the rule names an address group: not carried over";
            let help = "write it with a prefix list of the rule file";
            self.problems.warning(&at, message, help);
            return None;
        }
        if let Some(group) = text(item, &["remote_group_id", "Remote Security Group"]) {
            return Some(Peer::Group(Reference::new(group).into()));
        }
        let (everywhere, read): (_, fn(&str, &At, &mut Problems<'_>) -> _) = if is_v6 {
            ("::/0", values::range_v6)
        } else {
            ("0.0.0.0/0", values::range_v4)
        };
        let range = text(item, &["remote_ip_prefix", "IP Range"]).unwrap_or(everywhere);
        read(range, &at, self.problems).map(Peer::Range)
    }
}

/// Protocol and ports; `None` after a report.
fn service(item: &View<'_>, is_v6: bool, problems: &mut Problems<'_>) -> Option<Service> {
    let at = item.at();
    let protocol = text(item, &["protocol", "IP Protocol"]).unwrap_or("any");
    let protocol = protocol.to_ascii_lowercase();
    let (from, to) = ports(item, problems)?;
    let icmp = if is_v6 { "icmpv6" } else { "icmp" };
    match protocol.as_str() {
        "any" | "-1" | "0" if from.is_none() => Some(Service::All),
        "tcp" | "udp" | "6" | "17" if from.is_none() && to.is_none() => {
            let protocol = match protocol.as_str() {
                "tcp" | "6" => Transport::Tcp,
                _ => Transport::Udp,
            };
            Some(Service::Ports {
                protocol,
                from: 0,
                to: u16::MAX,
            })
        }
        "tcp" | "udp" | "6" | "17" => values::service(&protocol, from, to, &at, problems),
        // Neutron takes `icmp` for either family's.
        "icmp" | "1" | "icmpv6" | "ipv6-icmp" | "58"
            if is_v6 || matches!(protocol.as_str(), "icmp" | "1") =>
        {
            let (from, to) = (from.unwrap_or(-1), to.unwrap_or(-1));
            values::service(icmp, Some(from), Some(to), &at, problems)
        }
        "icmpv6" | "ipv6-icmp" | "58" => {
            let help = "ICMPv6 belongs to rules with the ethertype IPv6";
            problems.error(&at, format!("`{protocol}` is not a protocol of IPv4"), help);
            None
        }
        _ if from.is_some() || to.is_some() => {
            let message = format!("ports of `{protocol}` cannot be told here: not carried over");
            let help = "a rule for the whole protocol would allow more";
            problems.warning(&at, message, help);
            None
        }
        name => {
            let known = PROTOCOLS.iter().find(|(known, _)| *known == name);
            let number = known.map(|(_, number)| number.to_string());
            let number = number.as_deref().unwrap_or(name);
            values::service(number, None, None, &at, problems)
        }
    }
}

/// The ports, or type and code: two numbers in the API, `22:80` or `type=8:code=0` in lists.
fn ports(item: &View<'_>, problems: &mut Problems<'_>) -> Option<(Option<i64>, Option<i64>)> {
    let at = item.at();
    let mut number = |text: Option<&str>| match text {
        Some(text) => values::number(text, &at, problems).map(Some),
        None => Some(None),
    };
    if let Some(range) = text(item, &["Port Range"]) {
        let (from, to) = range.split_once(':').unwrap_or((range, ""));
        let bare = |text: &'_ str| -> Option<String> {
            let text = text.trim_start_matches("type=").trim_start_matches("code=");
            Some(text.to_owned()).filter(|text| !text.is_empty() && text != "None")
        };
        return Some((number(bare(from).as_deref())?, number(bare(to).as_deref())?));
    }
    Some((
        number(text(item, &["port_range_min"]))?,
        number(text(item, &["port_range_max"]))?,
    ))
}
