"""Authorising rules: truth table, sources, duplicates, quotas."""

import ipaddress
import re

import pytest

pytestmark = pytest.mark.tier(1)

NET = ["192.0.2.0/24"]


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_the_answer_lists_every_new_rule(ec2, group, perm, shown, direction):
    it = group()
    call = getattr(ec2, f"authorize_security_group_{direction}")
    answer = call(GroupId=it, IpPermissions=[perm("tcp", (22, 23), NET, ["2001:db8::/32"], description="why")])
    assert answer["Return"] is True
    assert len(answer["SecurityGroupRules"]) == 2
    for rule in answer["SecurityGroupRules"]:
        assert re.fullmatch(r"sgr-[0-9a-f]{17}", rule["SecurityGroupRuleId"])
        assert (rule["GroupId"], rule["IsEgress"]) == (it, direction == "egress")
        assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("tcp", 22, 23)
        assert rule["Description"] == "why"
        assert rule["GroupOwnerId"] == shown(it)["OwnerId"]
    v4, v6 = sorted(answer["SecurityGroupRules"], key=lambda r: "CidrIpv6" in r)
    assert (v4["CidrIpv4"], v6["CidrIpv6"]) == (NET[0], "2001:db8::/32")


@pytest.mark.says("1.2")
def test_a_permission_is_as_many_rules_as_it_has_sources(group, allow, perm, prefix_list, rules):
    it, peer = group(), group()
    made = allow(it, perm("tcp", (80, 80), ["192.0.2.0/25", "192.0.2.128/25"], ["2001:db8::/32"], [peer, it],
                          [prefix_list("198.51.100.0/24")]))
    assert len(made) == 6
    assert {r["SecurityGroupRuleId"] for r in made} == {r["SecurityGroupRuleId"] for r in rules(it)}


# (protocol, ports) as sent -> as DescribeSecurityGroupRules shows it; §1.3.
ACCEPTED = [
    ("tcp", (22, 22), ("tcp", 22, 22)), ("udp", (0, 65535), ("udp", 0, 65535)), ("tcp", (0, 0), ("tcp", 0, 0)),
    ("TCP", (22, 22), ("tcp", 22, 22)), ("6", (22, 22), ("tcp", 22, 22)), ("17", (53, 53), ("udp", 53, 53)),
    ("1", (8, 0), ("icmp", 8, 0)), ("58", (128, 0), ("icmpv6", 128, 0)), ("icmp", (8, 0), ("icmp", 8, 0)),
    ("icmp", (3, -1), ("icmp", 3, -1)), ("icmp", (-1, -1), ("icmp", -1, -1)), ("icmpv6", (-1, -1), ("icmpv6", -1, -1)),
    ("icmpv6", None, ("icmpv6", -1, -1)), ("-1", None, ("-1", -1, -1)), ("-1", (-1, -1), ("-1", -1, -1)),
    ("-1", (0, 0), ("-1", -1, -1)), ("-1", (0, 65535), ("-1", -1, -1)), ("-1", (88, 88), ("-1", -1, -1)),
    ("50", None, ("50", -1, -1)), ("47", (-1, -1), ("47", -1, -1)), ("132", None, ("132", -1, -1)),
]


@pytest.mark.says("1.3")
@pytest.mark.parametrize("protocol, ports, stored", ACCEPTED, ids=lambda v: str(v).replace(" ", ""))
def test_accepted(group, allow, perm, rules, protocol, ports, stored):
    it = group()
    net = {"v6": ["2001:db8::/32"]} if stored[0] == "icmpv6" else {"v4": NET}
    allow(it, perm(protocol, ports, **net))
    found = rules(it)
    assert [(r["IpProtocol"], r["FromPort"], r["ToPort"]) for r in found] == [stored]


