//! Rules in lists: those of groups, and those of an interface merged.

use comfy_table::Cell;
use schemars::JsonSchema;
use serde::Serialize;
use sg_policy::compile::RuleNumbers;
use sg_policy::model::{
    Direction, IcmpMessage, InterfaceSpec, Model, Rule, SecurityGroup, Service, Transport,
};

use crate::verb::output::Tone;
use crate::verb::output::table::{Table, or_dash};

/// A rule in lists.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RuleView<'a> {
    group: &'a str,
    group_id: &'a str,
    #[schemars(extend("enum" = ["inbound", "outbound"]))]
    direction: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
    protocol: String,
    from_port: Option<u16>,
    to_port: Option<u16>,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
    peer: String,
    description: &'a str,
    file: Option<&'a str>,
    line: Option<u32>,
    #[serde(skip)]
    ports: String,
}

impl<'a> RuleView<'a> {
    /// The rules of a group, inbound first; `numbers` are those that flows and events have for
    /// rules that were ever in force.
    pub(crate) fn of_group(group: &'a SecurityGroup, numbers: &RuleNumbers) -> Vec<Self> {
        Direction::ALL
            .into_iter()
            .flat_map(|direction| {
                let rules = group.rules(direction).iter();
                rules.map(move |rule| Self::numbered(group, direction, rule, numbers))
            })
            .collect()
    }

    /// A rule with the number that flows and events have for it, if it was ever in force.
    pub(crate) fn numbered(
        group: &'a SecurityGroup,
        direction: Direction,
        rule: &'a Rule,
        numbers: &RuleNumbers,
    ) -> Self {
        Self {
            number: numbers.find(&group.id, &rule.id),
            ..Self::new(group, direction, rule)
        }
    }

    fn new(group: &'a SecurityGroup, direction: Direction, rule: &'a Rule) -> Self {
        let (from_port, to_port) = match rule.service {
            Service::Ports { from, to, .. } => (Some(from), Some(to)),
            _ => (None, None),
        };
        let (icmp_type, icmp_code) = match rule.service {
            Service::Icmp { message, .. } => match message {
                IcmpMessage::Any => (None, None),
                IcmpMessage::Type(kind) => (Some(kind), None),
                IcmpMessage::TypeAndCode(kind, code) => (Some(kind), Some(code)),
            },
            _ => (None, None),
        };
        Self {
            group: &group.name,
            group_id: group.id.as_str(),
            direction: direction.name(),
            id: rule.id.as_str(),
            number: None,
            protocol: rule.service.protocol_text(),
            from_port,
            to_port,
            icmp_type,
            icmp_code,
            peer: rule.peer.to_string(),
            description: &rule.description,
            file: rule.location.as_ref().map(|place| place.file.as_str()),
            line: rule.location.as_ref().map(|place| place.line),
            ports: rule.service.ports_text(),
        }
    }

    /// The number that flows and events have for it.
    pub(crate) const fn number(&self) -> Option<u32> {
        self.number
    }

    /// What it admits: direction, protocol, ports, peer.
    pub(crate) fn what(&self) -> [&str; 4] {
        [self.direction, &self.protocol, &self.ports, &self.peer]
    }

    /// Where it comes from: group, id, description.
    pub(crate) const fn whose(&self) -> [&'a str; 3] {
        [self.group, self.id, self.description]
    }

    /// The table of rules, by group; with their numbers if `numbered`.
    pub(crate) fn table(rules: &[Self], numbered: bool) -> Table {
        let mut headings = vec!["GROUP", "DIRECTION", "PROTOCOL", "PORTS", "PEER", "RULE"];
        headings.extend(numbered.then_some(">NUMBER"));
        headings.push("DESCRIPTION");
        let mut table = Table::new(&headings).giving_way(&["DESCRIPTION", "RULE", "NUMBER"]);
        for rule in rules {
            let mut cells = vec![
                Cell::new(rule.group),
                Cell::new(rule.direction),
                Cell::new(&rule.protocol),
                Cell::new(&rule.ports),
                Cell::new(&rule.peer),
                Tone::Quiet.cell(rule.id),
            ];
            let number = rule
                .number
                .map_or("-".to_owned(), |number| number.to_string());
            cells.extend(numbered.then(|| Cell::new(number)));
            cells.push(Cell::new(rule.description));
            table.push(cells);
        }
        table
    }
}

/// A rule of an interface.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct MergedRuleView<'a> {
    #[serde(skip)]
    interface: &'a str,
    #[serde(flatten)]
    rule: RuleView<'a>,
    ranges: usize,
    untracked: Vec<Transport>,
}

impl<'a> MergedRuleView<'a> {
    /// The rules of all groups of an interface, in the order that picks the deciding one.
    pub(crate) fn of_interface(
        model: &'a Model,
        interface: &'a str,
        spec: &'a InterfaceSpec,
    ) -> Vec<Self> {
        model
            .merged_rules(spec)
            .into_iter()
            .map(|merged| Self {
                interface,
                rule: RuleView::new(merged.group, merged.direction, merged.rule),
                ranges: model.ranges(&merged.rule.peer),
                untracked: merged.untracked,
            })
            .collect()
    }

    /// The table of merged rules, by interface.
    pub(crate) fn table(rules: &[Self]) -> Table {
        let mut table = Table::new(&[
            "INTERFACE",
            "DIRECTION",
            "PROTOCOL",
            "PORTS",
            "PEER",
            ">RANGES",
            "UNTRACKED",
            "GROUP",
            "RULE",
            "DESCRIPTION",
        ])
        .giving_way(&["DESCRIPTION", "RULE", "RANGES", "UNTRACKED"]);
        for MergedRuleView {
            interface,
            rule,
            ranges,
            untracked,
        } in rules
        {
            let untracked: Vec<_> = untracked.iter().map(Transport::to_string).collect();
            table.push([
                Cell::new(interface),
                Cell::new(rule.direction),
                Cell::new(&rule.protocol),
                Cell::new(&rule.ports),
                Cell::new(&rule.peer),
                Cell::new(ranges),
                Cell::new(or_dash(&untracked.join(","))),
                Cell::new(rule.group),
                Tone::Quiet.cell(rule.id),
                Cell::new(rule.description),
            ]);
        }
        table
    }
}
