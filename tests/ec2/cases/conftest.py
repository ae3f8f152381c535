"""Fixtures of the acceptance tests: one endpoint, groups that clean up after themselves.

    pytest cases --endpoint http://127.0.0.1:8790 --eni ENI --eni ENI --secure

`--tier N` leaves out tests above tier N.
"""

import contextlib
import os
import re
import secrets
import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError

REGION = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
NAMESPACE = re.compile(r"^\{http://ec2\.amazonaws\.com/doc/2016-11-15/?\}")


def pytest_addoption(parser):
    parser.addoption("--endpoint", default=os.environ.get("AWS_ENDPOINT_URL_EC2"))
    parser.addoption("--tier", type=int, default=3)
    parser.addoption("--vpc", default=None, help="a VPC to work in; else one is created, or the default one")
    parser.addoption("--eni", action="append", default=[], help="a network interface that tests may re-attach; twice")
    parser.addoption("--secure", action="store_true", help="the endpoint verifies signatures")


def pytest_configure(config):
    config.addinivalue_line("markers", "tier(n): 1 needed by every client, 2 by some, 3 by few")
    config.addinivalue_line("markers", "says(*ids): numbers of the statements that it checks")
    config.addinivalue_line("markers", "unconfirmed: AWS does not document it; our choice, reasons beside it")
    config.addinivalue_line("markers", "deviates: AWS does otherwise; our choice, reasons beside it")
    config.addinivalue_line("markers", "secure: needs an endpoint that verifies signatures")


def pytest_collection_modifyitems(config, items):
    for item in items:
        tier = item.get_closest_marker("tier")
        if tier and tier.args[0] > config.getoption("--tier"):
            item.add_marker(pytest.mark.skip(reason=f"tier {tier.args[0]}"))
        if item.get_closest_marker("secure") and not config.getoption("--secure"):
            item.add_marker(pytest.mark.skip(reason="the endpoint need not verify signatures"))


@pytest.fixture(scope="session")
def endpoint(request):
    url = request.config.getoption("--endpoint")
    if not url:
        pytest.exit("--endpoint or AWS_ENDPOINT_URL_EC2 is needed", 2)
    return url


@pytest.fixture(scope="session")
def client(endpoint):
    """Makes a client of a service at the endpoint."""

    def make(service="ec2", **keys):
        keys.setdefault("aws_access_key_id", os.environ.get("AWS_ACCESS_KEY_ID", "AKIDEXAMPLEEXAMPLE00"))
        keys.setdefault("aws_secret_access_key", os.environ.get("AWS_SECRET_ACCESS_KEY", "example-secret"))
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=endpoint,
            config=Config(retries={"total_max_attempts": 1}, max_pool_connections=32),
            **keys,
        )

    return make


@pytest.fixture(scope="session")
def ec2(client):
    return client()


