"""Groups: names, creation, the default group, deletion."""

import re

import pytest

pytestmark = pytest.mark.tier(1)

ALLOWED = "aZ9 ._-:/()#,@[]+=&;{}!$*"


def test_an_id_is_sg_and_17_digits(group):
    assert re.fullmatch(r"sg-[0-9a-f]{17}", group())


def test_creation_answers_id_tags_and_arn(ec2, group, name, vpc):
    tags = [{"Key": "Name", "Value": "x"}, {"Key": "team", "Value": "net"}]
    answer = ec2.create_security_group(
        GroupName=name(), Description="d", VpcId=vpc,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}])
    group.made.append(answer["GroupId"])
    assert sorted(answer["Tags"], key=lambda t: t["Key"]) == tags
    assert re.fullmatch(rf"arn:aws[a-z-]*:ec2:[a-z0-9-]+:\d{{12}}:security-group/{answer['GroupId']}",
                        answer["SecurityGroupArn"])


def test_a_group_is_shown_as_it_was_made(ec2, group, name, vpc, shown):
    called = name()
    it = shown(group(called, "what it is for"))
    assert (it["GroupName"], it["Description"], it["VpcId"]) == (called, "what it is for", vpc)
    assert re.fullmatch(r"\d{12}", it["OwnerId"])
    assert it.get("Tags", []) == []


@pytest.mark.says("N1")
@pytest.mark.parametrize("given, missing", [({"GroupName": "x"}, "GroupDescription"), ({"GroupDescription": "x"}, "GroupName")])
def test_name_and_description_are_compulsory(raw, vpc, given, missing):
    answer = raw("CreateSecurityGroup", VpcId=vpc, **given)
    assert (answer.status, answer.text("Errors/Error/Code")) == (400, "MissingParameter")
    assert missing in answer.text("Errors/Error/Message")


@pytest.mark.says("N2")
def test_a_name_may_have_255_characters(group, name, shown):
    long = name() + "x" * 239
    assert shown(group(long, "d" * 255))["GroupName"] == long[:255]


@pytest.mark.says("N2")
@pytest.mark.parametrize("field", ["name", "description"])
def test_256_characters_are_refused(group, refused, name, field):
    long = (name() + "x" * 256)[:256]
    with refused("InvalidParameterValue"):
        group(long if field == "name" else name(), long if field == "description" else "d")


@pytest.mark.says("N3")
def test_every_allowed_character_is_allowed(group, name, shown):
    called = name() + ALLOWED
    it = shown(group(called, "d" + ALLOWED))
    assert (it["GroupName"], it["Description"]) == (called, "d" + ALLOWED)


@pytest.mark.says("N3")
@pytest.mark.parametrize("character", ["%", '"', "<", "é", "|", "\n", "?"])
@pytest.mark.parametrize("field", ["name", "description"])
def test_other_characters_are_refused(group, refused, name, field, character):
    with refused("InvalidParameterValue"):
        group(name() + (character + "x" if field == "name" else ""), "d" + (character if field == "description" else ""))


@pytest.mark.says("N4")
def test_spaces_behind_a_name_are_cut(group, name, shown):
    called = name()
    assert shown(group(called + "  "))["GroupName"] == called


@pytest.mark.says("N5")
def test_a_name_does_not_begin_as_an_id(group, refused, name):
    with refused("InvalidParameterValue"):
        group("sg-" + name())


@pytest.mark.says("N6")
def test_a_name_is_given_once(group, refused, name):
    called = name()
    group(called)
    with refused("InvalidGroup.Duplicate", f"The security group '{called}' already exists"):
        group(called)


@pytest.mark.says("N6")
def test_case_does_not_make_another_name(group, refused, name):
    called = name("Kit")
    group(called)
    with refused("InvalidGroup.Duplicate"):
        group(called.upper())


@pytest.mark.says("N6")
def test_another_vpc_may_have_the_name(group, name, other_vpc, default_vpc):
    called = name()
    assert group(called, VpcId=default_vpc) != group(called, VpcId=other_vpc)


@pytest.mark.says("N7")
@pytest.mark.parametrize("called", ["default", "Default"])
def test_default_is_reserved(group, refused, called):
    with refused("InvalidGroup.Reserved"):
        group(called)


def test_an_unknown_vpc_is_refused(group, refused):
    with refused("InvalidVpcID.NotFound", "vpc-0123456789abcdef0"):
        group(VpcId="vpc-0123456789abcdef0")


def test_without_a_vpc_the_default_one_is_meant(ec2, group, name, default_vpc, shown):
    made = ec2.create_security_group(GroupName=name(), Description="d")["GroupId"]
    group.made.append(made)
    assert shown(made)["VpcId"] == default_vpc


@pytest.mark.tier(2)
def test_tags_for_another_type_of_resource_are_refused(group, refused):
    with refused("InvalidParameterValue", "volume"):
        group(TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "a", "Value": "b"}]}])


@pytest.mark.says("G4")
def test_a_new_group_lets_nothing_in_and_everything_out(group, shown):
    it = shown(group())
    assert it["IpPermissions"] == []
    assert len(it["IpPermissionsEgress"]) == 1
    out = it["IpPermissionsEgress"][0]
    assert out["IpProtocol"] == "-1"
    assert [each["CidrIp"] for each in out["IpRanges"]] == ["0.0.0.0/0"]
    assert [each["CidrIpv6"] for each in out["Ipv6Ranges"]] in ([], ["::/0"])
    assert "FromPort" not in out and "ToPort" not in out


def default_group(ec2, vpc):
    filters = [{"Name": "group-name", "Values": ["default"]}, {"Name": "vpc-id", "Values": [vpc]}]
    found = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    assert len(found) == 1
    return found[0]


