//! What `terraform show -json` prints.

use super::{data, findings, findings_of, imported, rules, source};
use crate::model::Direction::{Inbound, Outbound};

/// A state that holds one resource.
fn state(kind: &str, values: &str) -> String {
    format!(
        r#"{{"format_version": "1.0", "values": {{"root_module": {{"resources": [{{"address": "{kind}.x",
"mode": "managed", "type": "{kind}", "name": "x", "values": {{{values}}}}}]}}}}}}"#
    )
}

#[test]
fn a_state_becomes_a_model() {
    let state = imported(&[data!("state.json")]);
    let model = &state.model;
    assert_eq!(
        rules(model, "bastion", Inbound),
        [
            "tcp 22 198.51.100.0/24",
            "tcp 22 203.0.113.7/32",
            "tcp 22 2001:db8:1::/48",
            "all pl:office",
            "all sg:elsewhere:sg-0feedc0ffee000001",
            "all sg:bastion",
        ]
    );
    assert_eq!(
        rules(model, "bastion", Outbound),
        ["all 0.0.0.0/0", "all ::/0"]
    );
    assert_eq!(model.groups["bastion"].tags["Stack"], "ops");
    // The rule that the group shows inline and the resource that made it are one.
    let app = "app-20260101000000000000000001";
    assert_eq!(
        rules(model, app, Inbound),
        ["tcp 22 sg:bastion", "icmp 8 10.0.0.0/8"]
    );
    let ids: Vec<_> = model.groups[app]
        .inbound
        .iter()
        .map(|rule| rule.id.as_str())
        .collect();
    assert_eq!(ids, ["sgr-0000000000000000a", "sgr-0000000000000000b"]);
    assert_eq!(rules(model, app, Outbound), ["all pl:office"]);
    // Terraform takes the rules of a default group away.
    assert!(model.groups["default"].inbound.is_empty());
    assert!(model.groups["default"].outbound.is_empty());
    let office = &model.prefix_lists["office"];
    assert_eq!((office.entries.len(), office.max_entries), (2, Some(5)));
    for group in ["bastion", app] {
        let members: Vec<_> = model.members[group]
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(members, ["10.0.0.5", "10.0.0.6", "2001:db8::5"]);
    }
    assert_eq!(
        findings(&state.warnings),
        [
            "warning state.json:20 aws_security_group.bastion.ingress[1]: the group \
             `sg-0feedc0ffee000001` is not in the files (it is imported as \
             `elsewhere:sg-0feedc0ffee000001`, with no rules but those of these files; list the \
             addresses that carry it under `members`)",
            "warning state.json:41 aws_vpc_security_group_egress_rule.office.tags: rules have no tags \
             here: not carried over (put what matters into the description of the rule)",
        ]
    );
}

#[test]
fn a_plan_tells_by_its_configuration_what_unknown_ids_will_be() {
    let plan = imported(&[data!("plan.json")]);
    let model = &plan.model;
    assert_eq!(rules(model, "alb", Inbound), ["tcp 443 0.0.0.0/0"]);
    // No `egress` in the configuration is no egress: Terraform removes AWS's default rule.
    assert_eq!(rules(model, "alb", Outbound), [""; 0]);
    // Of several instances the one with the same key.
    assert_eq!(rules(model, "node-a", Inbound), ["tcp 30000-32767 sg:alb"]);
    assert_eq!(rules(model, "node-a", Outbound), ["all 10.0.0.0/16"]);
    // Through a variable of a module.
    assert_eq!(
        rules(model, "db", Inbound),
        ["tcp 5432 sg:node-b", "tcp 5432 sg:db"]
    );
    let help = "apply, and import what `terraform show -json` prints of the state";
    assert_eq!(
        findings(&plan.warnings),
        [
            "warning plan.json:13 aws_security_group.node[\"a\"]: the name of the group is not known \
             before apply (it is imported as `node-a`)"
                .to_owned(),
            format!(
                "warning plan.json:13 aws_security_group.node[\"a\"]: the rules in `ingress` are not \
                 known before apply: not carried over ({help})"
            ),
            format!(
                "warning plan.json:19 aws_security_group.node[\"b\"]: the rules in `ingress` are not \
                 known before apply: not carried over ({help})"
            ),
            format!(
                "warning plan.json:19 aws_security_group.node[\"b\"]: the rules in `egress` are not \
                 known before apply: not carried over ({help})"
            ),
            format!(
                "warning plan.json:31 aws_vpc_security_group_ingress_rule.vpc: `cidr_ipv4` is not \
                 known before apply: not carried over ({help})"
            ),
            format!(
                "warning plan.json:46 module.db.aws_security_group_rule.extra: \
                 `security_group_id` is not known before apply: not carried over ({help})"
            ),
        ]
    );
}

#[test]
fn r07_ports_with_all_protocols_are_widened_aloud() {
    let values = r#""name": "web", "id": "sg-0123456789abcdef0", "ingress": [{"protocol": "-1",
"from_port": 88, "to_port": 88, "cidr_blocks": ["10.0.0.0/8"]}]"#;
    let text = state("aws_security_group", values);
    let imported = imported(&[source(&text)]);
    assert_eq!(rules(&imported.model, "web", Inbound), ["all 10.0.0.0/8"]);
    let found = findings(&imported.warnings);
    assert!(
        found[0].contains("AWS ignores the ports 88-88"),
        "{found:?}"
    );
}

#[test]
fn what_is_not_understood_is_told() {
    assert_eq!(
        findings_of(&state("aws_vpc_security_group_vpc_association", "")),
        ["warning a:2 aws_vpc_security_group_vpc_association.x: \
             `aws_vpc_security_group_vpc_association` is not carried over (look whether it changes \
             what is allowed)"]
    );
    assert_eq!(
        findings_of(r#"{"format_version": "1.0", "values": {"outputs": {}}}"#),
        [
            "error a:1 : `root_module` is missing (this is not what `terraform show -json` prints: \
             was the file cut off?)"
        ]
    );
    let rule = state(
        "aws_security_group_rule",
        r#""type": "ingress", "protocol": "tcp""#,
    );
    assert!(findings_of(&rule)[0].contains("the rule belongs to no group"));
}
