#!/usr/bin/env python3
"""Runs moto's own tests of security groups; they come from moto's source package.

    moto_tests.py http://127.0.0.1:8791 [--work DIR] [--fetch]

moto is what much software is tested against, so what its tests ask for is what clients expect. Its wheel does
not hold them, its source package does, which is fetched into DIR and stays there. They sign with a key of
moto's own and want to begin with nothing: the endpoint has to know FOOBARKEY, and all its groups go before each
test. There is one VPC, the installation: a test that makes one is given that. Every test runs: those of DIFFERS
must fail, but for DICE, since each wants what AWS does not do, or what a host has not.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tarfile

import pytest

VERSION = "5.2.5"
FILE = "tests/test_ec2/test_security_groups.py"
KEY, SECRET = "FOOBARKEY", "FOOBARSECRET"

# Tests that want something else than AWS's documentation says, or what a host has not.
DIFFERS = {
    "test_create_two_security_groups_in_vpc_with_ipv6_enabled": "asks for IPv6 when it makes a VPC; here `sg-ctl serve --ipv6` does",
    "test_create_and_describe_vpc_security_group": "takes a VPC id that nobody made",
    "test_create_two_security_groups_with_same_name_in_different_vpc": "takes a VPC id that nobody made",
    "test_delete_security_group_in_vpc": "takes a VPC id that nobody made",
    "test_authorize_group_in_vpc": "takes a VPC id that nobody made",
    "test_describe_security_groups": "takes a VPC id that nobody made",
    "test_get_all_security_groups_filter_with_same_vpc_id": "takes a VPC id that nobody made",
    "test_authorize_ip_range_and_revoke": "a rule that is not there must be an error to revoke, which in a VPC it is not",
    "test_authorize_other_group_and_revoke": "an id that is none must be not found, and is malformed",
    "test_non_existent_security_group_raises_error_on_authorize": "an id that is none must be not found, and is malformed",
    "test_sec_group_rule_limit": "0.0.0.0/0, 1.0.0.0/0 and so on must be different rules, and are one range",
    "test_security_group_filter_ip_permission": "half of the time its random range of ports ends before it begins",
    "test_filter_egress__ip_permission__from_port": "its range of ports ends before it begins",
    "test_revoke_security_group_egress__without_ipprotocol": "the default group must begin without an inbound rule",
    "test_description_in_ip_permissions": "takes the first rule for the outbound one, and AWS promises no order",
}
# Those of them that are thrown by dice.
DICE = {"test_security_group_filter_ip_permission", "test_description_in_ip_permissions"}


class FromNothing:
    """Takes all groups away before each test, by the endpoint's own calls."""

    def __init__(self, endpoint):
        import boto3

        self.ec2 = boto3.client("ec2", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=KEY, aws_secret_access_key=SECRET)
        self.passed, self.failed = set(), set()

    def pytest_runtest_setup(self, item):
        groups = self.ec2.describe_security_groups()["SecurityGroups"]
        for group in groups:
            for side, revoke in (("IpPermissions", self.ec2.revoke_security_group_ingress), ("IpPermissionsEgress", self.ec2.revoke_security_group_egress)):
                if group[side]:
                    revoke(GroupId=group["GroupId"], IpPermissions=group[side])
        for group in groups:
            if group["GroupName"] != "default":
                self.ec2.delete_security_group(GroupId=group["GroupId"])
        (default,) = (group for group in groups if group["GroupName"] == "default")
        everything = {"IpProtocol": "-1"}
        self.ec2.authorize_security_group_ingress(
            GroupId=default["GroupId"], IpPermissions=[everything | {"UserIdGroupPairs": [{"GroupId": default["GroupId"]}]}])
        self.ec2.authorize_security_group_egress(
            GroupId=default["GroupId"], IpPermissions=[everything | {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])

    def pytest_runtest_logreport(self, report):
        name = report.nodeid.split("::")[-1].split("[")[0]
        if report.failed:
            self.failed.add(name)
        elif report.when == "call" and report.passed:
            self.passed.add(name)


def give_the_one_vpc():
    """Lets clients that make a VPC have the one that is there."""
    import botocore.client

    ask = botocore.client.BaseClient._make_api_call

    def call(self, operation, parameters):
        if operation == "CreateVpc":
            return {"Vpc": ask(self, "DescribeVpcs", {})["Vpcs"][0]}
        return {} if operation == "DeleteVpc" else ask(self, operation, parameters)

    botocore.client.BaseClient._make_api_call = call


def obtain(work):
    source = work / f"moto-{VERSION}"
    if not (source / FILE).exists():
        work.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps",
                        "--no-binary", "moto", "-d", str(work), f"moto=={VERSION}"], check=True)
        with tarfile.open(work / f"moto-{VERSION}.tar.gz") as archive:
            wanted = [member for member in archive.getmembers()
                      if member.name.endswith(".py") and member.name.count("/") <= 3
                      and ("/tests/test_ec2/" in member.name or member.name.count("/") == 2 and "/tests/" in member.name)]
            archive.extractall(work, wanted, filter="data")
    return source


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("endpoint")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("/tmp/sg-ec2"))
    parser.add_argument("--fetch", action="store_true", help="fetch the tests, and no more: the endpoint's network may lead nowhere")
    arguments = parser.parse_args()
    source = obtain(arguments.work / "moto")
    if arguments.fetch:
        return 0
    os.chdir(source)
    sys.path.insert(0, os.getcwd())
    os.environ |= {"TEST_SERVER_MODE": "true", "TEST_SERVER_MODE_ENDPOINT": arguments.endpoint, "MOTO_CALL_RESET_API": "false",
                   "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    give_the_one_vpc()
    seen = FromNothing(arguments.endpoint)
    options = ["-q", "-p", "no:cacheprovider", "-o", "addopts=", "-W", "ignore", "--tb=short", "-rf"]
    # Twice: what must pass, shown whole; then what must not, of which names are enough.
    strangers = [f"--deselect={FILE}::{name}" for name in DIFFERS]
    result = pytest.main([*options, *strangers, FILE], plugins=[seen])
    passed, failed = len(seen.passed), sorted(seen.failed)
    other = FromNothing(arguments.endpoint)
    pytest.main([*options, "--tb=no", "-rN", *(f"{FILE}::{name}" for name in DIFFERS)], plugins=[other])
    now = sorted(other.passed - other.failed - DICE)
    unseen = sorted(set(DIFFERS) - other.passed - other.failed)
    for name, reason in DIFFERS.items():
        print(f"differs: {name}: {reason}")
    for what, names in (("fails", failed), ("passes after all", now), ("is not there", unseen)):
        for name in names:
            print(f"{what}: {name}")
    print(f"{passed} passed, {len(failed)} failed, {len(DIFFERS)} differ")
    return 1 if result or failed or now or unseen or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