REFUSED = [
    ("tcp", None), ("udp", None), ("icmp", None), ("icmp", (-1, 0)), ("tcp", (80, 22)), ("tcp", (22, 65536)),
    ("tcp", (-2, 22)), ("tcp", (-1, 22)), ("tcp", (22, -1)), ("tcp", (-1, -1)), ("icmp", (256, 0)), ("icmp", (8, 256)),
    ("foo", (1, 1)), ("256", None), ("-2", None), ("", (1, 1)),
]


@pytest.mark.says("1.3")
@pytest.mark.parametrize("protocol, ports", REFUSED, ids=lambda v: str(v).replace(" ", ""))
def test_refused(group, allow, perm, rules, refused, protocol, ports):
    it = group()
    with refused("InvalidParameterValue|InvalidPermission.Malformed|MissingParameter"):
        allow(it, perm(protocol, ports, NET))
    assert rules(it) == []


@pytest.mark.says("1.3")
def test_one_port_only_is_refused(ec2, group, refused, rules):
    it = group()
    with refused("InvalidParameterValue|MissingParameter"):
        ec2.authorize_security_group_ingress(
            GroupId=it, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "IpRanges": [{"CidrIp": NET[0]}]}])
    assert rules(it) == []


@pytest.mark.says("1.3")
def test_all_protocols_show_no_ports_in_the_group(group, allow, perm, shown):
    it = group()
    allow(it, perm("-1", (0, 65535), NET))
    assert not {"FromPort", "ToPort"} & set(shown(it)["IpPermissions"][0])


@pytest.mark.says("C1")
@pytest.mark.parametrize("sent, stored", [("100.68.0.18/18", "100.68.0.0/18"), ("10.1.2.3/8", "10.0.0.0/8"),
                                          ("192.0.2.7/32", "192.0.2.7/32"), ("1.2.3.4/0", "0.0.0.0/0")])
def test_cidrs_lose_their_host_bits(group, allow, perm, shown, rules, sent, stored):
    it = group()
    answer = allow(it, perm("tcp", (80, 80), [sent]))
    assert answer[0]["CidrIpv4"] == rules(it)[0]["CidrIpv4"] == stored
    assert shown(it)["IpPermissions"][0]["IpRanges"][0]["CidrIp"] == stored


@pytest.mark.says("C1")
@pytest.mark.parametrize("sent, stored", [("2001:DB8:0::/32", "2001:db8::/32"), ("2001:db8:0:0:0:0:0:1/64", "2001:db8::/64"),
                                          ("::1/0", "::/0")])
def test_ipv6_cidrs_have_one_spelling(group, allow, perm, rules, sent, stored):
    it = group()
    allow(it, perm("tcp", (80, 80), v6=[sent]))
    assert rules(it)[0]["CidrIpv6"] == stored
    assert str(ipaddress.ip_network(stored)) == stored


@pytest.mark.says("C2")
def test_another_spelling_is_a_duplicate(group, allow, perm, refused):
    it = group()
    allow(it, perm("tcp", (80, 80), ["100.68.0.0/18"]))
    with refused("InvalidPermission.Duplicate"):
        allow(it, perm("tcp", (80, 80), ["100.68.0.18/18"]))


@pytest.mark.says("C3")
@pytest.mark.parametrize("wrong", ["192.0.2.1", "192.0.2.0/33", "192.0.2/24", "300.0.0.0/8", "here", "", "2001:db8::/32",
                                   "192.0.2.0/-1", "192.0.2.0/ 24", "192.0.2.0/24/24", "010.0.0.0/8"])
def test_what_is_no_ipv4_cidr_is_refused(group, allow, perm, rules, refused, wrong):
    it = group()
    with refused("InvalidParameterValue|InvalidPermission.Malformed"):
        allow(it, perm("tcp", (80, 80), [wrong]))
    assert rules(it) == []


