#!/usr/bin/env python3
"""Terraform itself: the example of examples/terraform, then apply, no difference, change, no difference, import, destroy,
and who opened a rule.

    walk.py http://127.0.0.1:8790 --eni ENI --mirror DIR --sg-ctl PROGRAM [--work DIR]

Ends with an error as soon as a step does not come to what it must.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def audited(sg_ctl, rule):
    """Terraform made the rule and took it away, and the audit log says so."""
    asked = [sg_ctl, "audit", "--rule", rule]
    entries = json.loads(subprocess.run([*asked, "--json"], check=True, text=True, capture_output=True).stdout)
    made, *_, gone = [entry for entry in entries if entry["result"] == "ok"]
    found = (made["action"], rule in made["added"], gone["action"], rule in gone["removed"])
    expected = ("AuthorizeSecurityGroupEgress", True, "RevokeSecurityGroupEgress", True)
    if found != expected or not all("Terraform" in entry["agent"] and entry["name"] == "tests" for entry in entries):
        sys.exit(f"audit of {rule}: {json.dumps(entries, indent=1)}")
    print(subprocess.run(asked, check=True, text=True, capture_output=True).stdout.rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("endpoint")
    parser.add_argument("--eni", required=True)
    parser.add_argument("--mirror", required=True)
    parser.add_argument("--sg-ctl", required=True)
    parser.add_argument("--work", default=None)
    parser.add_argument("--rules", default="50")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.work) as home:
        home = pathlib.Path(home)
        shutil.copy(HERE / "main.tf", home)
        example = home / "example"
        example.mkdir()
        shutil.copy(HERE.parents[2] / "examples/terraform/main.tf", example)
        settings = home / "terraformrc"
        settings.write_text('provider_installation {\n  filesystem_mirror { path = "%s" }\n}\n' % arguments.mirror)
        variables = os.environ | {"TF_CLI_CONFIG_FILE": str(settings), "TF_VAR_endpoint": arguments.endpoint, "TF_VAR_eni": arguments.eni,
                                  "TF_VAR_ports": arguments.rules, "TF_VAR_access_key_id": "AKIDEXAMPLEEXAMPLE00",
                                  "TF_VAR_secret_access_key": "example-secret", "TF_VAR_interfaces": f'["{arguments.eni}"]', "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
        variables.pop("AWS_ACCESS_KEY_ID", None)
        variables.pop("AWS_SECRET_ACCESS_KEY", None)

        def terraform(*words, changed=False, expect=0, where=home):
            done = subprocess.run(["terraform", *words], cwd=where, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  env=variables | {"TF_VAR_changed": str(changed).lower()}, check=False)
            lines = [line for line in done.stdout.strip().splitlines() if line]
            if done.returncode != expect:
                sys.exit(f"terraform {' '.join(words)}: exit {done.returncode}\n" + "\n".join(lines[-60:]))
            return lines

        def unchanged(changed, where=home):
            lines = terraform("plan", "-no-color", "-detailed-exitcode", changed=changed, where=where)
            print("plan:", next(line for line in lines if line.startswith("No changes")))

        def completed(lines):
            return next(line for line in lines if " complete! " in line)

        terraform("init", "-no-color", where=example)
        print("example:", completed(terraform("apply", "-auto-approve", "-no-color", where=example)))
        unchanged(False, example)
        print("example:", completed(terraform("destroy", "-auto-approve", "-no-color", where=example)))

        terraform("init", "-no-color")
        print("apply:", completed(terraform("apply", "-auto-approve", "-no-color")))
        unchanged(False)
        print("change:", completed(terraform("apply", "-auto-approve", "-no-color", changed=True)))
        unchanged(True)

        # A group, a rule of each kind and a prefix list, taken into the state by their ids.
        def read(resource, key="id"):
            shown = terraform("state", "show", "-no-color", resource)
            return next(line.split('"')[1] for line in shown if line.strip().startswith(f"{key} "))

        group, rule = read("aws_security_group.apart"), "aws_vpc_security_group_egress_rule.all"
        ids = {
            "aws_security_group.apart": group,
            "aws_security_group_rule.older": f"{group}_ingress_tcp_3306_3306_{read('aws_security_group.inline')}",
            rule: read(rule),
            "aws_ec2_managed_prefix_list.apart": read("aws_ec2_managed_prefix_list.apart"),
        }
        for resource, name in ids.items():
            terraform("state", "rm", resource)
            terraform("import", "-no-color", resource, name, changed=True)
        print(f"import: {len(ids)} resources, then", completed(terraform("apply", "-auto-approve", "-no-color", changed=True)))
        unchanged(True)
        print("destroy:", completed(terraform("destroy", "-auto-approve", "-no-color", changed=True)))
        audited(arguments.sg_ctl, ids[rule])
    print("1 passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
