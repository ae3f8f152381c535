"""DescribeSecurityGroupRules, ModifySecurityGroupRules, descriptions."""

import re

import pytest

pytestmark = pytest.mark.tier(1)

NET = ["192.0.2.0/24"]


@pytest.fixture
def one(group, allow, perm):
    """A group with one rule: (group id, rule id)."""
    it = group()
    return it, allow(it, perm("tcp", (80, 80), NET, description="first"))[0]["SecurityGroupRuleId"]


@pytest.fixture
def modify(ec2):
    def change(group_id, rule_id, **rule):
        return ec2.modify_security_group_rules(
            GroupId=group_id, SecurityGroupRules=[{"SecurityGroupRuleId": rule_id, "SecurityGroupRule": rule}])

    return change


def test_a_rule_is_shown_flat(ec2, one, shown):
    it, rule_id = one
    rule = ec2.describe_security_group_rules(SecurityGroupRuleIds=[rule_id])["SecurityGroupRules"][0]
    assert {k: rule[k] for k in ("GroupId", "IsEgress", "IpProtocol", "FromPort", "ToPort", "CidrIpv4", "Description")} == {
        "GroupId": it, "IsEgress": False, "IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "CidrIpv4": NET[0],
        "Description": "first"}
    assert rule["GroupOwnerId"] == shown(it)["OwnerId"]
    assert rule.get("Tags", []) == []
    assert not {"CidrIpv6", "PrefixListId", "ReferencedGroupInfo"} & set(rule)


@pytest.mark.tier(2)
def test_a_rule_has_an_arn(ec2, one):
    rule = ec2.describe_security_group_rules(SecurityGroupRuleIds=[one[1]])["SecurityGroupRules"][0]
    assert re.fullmatch(rf"arn:aws[a-z-]*:ec2:[a-z0-9-]+:\d{{12}}:security-group-rule/{one[1]}", rule["SecurityGroupRuleArn"])


def test_rules_of_a_group(rules, one):
    assert [r["SecurityGroupRuleId"] for r in rules(one[0])] == [one[1]]
    assert [(r["IpProtocol"], r["FromPort"], r["ToPort"]) for r in rules(one[0], egress=True) if "CidrIpv4" in r] == [("-1", -1, -1)]


def test_rules_of_an_unknown_group_are_none(ec2):
    found = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": ["sg-005338bdfe4dce5c7"]}])
    assert found["SecurityGroupRules"] == []


def test_rules_of_no_group_are_refused(ec2, refused):
    with refused("InvalidGroupId.Malformed", "The security group ID 'foobar' is malformed"):
        ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": ["foobar"]}])


@pytest.mark.parametrize("wrong, code", [("sgr-0123456789abcdef0", "InvalidSecurityGroupRuleId.NotFound"),
                                         ("foobar", "InvalidSecurityGroupRuleId.Malformed")])
def test_an_unknown_rule_is_refused(ec2, refused, wrong, code):
    with refused(code, wrong):
        ec2.describe_security_group_rules(SecurityGroupRuleIds=[wrong])


def test_filters(ec2, one, name):
    it, rule_id = one
    value = name()
    ec2.create_tags(Resources=[rule_id], Tags=[{"Key": "ticket", "Value": value}])
    for filters in ([("security-group-rule-id", rule_id)], [("tag:ticket", value)], [("group-id", it), ("tag-key", "ticket")]):
        wanted = [{"Name": key, "Values": [v]} for key, v in filters]
        found = ec2.describe_security_group_rules(Filters=wanted)["SecurityGroupRules"]
        assert [r["SecurityGroupRuleId"] for r in found] == [rule_id], filters


def test_pages(ec2, group, allow, perm):
    it = group()
    allow(it, perm("tcp", (80, 80), [f"10.{n}.0.0/16" for n in range(11)]))
    query = {"Filters": [{"Name": "group-id", "Values": [it]}], "MaxResults": 5}
    pages = list(ec2.get_paginator("describe_security_group_rules").paginate(**query))
    assert [len(each["SecurityGroupRules"]) for each in pages][:2] == [5, 5]
    ids = [r["SecurityGroupRuleId"] for each in pages for r in each["SecurityGroupRules"]]
    assert len(ids) == len(set(ids)) >= 12


