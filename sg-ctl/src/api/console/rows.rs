//! Rows of the rule editor: from what people type to rules, and back.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use sg_policy::model::{
    Direction, Family, Icmp, IcmpMessage, Peer, Rule, SecurityGroup, Service, Transport,
};
use sg_policy::rulefile::console_types;

use super::names::Names;
use crate::api::form::Form;
use crate::api::refusal::Refusal;

/// Where a source comes from, as the menu has it.
pub(super) const ORIGINS: [(&str, &str); 4] = [
    ("custom", "Custom"),
    ("any4", "Anywhere-IPv4"),
    ("any6", "Anywhere-IPv6"),
    ("mine", "My IP"),
];

/// One row as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// Number of the row, which names its fields.
    pub(super) number: u32,
    /// Id of the rule that it was, empty for a new one.
    pub(super) id: String,
    /// The type, by its name in the menu.
    pub(super) kind: String,
    /// The protocol, where the type leaves it open.
    pub(super) protocol: String,
    /// Ports or message, where the type leaves them open.
    pub(super) ports: String,
    /// Which of [`ORIGINS`].
    pub(super) origin: String,
    /// Ranges, groups and prefix lists.
    pub(super) source: String,
    /// The description.
    pub(super) text: String,
}

/// A rule that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// The row that says so.
    pub(super) row: u32,
    /// The rule that it is to become of.
    pub(super) id: String,
    /// What is admitted.
    pub(super) service: Service,
    /// From or to whom.
    pub(super) peer: Peer,
    /// The description.
    pub(super) text: String,
}

/// What is wrong, by the name of the field.
pub(super) type Faults = BTreeMap<String, String>;

/// The prefix of the fields of a direction.
pub(super) const fn prefix(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "in",
        Direction::Outbound => "out",
    }
}

impl Row {
    /// An empty row, as AWS begins one.
    pub(super) fn new(number: u32) -> Self {
        Self {
            number,
            kind: "Custom TCP".to_owned(),
            origin: "custom".to_owned(),
            ..Self::default()
        }
    }

    /// The row of a rule.
    pub(super) fn of(number: u32, rule: &Rule, names: &Names<'_>) -> Self {
        let settled = console_types().find(|(_, service)| *service == Some(rule.service));
        let kind = settled.map_or_else(|| open_kind(rule.service), |(name, _)| name);
        let origin = match rule.peer.whole_family() {
            Some(Family::V4) => "any4",
            Some(Family::V6) => "any6",
            None => "custom",
        };
        Self {
            number,
            id: rule.id.to_string(),
            kind: kind.to_owned(),
            protocol: protocol_text(rule.service),
            ports: rule.service.ports_text(),
            origin: origin.to_owned(),
            source: names.id(&rule.peer),
            text: rule.description.clone(),
        }
    }

    /// The rows of one direction, as a form has them.
    pub(super) fn all(form: &Form, direction: Direction) -> Result<Vec<Self>, Refusal> {
        let parts = form.parts(prefix(direction))?;
        let numbers = 1..;
        let rows = numbers.zip(parts).map(|(number, part)| {
            let field = |key| part.get(key).unwrap_or_default().trim().to_owned();
            Self {
                number,
                id: field("id"),
                kind: field("type"),
                protocol: field("protocol"),
                ports: field("ports"),
                origin: field("origin"),
                source: field("source"),
                text: field("text"),
            }
        });
        Ok(rows.collect())
    }

    /// The name of a field of this row.
    pub(super) fn field(&self, direction: Direction, key: &str) -> String {
        format!("{}.{}.{key}", prefix(direction), self.number)
    }

