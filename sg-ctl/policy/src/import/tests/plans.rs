//! Plans of real Terraform (1.11, provider 5.100), and what AWS's emulator moto held after each was
//! applied: a plan's import allows nothing else.

use std::collections::BTreeSet;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{imported, source};
use crate::model::{Direction, Model};

macro_rules! plan {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("data/plans/", $name, ".json")),
            include_str!(concat!("data/plans/", $name, ".applied")),
        )
    };
}

const PLANS: [(&str, &str, &str); 24] = [
    plan!("01-direct"),
    plan!("02-same-key"),
    plan!("03-key-in-value"),
    plan!("04-count"),
    plan!("05-count-by-list"),
    plan!("06-count-next"),
    plan!("07-condition"),
    plan!("08-modules"),
    plan!("09-module-for-each"),
    plan!("10-dynamic"),
    plan!("11-inline-groups"),
    plan!("12-rule-maps"),
    plan!("13-key-split"),
    plan!("14-coalesce"),
    plan!("15-sources-by-value"),
    plan!("16-each-value-resource"),
    plan!("17-map-output"),
    plan!("18-module-argument"),
    plan!("19-prefix-lists"),
    plan!("20-attribute-syntax"),
    plan!("21-mixed-exact-and-key"),
    plan!("22-default-and-modulo"),
    plan!("23-static-and-dynamic"),
    plan!("24-dynamic-unknown"),
];

/// What a model allows beyond what every host's group `default` does.
fn allowed(model: &Model) -> BTreeSet<String> {
    let of_every_host = lines(&Model::new());
    let lines = lines(model).into_iter();
    lines.filter(|line| !of_every_host.contains(line)).collect()
}

/// Everything that a model allows, a line for each rule and entry.
fn lines(model: &Model) -> BTreeSet<String> {
    let rules = model.groups.iter().flat_map(|(name, group)| {
        [
            (Direction::Inbound, "inbound"),
            (Direction::Outbound, "outbound"),
        ]
        .into_iter()
        .flat_map(move |(direction, word)| {
            let rules = group.rules(direction).iter();
            rules.map(move |rule| format!("{name} {word} {} {}", rule.service, rule.peer))
        })
    });
    let entries = model.prefix_lists.iter().flat_map(|(name, list)| {
        let entries = list.entries.iter();
        entries.map(move |entry| format!("pl:{name} {entry}"))
    });
    rules.chain(entries).collect()
}

#[test]
fn a_dynamic_block_over_something_unknown_is_left_out_and_told() {
    let (_, plan, _) = PLANS[23];
    let result = imported(&[source(plan)]);
    assert_eq!(
        allowed(&result.model),
        BTreeSet::from(["half inbound tcp 443 10.0.0.0/8".to_owned()])
    );
    let told: Vec<_> = result
        .warnings
        .diagnostics
        .iter()
        .map(|found| found.field.as_str())
        .collect();
    assert_eq!(
        told,
        [
            "aws_security_group.dynamic.ingress[0]",
            "aws_security_group.half.ingress[0]"
        ]
    );
}

#[test]
fn no_plan_of_real_terraform_allows_more_than_its_apply_did() {
    let mut table = Vec::new();
    for (name, plan, applied) in PLANS {
        let lines = applied.lines().filter(|line| !line.starts_with("default "));
        let applied: BTreeSet<String> = lines.map(str::to_owned).collect();
        let result = imported(&[source(plan)]);
        let found = allowed(&result.model);
        let more: Vec<_> = found.difference(&applied).collect();
        assert!(more.is_empty(), "{name}: {more:?}");
        let told = result.warnings.diagnostics.len();
        let less: Vec<_> = applied.difference(&found).collect();
        assert!(less.is_empty() || told > 0, "{name}: {less:?}");
        table.push(format!(
            "{name} {} of {}, {told} told",
            found.len(),
            applied.len()
        ));
    }
    assert_eq!(table, TABLE);
}

