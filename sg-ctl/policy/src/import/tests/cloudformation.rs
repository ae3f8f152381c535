//! Templates.

use super::{data, findings, findings_of, imported, rules, source};
use crate::import::{Options, import};
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
            "it is imported as `{name}`, with no rules but those of these files; list the \
             addresses that carry it under `members`"
        )
    };
    let default = |name: &str| format!("if the stack has another value: --parameter {name}=VALUE");
    assert_eq!(
        findings(&template.warnings),
        [
            format!(
                "warning template.yaml:6 Parameters.AdminCidr.Default: the default \
                 `203.0.113.0/24` of the parameter is imported ({})",
                default("AdminCidr")
            ),
            format!(
                "warning template.yaml:8 Parameters.Stage.Default: the default `prod` of the \
                 parameter is imported ({})",
                default("Stage")
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
    let describe = "import what `aws ec2 describe-security-groups` prints of the stack";
    let parameters =
        "Parameters: {Net: {Type: String}, Port: {Type: Number}, Stage: {Type: String}}
Conditions: {IsProd: !Equals [!Ref Stage, prod]}";
    for (rule, expected) in [
        (
            "IpProtocol: -1, CidrIp: !Ref Net",
            format!(
                "warning a:3 {place}.CidrIp: `Net` is not known from the template: not carried over \
                 (give --parameter Net=VALUE, or {describe})"
            ),
        ),
        (
            "IpProtocol: tcp, FromPort: !Ref Port, ToPort: 80, CidrIp: 10.0.0.0/8",
            format!(
                "warning a:3 {place}.FromPort: `Port` is not known from the template: not carried \
                 over (give --parameter Port=VALUE, or {describe})"
            ),
        ),
        (
            "IpProtocol: -1, CidrIp: !If [IsProd, 10.0.0.0/8, 192.0.2.0/24]",
            format!(
                "warning a:3 {place}.CidrIp: `If(IsProd,10.0.0.0/8,192.0.2.0/24)` is not known from \
                 the template (it depends on `Stage`): not carried over (give --parameter \
                 Stage=VALUE, or {describe})"
            ),
        ),
        (
            "IpProtocol: -1, CidrIp: !Sub '{{resolve:ssm:/net/${AWS::Region}}}'",
            format!(
                "warning a:3 {place}.CidrIp: `{{{{resolve:ssm:/net/${{AWS::Region}}}}}}` is not known \
                 from the template (it depends on `AWS::Region`): not carried over (give \
                 --parameter AWS::Region=VALUE, or {describe})"
            ),
        ),
    ] {
        let text = format!("{parameters}\n{}", template(rule));
        assert_eq!(findings_of(&text), [expected]);
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
Conditions: {C: {Condition: C}, D: !Not [!Condition E], E: !Or [!Condition D, !Condition D]}
Resources: {A: {Type: AWS::EC2::SecurityGroup, Condition: C, Properties: {GroupName: {Ref: P}}}}";
    assert!(!findings_of(text).is_empty());
}

/// What a template comes to with parameters: the inbound rules of its group `Web`, and findings.
fn with_parameters(template: &str, given: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let given = given.iter();
    let options = Options {
        format: None,
        parameters: given
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..Options::default()
    };
    match import(&[source(template)], &options) {
        Ok(imported) => (
            rules(&imported.model, "Web", Inbound),
            findings(&imported.warnings),
        ),
        Err(report) => (Vec::new(), findings(&report)),
    }
}

#[test]
fn parameters_have_the_values_that_are_given() {
    let parameters = "
Parameters:
  Port: {Type: Number}
  Cidr: {Type: String, Default: 10.0.0.0/8}
  Stage: {Type: String, Default: test, AllowedValues: [test, prod]}
  Kept: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /net/office}
Conditions: {IsProd: !Equals [!Ref Stage, prod]}
";
    let rule = "IpProtocol: tcp, FromPort: !Ref Port, ToPort: !Ref Port, CidrIp: !If [IsProd, \
                !Ref Cidr, !Ref Kept]";
    let text = format!("{parameters}{}\n", template(rule));

    let given = [("Port", "443"), ("Stage", "prod"), ("Cidr", "192.0.2.0/24")];
    let all = (vec!["tcp 443 192.0.2.0/24".to_owned()], Vec::new());
    assert_eq!(with_parameters(&text, &given), all);
    let (of_defaults, found) = with_parameters(&text, &given[..2]);
    assert_eq!(of_defaults, ["tcp 443 10.0.0.0/8"]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].ends_with("--parameter Cidr=VALUE)"), "{found:?}");

    // Its default is the name of a value that is kept elsewhere.
    let kept = |more: &[(&str, &str)]| {
        with_parameters(&text, &[&[("Port", "1"), ("Stage", "test")], more].concat())
    };
    let (none, found) = kept(&[]);
    assert!(none.is_empty());
    assert!(
        found[0].contains("`Kept` is not known from the template"),
        "{found:?}"
    );
    assert_eq!(
        kept(&[("Kept", "198.51.100.0/24")]).0,
        ["tcp 1 198.51.100.0/24"]
    );

    let (_, found) = with_parameters(&text, &[("Port", "1"), ("Stage", "dev")]);
    assert!(
        found[0].contains("the parameter `Stage` may not be `dev` (it may be: test, prod)"),
        "{found:?}"
    );
    let (_, found) = with_parameters(&text, &[("Prot", "1")]);
    let unknown = "no template has the parameter `Prot` (there are: Cidr, Kept, Port, Stage)";
    assert!(
        found.iter().any(|found| found.contains(unknown)),
        "{found:?}"
    );
}

#[test]
fn a_parameter_matches_its_pattern_as_a_whole() {
    let text = |pattern: &str| {
        let rule = "IpProtocol: tcp, FromPort: 1, ToPort: 1, CidrIp: !Ref Cidr";
        format!(
            "Parameters: {{Cidr: {{Type: String, AllowedPattern: '{pattern}'}}}}\n{}",
            template(rule)
        )
    };
    let found = |pattern: &str, value: &str| with_parameters(&text(pattern), &[("Cidr", value)]).1;
    let pattern = r"10\.[0-9.]+/\d+";
    assert!(found(pattern, "10.0.0.0/8").is_empty());
    let refused = found(pattern, "192.10.0.0/16");
    assert!(
        refused[0].contains("may not be `192.10.0.0/16` (it has to match"),
        "{refused:?}"
    );
    // Java's patterns can say more than ours.
    let not_understood = found("(?!10).*", "192.0.2.0/24");
    assert!(
        not_understood[0].contains("is not understood"),
        "{not_understood:?}"
    );
}
