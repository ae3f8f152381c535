#!/usr/bin/env python3
"""What nobody may do: web pages, strangers, replays, floods. Everything is refused and nothing changes.

    attack.py http://127.0.0.1:8790 --pid PID

Ends with "N passed, M failed".
"""

import argparse
import datetime
import http.client
import os
import secrets
import socket
import sys
import time
import urllib.parse

import botocore.auth
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

CONNECTIONS = 1000
MOST_MEMORY = 256 << 20
FORM = "application/x-www-form-urlencoded; charset=utf-8"


class Endpoint:
    def __init__(self, url, pid):
        self.url, self.pid = url, pid
        self.host = urllib.parse.urlsplit(url).netloc
        self.credentials = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
        self.failed = self.passed = 0

    def signed(self, body, headers=None):
        """The headers of a signed form."""
        request = AWSRequest("POST", self.url + "/", data=body, headers={"Content-Type": FORM} | (headers or {}))
        SigV4Auth(self.credentials, "ec2", "us-east-1").add_auth(request)
        return dict(request.headers)

    def send(self, body, headers, method="POST"):
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.request(method, "/", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (BrokenPipeError, ConnectionResetError):
            return 413, "it hung up"
        finally:
            connection.close()

    def call(self, action, **form):
        body = urllib.parse.urlencode({"Action": action, "Version": "2016-11-15"} | form)
        return self.send(body, self.signed(body))

    def groups(self):
        status, text = self.call("DescribeSecurityGroups")
        assert status == 200, text
        return text.split("<securityGroupInfo>")[1]

    def memory(self):
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def check(self, what, holds, told=""):
        self.passed, self.failed = self.passed + bool(holds), self.failed + (not holds)
        if not holds:
            print(f"FAILED: {what}: {told}")


def creation():
    return urllib.parse.urlencode({"Action": "CreateSecurityGroup", "Version": "2016-11-15", "GroupName": f"evil-{secrets.token_hex(4)}",
                                   "GroupDescription": "d"})


def pages(it):
    """What a web page can send, with a right signature even: it is refused for what it is."""
    for what, headers, codes in [
            ("an origin", {"Origin": "http://evil.example"}, (403,)), ("the origin null", {"Origin": "null"}, (403,)),
            ("another site", {"Sec-Fetch-Site": "cross-site"}, (403,)), ("the same site", {"Sec-Fetch-Site": "same-site"}, (403,)),
            ("another name of this host", {"Host": "evil.example"}, (403,)),
            ("plain text", {"Content-Type": "text/plain"}, (400,)), ("a form of files", {"Content-Type": "multipart/form-data"}, (400,))]:
        body = creation()
        status, text = it.send(body, it.signed(body, headers))
        it.check(what, status in codes, (status, text))


def strangers(it):
    body = creation()
    good = it.signed(body)
    wrong = dict(good, Authorization=good["Authorization"].replace("AKID", "AKIX"))
    forged = dict(good, Authorization=good["Authorization"][:-4] + "0000")
    answers = []
    for what, headers in (("another key", wrong), ("another signature", forged)):
        status, text = it.send(body, headers)
        answers.append(text.split("<Errors>")[1].split("</Errors>")[0])
        it.check(what, status == 401, (status, text))
    it.check("key and signature are refused alike", len(set(answers)) == 1, answers)
    status, text = it.send(body, {"Content-Type": FORM})
    it.check("no signature", status == 403, (status, text))
    status, text = it.send("x" * (2 << 20), {"Content-Type": FORM} | {k: v for k, v in good.items() if k != "Content-Length"})
    it.check("two megabytes", status == 413, (status, text))
    real = botocore.auth.datetime.datetime if hasattr(botocore.auth, "datetime") else None
    for minutes in (-6, 6):
        now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) + datetime.timedelta(minutes=minutes)
        if hasattr(botocore.auth, "get_current_datetime"):
            before, botocore.auth.get_current_datetime = botocore.auth.get_current_datetime, lambda *_a, now=now, **_k: now
            headers = it.signed(body)
            botocore.auth.get_current_datetime = before
        else:
            clock = type("Clock", (real,), {"utcnow": classmethod(lambda _c, now=now: now)})
            botocore.auth.datetime.datetime = clock
            headers = it.signed(body)
            botocore.auth.datetime.datetime = real
        status, text = it.send(body, headers)
        it.check(f"a clock {minutes} minutes off", status == 400 and "RequestExpired" in text, (status, text))


def flood(it):
    """Many connections that say nothing, or the half of something: whoever has a key is served all the same."""
    before, idle = it.memory(), []
    for n in range(CONNECTIONS):
        try:
            each = socket.create_connection(it.host.rsplit(":", 1), 5)
            each.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n" + (b"" if n % 2 else b"\r\nAction="))
            idle.append(each)
        except OSError:
            pass
    begin = time.monotonic()
    status, text = it.call("DescribeSecurityGroups")
    took = time.monotonic() - begin
    it.check("a key is served among strangers", status == 200 and took < 10, (status, took))
    grown = it.memory() - before
    it.check("memory is bounded", grown < MOST_MEMORY, grown)
    for each in idle:
        each.close()
    print(f"{len(idle)} idle connections: answered in {took * 1e3:.0f} ms, memory grew by {grown >> 20} MiB")


def replay(it):
    body = creation()
    headers = it.signed(body)
    first, again = it.send(body, headers), it.send(body, headers)
    it.check("a creation that is sent again makes nothing", first[0] == 200 and "InvalidGroup.Duplicate" in again[1], (first, again))
    name = urllib.parse.parse_qs(body)["GroupName"][0]
    it.check("it is taken back", it.call("DeleteSecurityGroup", GroupName=name)[0] == 200)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("endpoint")
    parser.add_argument("--pid", required=True)
    arguments = parser.parse_args()
    it = Endpoint(arguments.endpoint, arguments.pid)
    for attack in (pages, strangers, flood, replay):
        attack(it)
    it.check("nothing was made", "evil-" not in it.groups())
    print(f"{it.passed} passed, {it.failed} failed")
    return 1 if it.failed else 0


if __name__ == "__main__":
    sys.exit(main())