@pytest.mark.says("C3")
@pytest.mark.parametrize("wrong", ["2001:db8::1", "2001:db8::/129", "192.0.2.0/24", "fe80::1%eth0/64", "::g/0", ""])
def test_what_is_no_ipv6_cidr_is_refused(group, allow, perm, rules, refused, wrong):
    it = group()
    with refused("InvalidParameterValue|InvalidPermission.Malformed"):
        allow(it, perm("tcp", (80, 80), v6=[wrong]))
    assert rules(it) == []


@pytest.mark.says("C5")
def test_overlapping_rules_may_stand_side_by_side(group, allow, perm, rules):
    it = group()
    allow(it, perm("tcp", (80, 80), ["10.0.0.0/8"]))
    allow(it, perm("tcp", (80, 80), ["10.1.0.0/16", "0.0.0.0/0"]), perm("tcp", (0, 65535), ["10.0.0.0/8"]))
    assert len(rules(it)) == 4


@pytest.mark.says("I2")
def test_a_duplicate_is_refused_with_its_text(group, allow, perm, refused):
    it = group()
    allow(it, perm("tcp", (80, 443), ["192.0.2.0/24"]))
    with refused("InvalidPermission.Duplicate",
                 r'the specified rule "peer: 192\.0\.2\.0/24, TCP, from port: 80, to port: 443, ALLOW" already exists'):
        allow(it, perm("tcp", (80, 443), ["192.0.2.0/24"]))


@pytest.mark.says("I1")
def test_a_description_makes_no_other_rule(group, allow, perm, refused):
    it = group()
    allow(it, perm("tcp", (80, 80), NET, description="one"))
    with refused("InvalidPermission.Duplicate"):
        allow(it, perm("tcp", (80, 80), NET, description="two"))


@pytest.mark.says("I1")
@pytest.mark.parametrize("first, second", [("tcp", "6"), ("icmp", "1"), ("udp", "UDP")])
def test_a_protocol_is_the_same_by_name_and_number(group, allow, perm, refused, first, second):
    it = group()
    allow(it, perm(first, (8, 8), NET))
    with refused("InvalidPermission.Duplicate"):
        allow(it, perm(second, (8, 8), NET))


def test_the_same_rule_may_stand_in_both_directions(group, allow, perm, rules):
    it = group()
    allow(it, perm("tcp", (80, 80), NET))
    allow(it, perm("tcp", (80, 80), NET), egress=True)
    assert len(rules(it)) == 1 and len(rules(it, egress=True)) == 2


@pytest.mark.says("I8")
@pytest.mark.unconfirmed
def test_one_bad_permission_spoils_all(group, allow, perm, rules, refused):
    # Half of a change is a policy that nobody wrote.
    it = group()
    with refused("InvalidParameterValue|InvalidPermission.Malformed"):
        allow(it, perm("tcp", (80, 80), NET), perm("tcp", (81, 81), ["192.0.2.0/99"]))
    assert rules(it) == []


@pytest.mark.says("I8")
@pytest.mark.unconfirmed
def test_one_duplicate_spoils_all(group, allow, perm, rules, refused):
    it = group()
    allow(it, perm("tcp", (80, 80), NET))
    with refused("InvalidPermission.Duplicate"):
        allow(it, perm("tcp", (81, 81), NET), perm("tcp", (80, 80), NET))
    assert len(rules(it)) == 1


@pytest.mark.says("I7")
def test_the_same_permission_twice_in_one_call_is_refused(group, allow, perm, rules, refused):
    # The text is from hashicorp/terraform#16876.
    it = group()
    with refused("InvalidParameterValue", "The same permission must not appear multiple times"):
        allow(it, perm("tcp", (80, 80), NET), perm("tcp", (80, 80), NET))
    assert rules(it) == []


@pytest.mark.deviates
def test_a_permission_without_source_is_refused(ec2, group, rules, refused):
    # AWS answers success and makes no rule; people take it for one (aws/aws-cli#7069, #867, boto/boto3#1012).
    it = group()
    with refused("InvalidParameterValue|MissingParameter|InvalidPermission.Malformed"):
        ec2.authorize_security_group_ingress(GroupId=it, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2}])
    assert rules(it) == []