class Answer:
    """What came back over HTTP, without a client library in between."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.root = ElementTree.fromstring(body) if body.lstrip().startswith(b"<") else None

    @property
    def name(self):
        return NAMESPACE.sub("", self.root.tag)

    def text(self, path):
        """The text at `path`, whatever the namespace; None if there is none."""
        nodes = [self.root]
        for step in path.split("/"):
            nodes = [kid for node in nodes for kid in node if NAMESPACE.sub("", kid.tag) == step]
        return nodes[0].text if nodes else None


@pytest.fixture(scope="session")
def raw(endpoint, ec2):
    """Sends one signed request as written: raw("CreateSecurityGroup", GroupName="x")."""

    def send(action=None, method="POST", headers=None, sign=True, version="2016-11-15", **form):
        fields = {"Version": version} if version else {}
        if action:
            fields["Action"] = action
        fields |= {key.replace("__", "."): value for key, value in form.items()}
        body = urllib.parse.urlencode(fields)
        url, data = endpoint + "/", body
        if method == "GET":
            url, data = f"{endpoint}/?{body}", None
        kind = {} if method == "GET" else {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        request = AWSRequest(method, url, data=data, headers=kind | (headers or {}))
        if sign:
            credentials = ec2._request_signer._credentials.get_frozen_credentials()
            SigV4Auth(credentials, "ec2", REGION).add_auth(request)
        call = urllib.request.Request(url, data.encode() if data else None, dict(request.headers), method=method)
        try:
            with urllib.request.urlopen(call, timeout=30) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as answer:
            return Answer(answer.code, answer.headers, answer.read())

    return send


@pytest.fixture
def refused():
    """Expects an error: `with refused("InvalidGroup.NotFound", "sg-1"): …`; `|` joins codes."""

    @contextlib.contextmanager
    def expect(codes, message=None, status=400):
        with pytest.raises(ClientError) as caught:
            yield caught
        error = caught.value.response
        assert error["Error"]["Code"] in codes.split("|"), error["Error"]
        assert error["ResponseMetadata"]["HTTPStatusCode"] == status
        if message is not None:
            assert re.search(message, error["Error"]["Message"]), error["Error"]["Message"]

    return expect


def unsupported(error):
    return error.response["Error"]["Code"] in {
        "UnsupportedOperation", "InvalidAction", "VpcLimitExceeded", "OperationNotPermitted"}


@pytest.fixture(scope="session")
def default_vpc(ec2):
    """The VPC that is meant where none is named."""
    vpcs = ec2.describe_vpcs(Filters=[{"Name": "isDefault", "Values": ["true"]}])["Vpcs"]
    assert len(vpcs) == 1
    return vpcs[0]["VpcId"]


@pytest.fixture(scope="session")
def other_vpc(ec2):
    """A VPC that is not the default one; skips where there is none to be had."""
    try:
        vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    except ClientError as error:
        if unsupported(error):
            pytest.skip("one VPC only")
        raise
    yield vpc
    with contextlib.suppress(ClientError):
        ec2.delete_vpc(VpcId=vpc)


@pytest.fixture(scope="session")
def vpc(request, ec2, default_vpc):
    return request.config.getoption("--vpc") or default_vpc


def fresh(prefix="kit"):
    return f"{prefix}-{secrets.token_hex(5)}"


@pytest.fixture
def name():
    return fresh


def empty(ec2, group_id):
    """Takes every rule away."""
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group_id]}])
    for egress, revoke in ((False, ec2.revoke_security_group_ingress), (True, ec2.revoke_security_group_egress)):
        ids = [r["SecurityGroupRuleId"] for r in rules["SecurityGroupRules"] if r["IsEgress"] == egress]
        if ids:
            revoke(GroupId=group_id, SecurityGroupRuleIds=ids)


@pytest.fixture
def group(ec2, vpc):
    """Makes a group and answers its id; every group made is gone after the test."""
    made = []

    def make(name=None, description="made by a test", **keys):
        keys.setdefault("VpcId", vpc)
        answer = ec2.create_security_group(GroupName=name or fresh(), Description=description, **keys)
        made.append(answer["GroupId"])
        return answer["GroupId"]

    make.made = made
    yield make
    for each in made:
        with contextlib.suppress(ClientError):
            empty(ec2, each)
    for each in made:
        with contextlib.suppress(ClientError):
            ec2.delete_security_group(GroupId=each)


@pytest.fixture
def prefix_list(ec2):
    made = []

    def make(*cidrs, max_entries=None, family="IPv4", **keys):
        answer = ec2.create_managed_prefix_list(
            PrefixListName=keys.pop("name", None) or fresh("list"),
            AddressFamily=family,
            MaxEntries=max_entries or max(len(cidrs), 1),
            Entries=[{"Cidr": each} for each in cidrs],
            **keys,
        )["PrefixList"]
        made.append(answer["PrefixListId"])
        return answer["PrefixListId"]

    yield make
    for each in made:
        with contextlib.suppress(ClientError):
            ec2.delete_managed_prefix_list(PrefixListId=each)


@pytest.fixture
def enis(request, ec2, vpc):
    """Two network interfaces whose groups may be changed; they get them back."""
    ids, made = list(request.config.getoption("--eni")), []
    subnet = None
    if len(ids) < 2:
        try:
            subnet = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"][0]["SubnetId"]
            while len(ids) < 2:
                made.append(ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"])
                ids.append(made[-1])
        except ClientError as error:
            if unsupported(error):
                pytest.skip("give two interfaces with --eni")
            raise
    before = {
        each["NetworkInterfaceId"]: [g["GroupId"] for g in each["Groups"]]
        for each in ec2.describe_network_interfaces(NetworkInterfaceIds=ids)["NetworkInterfaces"]
    }
    yield ids
    for each, groups in before.items():
        if each in made:
            ec2.delete_network_interface(NetworkInterfaceId=each)
        else:
            ec2.modify_network_interface_attribute(NetworkInterfaceId=each, Groups=groups)


def permission(protocol, ports=None, v4=(), v6=(), groups=(), lists=(), description=None):
    """An IpPermission."""
    extra = {} if description is None else {"Description": description}
    value = {"IpProtocol": protocol}
    if ports is not None:
        value["FromPort"], value["ToPort"] = ports
    if v4:
        value["IpRanges"] = [{"CidrIp": each, **extra} for each in v4]
    if v6:
        value["Ipv6Ranges"] = [{"CidrIpv6": each, **extra} for each in v6]
    if groups:
        value["UserIdGroupPairs"] = [{"GroupId": each, **extra} for each in groups]
    if lists:
        value["PrefixListIds"] = [{"PrefixListId": each, **extra} for each in lists]
    return value


@pytest.fixture
def perm():
    return permission


@pytest.fixture
def allow(ec2):
    """Authorises permissions inbound (or outbound) and answers the new rules."""

    def authorise(group_id, *permissions, egress=False, **keys):
        call = ec2.authorize_security_group_egress if egress else ec2.authorize_security_group_ingress
        return call(GroupId=group_id, IpPermissions=list(permissions), **keys)["SecurityGroupRules"]

    return authorise


@pytest.fixture
def rules(ec2):
    """The flat rules of a group in one direction."""

    def list_rules(group_id, egress=False):
        found = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group_id]}])
        return [each for each in found["SecurityGroupRules"] if each["IsEgress"] == egress]

    return list_rules


@pytest.fixture
def shown(ec2):
    """A group as DescribeSecurityGroups shows it."""
    return lambda group_id: ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"][0]
