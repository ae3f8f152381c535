"""DescribeSecurityGroups: lookups, filters, pages, shape."""

import pytest

pytestmark = pytest.mark.tier(1)


@pytest.fixture
def find(ec2):
    def find(*pairs):
        filters = [{"Name": key, "Values": list(values)} for key, *values in pairs]
        return {each["GroupId"] for each in ec2.describe_security_groups(Filters=filters)["SecurityGroups"]}

    return find


def test_by_ids(ec2, group):
    one, two = group(), group()
    found = ec2.describe_security_groups(GroupIds=[one, two])["SecurityGroups"]
    assert {each["GroupId"] for each in found} == {one, two}


def test_by_name(ec2, group, name, default_vpc):
    called = name()
    it = group(called, VpcId=default_vpc)
    assert ec2.describe_security_groups(GroupNames=[called])["SecurityGroups"][0]["GroupId"] == it


def test_an_unknown_id_is_refused_even_beside_known_ones(ec2, group, refused):
    with refused("InvalidGroup.NotFound", "The security group 'sg-0123456789abcdef0' does not exist"):
        ec2.describe_security_groups(GroupIds=[group(), "sg-0123456789abcdef0"])


def test_an_unknown_name_is_refused(ec2, refused):
    with refused("InvalidGroup.NotFound", "The security group 'no-such-group' does not exist"):
        ec2.describe_security_groups(GroupNames=["no-such-group"])


@pytest.mark.parametrize("wrong", ["foobar", "sg-xyz", "sg-"])
def test_what_is_no_id_is_malformed(ec2, refused, wrong):
    with refused("InvalidGroupId.Malformed", wrong):
        ec2.describe_security_groups(GroupIds=[wrong])


def test_filter_group_id(find, group):
    one, two = group(), group()
    assert find(("group-id", one, two, "sg-0123456789abcdef0")) == {one, two}


def test_filter_group_name_with_wildcards(find, group, name):
    a = name()
    one, two = group(a + "-web-1"), group(a + "-web-22")
    assert find(("group-name", a + "-web-1")) == {one}
    assert find(("group-name", a + "-web-*")) == {one, two}
    assert find(("group-name", a + "-web-?")) == {one}


def test_values_of_filters_are_case_sensitive(find, group, name):
    a = name()
    group(a)
    assert find(("group-name", a.upper())) == set()


def test_several_values_are_or_several_filters_and(find, group, name, vpc):
    a = name()
    one, two = group(a + "1", "left"), group(a + "2", "right")
    assert find(("group-name", a + "1", a + "2")) == {one, two}
    assert find(("group-name", a + "1", a + "2"), ("description", "left")) == {one}
    assert find(("group-name", a + "*"), ("vpc-id", vpc)) == {one, two}
    assert find(("group-name", a + "*"), ("vpc-id", "vpc-0123456789abcdef0")) == set()


def test_filter_owner_id(ec2, find, group, shown):
    it = group()
    assert find(("group-id", it), ("owner-id", shown(it)["OwnerId"])) == {it}
    assert find(("group-id", it), ("owner-id", "000000000000")) == set()


def test_filters_on_tags(find, group, name):
    value = name()
    it = group(TagSpecifications=[{"ResourceType": "security-group", "Tags": [{"Key": "Team", "Value": value}]}])
    assert find(("tag:Team", value)) == {it}
    assert find(("tag:team", value)) == set()
    assert find(("tag:Team", value[:-2] + "*")) == {it}
    assert find(("group-id", it), ("tag-key", "Team")) == {it}
    assert find(("group-id", it), ("tag-key", "team")) == set()


@pytest.fixture
def sample(group, allow, perm, prefix_list):
    it, peer, pl = group(), group(), prefix_list("198.51.100.0/24")
    allow(it, perm("tcp", (8100, 8110), ["192.0.2.0/24"]), perm("udp", (53, 53), v6=["2001:db8:77::/48"]),
          perm("tcp", (5432, 5432), groups=[peer]), perm("tcp", (9001, 9001), lists=[pl]))
    allow(it, perm("tcp", (4433, 4434), ["203.0.113.0/25"]), perm("udp", (123, 123), groups=[peer]), egress=True)
    return it, peer, pl


@pytest.mark.tier(2)
@pytest.mark.parametrize("key, value", [
    ("ip-permission.protocol", "udp"), ("ip-permission.from-port", "8100"), ("ip-permission.to-port", "8110"),
    ("ip-permission.cidr", "192.0.2.0/24"), ("ip-permission.ipv6-cidr", "2001:db8:77::/48"),
    ("egress.ip-permission.protocol", "udp"), ("egress.ip-permission.from-port", "4433"),
    ("egress.ip-permission.to-port", "4434"), ("egress.ip-permission.cidr", "203.0.113.0/25")])
def test_filters_on_rules(find, sample, key, value):
    it, _peer, _list = sample
    assert find(("group-id", it), (key, value)) == {it}
    assert find(("group-id", it), (key, "65533")) == set()