def test_no_permission_at_all_is_refused(raw, group):
    answer = raw("AuthorizeSecurityGroupIngress", GroupId=group())
    assert (answer.status, answer.text("Errors/Error/Code")) == (400, "MissingParameter")


def test_a_permission_without_protocol_is_refused(raw, group, rules):
    it = group()
    answer = raw("AuthorizeSecurityGroupIngress", **{"GroupId": it, "IpPermissions.1.IpRanges.1.CidrIp": NET[0]})
    assert answer.status == 400
    assert rules(it) == []


@pytest.mark.parametrize("wrong, code", [("sg-0123456789abcdef0", "InvalidGroup.NotFound"),
                                         ("no-id", "InvalidGroupId.Malformed|InvalidGroup.NotFound")])
def test_rules_for_an_unknown_group_are_refused(allow, perm, refused, wrong, code):
    with refused(code):
        allow(wrong, perm("tcp", (80, 80), NET))


@pytest.mark.says("F7")
def test_a_group_may_refer_to_itself_and_to_others(group, allow, perm, rules, shown):
    it, peer = group(), group()
    made = allow(it, perm("tcp", (80, 80), groups=[it]), perm("tcp", (80, 80), groups=[peer]))
    owner = shown(it)["OwnerId"]
    assert [r["ReferencedGroupInfo"] for r in made] == [{"GroupId": it, "UserId": owner}, {"GroupId": peer, "UserId": owner}]


@pytest.mark.says("F5")
def test_a_reference_may_name_its_account(ec2, group, rules, shown):
    it = group()
    pair = {"GroupId": it, "UserId": shown(it)["OwnerId"]}
    ec2.authorize_security_group_ingress(
        GroupId=it, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "UserIdGroupPairs": [pair]}])
    assert rules(it)[0]["ReferencedGroupInfo"]["GroupId"] == it


def test_a_reference_to_an_unknown_group_is_refused(group, allow, perm, rules, refused):
    it = group()
    with refused("InvalidGroup.NotFound", "sg-0123456789abcdef0"):
        allow(it, perm("tcp", (80, 80), groups=["sg-0123456789abcdef0"]))
    assert rules(it) == []


@pytest.mark.says("F4")
def test_a_reference_into_another_vpc_is_refused(group, allow, perm, refused, other_vpc, default_vpc):
    here, there = group(VpcId=default_vpc), group(VpcId=other_vpc)
    with refused("InvalidGroup.NotFound"):
        allow(here, perm("tcp", (80, 80), groups=[there]))


@pytest.mark.tier(2)
def test_a_prefix_list_may_be_a_source(group, allow, perm, prefix_list, rules):
    it, pl = group(), prefix_list("198.51.100.0/24")
    allow(it, perm("tcp", (80, 80), lists=[pl], description="office"))
    assert (rules(it)[0]["PrefixListId"], rules(it)[0]["Description"]) == (pl, "office")


@pytest.mark.tier(2)
@pytest.mark.parametrize("wrong, code", [("pl-0123456789abcdef0", "InvalidPrefixListID.NotFound|InvalidPrefixListId.NotFound"),
                                         ("office", "InvalidPrefixListId.Malformed|InvalidPrefixListID.NotFound")])
def test_an_unknown_prefix_list_is_refused(group, allow, perm, refused, wrong, code):
    with refused(code):
        allow(group(), perm("tcp", (80, 80), lists=[wrong]))


@pytest.mark.says("N9")
def test_a_description_has_at_most_255_characters(group, allow, perm, rules, refused):
    it = group()
    allow(it, perm("tcp", (80, 80), NET, description="x" * 255))
    assert rules(it)[0]["Description"] == "x" * 255
    with refused("InvalidParameterValue"):
        allow(it, perm("tcp", (81, 81), NET, description="x" * 256))


