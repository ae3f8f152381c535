//! What a template comes to allows no packet that some stack of it does not allow.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{imported, rules, source};
use crate::model::Direction::{Inbound, Outbound};

const PARAMETERS: usize = 3;
/// Values of each parameter; a template compares with the first two only.
const VALUES: [&str; 3] = ["x", "y", "z"];
const CONDITIONS: usize = 4;
const GROUPS: usize = 2;

#[derive(Clone, Debug)]
enum Condition {
    Equals(usize, usize),
    Same(usize, usize),
    Named(usize),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

/// A rule, or `Fn::If` of rules and `AWS::NoValue`.
#[derive(Clone, Debug)]
enum Item {
    Rule(u16),
    If(usize, Option<u16>, Option<u16>),
}

#[derive(Clone, Debug)]
enum Egress {
    List(Vec<Item>),
    If(usize, Vec<Item>, Option<Vec<Item>>),
}

#[derive(Clone, Debug)]
struct Group {
    condition: Option<usize>,
    ingress: Vec<Item>,
    egress: Option<Egress>,
}

#[derive(Clone, Debug)]
struct RuleResource {
    is_egress: bool,
    condition: Option<usize>,
    /// The group, or two that a condition chooses between.
    groups: (usize, Option<(usize, usize)>),
    port: u16,
}

#[derive(Clone, Debug)]
struct Template {
    defaults: Vec<Option<usize>>,
    conditions: Vec<Condition>,
    groups: Vec<Group>,
    resources: Vec<RuleResource>,
}

fn condition() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        4 => (0..PARAMETERS, 0..2_usize).prop_map(|(name, value)| Condition::Equals(name, value)),
        1 => (0..PARAMETERS, 0..PARAMETERS).prop_map(|(one, two)| Condition::Same(one, two)),
        2 => (0..CONDITIONS).prop_map(Condition::Named),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|one| Condition::Not(Box::new(one))),
            vec(inner.clone(), 2..4).prop_map(Condition::And),
            vec(inner, 2..4).prop_map(Condition::Or),
        ]
    })
}

fn item() -> impl Strategy<Value = Item> {
    let port = 1_u16..20;
    prop_oneof![
        port.clone().prop_map(Item::Rule),
        (0..CONDITIONS, option::of(port.clone()), option::of(port))
            .prop_map(|(condition, yes, no)| Item::If(condition, yes, no)),
    ]
}

fn group() -> impl Strategy<Value = Group> {
    let egress = prop_oneof![
        vec(item(), 0..3).prop_map(Egress::List),
        (
            0..CONDITIONS,
            vec(item(), 0..3),
            option::of(vec(item(), 0..3))
        )
            .prop_map(|(condition, yes, no)| Egress::If(condition, yes, no)),
    ];
    (
        option::weighted(0.2, 0..CONDITIONS),
        vec(item(), 0..3),
        option::of(egress),
    )
        .prop_map(|(condition, ingress, egress)| Group {
            condition,
            ingress,
            egress,
        })
}

fn template() -> impl Strategy<Value = Template> {
    let chosen = option::weighted(0.3, (0..CONDITIONS, 0..GROUPS));
    let resource = (
        any::<bool>(),
        option::of(0..CONDITIONS),
        (0..GROUPS, chosen),
        30_u16..40,
    );
    let resource = resource.prop_map(|(is_egress, condition, groups, port)| RuleResource {
        is_egress,
        condition,
        groups,
        port,
    });
    (
        vec(option::of(0..VALUES.len()), PARAMETERS),
        vec(condition(), CONDITIONS),
        vec(group(), GROUPS),
        vec(resource, 0..4),
    )
        .prop_map(|(defaults, conditions, groups, resources)| Template {
            defaults,
            conditions,
            groups,
            resources,
        })
}

/// One stack: values of parameters.
struct Stack<'t> {
    template: &'t Template,
    values: [usize; PARAMETERS],
}

