//! Answers of the AWS CLI.

use super::{data, findings, findings_of, imported, rules, source};
use crate::model::Direction::{Inbound, Outbound};

/// A group whose only permission has these keys.
fn permission(keys: &str) -> String {
    format!(
        r#"{{"SecurityGroups": [{{"GroupId": "sg-0123456789abcdef0", "GroupName": "web",
"Description": "", "IpPermissions": [{{{keys}}}], "IpPermissionsEgress": []}}]}}"#
    )
}

/// The rules that a permission with these keys comes to.
fn inbound(keys: &str) -> Vec<String> {
    rules(
        &imported(&[source(&permission(keys))]).model,
        "web",
        Inbound,
    )
}

#[test]
fn an_account_becomes_one_model() {
    let account = imported(&[
        data!("describe-security-groups.json"),
        data!("describe-security-group-rules.json"),
        data!("describe-managed-prefix-lists.json"),
        data!("pl-0a1b2c3d4e5f60718.json"),
        data!("describe-network-interfaces.json"),
    ]);
    let model = &account.model;
    assert_eq!(
        rules(model, "shop-alb", Inbound),
        [
            "tcp 443 0.0.0.0/0",
            "tcp 443 ::/0",
            "tcp 80 pl:com.amazonaws.global.cloudfront.origin-facing"
        ]
    );
    assert_eq!(rules(model, "shop-alb", Outbound), ["all 0.0.0.0/0"]);
    assert_eq!(
        rules(model, "shop-db", Inbound),
        [
            "tcp 5432 pl:office",
            "tcp 5432 sg:shop-db",
            "tcp 5432 sg:shop-alb",
            "tcp 5432 sg:elsewhere:sg-0feedc0ffee000001",
            "icmp 8 10.0.0.0/8",
            "icmpv6 all 2001:db8::/32",
            "50 all 198.51.100.1/32"
        ]
    );
    assert_eq!(rules(model, "shop-db", Outbound), [""; 0]);
    assert_eq!(rules(model, "default", Inbound), ["all sg:default"]);
    let alb = &model.groups["shop-alb"];
    assert_eq!(alb.inbound[0].id.as_str(), "sgr-0000000000000000a");
    assert_eq!(alb.outbound[0].id.as_str(), "sgr-0000000000000000b");
    assert_eq!(alb.inbound[0].description, "customers");
    assert_eq!(model.prefix_lists["office"].max_entries, Some(10));
    assert_eq!(model.prefix_lists["office"].entries.len(), 2);
    let members = &model.members["shop-alb"];
    let members: Vec<_> = members.iter().map(ToString::to_string).collect();
    // Private addresses only, those of the interface and no public one (AWS F1).
    assert_eq!(members, ["10.0.1.5", "10.0.1.6", "2001:db8:1::5"]);
    assert_eq!(model.members["default"].len(), 3);
    assert_eq!(
        findings(&account.warnings),
        [
            "warning describe-security-groups.json:3 SecurityGroups[0]: tags not carried over: \
             aws:cloudformation:stack-name (keys with `aws:` belong to AWS; a group has at most 50 \
             tags, with keys of at most 127 and values of at most 256 characters)",
            "warning describe-security-groups.json:45 \
             SecurityGroups[1].IpPermissions[0].UserIdGroupPairs[2]: the group \
             `sg-0feedc0ffee000001` is not in the files (it is imported as \
             `elsewhere:sg-0feedc0ffee000001`, with no rules but those of these files; list the \
             addresses that carry it under `members`)",
            "warning describe-managed-prefix-lists.json:3 PrefixLists[0]: the entries of the \
             prefix list `com.amazonaws.global.cloudfront.origin-facing` are not given (until they \
             are listed under `prefix_lists`, rules that name it allow nothing)",
            "warning describe-network-interfaces.json:16 NetworkInterfaces[1].Groups[0]: the group \
             `sg-0bbbbbbbbbbbbbbbb` is not in the files (no rule speaks of it: its members are not \
             carried over)",
        ]
    );
    let elsewhere = &model.groups["elsewhere:sg-0feedc0ffee000001"];
    assert_eq!(
        elsewhere.description,
        "of account 444455556666 in vpc-0peer by peering pcx-0a1b2c3d"
    );
    assert!(elsewhere.outbound.is_empty());
}

