//! What a template does not tell is left out, and said: import never widens.

use super::{findings, findings_of, imported, rules, source};
use crate::import::{Imported, Options, import};
use crate::model::Direction::{Inbound, Outbound};

pub(super) fn of(text: &str) -> Imported {
    imported(&[source(text)])
}

pub(super) fn has(found: &[String], words: &str) -> bool {
    found.iter().any(|found| found.contains(words))
}

pub(super) const GROUP: &str =
    "Web: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: w}}";

/// A template of the group `Web` and rules that are resources of their own.
pub(super) fn with_rules(head: &str, rules: &[(&str, &str)]) -> String {
    let resources = rules.iter().enumerate().map(|(index, (condition, keys))| {
        format!(
            "  R{index}: {{Type: AWS::EC2::SecurityGroupIngress, {condition} Properties: {{GroupId: \
             !Ref Web, IpProtocol: tcp, FromPort: {index}, ToPort: {index}, {keys}}}}}\n"
        )
    });
    let resources: String = resources.collect();
    format!("{head}\nResources:\n  {GROUP}\n{resources}")
}

#[test]
fn different_groups_that_are_not_known_have_different_names() {
    for (one, two) in [
        ("!Select [0, !Ref Ids]", "!Select [1, !Ref Ids]"),
        ("!Join ['', [!Ref One]]", "!Join ['', [!Ref Two]]"),
        ("!Join ['', [a, !Ref One]]", "!Join ['', [a, !Ref Two]]"),
        (
            "!If [C, sg-11111111, sg-22222222]",
            "!If [C, sg-22222222, sg-11111111]",
        ),
        ("!FindInMap [M, !Ref One, a]", "!FindInMap [M, !Ref One, b]"),
        ("!GetAtt Other.GroupId", "!Ref Other"),
        ("!Sub 'a~${One}'", "!Sub 'a|${One}'"),
        ("!ImportValue one", "!ImportValue ONE"),
        ("!Ref One", "one"),
    ] {
        let text = format!(
            "
Parameters: {{Ids: {{Type: 'List<AWS::EC2::SecurityGroup::Id>'}}, One: {{Type: String}}, Two: {{Type: String}}}}
Conditions: {{C: !Equals [!Ref Two, a]}}
Mappings: {{M: {{x: {{a: sg-11111111, b: sg-22222222}}}}}}
Resources:
  Other: {{Type: Custom::Group, Properties: {{}}}}
  A: {{Type: AWS::EC2::SecurityGroupIngress, Properties: {{GroupId: {one}, IpProtocol: tcp, FromPort: 1, ToPort: 1, CidrIp: 10.0.0.0/8}}}}
  B: {{Type: AWS::EC2::SecurityGroupIngress, Properties: {{GroupId: {two}, IpProtocol: tcp, FromPort: 2, ToPort: 2, CidrIp: 0.0.0.0/0}}}}
  Db:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: db
      SecurityGroupIngress: [{{IpProtocol: tcp, FromPort: 3, ToPort: 3, SourceSecurityGroupId: {one}}}, {{IpProtocol: tcp, FromPort: 4, ToPort: 4, SourceSecurityGroupId: {two}}}]
"
        );
        let imported = of(&text);
        let model = &imported.model;
        for (port, peer) in [("1", "10.0.0.0/8"), ("2", "0.0.0.0/0")] {
            let holders = model.groups.values().filter(|group| {
                let mut ports = group.inbound.iter().map(|rule| rule.service.to_string());
                ports.any(|service| service == format!("tcp {port}"))
            });
            let holders: Vec<_> = holders.collect();
            let [holder] = holders.as_slice() else {
                panic!("{one} {two}: {model:?}");
            };
            let expected = format!("tcp {port} {peer}");
            assert_eq!(
                rules(model, &holder.name, Inbound),
                [expected],
                "{one} {two}"
            );
        }
        let sources = rules(model, "Db", Inbound);
        assert_ne!(
            sources[0].split(':').next_back(),
            sources[1].split(':').next_back()
        );
        let told = findings(&imported.warnings);
        let told = told
            .iter()
            .filter(|found| found.contains("is not in the files"));
        assert_eq!(
            told.count(),
            2,
            "{one} {two}: {:?}",
            findings(&imported.warnings)
        );
    }
}

#[test]
fn a_group_that_is_not_known_is_never_one_that_is() {
    // By the name of a parameter, and by the name of a group that every host has.
    let text = "
Parameters: {web: {Type: String}, default: {Type: String}}
Resources:
  G: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: g, GroupName: web}}
  A: {Type: AWS::EC2::SecurityGroupIngress, Properties: {GroupId: !Ref web, IpProtocol: '-1', CidrIp: 0.0.0.0/0}}
  B: {Type: AWS::EC2::SecurityGroupIngress, Properties: {GroupId: !Ref default, IpProtocol: '-1', CidrIp: 0.0.0.0/0}}
  C: {Type: AWS::EC2::SecurityGroupIngress, Properties: {GroupId: WEB, IpProtocol: '-1', CidrIp: 0.0.0.0/0}}