impl Stack<'_> {
    /// Whether a condition holds; `Named` of a later one counts as its first parameter's.
    fn holds(&self, condition: &Condition, index: usize) -> bool {
        match condition {
            Condition::Equals(name, value) => self.values[*name] == *value,
            Condition::Same(one, two) => self.values[*one] == self.values[*two],
            Condition::Named(other) if *other < index => self.named(*other),
            Condition::Named(_) => self.values[0] == 0,
            Condition::Not(one) => !self.holds(one, index),
            Condition::And(all) => all.iter().all(|one| self.holds(one, index)),
            Condition::Or(all) => all.iter().any(|one| self.holds(one, index)),
        }
    }

    fn named(&self, index: usize) -> bool {
        self.holds(&self.template.conditions[index], index)
    }

    fn is_made(&self, condition: Option<usize>) -> bool {
        condition.is_none_or(|condition| self.named(condition))
    }

    fn ports(&self, items: &[Item]) -> Vec<u16> {
        let ports = items.iter().filter_map(|item| match item {
            Item::Rule(port) => Some(*port),
            Item::If(condition, yes, no) => {
                if self.named(*condition) {
                    *yes
                } else {
                    *no
                }
            }
        });
        ports.collect()
    }

    /// What the stack allows, unless CloudFormation refuses it.
    fn allowed(&self) -> Option<BTreeSet<String>> {
        let mut allowed = BTreeSet::new();
        let mut egress_of = [false; GROUPS];
        let made: Vec<bool> = self
            .template
            .groups
            .iter()
            .map(|group| self.is_made(group.condition))
            .collect();
        for resource in &self.template.resources {
            if !self.is_made(resource.condition) {
                continue;
            }
            let (first, chosen) = resource.groups;
            let group = match chosen {
                Some((condition, other)) if !self.named(condition) => other,
                _ => first,
            };
            if !made[group] {
                return None;
            }
            egress_of[group] |= resource.is_egress;
            let word = if resource.is_egress {
                "outbound"
            } else {
                "inbound"
            };
            allowed.insert(format!("G{group} {word} tcp {} 10.0.0.0/8", resource.port));
        }
        for (index, group) in self.template.groups.iter().enumerate() {
            if !made[index] {
                continue;
            }
            for port in self.ports(&group.ingress) {
                allowed.insert(format!("G{index} inbound tcp {port} 10.0.0.0/8"));
            }
            let outbound = match &group.egress {
                None => Vec::new(),
                Some(Egress::List(items)) => self.ports(items),
                Some(Egress::If(condition, yes, _)) if self.named(*condition) => self.ports(yes),
                Some(Egress::If(_, _, no)) => {
                    no.as_ref().map(|no| self.ports(no)).unwrap_or_default()
                }
            };
            if outbound.is_empty() && !egress_of[index] {
                for everywhere in ["0.0.0.0/0", "::/0"] {
                    allowed.insert(format!("G{index} outbound all {everywhere}"));
                }
            }
            for port in outbound {
                allowed.insert(format!("G{index} outbound tcp {port} 10.0.0.0/8"));
            }
        }
        Some(allowed)
    }
}

fn written_condition(condition: &Condition, index: usize) -> Value {
    let all = |all: &[Condition]| -> Vec<_> {
        all.iter()
            .map(|one| written_condition(one, index))
            .collect()
    };
    let parameter = |name: usize| json!({"Ref": format!("P{name}")});
    match condition {
        Condition::Equals(name, value) => {
            json!({"Fn::Equals": [parameter(*name), VALUES[*value]]})
        }
        Condition::Same(one, two) => json!({"Fn::Equals": [parameter(*one), parameter(*two)]}),
        Condition::Named(other) if *other < index => json!({"Condition": format!("C{other}")}),
        Condition::Named(_) => json!({"Fn::Equals": [VALUES[0], parameter(0)]}),
        Condition::Not(one) => json!({"Fn::Not": [written_condition(one, index)]}),
        Condition::And(each) => json!({"Fn::And": all(each)}),
        Condition::Or(each) => json!({"Fn::Or": all(each)}),
    }
}