/// How much of what was applied each plan tells, and findings.
const TABLE: [&str; 24] = [
    "01-direct 3 of 3, 0 told",
    "02-same-key 2 of 2, 0 told",
    "03-key-in-value 0 of 2, 2 told",
    "04-count 3 of 3, 0 told",
    "05-count-by-list 0 of 2, 2 told",
    "06-count-next 0 of 2, 2 told",
    "07-condition 2 of 3, 1 told",
    "08-modules 2 of 2, 0 told",
    "09-module-for-each 3 of 5, 2 told",
    "10-dynamic 3 of 5, 2 told",
    "11-inline-groups 3 of 5, 2 told",
    "12-rule-maps 1 of 3, 2 told",
    "13-key-split 0 of 2, 2 told",
    "14-coalesce 0 of 5, 5 told",
    "15-sources-by-value 2 of 4, 2 told",
    "16-each-value-resource 0 of 2, 2 told",
    "17-map-output 0 of 2, 2 told",
    "18-module-argument 2 of 6, 4 told",
    "19-prefix-lists 5 of 5, 0 told",
    "20-attribute-syntax 4 of 4, 0 told",
    "21-mixed-exact-and-key 2 of 4, 2 told",
    "22-default-and-modulo 0 of 4, 5 told",
    "23-static-and-dynamic 2 of 6, 4 told",
    "24-dynamic-unknown 1 of 3, 2 told",
];

/// How a rule of a generated plan names its group.
#[derive(Clone, Debug)]
enum Naming {
    /// `g["a"].id`
    Exact(usize),
    /// `g[each.key].id`, where every rule's key is a group's.
    OwnKey,
    /// `g[each.value].id`
    Value,
    /// `local.by_key[each.key]`
    Local,
    /// `each.key == "a" ? g["b"].id : g[each.key].id`
    Mixed(usize),
    /// `coalesce(local.preferred, g["a"].id)`
    Coalesce(usize),
    /// `var.which ? g["a"].id : g["b"].id`
    Choice(usize, usize),
    /// `var.group`, in a module that is given `g["a"].id`.
    Argument(usize),
    /// `module.m.ids[each.key]`, a map in any order.
    Output,
}

/// Rules of a `for_each`: their keys, each with the group that `each.value` or a map names.
#[derive(Clone, Debug)]
struct Rules {
    naming: Naming,
    values: std::collections::BTreeMap<usize, usize>,
}

const KEYS: [&str; 4] = ["a", "b", "a-b", "c.d"];

fn rules() -> impl Strategy<Value = Rules> {
    let key = 0..KEYS.len();
    let naming = prop_oneof![
        key.clone().prop_map(Naming::Exact),
        Just(Naming::OwnKey),
        Just(Naming::Value),
        Just(Naming::Local),
        key.clone().prop_map(Naming::Mixed),
        key.clone().prop_map(Naming::Coalesce),
        (key.clone(), key.clone()).prop_map(|(one, two)| Naming::Choice(one, two)),
        key.clone().prop_map(Naming::Argument),
        Just(Naming::Output),
    ];
    let values = btree_map(key.clone(), key, 1..4);
    (naming, values).prop_map(|(naming, values)| Rules { naming, values })
}

impl Rules {
    /// The group of the rule with this key; `None` where Terraform refuses.
    fn group(&self, key: usize) -> Option<usize> {
        Some(match self.naming {
            Naming::Exact(group) | Naming::Argument(group) | Naming::Choice(group, _) => group,
            Naming::OwnKey => key,
            Naming::Mixed(group) => {
                if key == 0 {
                    group
                } else {
                    key
                }
            }
            Naming::Value | Naming::Local | Naming::Output | Naming::Coalesce(_) => {
                *self.values.get(&key)?
            }
        })
    }

    /// The names that Terraform lists for the argument.
    fn references(&self) -> Vec<String> {
        let exact = |key: usize| {
            let group = format!("aws_security_group.g[\"{}\"]", KEYS[key]);
            vec![format!("{group}.id"), group]
        };
        let all = || vec!["aws_security_group.g".to_owned()];
        let word = |word: &str| vec![word.to_owned()];
        match self.naming {
            Naming::Exact(group) => [exact(group), all()].concat(),
            Naming::OwnKey => [all(), word("each.key")].concat(),
            Naming::Value => [all(), word("each.value")].concat(),
            Naming::Local => [word("local.by_key"), word("each.key")].concat(),
            Naming::Mixed(group) => [word("each.key"), exact(group), all()].concat(),
            Naming::Coalesce(group) => [word("local.preferred"), exact(group), all()].concat(),
            Naming::Choice(one, two) => [word("var.which"), exact(one), exact(two), all()].concat(),
            Naming::Argument(_) => word("var.group"),
            Naming::Output => [word("module.m.ids"), word("module.m"), word("each.key")].concat(),
        }
    }
}