";
    let model = of(text).model;
    assert_eq!(rules(&model, "web", Inbound), [""; 0]);
    assert_eq!(rules(&model, "default", Inbound), ["all sg:default"]);
    assert_eq!(model.groups.len(), 5, "{:?}", model.groups.keys());
}

#[test]
fn false_and_unknown_is_false_and_true_or_unknown_is_true() {
    let head = "
Parameters:
  Stage: {Type: String}
  Ssh: {Type: String, Default: 'no'}
  Cidr: {Type: String, Default: 10.0.0.0/8}
Conditions:
  No: !Equals [!Ref Ssh, 'yes']
  Dev: !Equals [!Ref Stage, dev]
  And: !And [!Condition No, !Condition Dev]
  AndTurned: !And [!Condition Dev, !Condition No]
  Or: !Or [!Condition Dev, !Not [!Condition No]]
  List: !Equals [!Select [0, !Split ['-', !Ref Cidr]], pl]
  Open: !And [!Not [!Equals [!Ref Cidr, 0.0.0.0/0]], !Not [!Condition List]]";
    let text = with_rules(
        head,
        &[
            ("Condition: And,", "CidrIp: 0.0.0.0/0"),
            ("Condition: AndTurned,", "CidrIp: 0.0.0.0/0"),
            ("Condition: Or,", "CidrIp: !Ref Cidr"),
            ("Condition: Open,", "CidrIp: !Ref Cidr"),
        ],
    );
    let imported = of(&text);
    assert_eq!(
        rules(&imported.model, "Web", Inbound),
        ["tcp 2 10.0.0.0/8", "tcp 3 10.0.0.0/8"]
    );
    let found = findings(&imported.warnings);
    assert!(
        has(&found, "the condition `And` does not hold"),
        "{found:?}"
    );
    assert!(
        has(&found, "the condition `AndTurned` does not hold"),
        "{found:?}"
    );
}

#[test]
fn what_hangs_on_something_unknown_is_left_out_with_what_it_hangs_on() {
    let head = "
Parameters: {Stage: {Type: String}}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  IsOther: !Not [!Condition IsProd]
  IsHere: !Equals [!Ref AWS::Region, eu-west-1]
  Both: !And [!Condition IsProd, !Condition IsHere]";
    let text = with_rules(
        head,
        &[
            ("Condition: IsProd,", "CidrIp: 10.0.0.0/8"),
            ("Condition: IsOther,", "CidrIp: 0.0.0.0/0"),
            ("Condition: Both,", "CidrIp: 0.0.0.0/0"),
            ("", "CidrIp: !If [IsHere, 10.0.0.0/8, 0.0.0.0/0]"),
        ],
    );
    let imported = of(&text);
    assert_eq!(rules(&imported.model, "Web", Inbound), [""; 0]);
    let found = findings(&imported.warnings);
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(
        has(
            &found,
            "`Both` is not known from the template (it depends on `AWS::Region`, `Stage`)"
        ),
        "{found:?}"
    );
    assert!(
        has(
            &found,
            "(give --parameter AWS::Region=VALUE --parameter Stage=VALUE, or import what"
        ),
        "{found:?}"
    );
    for (stage, expected) in [
        (
            "prod",
            ["tcp 0 10.0.0.0/8", "tcp 2 0.0.0.0/0", "tcp 3 10.0.0.0/8"].as_slice(),
        ),
        ("test", ["tcp 1 0.0.0.0/0", "tcp 3 10.0.0.0/8"].as_slice()),
    ] {
        let given = [("Stage", stage), ("AWS::Region", "eu-west-1")];
        let options = Options {
            parameters: given
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..Options::default()
        };
        let imported = import(&[source(&text)], &options).expect("a model");
        assert_eq!(rules(&imported.model, "Web", Inbound), expected);
    }
}

