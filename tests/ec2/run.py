#!/usr/bin/env python3
"""Lets AWS's clients loose on `sg-ctl serve`, each as its users do, and on a real interface.

    run.py SG_CTL [--work DIR] [--rounds N] [--only cases,cli,node,ansible,terraform,moto,at_once,attack]
    run.py --fetch [--work DIR] [--only …]

Makes environments with the pinned versions in DIR, two network namespaces with guarded interfaces between
them, and one endpoint, which every part then uses at the same time; moto's tests, which want to begin with
nothing, have another one. Needs root. A part that cannot be had
fails; Terraform alone may be absent: then the calls of its provider are made in its order, and that is said.
Ends with "N passed, M failed". With --fetch it makes the environments and ends; where a package index does not
give what is listed, it says so and exits with 3.
"""

import argparse
import concurrent.futures
import contextlib
import fcntl
import glob
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
SERVER, CLIENT = f"ec2s{os.getpid()}", f"ec2c{os.getpid()}"
KEY, SECRET = "AKIDEXAMPLEEXAMPLE00", "example-secret"
ENDPOINT, OTHER = "http://127.0.0.1:8790", "http://127.0.0.1:8791"
INTERFACES = 5
PARTS = ["cases", "cli", "node", "ansible", "terraform", "moto", "at_once", "attack"]
PATIENCE = 1800
NOT_FETCHED = 3


def run(*words, **keys):
    return subprocess.run([str(word) for word in words], check=True, text=True, capture_output=True, **keys).stdout


def environment(work, name):
    """A virtual environment with what `name` lists; made once for each version of that list."""
    listed = (HERE / name).read_text()
    home = work / name.removesuffix(".txt")
    stamp = home / "made"
    if not stamp.exists() or stamp.read_text() != listed:
        shutil.rmtree(home, ignore_errors=True)
        run(sys.executable, "-m", "venv", home)
        # What is never imported need not be compiled.
        run(home / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "-r", HERE / name)
        stamp.write_text(listed)
    return home / "bin"


def node_modules(work):
    home = work / "node"
    home.mkdir(exist_ok=True)
    listed = (HERE / "node/package.json").read_text()
    stamp = home / "made"
    if not stamp.exists() or stamp.read_text() != listed:
        (home / "package.json").write_text(listed)
        run("npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock", cwd=home)
        stamp.write_text(listed)
    shutil.copy(HERE / "node/walk.mjs", home)
    return home