/// A plan as Terraform prints it, and what its apply allows.
fn plan(groups: &BTreeSet<usize>, all: &[Rules]) -> Option<(Value, BTreeSet<String>)> {
    let mut resources = Vec::new();
    let mut changes = Vec::new();
    let mut applied = BTreeSet::new();
    let mut configured = vec![json!({"address": "aws_security_group.g", "mode": "managed",
        "type": "aws_security_group", "name": "g", "expressions": {}})];
    let mut calls = json!({"m": {"module": {"outputs": {"ids": {"expression":
        {"references": ["aws_security_group.g"]}}}}}});
    let mut modules = Vec::new();
    for key in groups {
        let address = format!("aws_security_group.g[\"{}\"]", KEYS[*key]);
        let name = format!("g-{}", KEYS[*key]);
        resources.push(json!({"address": address, "mode": "managed", "name": "g",
            "type": "aws_security_group", "values": {"name": name}}));
        changes.push(json!({"address": address, "change": {"after_unknown": {"id": true}}}));
    }
    for (index, rules) in all.iter().enumerate() {
        let mut own = Vec::new();
        let module = match rules.naming {
            Naming::Argument(_) => format!("module.r{index}."),
            _ => String::new(),
        };
        for key in rules.values.keys() {
            let group = rules.group(*key).filter(|group| groups.contains(group))?;
            let plain = format!(
                "aws_vpc_security_group_ingress_rule.r{index}[\"{}\"]",
                KEYS[*key]
            );
            let address = format!("{module}{plain}");
            let port = 10 * (index + 1) + key;
            own.push(
                json!({"address": address, "mode": "managed", "name": format!("r{index}"),
                "type": "aws_vpc_security_group_ingress_rule", "values": {"ip_protocol": "tcp",
                "from_port": port, "to_port": port, "cidr_ipv4": "10.0.0.0/8"}}),
            );
            changes.push(json!({"address": address, "change": {"after_unknown":
                {"id": true, "security_group_id": true}}}));
            applied.insert(format!("g-{} inbound tcp {port} 10.0.0.0/8", KEYS[group]));
        }
        let rule = json!({"address": format!("aws_vpc_security_group_ingress_rule.r{index}"),
            "mode": "managed", "type": "aws_vpc_security_group_ingress_rule",
            "expressions": {"security_group_id": {"references": rules.references()}}});
        if let Naming::Argument(group) = rules.naming {
            let given = Rules {
                naming: Naming::Exact(group),
                ..rules.clone()
            };
            calls[format!("r{index}")] = json!({"expressions": {"group":
                {"references": given.references()}}, "module": {"resources": [rule]}});
            modules.push(json!({"address": format!("module.r{index}"), "resources": own}));
        } else {
            configured.push(rule);
            resources.extend(own);
        }
    }
    let plan = json!({"format_version": "1.2",
        "planned_values": {"root_module": {"resources": resources, "child_modules": modules}},
        "resource_changes": changes,
        "configuration": {"root_module": {"resources": configured, "module_calls": calls}}});
    Some((plan, applied))
}

proptest! {
    #[test]
    fn a_plan_allows_nothing_that_its_apply_does_not(
        groups in btree_set(0..KEYS.len(), 1..4),
        all in vec(rules(), 1..5),
    ) {
        let Some((plan, applied)) = plan(&groups, &all) else {
            return Ok(());
        };
        let found = allowed(&imported(&[source(&plan.to_string())]).model);
        prop_assert!(found.is_subset(&applied), "{found:?}\n{applied:?}\n{plan:#}");
        // What names its group exactly is told.
        let is_exact = |rules: &Rules| {
            matches!(rules.naming, Naming::Exact(_) | Naming::OwnKey | Naming::Argument(_))
        };
        if all.iter().all(is_exact) {
            prop_assert_eq!(found, applied);
        }
    }
}