@pytest.mark.says("G1")
def test_a_vpc_has_one_default_group(ec2, vpc):
    assert default_group(ec2, vpc)["Description"] == "default VPC security group"


@pytest.mark.says("G2")
def test_the_default_group_admits_its_members(ec2, vpc):
    it = default_group(ec2, vpc)
    assert len(it["IpPermissions"]) == 1
    into = it["IpPermissions"][0]
    assert into["IpProtocol"] == "-1"
    assert [each["GroupId"] for each in into["UserIdGroupPairs"]] == [it["GroupId"]]
    assert it["IpPermissionsEgress"][0]["IpRanges"][0]["CidrIp"] == "0.0.0.0/0"


@pytest.mark.says("G3")
def test_the_default_group_stays(ec2, vpc, refused):
    it = default_group(ec2, vpc)["GroupId"]
    with refused("CannotDelete", f'the specified group: "{it}" name: "default" cannot be deleted by a user'):
        ec2.delete_security_group(GroupId=it)
    assert default_group(ec2, vpc)["GroupId"] == it


@pytest.mark.says("G3")
def test_rules_of_the_default_group_may_be_taken_and_given_back(ec2, vpc, perm):
    it = default_group(ec2, vpc)["GroupId"]
    rule = perm("-1", v4=["0.0.0.0/0"])
    ec2.revoke_security_group_egress(GroupId=it, IpPermissions=[rule])
    try:
        left = [r for p in default_group(ec2, vpc)["IpPermissionsEgress"] for r in p["IpRanges"]]
        assert left == []
    finally:
        ec2.authorize_security_group_egress(GroupId=it, IpPermissions=[rule])


def test_deletion_answers_true(ec2, group):
    it = group()
    answer = ec2.delete_security_group(GroupId=it)
    assert answer["Return"] is True
    assert answer["GroupId"] == it


def test_a_group_can_be_deleted_by_name(ec2, group, name, default_vpc, refused):
    called = name()
    it = group(called, VpcId=default_vpc)
    ec2.delete_security_group(GroupName=called)
    with refused("InvalidGroup.NotFound"):
        ec2.describe_security_groups(GroupIds=[it])


def test_what_is_deleted_is_gone(ec2, group, refused):
    it = group()
    ec2.delete_security_group(GroupId=it)
    with refused("InvalidGroup.NotFound", f"The security group '{it}' does not exist"):
        ec2.describe_security_groups(GroupIds=[it])
    assert ec2.describe_security_groups(Filters=[{"Name": "group-id", "Values": [it]}])["SecurityGroups"] == []
    with refused("InvalidGroup.NotFound"):
        ec2.delete_security_group(GroupId=it)


def test_its_rules_are_gone_with_it(ec2, group, allow, perm, refused):
    it = group()
    rule = allow(it, perm("tcp", (22, 22), ["192.0.2.0/24"]))[0]["SecurityGroupRuleId"]
    ec2.delete_security_group(GroupId=it)
    with refused("InvalidSecurityGroupRuleId.NotFound", rule):
        ec2.describe_security_group_rules(SecurityGroupRuleIds=[rule])


def test_deleting_an_unknown_group_is_refused(ec2, refused):
    with refused("InvalidGroup.NotFound"):
        ec2.delete_security_group(GroupId="sg-0123456789abcdef0")


@pytest.mark.tier(2)
def test_deleting_no_group_at_all_is_refused(raw):
    answer = raw("DeleteSecurityGroup")
    assert (answer.status, answer.text("Errors/Error/Code")) == (400, "MissingParameter")


@pytest.mark.says("F12", "G04")
def test_a_group_that_another_refers_to_stays(ec2, group, allow, perm, refused):
    one, two = group(), group()
    allow(two, perm("tcp", (5432, 5432), groups=[one]))
    with refused("DependencyViolation", f"resource {one} has a dependent object"):
        ec2.delete_security_group(GroupId=one)
    ec2.revoke_security_group_ingress(GroupId=two, IpPermissions=[perm("tcp", (5432, 5432), groups=[one])])
    ec2.delete_security_group(GroupId=one)


def test_a_reference_from_outbound_rules_holds_it_too(ec2, group, allow, perm, refused):
    one, two = group(), group()
    allow(two, perm("tcp", (5432, 5432), groups=[one]), egress=True)
    with refused("DependencyViolation"):
        ec2.delete_security_group(GroupId=one)


def test_a_reference_to_itself_does_not_hold_it(ec2, group, allow, perm):
    # Terraform destroys groups with `self = true` without revoking anything first, and a test of moto's
    # that runs on AWS does the same.
    it = group()
    allow(it, perm("-1", groups=[it]))
    assert ec2.delete_security_group(GroupId=it)["Return"] is True


def test_a_group_that_an_interface_carries_stays(ec2, group, enis, refused):
    it = group()
    ec2.modify_network_interface_attribute(NetworkInterfaceId=enis[0], Groups=[it])
    try:
        with refused("DependencyViolation", f"resource {it} has a dependent object"):
            ec2.delete_security_group(GroupId=it)
    finally:
        ec2.modify_network_interface_attribute(NetworkInterfaceId=enis[0], Groups=[group()])
    ec2.delete_security_group(GroupId=it)


@pytest.mark.unconfirmed
def test_an_id_is_never_given_twice(ec2, group, name):
    # A rule, a state file or an audit line may still hold the old one.
    called = name()
    one = group(called)
    ec2.delete_security_group(GroupId=one)
    assert group(called) != one


def test_the_waiter_returns(ec2, group):
    ec2.get_waiter("security_group_exists").wait(GroupIds=[group()], WaiterConfig={"Delay": 1, "MaxAttempts": 3})
