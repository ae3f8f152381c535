"""Network interfaces: which groups they carry."""

import pytest

pytestmark = pytest.mark.tier(1)


@pytest.fixture
def carried(ec2):
    def look(eni):
        found = ec2.describe_network_interfaces(NetworkInterfaceIds=[eni])["NetworkInterfaces"][0]
        return [each["GroupId"] for each in found["Groups"]]

    return look


@pytest.fixture
def carry(ec2):
    return lambda eni, *groups: ec2.modify_network_interface_attribute(NetworkInterfaceId=eni, Groups=list(groups))


def test_an_interface_says_where_it_is_and_what_it_carries(ec2, enis, vpc):
    it = ec2.describe_network_interfaces(NetworkInterfaceIds=[enis[0]])["NetworkInterfaces"][0]
    assert it["VpcId"] == vpc
    assert it["SubnetId"].startswith("subnet-")
    assert it["Status"] in ("available", "in-use")
    assert len(it["MacAddress"].split(":")) == 6
    assert it["Groups"] and {"GroupId", "GroupName"} <= set(it["Groups"][0])
    assert "PrivateIpAddresses" in it and "Ipv6Addresses" in it


@pytest.mark.says("G6")
def test_new_groups_replace_the_old_ones(group, enis, carry, carried):
    one, two, three = group(), group(), group()
    carry(enis[0], one, two)
    assert set(carried(enis[0])) == {one, two}
    carry(enis[0], three)
    assert carried(enis[0]) == [three]


@pytest.mark.says("G5")
def test_an_interface_carries_at_least_one_group(raw, enis, carried):
    before = carried(enis[0])
    answer = raw("ModifyNetworkInterfaceAttribute", NetworkInterfaceId=enis[0])
    assert answer.status == 400
    assert carried(enis[0]) == before


def test_unknown_groups_are_refused_and_change_nothing(group, enis, carry, carried, refused):
    before = carried(enis[0])
    with refused("InvalidGroup.NotFound|InvalidSecurityGroupID.NotFound"):
        carry(enis[0], group(), "sg-0123456789abcdef0")
    assert carried(enis[0]) == before


@pytest.mark.says("G6")
def test_names_are_no_ids(group, name, enis, carry, refused):
    called = name()
    group(called)
    with refused("InvalidGroup.NotFound|InvalidSecurityGroupID.NotFound|InvalidSecurityGroupId.Malformed|InvalidGroupId.Malformed"):
        carry(enis[0], called)


@pytest.mark.says("Q04")
def test_a_sixth_group_is_refused(group, enis, carry, carried, refused):
    groups = [group() for _ in range(6)]
    carry(enis[0], *groups[:5])
    with refused("SecurityGroupsPerInterfaceLimitExceeded"):
        carry(enis[0], *groups)
    assert set(carried(enis[0])) == set(groups[:5])


@pytest.mark.parametrize("call", ["describe_network_interfaces", "modify_network_interface_attribute"])
def test_an_unknown_interface_is_refused(ec2, group, refused, call):
    with refused("InvalidNetworkInterfaceID.NotFound", "eni-0123456789abcdef0"):
        if call.startswith("describe"):
            ec2.describe_network_interfaces(NetworkInterfaceIds=["eni-0123456789abcdef0"])
        else:
            ec2.modify_network_interface_attribute(NetworkInterfaceId="eni-0123456789abcdef0", Groups=[group()])


def test_interfaces_are_found_by_group(ec2, group, enis, carry):
    it = group()
    carry(enis[0], it)
    found = ec2.describe_network_interfaces(Filters=[{"Name": "group-id", "Values": [it]}])["NetworkInterfaces"]
    assert [each["NetworkInterfaceId"] for each in found] == [enis[0]]
    nobody = [{"Name": "group-id", "Values": [group()]}]
    assert ec2.describe_network_interfaces(Filters=nobody)["NetworkInterfaces"] == []


@pytest.mark.tier(2)
def test_interfaces_are_found_by_vpc_and_id(ec2, enis, vpc):
    for key, value in (("vpc-id", vpc), ("network-interface-id", enis[0])):
        found = ec2.describe_network_interfaces(Filters=[{"Name": key, "Values": [value]}])["NetworkInterfaces"]
        assert enis[0] in [each["NetworkInterfaceId"] for each in found], key


@pytest.mark.tier(2)
def test_the_attribute_of_groups_can_be_read(ec2, group, enis, carry):
    it = group()
    carry(enis[0], it)
    answer = ec2.describe_network_interface_attribute(NetworkInterfaceId=enis[0], Attribute="groupSet")
    assert [each["GroupId"] for each in answer["Groups"]] == [it]


def test_a_group_of_another_vpc_is_refused(group, enis, carry, refused, other_vpc):
    with refused("InvalidGroup.NotFound|InvalidSecurityGroupID.NotFound|InvalidParameterCombination|InvalidParameterValue"):
        carry(enis[0], group(VpcId=other_vpc))
