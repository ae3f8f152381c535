"""Revoking rules."""

import pytest

pytestmark = pytest.mark.tier(1)

NET = ["192.0.2.0/24"]


@pytest.fixture
def revoke(ec2):
    def take(group_id, *permissions, egress=False, **keys):
        call = ec2.revoke_security_group_egress if egress else ec2.revoke_security_group_ingress
        if permissions:
            keys["IpPermissions"] = list(permissions)
        return call(GroupId=group_id, **keys)

    return take


@pytest.mark.parametrize("egress", [False, True], ids=["ingress", "egress"])
def test_by_what_the_rule_is(group, allow, perm, rules, revoke, egress):
    it = group()
    before = len(rules(it, egress))
    allow(it, perm("tcp", (80, 80), NET), egress=egress)
    assert revoke(it, perm("tcp", (80, 80), NET), egress=egress)["Return"] is True
    assert len(rules(it, egress)) == before


@pytest.mark.parametrize("egress", [False, True], ids=["ingress", "egress"])
def test_by_id(group, allow, perm, rules, revoke, egress):
    it = group()
    made = allow(it, perm("tcp", (80, 80), NET), perm("tcp", (81, 81), NET), egress=egress)
    revoke(it, SecurityGroupRuleIds=[made[0]["SecurityGroupRuleId"]], egress=egress)
    left = {r["SecurityGroupRuleId"] for r in rules(it, egress)}
    assert made[1]["SecurityGroupRuleId"] in left and made[0]["SecurityGroupRuleId"] not in left


@pytest.mark.tier(2)
def test_the_answer_lists_what_went(group, allow, perm, revoke):
    it = group()
    made = allow(it, perm("tcp", (80, 80), NET, description="d"))[0]["SecurityGroupRuleId"]
    gone = revoke(it, SecurityGroupRuleIds=[made])["RevokedSecurityGroupRules"]
    assert len(gone) == 1
    assert {k: gone[0][k] for k in ("SecurityGroupRuleId", "GroupId", "IsEgress", "IpProtocol", "FromPort", "ToPort", "CidrIpv4")} == {
        "SecurityGroupRuleId": made, "GroupId": it, "IsEgress": False, "IpProtocol": "tcp", "FromPort": 80, "ToPort": 80,
        "CidrIpv4": NET[0]}


@pytest.mark.says("I1")
@pytest.mark.parametrize("said", [None, "other"])
def test_the_description_does_not_matter(group, allow, perm, rules, revoke, said):
    it = group()
    allow(it, perm("tcp", (80, 80), NET, description="one"))
    revoke(it, perm("tcp", (80, 80), NET, description=said))
    assert rules(it) == []


def test_one_source_of_several(group, allow, perm, rules, revoke):
    it, peer = group(), group()
    allow(it, perm("tcp", (80, 80), ["192.0.2.0/25", "192.0.2.128/25"], ["2001:db8::/32"], [peer]))
    revoke(it, perm("tcp", (80, 80), ["192.0.2.128/25"], groups=[peer]))
    assert {r.get("CidrIpv4") or r.get("CidrIpv6") for r in rules(it)} == {"192.0.2.0/25", "2001:db8::/32"}


def test_sources_authorised_apart_may_go_together(group, allow, perm, rules, revoke):
    it = group()
    allow(it, perm("tcp", (80, 80), ["192.0.2.0/25"]))
    allow(it, perm("tcp", (80, 80), ["192.0.2.128/25"]))
    revoke(it, perm("tcp", (80, 80), ["192.0.2.128/25", "192.0.2.0/25"]))
    assert rules(it) == []


@pytest.mark.parametrize("first, second", [("tcp", "6"), ("6", "TCP"), ("58", "icmpv6")])
def test_protocols_are_the_same_by_name_and_number(group, allow, perm, rules, revoke, first, second):
    it = group()
    allow(it, perm(first, (8, 8), v6=["2001:db8::/32"]))
    revoke(it, perm(second, (8, 8), v6=["2001:db8::/32"]))
    assert rules(it) == []


@pytest.mark.unconfirmed
def test_a_cidr_with_host_bits_means_its_network(group, allow, perm, rules, revoke):
    it = group()
    allow(it, perm("tcp", (80, 80), ["100.68.0.0/18"]))
    revoke(it, perm("tcp", (80, 80), ["100.68.0.18/18"]))
    assert rules(it) == []