    /// The rules that the row stands for: one for each source.
    pub(super) fn wishes(
        &self,
        direction: Direction,
        names: &Names<'_>,
        mine: Option<IpAddr>,
    ) -> Result<Vec<Wish>, Faults> {
        let mut faults = Faults::new();
        let mut fault = |key, text| {
            faults.insert(self.field(direction, key), text);
        };
        let service = match self.service() {
            Ok(service) => Some(service),
            Err((key, text)) => {
                fault(key, text);
                None
            }
        };
        let peers = match self.peers(names, mine) {
            Ok(peers) => peers,
            Err(text) => {
                fault("source", text);
                Vec::new()
            }
        };
        if self.text.chars().count() > 255 {
            fault(
                "text",
                "A description has at most 255 characters.".to_owned(),
            );
        } else if !self.text.chars().all(sg_policy::model::text::is_allowed) {
            fault(
                "text",
                "Only letters, digits, spaces and ._-:/()#,@[]+=&;{}!$* are allowed.".to_owned(),
            );
        }
        let Some(service) = service.filter(|_| faults.is_empty()) else {
            return Err(faults);
        };
        let ids = std::iter::once(self.id.clone()).chain(std::iter::repeat(String::new()));
        let wishes = ids.zip(peers).map(|(id, peer)| Wish {
            row: self.number,
            id,
            service,
            peer,
            text: self.text.clone(),
        });
        Ok(wishes.collect())
    }

    fn service(&self) -> Result<Service, (&'static str, String)> {
        let known = console_types().find(|(name, _)| *name == self.kind);
        let (name, settled) = known.ok_or(("type", "Choose a type.".to_owned()))?;
        if let Some(service) = settled {
            return Ok(service);
        }
        let wrong = |text: &str| ("ports", text.to_owned());
        match name {
            "Custom TCP" => ports(Transport::Tcp, &self.ports).map_err(|text| ("ports", text)),
            "Custom UDP" => ports(Transport::Udp, &self.ports).map_err(|text| ("ports", text)),
            "Custom ICMP - IPv4" => message(Icmp::V4, &self.ports).map_err(wrong),
            "Custom ICMP - IPv6" => message(Icmp::V6, &self.ports).map_err(wrong),
            _ => match self.protocol.parse::<u8>() {
                Ok(number) => Ok(Service::protocol(number)),
                Err(_not_a_number) => Err((
                    "protocol",
                    "Write the protocol's number, 0 to 255: 47 is GRE, 50 ESP.".to_owned(),
                )),
            },
        }
    }

    fn peers(&self, names: &Names<'_>, mine: Option<IpAddr>) -> Result<Vec<Peer>, String> {
        match self.origin.as_str() {
            "any4" => return Ok(vec![Peer::Cidr(Family::V4.everything())]),
            "any6" => return Ok(vec![Peer::Cidr(Family::V6.everything())]),
            "mine" if self.source.is_empty() => {
                let mine = mine.ok_or("Your address is not known here.")?;
                return Ok(vec![Peer::Cidr(mine.into())]);
            }
            _ => {}
        }
        if let Some(peer) = names.named(&self.source) {
            return Ok(vec![peer]);
        }
        let words = self.source.split([',', ' ', '\t', '\n', '\r']);
        let words = words.filter(|word| !word.is_empty());
        let peers: Vec<_> = words
            .map(|word| {
                range(word).or_else(|| names.named(word)).ok_or_else(|| {
                    let shown: String = word.chars().take(60).collect();
                    format!("“{shown}” is neither an address range nor a group nor a prefix list.")
                })
            })
            .collect::<Result<_, _>>()?;
        if peers.is_empty() {
            return Err("Write a range such as 10.0.0.0/24, or choose a group.".to_owned());
        }
        Ok(peers)
    }
}

/// The type that leaves open what a service settles.
const fn open_kind(service: Service) -> &'static str {
    match service {
        Service::All => "All traffic",
        Service::Ports {
            protocol: Transport::Tcp,
            ..
        } => "Custom TCP",
        Service::Ports {
            protocol: Transport::Udp,
            ..
        } => "Custom UDP",
        Service::Icmp {
            protocol: Icmp::V4, ..
        } => "Custom ICMP - IPv4",
        Service::Icmp {
            protocol: Icmp::V6, ..
        } => "Custom ICMP - IPv6",
        Service::Protocol(_) => "Custom Protocol",
    }
}

/// A protocol as the editor shows it.
pub(super) fn protocol_text(service: Service) -> String {
    match service {
        Service::All => "All".to_owned(),
        Service::Protocol(number) => number.to_string(),
        Service::Icmp {
            protocol: Icmp::V6, ..
        } => "ICMPv6".to_owned(),
        other => other.protocol_text().to_uppercase(),
    }
}