#[test]
fn r07_ports_with_all_protocols_are_widened_aloud() {
    let keys = r#""IpProtocol": "-1", "FromPort": 88, "ToPort": 88,
"IpRanges": [{"CidrIp": "10.0.0.0/8"}]"#;
    assert_eq!(inbound(keys), ["all 10.0.0.0/8"]);
    assert_eq!(
        findings_of(&permission(keys)),
        [
            "warning a:2 SecurityGroups[0].IpPermissions[0]: AWS ignores the ports 88-88 here: the \
             rule allows every port of every protocol (if that is not meant, write the rule with \
             `protocol: tcp` or `protocol: udp`)"
        ]
    );
}

#[test]
fn r21_a_range_with_host_bits_becomes_the_range_that_aws_stores() {
    let keys = r#""IpProtocol": "tcp", "FromPort": 80, "ToPort": 80,
"IpRanges": [{"CidrIp": "100.68.0.18/18"}, {"CidrIp": "100.68.0.0/18"}],
"Ipv6Ranges": [{"CidrIpv6": "2001:db8::1/32"}]"#;
    // Two spellings of one range are one rule (AWS C2).
    assert_eq!(
        inbound(keys),
        ["tcp 80 100.68.0.0/18", "tcp 80 2001:db8::/32"]
    );
    assert_eq!(
        findings_of(&permission(keys)),
        [
            "warning a:3 SecurityGroups[0].IpPermissions[0].IpRanges[0]: `100.68.0.18/18` has bits \
             set beyond its prefix length (it is imported as 100.68.0.0/18, as AWS does)",
            "warning a:4 SecurityGroups[0].IpPermissions[0].Ipv6Ranges[0]: `2001:db8::1/32` has \
             bits set beyond its prefix length (it is imported as 2001:db8::/32, as AWS does)",
        ]
    );
}