@pytest.mark.says("I6")
@pytest.mark.parametrize("ports", [None, (0, 0), (-1, -1), (0, 65535)], ids=str)
def test_the_default_outbound_rule_goes_whatever_its_ports_are_called(group, perm, rules, revoke, ports):
    it = group()
    revoke(it, perm("-1", ports, ["0.0.0.0/0"]), egress=True)
    assert [r for r in rules(it, egress=True) if r.get("CidrIpv4")] == []


@pytest.mark.says("I4")
@pytest.mark.parametrize("wrong", [("tcp", (80, 81), NET), ("tcp", (80, 80), ["192.0.2.0/25"]), ("udp", (80, 80), NET)],
                         ids=["ports", "cidr", "protocol"])
def test_a_miss_outside_the_default_vpc_is_refused_and_takes_nothing(group, allow, perm, rules, revoke, refused, other_vpc, wrong):
    it = group(VpcId=other_vpc)
    allow(it, perm("tcp", (80, 80), NET))
    with refused("InvalidPermission.NotFound", "The specified rule does not exist in this security group"):
        revoke(it, perm("tcp", (80, 80), NET), perm(*wrong))
    assert len(rules(it)) == 1


@pytest.mark.says("I5")
def test_a_miss_in_the_default_vpc_is_told_and_the_rest_goes(group, allow, perm, rules, revoke, default_vpc):
    it = group(VpcId=default_vpc)
    allow(it, perm("tcp", (80, 80), NET))
    answer = revoke(it, perm("tcp", (80, 80), NET), perm("tcp", (9, 9), NET))
    assert answer["Return"] is True
    unknown = answer["UnknownIpPermissions"]
    assert [(p["FromPort"], p["IpRanges"][0]["CidrIp"]) for p in unknown] == [(9, NET[0])]
    assert rules(it) == []


@pytest.mark.parametrize("wrong, code", [("sgr-0123456789abcdef0", "InvalidSecurityGroupRuleId.NotFound"),
                                         ("rule", "InvalidSecurityGroupRuleId.Malformed")])
def test_an_unknown_rule_id_is_refused_and_takes_nothing(group, allow, perm, rules, revoke, refused, wrong, code):
    it = group()
    made = allow(it, perm("tcp", (80, 80), NET))[0]["SecurityGroupRuleId"]
    with refused(code, wrong):
        revoke(it, SecurityGroupRuleIds=[made, wrong])
    assert len(rules(it)) == 1


@pytest.mark.unconfirmed
def test_a_rule_of_another_group_is_not_taken(group, allow, perm, rules, revoke, refused):
    one, two = group(), group()
    made = allow(one, perm("tcp", (80, 80), NET))[0]["SecurityGroupRuleId"]
    with refused("InvalidSecurityGroupRuleId.NotFound|InvalidParameterValue"):
        revoke(two, SecurityGroupRuleIds=[made])
    assert len(rules(one)) == 1


@pytest.mark.unconfirmed
def test_an_inbound_rule_is_not_taken_as_an_outbound_one(group, allow, perm, rules, revoke, refused):
    it = group()
    made = allow(it, perm("tcp", (80, 80), NET))[0]["SecurityGroupRuleId"]
    with refused("InvalidSecurityGroupRuleId.NotFound|InvalidParameterValue"):
        revoke(it, SecurityGroupRuleIds=[made], egress=True)
    assert len(rules(it)) == 1


def test_rules_of_an_unknown_group_are_refused(perm, revoke, refused):
    with refused("InvalidGroup.NotFound"):
        revoke("sg-0123456789abcdef0", perm("tcp", (80, 80), NET))


def test_a_revoked_rule_may_come_back_with_another_id(group, allow, perm, revoke):
    it, rule = group(), perm("tcp", (80, 80), NET)
    first = allow(it, rule)[0]["SecurityGroupRuleId"]
    revoke(it, rule)
    second = allow(it, rule)[0]["SecurityGroupRuleId"]
    assert first != second


def test_all_rules_may_go(group, rules, revoke, shown):
    it = group()
    revoke(it, SecurityGroupRuleIds=[r["SecurityGroupRuleId"] for r in rules(it, egress=True)], egress=True)
    assert shown(it)["IpPermissionsEgress"] == []