fn written_rule(port: u16) -> Value {
    json!({"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "CidrIp": "10.0.0.0/8"})
}

fn written_items(items: &[Item]) -> Value {
    let rule = |port: &Option<u16>| port.map_or(json!({"Ref": "AWS::NoValue"}), written_rule);
    let items = items.iter().map(|item| match item {
        Item::Rule(port) => written_rule(*port),
        Item::If(condition, yes, no) => {
            json!({"Fn::If": [format!("C{condition}"), rule(yes), rule(no)]})
        }
    });
    items.collect()
}

fn written(template: &Template) -> Value {
    let mut resources = Map::new();
    let mut add = |name: String, kind: &str, condition: Option<usize>, keys: Value| {
        let mut resource = json!({"Type": format!("AWS::EC2::{kind}"), "Properties": keys});
        if let Some(condition) = condition {
            resource["Condition"] = format!("C{condition}").into();
        }
        resources.insert(name, resource);
    };
    for (index, group) in template.groups.iter().enumerate() {
        let mut keys = json!({"GroupDescription": "g",
            "SecurityGroupIngress": written_items(&group.ingress)});
        match &group.egress {
            None => {}
            Some(Egress::List(items)) => keys["SecurityGroupEgress"] = written_items(items),
            Some(Egress::If(condition, yes, no)) => {
                let no = no
                    .as_deref()
                    .map_or(json!({"Ref": "AWS::NoValue"}), written_items);
                keys["SecurityGroupEgress"] =
                    json!({"Fn::If": [format!("C{condition}"), written_items(yes), no]});
            }
        }
        add(format!("G{index}"), "SecurityGroup", group.condition, keys);
    }
    for (index, resource) in template.resources.iter().enumerate() {
        let mut keys = written_rule(resource.port);
        let group = |group: usize| json!({"Fn::GetAtt": [format!("G{group}"), "GroupId"]});
        keys["GroupId"] = match resource.groups {
            (first, None) => group(first),
            (first, Some((condition, other))) => {
                json!({"Fn::If": [format!("C{condition}"), group(first), group(other)]})
            }
        };
        let kind = if resource.is_egress {
            "SecurityGroupEgress"
        } else {
            "SecurityGroupIngress"
        };
        add(format!("R{index}"), kind, resource.condition, keys);
    }
    let parameters = template
        .defaults
        .iter()
        .enumerate()
        .map(|(index, default)| {
            let mut parameter = json!({"Type": "String"});
            if let Some(default) = default {
                parameter["Default"] = VALUES[*default].into();
            }
            (format!("P{index}"), parameter)
        });
    let conditions = template.conditions.iter().enumerate();
    let conditions = conditions
        .map(|(index, condition)| (format!("C{index}"), written_condition(condition, index)));
    json!({"Parameters": parameters.collect::<Map<_, _>>(),
        "Conditions": conditions.collect::<Map<_, _>>(), "Resources": resources})
}

/// What every stack allows that CloudFormation makes of a template, and how many there are.
fn of_all_stacks(template: &Template) -> Option<(BTreeSet<String>, usize)> {
    let mut common: Option<BTreeSet<String>> = None;
    let mut count = 0;
    for number in 0..VALUES.len().pow(PARAMETERS as u32) {
        let values = [0, 1, 2].map(|index| number / VALUES.len().pow(index) % VALUES.len());
        let fits =
            |(default, value): (&Option<usize>, &usize)| default.is_none_or(|it| it == *value);
        if !template.defaults.iter().zip(&values).all(fits) {
            continue;
        }
        let stack = Stack { template, values };
        let Some(allowed) = stack.allowed() else {
            continue;
        };
        count += 1;
        common = Some(match common {
            Some(common) => common.intersection(&allowed).cloned().collect(),
            None => allowed,
        });
    }
    common.map(|common| (common, count))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn a_template_allows_nothing_that_some_stack_does_not(template in template()) {
        let Some((common, stacks)) = of_all_stacks(&template) else {
            return Ok(());
        };
        let text = written(&template).to_string();
        let model = imported(&[source(&text)]).model;
        let mut found = BTreeSet::new();
        for name in (0..GROUPS).map(|index| format!("G{index}")) {
            if model.groups.contains_key(&name) {
                for (direction, word) in [(Inbound, "inbound"), (Outbound, "outbound")] {
                    let rules = rules(&model, &name, direction);
                    found.extend(rules.iter().map(|rule| format!("{name} {word} {rule}")));
                }
            }
        }
        prop_assert!(found.is_subset(&common), "{found:?}\n{common:?}\n{text}");
        if stacks == 1 && template.defaults.iter().all(Option::is_some) {
            prop_assert_eq!(found, common, "{}", text);
        }
    }
}