def fetch(work, only):
    """Makes what the parts need, once somebody else has done so; what is there is left as it is. Answers where
    Python's programs are."""
    with (work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        bin_dir = environment(work, "requirements.txt")
        if "node" in only:
            node_modules(work)
        if "ansible" in only:
            environment(work, "requirements-ansible.txt")
        if "moto" in only:
            run(environment(work, "requirements-moto.txt") / "python", HERE / "moto_tests.py", OTHER, "--work", work, "--fetch")
        return bin_dir


def inside(*words):
    """In the server's network, but with this mount namespace: programs are pinned in it."""
    return ["nsenter", f"--net=/run/netns/{SERVER}", *map(str, words)]


@contextlib.contextmanager
def network():
    try:
        for each in (SERVER, CLIENT):
            run("ip", "netns", "add", each)
            run("ip", "-n", each, "link", "set", "lo", "up")
        for n in range(INTERFACES):
            run("ip", "link", "add", f"eni{n}", "netns", SERVER, "type", "veth", "peer", "name", f"eni{n}", "netns", CLIENT)
            for each, last in ((SERVER, 1), (CLIENT, 2)):
                run("ip", "-n", each, "addr", "add", f"10.250.{n}.{last}/24", "dev", f"eni{n}")
                run("ip", "-n", each, "link", "set", f"eni{n}", "up")
        yield
    finally:
        for each in (SERVER, CLIENT):
            subprocess.run(["ip", "netns", "del", each], capture_output=True, check=False)


def keys_of(state, key, secret):
    """A state directory with one key."""
    state.mkdir(mode=0o700)
    keys = state / "keys.json"
    keys.touch(0o600)
    keys.write_text(json.dumps([{"id": key, "secret": secret, "role": "admin", "name": "tests"}]))


@contextlib.contextmanager
def serving(sg_ctl, url, variables):
    """sg-ctl, answering; its process id."""
    address, port = url.removeprefix("http://"), url.rsplit(":", 1)[1]
    server = subprocess.Popen(inside(sg_ctl, "serve", "--listen", address, "--host", "tests"), env=os.environ | variables)
    try:
        for _ in range(300):
            if subprocess.run(inside("bash", "-c", f"</dev/tcp/127.0.0.1/{port}"), capture_output=True, check=False).returncode == 0:
                break
            if server.poll() is not None:
                sys.exit("sg-ctl serve has ended")
            time.sleep(0.1)
        else:
            sys.exit("sg-ctl serve does not answer")
        yield server.pid
    finally:
        server.terminate()
        server.wait(30)


@contextlib.contextmanager
def endpoint(sg_ctl, work):
    """sg-ctl with state, pins and key of its own, and interfaces; answers its process id."""
    state, pins = work / f"state-{os.getpid()}", pathlib.Path(f"/sys/fs/bpf/ec2-{os.getpid()}")
    keys_of(state, KEY, SECRET)
    os.environ |= {"SG_STATE_DIR": str(state), "SG_PIN_DIR": str(pins)}
    try:
        for n in range(INTERFACES):
            run(*inside(sg_ctl, "attach", f"eni{n}"))
        with serving(sg_ctl, ENDPOINT, {}) as pid:
            yield pid
    finally:
        subprocess.run(inside(sg_ctl, "detach", "--all"), capture_output=True, check=False)
        shutil.rmtree(state, ignore_errors=True)


@contextlib.contextmanager
def other_endpoint(sg_ctl, work):
    """Another one, that guards nothing, for the key that moto's tests sign with."""
    state = work / f"other-{os.getpid()}"
    keys_of(state, "FOOBARKEY", "FOOBARSECRET")
    try:
        with serving(sg_ctl, OTHER, {"SG_STATE_DIR": str(state), "SG_PIN_DIR": f"/sys/fs/bpf/ec2-other-{os.getpid()}"}):
            yield
    finally:
        shutil.rmtree(state, ignore_errors=True)


def interfaces(python):
    """Ids of the interfaces, by their number."""
    script = (
        "import boto3, json; ec2 = boto3.client('ec2', endpoint_url='%s', region_name='us-east-1', aws_access_key_id='%s', aws_secret_access_key='%s');"
        "print(json.dumps({each['Description'].split('/')[1]: each['NetworkInterfaceId'] for each in ec2.describe_network_interfaces()['NetworkInterfaces']}))"
        % (ENDPOINT, KEY, SECRET))
    found = json.loads(run(*inside(python, "-c", script)))
    return [found[f"eni{n}"] for n in range(INTERFACES)]


def plugin_mirror():
    """A directory with the provider of AWS: SG_TF_PLUGINS, or one of the usual places."""
    places = [os.environ.get("SG_TF_PLUGINS", ""), os.path.expanduser("~/.terraform.d/plugins"),
              "/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins", *glob.glob("/opt/*plugins*")]
    return next((place for place in places if place and glob.glob(f"{place}/*/hashicorp/aws")), None)


def parts(arguments, work, python, pid, enis):
    """The commands of each part, one after the other."""
    cases = [python, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "--tb=short", HERE / "cases", "--endpoint", ENDPOINT,
             f"--eni={enis[0]}", f"--eni={enis[1]}", "--secure"]
    mirror = plugin_mirror()
    if shutil.which("terraform") and mirror:
        terraform = [[sys.executable, HERE / "terraform/walk.py", ENDPOINT, "--eni", enis[3], "--mirror", mirror, "--sg-ctl", arguments.sg_ctl.resolve(),
                      "--work", work]]
    else:
        print("NOTE: terraform, or a mirror of its AWS provider (SG_TF_PLUGINS), is not there: its calls are made without it", flush=True)
        terraform = [[python, HERE / "terraform/emulate.py", ENDPOINT, f"--eni={enis[3]}"]]
    commands = {
        "cases": [cases],
        "cli": [["bash", HERE / "cli/walk.sh", ENDPOINT, enis[4]]],
        "terraform": terraform,
        "at_once": [[python, HERE / "at_once.py", ENDPOINT, "--eni", enis[2], "--host", "10.250.2.1", "--netns", CLIENT,
                     "--rounds", arguments.rounds]],
        "attack": [[python, HERE / "attack.py", ENDPOINT, "--pid", pid]],
    }
    if "node" in arguments.only:
        commands["node"] = [["node", node_modules(work) / "walk.mjs", ENDPOINT]]
    if "ansible" in arguments.only:
        ansible = environment(work, "requirements-ansible.txt")
        commands["ansible"] = [[ansible / "ansible-playbook", "-i", "localhost,", HERE / "ansible/playbook.yml", "-e", f"endpoint={ENDPOINT}"]]
    if "moto" in arguments.only:
        moto = environment(work, "requirements-moto.txt")
        commands["moto"] = [[moto / "python", HERE / "moto_tests.py", OTHER, "--work", work]]
    return {part: commands[part] for part in arguments.only}


def work_through(part, commands, bin_dir):
    """Runs a part's commands; answers whether all went well, and what they said."""
    variables = os.environ | {
        "PATH": f"{bin_dir}:{os.environ['PATH']}", "PYTHONDONTWRITEBYTECODE": "1", "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1", "ANSIBLE_CONFIG": str(HERE / "ansible/ansible.cfg"),
        "HOME": os.environ.get("HOME", "/root")}
    said = ""
    for words in commands:
        try:
            done = subprocess.run(inside(*words), env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired as late:
            so_far = late.stdout or b""
            return False, f"{said}{so_far if isinstance(so_far, str) else so_far.decode()}\n{late}"
        said += done.stdout
        if done.returncode:
            return False, said
    return True, said


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sg_ctl", type=pathlib.Path, nargs="?")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("/tmp/sg-ec2"))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", type=lambda text: text.split(","), default=PARTS)
    parser.add_argument("--fetch", action="store_true")
    arguments = parser.parse_args()
    if not arguments.sg_ctl and not arguments.fetch:
        parser.error("which sg-ctl?")
    arguments.work.mkdir(parents=True, exist_ok=True)
    try:
        bin_dir = fetch(arguments.work, arguments.only)
    except subprocess.CalledProcessError as failed:
        print(f"{' '.join(failed.cmd)}\n{failed.stdout}\n{failed.stderr}", file=sys.stderr)
        return NOT_FETCHED
    except FileNotFoundError as missing:
        print(f"no program `{missing.filename}`", file=sys.stderr)
        return NOT_FETCHED
    if arguments.fetch:
        return 0
    python = bin_dir / "python"
    passed, failed = [], []
    with network(), endpoint(arguments.sg_ctl.resolve(), arguments.work) as pid:
        commands = parts(arguments, arguments.work, python, pid, interfaces(python))
        another = other_endpoint(arguments.sg_ctl.resolve(), arguments.work) if "moto" in commands else contextlib.nullcontext()
        with another, concurrent.futures.ThreadPoolExecutor(len(commands)) as pool:
            running = {pool.submit(work_through, part, each, bin_dir): part for part, each in commands.items()}
            for done in concurrent.futures.as_completed(running):
                went_well, said = done.result()
                (passed if went_well else failed).append(running[done])
                lines = said.strip().splitlines()
                shown = lines[-12:] if went_well else lines[-150:]
                print(f"== {running[done]}: {'ok' if went_well else 'FAILED'}", *shown, sep="\n   ", flush=True)
    print(f"{len(passed)} passed, {len(failed)} failed" + (f": {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
