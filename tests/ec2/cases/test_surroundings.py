"""What clients ask before and beside groups: account, VPC, region; references."""

import re

import pytest

pytestmark = pytest.mark.tier(1)


def test_who_am_i(client, group, shown):
    answer = client("sts").get_caller_identity()
    assert answer["Account"] == shown(group())["OwnerId"]
    assert answer["Arn"].startswith("arn:aws") and answer["UserId"]


def test_there_is_one_default_vpc(ec2, default_vpc):
    it = ec2.describe_vpcs(VpcIds=[default_vpc])["Vpcs"][0]
    assert it["IsDefault"] is True and it["State"] == "available"
    assert re.fullmatch(r"\d+\.\d+\.\d+\.\d+/\d+", it["CidrBlock"])


def test_an_unknown_vpc_is_refused(ec2, refused):
    with refused("InvalidVpcID.NotFound", "vpc-0123456789abcdef0"):
        ec2.describe_vpcs(VpcIds=["vpc-0123456789abcdef0"])


@pytest.mark.tier(2)
def test_the_account_names_its_default_vpc(ec2, default_vpc):
    found = ec2.describe_account_attributes(AttributeNames=["default-vpc", "supported-platforms"])["AccountAttributes"]
    values = {each["AttributeName"]: [v["AttributeValue"] for v in each["AttributeValues"]] for each in found}
    assert values == {"default-vpc": [default_vpc], "supported-platforms": ["VPC"]}


@pytest.mark.tier(2)
def test_regions_and_zones(ec2):
    regions = [each["RegionName"] for each in ec2.describe_regions()["Regions"]]
    zones = ec2.describe_availability_zones()["AvailabilityZones"]
    assert zones and zones[0]["RegionName"] in regions and zones[0]["State"] == "available"


@pytest.mark.tier(2)
def test_attributes_of_the_vpc(ec2, default_vpc):
    answer = ec2.describe_vpc_attribute(VpcId=default_vpc, Attribute="enableDnsSupport")
    assert answer["EnableDnsSupport"]["Value"] in (True, False)


@pytest.mark.tier(3)
def test_who_refers_to_a_group_in_other_vpcs(ec2, group, allow, perm):
    one, two = group(), group()
    allow(two, perm("tcp", (1, 1), groups=[one]))
    # Only references from peered VPCs are listed, so there are none.
    assert ec2.describe_security_group_references(GroupId=[one])["SecurityGroupReferenceSet"] == []


@pytest.mark.tier(3)
def test_nothing_is_stale(ec2, vpc):
    assert ec2.describe_stale_security_groups(VpcId=vpc)["StaleSecurityGroupSet"] == []


@pytest.mark.tier(3)
def test_groups_that_a_vpc_may_use(ec2, group, vpc):
    it = group()
    found = ec2.get_security_groups_for_vpc(VpcId=vpc, Filters=[{"Name": "group-id", "Values": [it]}])["SecurityGroupForVpcs"]
    assert [(each["GroupId"], each["PrimaryVpcId"]) for each in found] == [(it, vpc)]