#[test]
fn protocols_and_ports_mean_what_they_mean_to_aws() {
    for (keys, expected) in [
        (r#""IpProtocol": "-1""#, "all"),
        (r#""IpProtocol": "-1", "FromPort": -1, "ToPort": -1"#, "all"),
        (r#""IpProtocol": "6", "FromPort": 0, "ToPort": 0"#, "tcp 0"),
        (
            r#""IpProtocol": "UDP", "FromPort": 0, "ToPort": 65535"#,
            "udp all",
        ),
        (
            r#""IpProtocol": "icmp", "FromPort": 3, "ToPort": 4"#,
            "icmp 3/4",
        ),
        (
            r#""IpProtocol": "icmp", "FromPort": 3, "ToPort": -1"#,
            "icmp 3",
        ),
        (
            r#""IpProtocol": "1", "FromPort": -1, "ToPort": -1"#,
            "icmp all",
        ),
        (r#""IpProtocol": "icmpv6""#, "icmpv6 all"),
        (
            r#""IpProtocol": "58", "FromPort": 128, "ToPort": 0"#,
            "icmpv6 128/0",
        ),
        (r#""IpProtocol": "47""#, "47 all"),
        (
            r#""IpProtocol": 47, "FromPort": -1, "ToPort": -1"#,
            "47 all",
        ),
    ] {
        let keys = format!(r#"{keys}, "IpRanges": [{{"CidrIp": "10.0.0.0/8"}}]"#);
        assert_eq!(inbound(&keys), [format!("{expected} 10.0.0.0/8")], "{keys}");
        assert_eq!(findings_of(&permission(&keys)), [""; 0]);
    }
}

#[test]
fn what_aws_refuses_is_an_error() {
    for (keys, expected) in [
        (
            r#""IpProtocol": "tcp""#,
            "tcp needs both ports (AWS refuses such a rule; for all ports give 0 and 65535)",
        ),
        (
            r#""IpProtocol": "udp", "FromPort": 90, "ToPort": 80"#,
            "90-80 is not a range of ports (ports go from 0 to 65535, the first not above the \
             last)",
        ),
        (
            r#""IpProtocol": "tcp", "FromPort": -1, "ToPort": -1"#,
            "-1--1 is not a range of ports (ports go from 0 to 65535, the first not above the \
             last)",
        ),
        (
            r#""IpProtocol": "icmp""#,
            "type none and code none name no icmp message (AWS takes numbers from 0 to 255, -1 as \
             any code, and -1 for both as any message)",
        ),
        (
            r#""IpProtocol": "icmp", "FromPort": -1, "ToPort": 4"#,
            "type -1 and code 4 name no icmp message (AWS takes numbers from 0 to 255, -1 as any \
             code, and -1 for both as any message)",
        ),
        (
            r#""IpProtocol": "gopher""#,
            "`gopher` is not a protocol (AWS takes tcp, udp, icmp, icmpv6, -1 and numbers from 0 \
             to 255)",
        ),
    ] {
        let keys = format!(r#"{keys}, "IpRanges": [{{"CidrIp": "10.0.0.0/8"}}]"#);
        assert_eq!(
            findings_of(&permission(&keys)),
            [format!(
                "error a:2 SecurityGroups[0].IpPermissions[0]: {expected}"
            )]
        );
    }
}

#[test]
fn a_bare_address_is_an_error() {
    let keys = r#""IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.1"}]"#;
    assert_eq!(
        findings_of(&permission(keys)),
        [
            "error a:2 SecurityGroups[0].IpPermissions[0].IpRanges[0]: `10.0.0.1` is not an \
             address range (AWS refuses a bare address: write 10.0.0.1/32)"
        ]
    );
}

#[test]
fn nothing_that_is_not_understood_is_left_out_in_silence() {
    let keys = r#""IpProtocol": "-1", "DnsNames": ["example.com"]"#;
    assert_eq!(
        findings_of(&permission(keys)),
        [
            "warning a:2 SecurityGroups[0].IpPermissions[0].DnsNames: unknown to the importer: not \
             carried over (look whether it narrows or widens what is allowed)"
        ]
    );
    let pages = r#"{"SecurityGroups": [{"GroupId": "sg-0123456789abcdef0", "GroupName": "web", "IpPermissions": []}],
"NextToken": "abc"}"#;
    assert_eq!(
        findings_of(pages),
        [
            "warning a:2 NextToken: there is more than this file holds: the answer was cut into \
             pages (leave out `--max-items` and `--no-paginate`)"
        ]
    );
    let tags = r#"[{"SecurityGroupRuleId": "sgr-0123456789abcdef0", "GroupId":
"sg-0123456789abcdef0", "IsEgress": false, "IpProtocol": "-1", "CidrIpv4": "10.0.0.0/8",
"Tags": [{"Key": "a", "Value": "b"}]}]"#;
    assert_eq!(
        findings_of(tags),
        [
            "warning a:1 [0]: the group `sg-0123456789abcdef0` is not in the files (it is imported \
             as `elsewhere:sg-0123456789abcdef0`, with no rules but those of these files; list the \
             addresses that carry it under `members`)",
            "warning a:3 [0].Tags: rules have no tags here: not carried over (put what matters \
             into the description of the rule)"
        ]
    );
}

#[test]
fn groups_of_one_name_in_several_vpcs_are_told_apart() {
    let group = |id: &str, vpc: &str, name: &str, peer: &str| {
        format!(
            r#"{{"GroupId": "{id}", "GroupName": "{name}", "VpcId": "{vpc}", "IpPermissions": [
{{"IpProtocol": "-1", "UserIdGroupPairs": [{peer}]}}]}}"#
        )
    };
    let text = format!(
        "[{}, {}, {}, {}]",
        group(
            "sg-00000001",
            "vpc-1",
            "default",
            r#"{"GroupId": "sg-00000001"}"#
        ),
        group(
            "sg-00000002",
            "vpc-2",
            "default",
            r#"{"GroupId": "sg-00000002"}"#
        ),
        // A reference by name means the group of the same VPC.
        group("sg-00000003", "vpc-2", "web", r#"{"GroupName": "default"}"#),
        group("sg-00000004", "vpc-3", "db", r#"{"GroupName": "default"}"#),
    );
    let imported = imported(&[source(&text)]);
    let model = &imported.model;
    assert_eq!(
        rules(model, "default@vpc-1", Inbound),
        ["all sg:default@vpc-1"]
    );
    assert_eq!(rules(model, "web", Inbound), ["all sg:default@vpc-2"]);
    assert_eq!(rules(model, "db", Inbound), [""; 0]);
    assert!(model.groups["default"].is_built_in());
    let help = "names are unique on a host";
    assert_eq!(
        findings(&imported.warnings),
        [
            format!(
                "warning a:1 [0]: several groups are called `default` (this one is imported as \
                 `default@vpc-1`: {help})"
            ),
            format!(
                "warning a:2 [1]: several groups are called `default` (this one is imported as \
                 `default@vpc-2`: {help})"
            ),
            "warning a:5 [3].IpPermissions[0].UserIdGroupPairs[0]: `default` may mean \
             default@vpc-1 or default@vpc-2: the rule is not carried over (add a rule that names \
             one of them)"
                .to_owned(),
        ]
    );
}

#[test]
fn entries_need_to_tell_their_list() {
    let entries = r#"{"Entries": [{"Cidr": "10.0.0.0/8"}]}"#;
    let list = r#"[{"PrefixListId": "pl-00000001", "PrefixListName": "office"}]"#;
    // The only list without entries.
    let model = imported(&[source(list), source(entries)]).model;
    assert_eq!(model.prefix_lists["office"].entries.len(), 1);
    assert_eq!(
        findings_of(entries),
        [
            "error a:1 Entries[0]: these entries do not say which prefix list they are of (name \
             the file after the list, such as pl-0123456789abcdef0.json)"
        ]
    );
}

#[test]
fn quotas_are_raised_as_in_the_account() {
    let ranges: Vec<_> = (0..250)
        .map(|i| format!(r#"{{"CidrIp": "10.0.{i}.0/24"}}"#))
        .collect();
    let keys = format!(r#""IpProtocol": "-1", "IpRanges": [{}]"#, ranges.join(","));
    let imported = imported(&[source(&permission(&keys))]);
    let limits = imported.model.limits;
    assert_eq!((limits.rules_per_group, limits.product), (250, 1250));
    assert_eq!(
        findings(&imported.warnings),
        [
            "warning a:1 : AWS's default quotas are exceeded: 250 rules in a group, 1000 entries \
             in a prefix list (the section `limits` of the rule file raises them)"
        ]
    );
}

#[test]
fn other_files_are_told_what_they_are() {
    for (text, expected) in [
        (
            "{}",
            "error a:1 : this is none of the formats that can be imported",
        ),
        (
            r#"{"version": 3, "terraform_version": "0.11", "lineage": "x", "resources": []}"#,
            "error a:1 : this is a state file of another version than 4",
        ),
        (
            "security_groups: {}",
            "error a:1 : this is a rule file already",
        ),
        ("hello", "error a:1 : this is neither JSON nor a template"),
        (
            r#"{"SecurityGroups": []}"#,
            "error a:1 : there is no security group in the files",
        ),
        (
            r#"{"SecurityGroups": {}}"#,
            "error a:1 SecurityGroups: a list should stand here",
        ),
    ] {
        let found = findings_of(text);
        assert!(found[0].starts_with(expected), "{found:?}");
    }
}

#[test]
fn a_group_called_by_name_is_never_one_of_another_vpc() {
    let text = r#"{"SecurityGroups": [
{"GroupId": "sg-11111111", "GroupName": "web", "VpcId": "vpc-1", "IpPermissions": [{"IpProtocol": "-1",
 "UserIdGroupPairs": [{"GroupName": "db"}]}]},
{"GroupId": "sg-22222222", "GroupName": "db", "VpcId": "vpc-2", "IpPermissions": []}]}"#;
    let imported = imported(&[source(text)]);
    assert_eq!(rules(&imported.model, "web", Inbound), ["all sg:db@vpc-1"]);
    let found = findings(&imported.warnings);
    assert!(
        found
            .iter()
            .any(|found| found.contains("the group `db` is not in the files"))
    );
    let text = text.replace("vpc-2", "vpc-1");
    let model = super::imported(&[source(&text)]).model;
    assert_eq!(rules(&model, "web", Inbound), ["all sg:db"]);
}