@pytest.mark.says("N9")
@pytest.mark.parametrize("wrong", ["a<b", 'a"b', "é", "a%b", "a\nb"])
def test_a_description_has_the_characters_of_names(group, allow, perm, refused, wrong):
    with refused("InvalidParameterValue"):
        allow(group(), perm("tcp", (80, 80), NET, description=wrong))


@pytest.mark.says("N9")
def test_every_allowed_character_may_stand_in_a_description(group, allow, perm, rules):
    it, text = group(), "aZ9 ._-:/()#,@[]+=&;{}!$*"
    allow(it, perm("tcp", (80, 80), NET, description=text))
    assert rules(it)[0]["Description"] == text


def test_new_rules_may_be_tagged(group, allow, perm, rules):
    it, tags = group(), [{"Key": "ticket", "Value": "17"}]
    made = allow(it, perm("tcp", (80, 80), NET), TagSpecifications=[{"ResourceType": "security-group-rule", "Tags": tags}])
    assert made[0]["Tags"] == rules(it)[0]["Tags"] == tags


@pytest.mark.tier(2)
def test_the_old_form_with_one_cidr(ec2, group, rules):
    it = group()
    ec2.authorize_security_group_ingress(GroupId=it, IpProtocol="tcp", FromPort=22, ToPort=23, CidrIp=NET[0])
    rule = rules(it)[0]
    assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"], rule["CidrIpv4"]) == ("tcp", 22, 23, NET[0])


@pytest.mark.tier(2)
def test_the_group_may_be_named(ec2, group, name, rules, default_vpc, perm):
    called = name()
    it = group(called, VpcId=default_vpc)
    ec2.authorize_security_group_ingress(GroupName=called, IpPermissions=[perm("tcp", (22, 22), NET)])
    assert len(rules(it)) == 1


def test_a_dry_run_admits_nothing(ec2, group, perm, rules, refused):
    it = group()
    with refused("DryRunOperation", status=412):
        ec2.authorize_security_group_ingress(GroupId=it, IpPermissions=[perm("tcp", (22, 22), NET)], DryRun=True)
    assert rules(it) == []


def nets(count, base="10.{}.0.0/16"):
    return [base.format(n) for n in range(count)]


@pytest.mark.says("Q01")
def test_the_61st_rule_is_refused(group, allow, perm, rules, refused):
    it = group()
    allow(it, perm("tcp", (80, 80), nets(60)))
    with refused("RulesPerSecurityGroupLimitExceeded"):
        allow(it, perm("tcp", (80, 80), ["192.0.2.0/24"]))
    assert len(rules(it)) == 60


@pytest.mark.says("Q01")
def test_61_rules_at_once_are_refused_all(group, allow, perm, rules, refused):
    it = group()
    with refused("RulesPerSecurityGroupLimitExceeded"):
        allow(it, perm("tcp", (80, 80), nets(61)))
    assert rules(it) == []


@pytest.mark.says("Q02")
def test_families_and_directions_are_counted_apart(group, allow, perm, rules):
    it = group()
    allow(it, perm("tcp", (80, 80), nets(60)), perm("tcp", (80, 80), v6=[f"2001:db8:{n:x}::/48" for n in range(60)]))
    allow(it, perm("tcp", (80, 80), nets(59)), egress=True)
    assert (len(rules(it)), len(rules(it, egress=True))) == (120, 60)


@pytest.mark.tier(2)
@pytest.mark.says("Q03")
def test_a_prefix_list_counts_as_its_size(group, allow, perm, prefix_list, refused):
    it = group()
    allow(it, perm("tcp", (80, 80), nets(5), lists=[prefix_list("198.51.100.0/24", max_entries=55)]))
    with refused("RulesPerSecurityGroupLimitExceeded"):
        allow(it, perm("tcp", (80, 80), ["192.0.2.0/24"]))