#[test]
fn an_outbound_list_that_is_not_known_is_nothing() {
    let rule = "{IpProtocol: tcp, FromPort: 443, ToPort: 443, CidrIp: 10.0.0.0/8}";
    let no_value = "!Ref AWS::NoValue";
    for egress in [
        format!("!If [IsA, [{rule}], [{rule}]]"),
        format!("!If [IsA, [{rule}], {no_value}]"),
        format!("[!If [IsA, {rule}, {no_value}]]"),
        "!Ref One".to_owned(),
        "!FindInMap [a, b, c]".to_owned(),
        "{Fn::Transform: {Name: AWS::Include, Parameters: {Location: s3://x}}}".to_owned(),
        "{Fn::ForEach::Ports: [P, [80], {X: {IpProtocol: tcp}}]}".to_owned(),
        "[{IpProtocol: tcp, FromPort: 1, ToPort: 1, CidrIp: !Ref One}]".to_owned(),
    ] {
        let text = format!(
            "
Parameters: {{One: {{Type: String}}}}
Conditions: {{IsA: !Equals [!Ref One, a]}}
Resources: {{Web: {{Type: AWS::EC2::SecurityGroup, Properties: {{GroupDescription: w, SecurityGroupEgress: {egress}}}}}}}"
        );
        let imported = of(&text);
        assert_eq!(rules(&imported.model, "Web", Outbound), [""; 0], "{egress}");
        assert!(!imported.warnings.diagnostics.is_empty(), "{egress}");
    }
    // A list that is certainly empty, or not there, is AWS's default one.
    for egress in ["[]", no_value, &format!("!If [Yes, {no_value}, [{rule}]]")] {
        let text = format!(
            "
Conditions: {{Yes: !Equals [a, a]}}
Resources: {{Web: {{Type: AWS::EC2::SecurityGroup, Properties: {{GroupDescription: w, SecurityGroupEgress: {egress}}}}}}}"
        );
        assert_eq!(
            rules(&of(&text).model, "Web", Outbound).len(),
            2,
            "{egress}"
        );
    }
}

#[test]
fn a_group_that_may_get_outbound_rules_elsewhere_has_no_default_ones() {
    for (kind, group) in [
        (
            "AWS::EC2::SecurityGroupEgress",
            "!If [IsA, !Ref Web, sg-11111111]",
        ),
        (
            "AWS::EC2::SecurityGroupEgress",
            "!Select [0, [!Ref Web, !Ref One]]",
        ),
        ("AWS::EC2::SecurityGroupEgress, Condition: IsA", "!Ref Web"),
        ("AWS::EC2::SecurityGroupEgress", "!Sub '${Web.GroupId}'"),
    ] {
        let text = format!(
            "
Parameters: {{One: {{Type: String}}}}
Conditions: {{IsA: !Equals [!Ref One, a]}}
Resources:
  {GROUP}
  Out: {{Type: {kind}, Properties: {{GroupId: {group}, IpProtocol: tcp, FromPort: 1, ToPort: 1, CidrIp: !Ref One}}}}"
        );
        assert_eq!(
            rules(&of(&text).model, "Web", Outbound),
            [""; 0],
            "{kind} {group}"
        );
    }
}

#[test]
fn what_is_unknown_of_one_rule_leaves_out_that_rule() {
    let text = with_rules(
        "Parameters: {Net: {Type: String}}",
        &[
            ("", "CidrIp: 10.0.0.0/8"),
            ("", "CidrIp: '{{resolve:ssm:/net/office}}'"),
            ("", "CidrIp: !Sub '${Net}/8'"),
            ("", "CidrIp: !Ref Net"),
            ("", "SourcePrefixListId: '{{resolve:ssm:/lists/office}}'"),
        ],
    );
    let imported = of(&text);
    let found = rules(&imported.model, "Web", Inbound);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], "tcp 0 10.0.0.0/8");
    assert!(found[1].starts_with("tcp 4 pl:"), "{found:?}");
    let list = imported.model.prefix_lists.values().next().expect("a list");
    assert!(list.entries.is_empty());
}

#[test]
fn what_is_not_in_the_template_is_warned_of() {
    for (part, words) in [
        (
            "Transform: MyOwnMacro\nResources: {}",
            "the macro `MyOwnMacro` may change everything",
        ),
        (
            "Transform: [AWS::LanguageExtensions, {Name: AWS::Include, Parameters: {Location: s3://b}}]\nResources: {}",
            "the macro `AWS::Include` may change everything",
        ),
        (
            "Resources: {N: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: x}}}",
            "the nested stack is not in this file",
        ),
        (
            "Resources: {N: {Type: My::Own::Net::MODULE}}",
            "the module is not in this file",
        ),
        (
            "Resources: {N: {Type: AWS::EC2::SecurityGroup}}",
            "the resource has no properties",
        ),
        (
            "Resources: {N: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: d, Fn::Transform: {Name: AWS::Include}}}}",
            "Fn::Transform: unknown to the importer",
        ),
    ] {
        let found = findings_of(part);
        assert!(has(&found, words), "{part}: {found:?}");
    }
    // What a macro does to outbound rules is not known.
    let text = format!("Transform: MyOwnMacro\nResources: {{{GROUP}}}");
    assert_eq!(rules(&of(&text).model, "Web", Outbound), [""; 0]);
    let text = format!("Transform: AWS::Serverless-2016-10-31\nResources: {{{GROUP}}}");
    assert_eq!(rules(&of(&text).model, "Web", Outbound).len(), 2);
}