@pytest.mark.tier(2)
@pytest.mark.parametrize("key", ["ip-permission.group-id", "egress.ip-permission.group-id"])
def test_filters_on_referenced_groups(find, sample, key):
    it, peer, _list = sample
    assert find((key, peer)) == {it}


@pytest.mark.tier(2)
def test_filter_on_prefix_lists(find, sample):
    it, _peer, pl = sample
    assert find(("ip-permission.prefix-list-id", pl)) == {it}


@pytest.mark.tier(2)
def test_filters_on_rules_may_be_met_by_different_rules(find, sample):
    it, _peer, _list = sample
    assert find(("group-id", it), ("ip-permission.protocol", "udp"), ("ip-permission.from-port", "8100")) == {it}


@pytest.mark.tier(2)
def test_an_unknown_filter_is_refused(ec2, refused):
    with refused("InvalidParameterValue", "The filter 'colour' is invalid"):
        ec2.describe_security_groups(Filters=[{"Name": "colour", "Values": ["red"]}])


def test_pages(ec2, group, name):
    a = name()
    made = {group(f"{a}-{n}") for n in range(12)}
    query = {"Filters": [{"Name": "group-name", "Values": [a + "-*"]}], "MaxResults": 5}
    first = ec2.describe_security_groups(**query)
    assert len(first["SecurityGroups"]) == 5 and first["NextToken"]
    pages = list(ec2.get_paginator("describe_security_groups").paginate(**query))
    assert [len(each["SecurityGroups"]) for each in pages] == [5, 5, 2]
    assert {g["GroupId"] for each in pages for g in each["SecurityGroups"]} == made
    assert "NextToken" not in pages[-1]


@pytest.mark.tier(2)
@pytest.mark.parametrize("size", ["4", "0", "-1", "1001", "ten"])
def test_a_page_holds_5_to_1000(raw, size):
    answer = raw("DescribeSecurityGroups", MaxResults=size)
    assert (answer.status, answer.text("Errors/Error/Code")) == (400, "InvalidParameterValue")


@pytest.mark.tier(2)
@pytest.mark.unconfirmed
def test_a_forged_token_is_refused(ec2, refused):
    with refused("InvalidNextToken|InvalidParameterValue|InvalidPaginationToken"):
        ec2.describe_security_groups(NextToken="forged", MaxResults=5)


@pytest.mark.tier(2)
def test_an_empty_token_is_the_first_page(raw):
    # boto/boto3#2673: AWS takes it here.
    assert raw("DescribeSecurityGroups", NextToken="").status == 200


@pytest.mark.says("1.2")
def test_sources_of_one_protocol_and_ports_share_a_permission(group, allow, perm, prefix_list, shown):
    it, peer, pl = group(), group(), prefix_list("198.51.100.0/24")
    allow(it, perm("tcp", (22, 22), ["192.0.2.0/25"]))
    allow(it, perm("tcp", (22, 22), ["192.0.2.128/25"], ["2001:db8::/32"], [peer], [pl]))
    allow(it, perm("tcp", (22, 23), ["192.0.2.0/25"]))
    found = {(p["FromPort"], p["ToPort"]): p for p in shown(it)["IpPermissions"]}
    assert set(found) == {(22, 22), (22, 23)}
    one = found[22, 22]
    assert {r["CidrIp"] for r in one["IpRanges"]} == {"192.0.2.0/25", "192.0.2.128/25"}
    assert [r["CidrIpv6"] for r in one["Ipv6Ranges"]] == ["2001:db8::/32"]
    assert [r["GroupId"] for r in one["UserIdGroupPairs"]] == [peer]
    assert [r["PrefixListId"] for r in one["PrefixListIds"]] == [pl]


def test_a_permission_always_has_its_four_lists(group, allow, perm, shown):
    it = group()
    allow(it, perm("tcp", (22, 22), ["192.0.2.0/24"]))
    one = shown(it)["IpPermissions"][0]
    assert {"IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs"} <= set(one)


def test_descriptions_belong_to_sources(group, allow, perm, shown):
    it = group()
    allow(it, perm("tcp", (22, 22), ["192.0.2.0/25"], description="left"),
          perm("tcp", (22, 22), ["192.0.2.128/25"], description="right"), perm("tcp", (22, 22), ["198.51.100.0/24"]))
    ranges = {r["CidrIp"]: r.get("Description") for p in shown(it)["IpPermissions"] for r in p["IpRanges"]}
    assert ranges == {"192.0.2.0/25": "left", "192.0.2.128/25": "right", "198.51.100.0/24": None}


@pytest.mark.says("F14")
def test_a_referenced_group_comes_with_its_account_and_without_its_name(group, allow, perm, shown):
    it, peer = group(), group()
    allow(it, perm("tcp", (22, 22), groups=[peer]))
    pair = shown(it)["IpPermissions"][0]["UserIdGroupPairs"][0]
    assert pair["GroupId"] == peer
    assert pair["UserId"] == shown(it)["OwnerId"]
    assert "GroupName" not in pair
