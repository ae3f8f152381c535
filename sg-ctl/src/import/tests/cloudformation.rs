//! Templates.

use super::{data, findings, findings_of, imported, rules, source};
use crate::model::Direction::{Inbound, Outbound};

/// A template with one group whose only inbound rule has these keys.
fn template(rule: &str) -> String {
    format!(
        "Resources: {{Web: {{Type: AWS::EC2::SecurityGroup, Properties: {{GroupDescription: web, \
         SecurityGroupIngress: [{{{rule}}}]}}}}}}"
    )
}

#[test]
fn a_template_becomes_a_model() {
    let template = imported(&[data!("template.yaml")]);
    let model = &template.model;
    assert_eq!(
        rules(model, "AlbGroup", Inbound),
        ["tcp 443 0.0.0.0/0", "tcp 443 ::/0"]
    );
    // No outbound rule is AWS's default one.
    assert_eq!(
        rules(model, "AlbGroup", Outbound),
        ["all 0.0.0.0/0", "all ::/0"]
    );
    assert_eq!(
        model.groups["AlbGroup"].tags["Name"],
        "${AWS::StackName}-alb"
    );
    assert_eq!(
        rules(model, "app-prod", Inbound),
        [
            "tcp 8080 sg:AlbGroup",
            "tcp 22 sg:BastionGroup",
            "tcp 22 203.0.113.0/24",
            "icmp 8 10.0.0.0/16",
            "all sg:app-prod",
        ]
    );
    assert_eq!(rules(model, "app-prod", Outbound), ["all 127.0.0.1/32"]);
    assert_eq!(model.groups["app-prod"].description, "app servers");
    assert_eq!(
        rules(model, "DbGroup", Inbound),
        ["tcp 5432 sg:shared-clients", "tcp 5432 pl:office"]
    );
    // A rule that is a resource of its own replaces the default one, too.
    assert_eq!(rules(model, "DbGroup", Outbound), ["tcp 443 pl:office"]);
    assert_eq!(model.prefix_lists["office"].max_entries, Some(4));
    let elsewhere = |name: &str| {
        format!(
            "it is imported as `{name}`, without rules; list the addresses that carry it under \
             `members`"
        )
    };
    let default = "correct it here if the stack has another value";
    assert_eq!(
        findings(&template.warnings),
        [
            format!(
                "warning template.yaml:6 Parameters.AdminCidr.Default: the default \
                 `203.0.113.0/24` of the parameter is imported ({default})"
            ),
            format!(
                "warning template.yaml:8 Parameters.Stage.Default: the default `prod` of the \
                 parameter is imported ({default})"
            ),
            format!(
                "warning template.yaml:50 \
                 Resources.AppGroup.Properties.SecurityGroupIngress[1]: the group `BastionGroup` \
                 is not in the files ({})",
                elsewhere("BastionGroup")
            ),
            format!(
                "warning template.yaml:68 Resources.DbGroup.Properties.SecurityGroupIngress[0]: \
                 the group `shared-clients` is not in the files ({})",
                elsewhere("shared-clients")
            ),
        ]
    );
}

#[test]
fn json_templates_say_the_same_in_long_form() {
    let text = r#"{"Resources": {
"A": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "a"}},
"B": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "b",
  "SecurityGroupIngress": [{"IpProtocol": "udp", "FromPort": "53", "ToPort": "53",
    "SourceSecurityGroupId": {"Fn::GetAtt": ["A", "GroupId"]}}]}}}}"#;
    let imported = imported(&[source(text)]);
    assert_eq!(rules(&imported.model, "B", Inbound), ["udp 53 sg:A"]);
    assert_eq!(findings(&imported.warnings), [""; 0]);
}

#[test]
fn r07_ports_with_all_protocols_are_widened_aloud() {
    let rule = "IpProtocol: -1, FromPort: 88, ToPort: 88, CidrIp: 10.0.0.0/8";
    let imported = imported(&[source(&template(rule))]);
    assert_eq!(rules(&imported.model, "Web", Inbound), ["all 10.0.0.0/8"]);
    let found = findings(&imported.warnings);
    assert!(
        found[0].contains("AWS ignores the ports 88-88"),
        "{found:?}"
    );
}

#[test]
fn what_only_a_stack_knows_is_told() {
    let place = "Resources.Web.Properties.SecurityGroupIngress[0]";
    let help = "give the parameter a default, or import what `aws ec2 describe-security-groups` \
                prints of the stack";
    for (rule, expected) in [
        (
            "IpProtocol: -1, CidrIp: !Ref Missing",
            format!(
                "warning a:1 {place}.CidrIp: `Missing` is not known from the template: not carried \
                 over ({help})"
            ),
        ),
        (
            "IpProtocol: tcp, FromPort: !Ref Port, ToPort: 80, CidrIp: 10.0.0.0/8",
            format!(
                "warning a:1 {place}.FromPort: `Port` is not known from the template: not carried \
                 over ({help})"
            ),
        ),
        (
            "IpProtocol: -1, CidrIp: !If [IsProd, 10.0.0.0/8, 192.0.2.0/24]",
            "warning a:1 Resources.Web.Properties.SecurityGroupIngress[0].CidrIp: the condition \
             `IsProd` is not known: not carried over (give its parameters defaults, and import \
             again)"
                .to_owned(),
        ),
    ] {
        assert_eq!(findings_of(&template(rule))[0], expected);
    }
    for (text, expected) in [
        (
            "Resources: {'Fn::ForEach::Groups': [a, b, c]}",
            "warning a:1 Resources.Fn::ForEach::Groups: this is no resource: not carried over",
        ),
        (
            "Resources: {A: {Type: AWS::RDS::DBSecurityGroupIngress, Properties: {}}}",
            "warning a:1 Resources.A: `AWS::RDS::DBSecurityGroupIngress` is not carried over",
        ),
        (
            "Resources: {A: {Type: AWS::EC2::SecurityGroup, Properties: {Egress: [a]}}}",
            "warning a:1 Resources.A.Properties.Egress: unknown to the importer",
        ),
    ] {
        let found = findings_of(text);
        assert!(found[0].starts_with(expected), "{found:?}");
    }
}

#[test]
fn what_aws_refuses_is_an_error() {
    for (rule, expected) in [
        (
            "IpProtocol: tcp, CidrIp: 10.0.0.0/8",
            "tcp needs both ports",
        ),
        (
            "IpProtocol: tcp, FromPort: a, ToPort: b, CidrIp: 10.0.0.0/8",
            "`a` is not a number",
        ),
        ("CidrIp: 10.0.0.0/8", "the rule names no protocol"),
        ("IpProtocol: -1", "the rule has no source or destination"),
        (
            "IpProtocol: -1, CidrIp: 10.0.0.1",
            "`10.0.0.1` is not an address range",
        ),
    ] {
        let found = findings_of(&template(rule));
        assert!(
            found[0].starts_with("error a:1 ") && found[0].contains(expected),
            "{found:?}"
        );
    }
}

#[test]
fn circles_of_references_end() {
    let text = "
Parameters: {P: {Default: {Ref: P}}}
Conditions: {C: {Condition: C}}
Resources: {A: {Type: AWS::EC2::SecurityGroup, Condition: C, Properties: {GroupName: {Ref: P}}}}";
    assert!(!findings_of(text).is_empty());
}