@pytest.mark.parametrize("change, shows", [
    ({"CidrIpv4": "198.51.100.0/24"}, {"CidrIpv4": "198.51.100.0/24", "FromPort": 80}),
    ({"CidrIpv4": NET[0], "FromPort": 8080, "ToPort": 8090}, {"CidrIpv4": NET[0], "FromPort": 8080, "ToPort": 8090}),
    ({"CidrIpv4": NET[0], "IpProtocol": "udp"}, {"IpProtocol": "udp"}),
    ({"CidrIpv4": NET[0], "IpProtocol": "-1", "FromPort": -1, "ToPort": -1}, {"IpProtocol": "-1", "FromPort": -1}),
    ({"CidrIpv4": NET[0], "Description": "second"}, {"Description": "second"}),
    ({"CidrIpv4": "100.68.0.18/18"}, {"CidrIpv4": "100.68.0.0/18"}),
], ids=["cidr", "ports", "protocol", "all", "description", "host-bits"])
def test_a_rule_changes_and_keeps_its_id(one, modify, rules, shown, change, shows):
    it, rule_id = one
    answer = modify(it, rule_id, **({"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80} | change))
    assert answer["Return"] is True
    found = rules(it)
    assert [r["SecurityGroupRuleId"] for r in found] == [rule_id]
    assert {k: found[0].get(k) for k in shows} == shows
    group_shows = shown(it)["IpPermissions"]
    assert len(group_shows) == 1 and group_shows[0]["IpProtocol"] == found[0]["IpProtocol"]
    assert group_shows[0]["IpRanges"][0]["CidrIp"] == found[0]["CidrIpv4"]


@pytest.mark.unconfirmed
def test_a_description_that_is_left_out_goes(one, modify, rules):
    # Terraform leaves it out when it is taken from the configuration, and compares afterwards.
    it, rule_id = one
    modify(it, rule_id, IpProtocol="tcp", FromPort=80, ToPort=80, CidrIpv4=NET[0])
    assert "Description" not in rules(it)[0] or rules(it)[0]["Description"] == ""


def test_tags_stay_when_a_rule_changes(ec2, one, modify, rules):
    it, rule_id = one
    ec2.create_tags(Resources=[rule_id], Tags=[{"Key": "a", "Value": "b"}])
    modify(it, rule_id, IpProtocol="tcp", FromPort=81, ToPort=81, CidrIpv4=NET[0])
    assert rules(it)[0]["Tags"] == [{"Key": "a", "Value": "b"}]


@pytest.mark.parametrize("kind", ["v6", "group", "list"])
def test_every_kind_of_source_can_change(group, allow, perm, prefix_list, rules, modify, kind):
    it, peers = group(), [group(), group()]
    lists = [prefix_list("198.51.100.0/24"), prefix_list("203.0.113.0/24")] if kind == "list" else None
    key, before, after = {"v6": ("CidrIpv6", {"v6": ["2001:db8::/32"]}, "2001:db8:1::/48"),
                          "group": ("ReferencedGroupId", {"groups": [peers[0]]}, peers[1]),
                          "list": ("PrefixListId", {"lists": [lists[0]] if lists else []}, lists and lists[1])}[kind]
    rule_id = allow(it, perm("tcp", (80, 80), **before))[0]["SecurityGroupRuleId"]
    modify(it, rule_id, IpProtocol="tcp", FromPort=80, ToPort=80, **{key: after})
    rule = rules(it)[0]
    assert rule["SecurityGroupRuleId"] == rule_id
    assert (rule["ReferencedGroupInfo"]["GroupId"] if kind == "group" else rule[key]) == after


@pytest.mark.says("I9")
@pytest.mark.parametrize("source", [{"CidrIpv6": "2001:db8::/32"}, {"ReferencedGroupId": "itself"}], ids=["v6", "group"])
def test_the_kind_of_source_cannot_change(one, modify, rules, refused, source):
    it, rule_id = one
    if "ReferencedGroupId" in source:
        source = {"ReferencedGroupId": it}
    with refused("InvalidParameterValue", rule_id):
        modify(it, rule_id, IpProtocol="tcp", FromPort=80, ToPort=80, **source)
    assert rules(it)[0]["CidrIpv4"] == NET[0]


@pytest.mark.says("I10")
def test_a_change_without_protocol_is_refused(one, modify, refused):
    with refused("InvalidParameterValue", "Invalid value 'null' for protocol. VPC security group rules must specify protocols explicitly."):
        modify(*one, FromPort=80, ToPort=80, CidrIpv4=NET[0])


@pytest.mark.says("I11")
def test_a_change_without_source_is_refused(one, modify, refused):
    with refused("MissingParameter", "The request must contain exactly one of: cidrIp, cidrIpv6, prefixListId, or referencedGroupId"):
        modify(*one, IpProtocol="tcp", FromPort=80, ToPort=80)


@pytest.mark.says("I11")
def test_a_change_with_two_sources_is_refused(one, modify, refused):
    with refused("InvalidParameterCombination", "Only one of cidrIp, cidrIpv6, prefixListId, or referencedGroupId can be specified"):
        modify(*one, IpProtocol="tcp", FromPort=80, ToPort=80, CidrIpv4=NET[0], CidrIpv6="::/0")


@pytest.mark.says("1.3")
def test_a_change_to_tcp_without_ports_is_refused(one, modify, refused):
    with refused("InvalidParameterValue", r"Invalid value for portRange. Must specify both from and to ports with TCP/UDP."):
        modify(*one, IpProtocol="tcp", CidrIpv4=NET[0])


@pytest.mark.says("1.3")
def test_a_change_to_all_protocols_with_ports_is_refused(one, modify, refused):
    with refused("InvalidParameterValue", "You may not specify all protocols and specific ports"):
        modify(*one, IpProtocol="-1", FromPort=0, ToPort=65535, CidrIpv4=NET[0])


def test_a_change_of_an_unknown_rule_is_refused(one, modify, refused):
    with refused("InvalidSecurityGroupRuleId.NotFound"):
        modify(one[0], "sgr-0123456789abcdef0", IpProtocol="tcp", FromPort=80, ToPort=80, CidrIpv4=NET[0])


@pytest.mark.unconfirmed
def test_a_change_into_another_rule_is_refused(one, allow, perm, modify, rules, refused):
    it, rule_id = one
    allow(it, perm("tcp", (81, 81), NET))
    with refused("InvalidPermission.Duplicate"):
        modify(it, rule_id, IpProtocol="tcp", FromPort=81, ToPort=81, CidrIpv4=NET[0])
    assert {r["FromPort"] for r in rules(it)} == {80, 81}


@pytest.mark.unconfirmed
def test_one_bad_change_spoils_all(ec2, one, allow, perm, rules, refused):
    it, first = one
    second = allow(it, perm("tcp", (81, 81), NET))[0]["SecurityGroupRuleId"]
    good = {"IpProtocol": "tcp", "FromPort": 90, "ToPort": 90, "CidrIpv4": NET[0]}
    with refused("InvalidParameterValue|InvalidPermission.Malformed"):
        ec2.modify_security_group_rules(GroupId=it, SecurityGroupRules=[
            {"SecurityGroupRuleId": first, "SecurityGroupRule": good},
            {"SecurityGroupRuleId": second, "SecurityGroupRule": good | {"CidrIpv4": "192.0.2.0/99"}}])
    assert {r["FromPort"] for r in rules(it)} == {80, 81}


def test_two_rules_may_change_places(ec2, one, allow, perm, rules):
    # Both at once: there is no moment at which they are the same.
    it, first = one
    second = allow(it, perm("tcp", (81, 81), NET))[0]["SecurityGroupRuleId"]
    change = [{"SecurityGroupRuleId": rule, "SecurityGroupRule":
               {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "CidrIpv4": NET[0]}} for rule, port in ((first, 81), (second, 80))]
    ec2.modify_security_group_rules(GroupId=it, SecurityGroupRules=change)
    assert {r["SecurityGroupRuleId"]: r["FromPort"] for r in rules(it)} == {first: 81, second: 80}


@pytest.mark.tier(2)
@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_descriptions_by_permission(ec2, group, allow, perm, rules, direction):
    it, egress = group(), direction == "egress"
    rule_id = allow(it, perm("tcp", (80, 80), NET, description="old"), egress=egress)[0]["SecurityGroupRuleId"]
    call = getattr(ec2, f"update_security_group_rule_descriptions_{direction}")
    for said in ("new", None):
        assert call(GroupId=it, IpPermissions=[perm("tcp", (80, 80), NET, description=said)])["Return"] is True
        rule = next(r for r in rules(it, egress) if r["SecurityGroupRuleId"] == rule_id)
        assert rule.get("Description", "") == (said or "")


@pytest.mark.tier(2)
def test_descriptions_by_rule(ec2, one, rules):
    it, rule_id = one
    ec2.update_security_group_rule_descriptions_ingress(
        GroupId=it, SecurityGroupRuleDescriptions=[{"SecurityGroupRuleId": rule_id, "Description": "new"}])
    assert rules(it)[0]["Description"] == "new"


@pytest.mark.tier(2)
def test_a_description_of_no_rule_is_refused(ec2, one, perm, refused):
    with refused("InvalidPermission.NotFound"):
        ec2.update_security_group_rule_descriptions_ingress(
            GroupId=one[0], IpPermissions=[perm("tcp", (9, 9), NET, description="x")])


@pytest.mark.tier(2)
@pytest.mark.says("1.3")
def test_a_description_for_all_protocols_takes_no_ports(ec2, group, allow, perm, refused):
    it = group()
    allow(it, perm("-1", None, NET))
    with refused("InvalidParameterValue", "When protocol is ALL, you cannot specify from-port."):
        ec2.update_security_group_rule_descriptions_ingress(GroupId=it, IpPermissions=[perm("-1", (0, 0), NET, description="x")])
