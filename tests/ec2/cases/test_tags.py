"""Tags on groups, rules and prefix lists."""

import pytest

pytestmark = pytest.mark.tier(1)


def tags(*pairs):
    return [{"Key": key, "Value": value} for key, value in pairs]


@pytest.fixture
def tags_of(ec2):
    def look(resource):
        found = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [resource]}])["Tags"]
        return {each["Key"]: each["Value"] for each in found}

    return look


def test_tags_are_set_overwritten_and_shown(ec2, group, shown, tags_of):
    it = group()
    ec2.create_tags(Resources=[it], Tags=tags(("Name", "a"), ("team", "x")))
    ec2.create_tags(Resources=[it], Tags=tags(("Name", "b")))
    assert tags_of(it) == {"Name": "b", "team": "x"}
    assert {t["Key"]: t["Value"] for t in shown(it)["Tags"]} == {"Name": "b", "team": "x"}


def test_several_resources_at_once(ec2, group, allow, perm, tags_of):
    it = group()
    rule = allow(it, perm("tcp", (1, 1), ["192.0.2.0/24"]))[0]["SecurityGroupRuleId"]
    ec2.create_tags(Resources=[it, rule], Tags=tags(("a", "b")))
    assert tags_of(it) == tags_of(rule) == {"a": "b"}


def test_keys_are_case_sensitive(ec2, group, tags_of):
    it = group()
    ec2.create_tags(Resources=[it], Tags=tags(("Name", "1"), ("name", "2")))
    assert tags_of(it) == {"Name": "1", "name": "2"}


@pytest.mark.parametrize("said, stays", [({}, False), ({"Value": "b"}, False), ({"Value": "other"}, True)],
                         ids=["key", "pair", "other-value"])
def test_deletion_by_key_or_pair(ec2, group, tags_of, said, stays):
    it = group()
    ec2.create_tags(Resources=[it], Tags=tags(("a", "b"), ("c", "d")))
    ec2.delete_tags(Resources=[it], Tags=[{"Key": "a", **said}])
    assert tags_of(it) == ({"a": "b", "c": "d"} if stays else {"c": "d"})


@pytest.mark.tier(2)
def test_deletion_without_tags_takes_all(ec2, group, tags_of):
    it = group()
    ec2.create_tags(Resources=[it], Tags=tags(("a", "b"), ("c", "d")))
    ec2.delete_tags(Resources=[it])
    assert tags_of(it) == {}


def test_values_may_be_empty(ec2, group, tags_of):
    it = group()
    ec2.create_tags(Resources=[it], Tags=tags(("a", "")))
    assert tags_of(it) == {"a": ""}


def test_tags_say_what_they_hang_on(ec2, group, name):
    it, value = group(), name()
    ec2.create_tags(Resources=[it], Tags=tags(("a", value)))
    for filters in ([("key", "a"), ("value", value)], [("tag:a", value)], [("resource-type", "security-group"), ("resource-id", it)]):
        found = ec2.describe_tags(Filters=[{"Name": k, "Values": [v]} for k, v in filters])["Tags"]
        assert found == [{"Key": "a", "ResourceId": it, "ResourceType": "security-group", "Value": value}], filters


@pytest.mark.tier(2)
def test_rules_have_a_type_of_their_own(ec2, group, allow, perm):
    rule = allow(group(), perm("tcp", (1, 1), ["192.0.2.0/24"]))[0]["SecurityGroupRuleId"]
    ec2.create_tags(Resources=[rule], Tags=tags(("a", "b")))
    found = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [rule]}])["Tags"]
    assert found[0]["ResourceType"] == "security-group-rule"


@pytest.mark.says("N10")
def test_51_tags_are_refused(ec2, group, refused, tags_of):
    it = group()
    with refused("TagLimitExceeded"):
        ec2.create_tags(Resources=[it], Tags=tags(*((f"k{n}", "v") for n in range(51))))
    assert tags_of(it) == {}


@pytest.mark.says("N10")
@pytest.mark.parametrize("key, value", [("aws:x", "v"), ("", "v"), ("k" * 129, "v"), ("k", "v" * 257)],
                         ids=["aws", "empty", "key", "value"])
def test_bad_tags_are_refused(ec2, group, refused, key, value):
    with refused("InvalidParameterValue|InvalidTagKey.Malformed|MissingParameter|InvalidTagValue.Malformed"):
        ec2.create_tags(Resources=[group()], Tags=tags((key, value)))


@pytest.mark.says("N10")
def test_the_longest_tag(ec2, group, tags_of):
    it = group()
    ec2.create_tags(Resources=[it], Tags=tags(("k" * 127, "v" * 256)))
    assert tags_of(it) == {"k" * 127: "v" * 256}


@pytest.mark.parametrize("resource, code", [("sg-0123456789abcdef0", "InvalidGroup.NotFound|InvalidID"),
                                            ("sgr-0123456789abcdef0", "InvalidSecurityGroupRuleId.NotFound|InvalidID"),
                                            ("thing", "InvalidID")])
def test_tags_on_nothing_are_refused(ec2, refused, resource, code):
    with refused(code):
        ec2.create_tags(Resources=[resource], Tags=tags(("a", "b")))


def test_tags_go_with_their_group(ec2, group, tags_of):
    it = group(TagSpecifications=[{"ResourceType": "security-group", "Tags": tags(("a", "b"))}])
    assert tags_of(it) == {"a": "b"}
    ec2.delete_security_group(GroupId=it)
    assert tags_of(it) == {}
