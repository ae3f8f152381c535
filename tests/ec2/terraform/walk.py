#!/usr/bin/env python3
"""Terraform itself: apply, no difference, change, no difference, import, destroy.

    walk.py http://127.0.0.1:8790 --eni ENI --mirror DIR [--work DIR]

Ends with an error as soon as a step does not come to what it must.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("endpoint")
    parser.add_argument("--eni", required=True)
    parser.add_argument("--mirror", required=True)
    parser.add_argument("--work", default=None)
    parser.add_argument("--rules", default="50")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.work) as home:
        home = pathlib.Path(home)
        shutil.copy(HERE / "main.tf", home)
        settings = home / "terraformrc"
        settings.write_text('provider_installation {\n  filesystem_mirror { path = "%s" }\n}\n' % arguments.mirror)
        variables = os.environ | {"TF_CLI_CONFIG_FILE": str(settings), "TF_VAR_endpoint": arguments.endpoint, "TF_VAR_eni": arguments.eni,
                                  "TF_VAR_ports": arguments.rules, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
        variables.pop("AWS_ACCESS_KEY_ID", None)
        variables.pop("AWS_SECRET_ACCESS_KEY", None)

        def terraform(*words, changed=False, expect=0):
            done = subprocess.run(["terraform", *words], cwd=home, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  env=variables | {"TF_VAR_changed": str(changed).lower()}, check=False)
            lines = [line for line in done.stdout.strip().splitlines() if line]
            if done.returncode != expect:
                sys.exit(f"terraform {' '.join(words)}: exit {done.returncode}\n" + "\n".join(lines[-60:]))
            return lines

        def unchanged(changed):
            lines = terraform("plan", "-no-color", "-detailed-exitcode", changed=changed)
            print("plan:", next(line for line in lines if line.startswith("No changes")))

        terraform("init", "-no-color")
        print("apply:", next(line for line in terraform("apply", "-auto-approve", "-no-color") if line.startswith("Apply complete")))
        unchanged(False)
        lines = terraform("apply", "-auto-approve", "-no-color", changed=True)
        print("change:", next(line for line in lines if line.startswith("Apply complete")))
        unchanged(True)
        shown = terraform("state", "show", "-no-color", "aws_security_group.apart")
        group = next(line.split('"')[1] for line in shown if line.strip().startswith("id "))
        terraform("state", "rm", "aws_security_group.apart")
        terraform("import", "-no-color", "aws_security_group.apart", group, changed=True)
        lines = terraform("apply", "-auto-approve", "-no-color", changed=True)
        print("import:", next(line for line in lines if line.startswith("Apply complete")))
        unchanged(True)
        lines = terraform("destroy", "-auto-approve", "-no-color", changed=True)
        print("destroy:", next(line for line in lines if line.startswith("Destroy complete")))
    print("1 passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