/// The type of the menu that a service is.
pub(super) fn kind_of(service: Service) -> &'static str {
    let settled = console_types().find(|(_, each)| *each == Some(service));
    settled.map_or_else(|| open_kind(service), |(name, _)| name)
}

fn range(word: &str) -> Option<Peer> {
    let net = match word.parse::<IpNet>() {
        Ok(net) => net.trunc(),
        Err(_no_range) => word.parse::<IpAddr>().ok()?.into(),
    };
    Some(Peer::Cidr(net))
}

fn ports(protocol: Transport, text: &str) -> Result<Service, String> {
    if text.eq_ignore_ascii_case("all") {
        return Ok(Service::protocol(protocol.number()));
    }
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    match (from.trim().parse(), to.trim().parse()) {
        (Ok(from), Ok(to)) if from <= to => Ok(Service::Ports { protocol, from, to }),
        (Ok::<u16, _>(_), Ok::<u16, _>(_)) => {
            Err("The first port is above the last one.".to_owned())
        }
        _ if text.is_empty() => {
            Err("Write a port such as 443, or a range such as 8000-8100.".to_owned())
        }
        _ => Err("Ports are 0 to 65535: 443, or 8000-8100.".to_owned()),
    }
}

fn message(protocol: Icmp, text: &str) -> Result<Service, &'static str> {
    const FORM: &str = "Write all, a type such as 8, or type and code such as 3/4.";
    if text.is_empty() || text.eq_ignore_ascii_case("all") {
        return Ok(Service::Icmp {
            protocol,
            message: IcmpMessage::Any,
        });
    }
    let message = match text.split_once('/') {
        None => IcmpMessage::Type(text.parse().map_err(|_not_a_type| FORM)?),
        Some((kind, code)) => match (kind.trim().parse(), code.trim().parse()) {
            (Ok(kind), Ok(code)) => IcmpMessage::TypeAndCode(kind, code),
            _ => return Err(FORM),
        },
    };
    Ok(Service::Icmp { protocol, message })
}

/// Everything that the rows of one direction ask for, or what is wrong with them.
pub(super) fn wishes(
    rows: &[Row],
    direction: Direction,
    names: &Names<'_>,
    mine: Option<IpAddr>,
) -> Result<Vec<Wish>, Faults> {
    let (mut all, mut faults) = (Vec::new(), Faults::new());
    for row in rows {
        match row.wishes(direction, names, mine) {
            Ok(wishes) => all.extend(wishes),
            Err(more) => faults.extend(more),
        }
    }
    if faults.is_empty() {
        Ok(all)
    } else {
        Err(faults)
    }
}

/// The rows of a group's rules.
pub(super) fn of_group(group: &SecurityGroup, direction: Direction, names: &Names<'_>) -> Vec<Row> {
    let numbers = 1..;
    let rules = numbers.zip(group.rules(direction));
    rules
        .map(|(number, rule)| Row::of(number, rule, names))
        .collect()
}

/// Adds or takes away rows, for browsers that run no script; false when something else was asked for.
pub(super) fn reshape(step: &str, side: &str, rows: &mut Vec<Row>) -> bool {
    let Some((what, where_)) = step.split_once('-') else {
        return false;
    };
    let next = u32::try_from(rows.len()).unwrap_or_default() + 1;
    match (what, where_.split_once('.')) {
        ("add", None) if where_ == side => rows.push(Row::new(next)),
        ("drop", Some((of, number))) if of == side => {
            rows.retain(|row| Ok(row.number) != number.parse());
            for (number, row) in (1..).zip(rows) {
                row.number = number;
            }
        }
        _ => return false,
    }
    true
}

/// The same for tags.
pub(super) fn reshape_tags(step: &str, tags: &mut Vec<(String, String)>) -> bool {
    if step == "add-tag" {
        tags.push(Default::default());
        return true;
    }
    let number = step
        .strip_prefix("drop-tag.")
        .and_then(|number| number.parse::<usize>().ok());
    if let Some(number) = number.filter(|number| (1..=tags.len()).contains(number)) {
        tags.remove(number - 1);
        return true;
    }
    false
}
