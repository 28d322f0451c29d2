"""Login nodes as containers, the service that they reach, and Ansible beside them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from prov_worker import __version__
from support.containers import docker

ROOT = Path(__file__).resolve().parents[2]
#: On everything made here, with the checkout's path, so that what a killed run left can be found and removed.
LABEL = f"prov-worker.test={ROOT}"
TAG = f"prov-rollout-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"
BIN = Path(os.environ.get("PROV_TEST_ANSIBLE") or ROOT / ".venv-ansible" / "bin")
VERSION = __version__
#: How stock software finds the local service, as `prov-worker service env` says it.
LOCAL = {"GLOBUS_SDK_ENVIRONMENT": "local", "GLOBUS_SDK_SERVICE_URL_AUTH": "http://127.0.0.1:5000/"}
#: How Docker has to start a system whose first process is systemd: no privileges but this one.
KINDS = {
    "systemd": [
        "--tmpfs",
        "/run",
        "--tmpfs",
        "/run/lock",
        "--tmpfs",
        "/tmp",
        "--cap-add",
        "SYS_ADMIN",
        "--cgroupns=private",
    ],
    # cron's @reboot fires once per /run: a new one is a reboot.
    "slurm": ["--tmpfs", "/run:mode=755,exec"],
    "scrontab": [],
}
#: Debian of each kind, and the Python of that.
BASES = {
    "systemd": ("debian:bookworm-slim", "3.11"),
    "slurm": ("debian:bookworm-slim", "3.11"),
    "scrontab": ("debian:trixie-slim", "3.13"),
}
#: Runs a script as a file: the source of its functions can be sent then.
_AS_FILE = """\
import os, runpy, sys, tempfile
text = sys.argv.pop(1)
file, sys.argv[0] = tempfile.mkstemp(suffix=".py")
with os.fdopen(file, "w") as script:
    script.write(text)
runpy.run_path(sys.argv[0], run_name="__main__")
"""
#: What the roll-out puts on a node: `prov-worker fleet` for the endpoint.
COMMAND = ".local/share/prov-worker/bin/prov-worker-prov"
#: Names files with $SECRET, which is not in its own arguments.
_GREP = 'grep -slF -f <(printf %s "$SECRET")'


def missing(why: str) -> None:
    """Skip; fail where containers are demanded."""
    if os.environ.get("PROV_TEST_REQUIRE_DOCKER", "0") not in ("", "0"):
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


@dataclass(frozen=True)
class Play:
    """How a playbook ended, and what it said."""

    code: int
    output: str
    changed: int


@dataclass
class Node:
    """A login node."""

    name: str
    kind: str
    site: Site
    variables: dict[str, Any] = field(default_factory=dict)
    #: The container on which its endpoint, and tasks, run where that is another one.
    batch: str | None = None

    def shell(self, script: str, *, check: bool = True) -> str:
        """Run a shell script as the node's user; standard output."""
        return docker(
            "exec", "--user", "alice", "--workdir", "/home/alice", self.name, "bash", "-c", script, check=check
        )

    @property
    def address(self) -> str:
        """Where sshd listens: the node's address in the private network."""
        return docker(
            "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", self.name
        ).strip()

    def reboot(self) -> None:
        """Switch the node off on which the endpoint runs, at once, and on again."""
        docker("restart", "--time", "0", self.batch or self.name)

    def play(self, book: str, *options: str, **variables: Any) -> Play:
        """Run a playbook against this node alone, as talkative as it can be; it must not say the secret."""
        home = self.site.home
        inventory = home / f"{self.name}.json"
        values = self.variables | variables
        inventory.write_text(json.dumps({"endpoints": {"hosts": {"node": {"ansible_host": self.address} | values}}}))
        inventory.chmod(0o600)
        done = subprocess.run(
            [BIN / "ansible-playbook", "-i", inventory, "--diff", "-vvv", *options, f"{book}.yml"],
            cwd=ROOT / "ansible",
            env=os.environ | {"HOME": str(home), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        output = done.stdout + done.stderr
        assert self.site.client_secret not in output, f"{book}.yml says the secret"
        recap = [word for line in output.splitlines() if line.startswith("node ") for word in line.split()]
        changed = sum(int(word.removeprefix("changed=")) for word in recap if word.startswith("changed="))
        return Play(done.returncode, output, changed)

    def status(self, options: str = "") -> dict[str, Any]:
        """What the endpoint's command on the node says; nothing if it cannot run."""
        output = self.shell(f"{COMMAND} status --json {options}", check=False)
        return dict(json.loads(output)[0]) if output else {}

    def online(self, *, not_process: int | None = None) -> bool:
        """Whether the endpoint is online, with another process than one before."""
        status = self.status("--online --timeout 0")
        return status.get("service") == "online" and status["pid"] not in (None, not_process)

    def logs(self) -> str:
        """What its endpoint wrote, and the service manager of it."""
        ask = "tail -n 40 .globus_compute/prov/*.log .local/state/prov-worker/fleet/*/*/watch.log"
        manager = docker("exec", self.name, "journalctl", "--no-pager", "-n", "40", check=False)
        return self.shell(f"{ask} 2>&1 || true") + manager

    def console(self) -> str:
        """What it printed while it started, what runs in it, and what its service manager says."""
        asks = (
            "ps -eo pid,user,stat,etimes,args", "ss -ltn || cat /proc/net/tcp", "systemctl --no-pager list-jobs",
            "systemctl --no-pager --failed", "systemctl --no-pager --full status ssh", "journalctl --no-pager -n 80",
        )  # fmt: skip
        texts = [docker("logs", "--tail", "60", self.name, check=False)]
        texts += [f"$ {ask}\n" + docker("exec", self.name, "sh", "-c", f"{ask} 2>&1", check=False) for ask in asks]
        return "\n".join(texts)

    def observe(self) -> None:
        """Have another user of the node look for the secret from now on, in what runs and in files that come and go.

        :meth:`leaks` tells what it saw.
        """
        files = f"{_GREP} -r --devices=skip /home /tmp /var/tmp /run | grep -v ^/tmp/observed"
        look = f"{_GREP} /proc/[0-9]*/cmdline; {files}"
        self._as_other("--detach", f"exec >>/tmp/observed 2>/dev/null; while sleep 0.3; do {look}; done")

    def leaks(self) -> list[str]:
        """Where the secret is though it should not be: for others to read, here or there, or twice at home."""
        everywhere = "-r --devices=skip --exclude-dir=proc --exclude-dir=sys /"
        places = self._as_other("", f"cat /tmp/observed; {_GREP} {everywhere}")
        secret = self.site.client_secret
        grep = ["bash", "-c", f"{_GREP} -r /home"]
        held = docker("exec", "--env", f"SECRET={secret}", self.name, *grep, check=False)
        leaked = {*places.split(), *held.split()} - {"/home/alice/.config/prov-worker/prov.env"}
        for path in self.site.home.rglob("*"):
            if path.is_file() and path.stat().st_mode & 0o077 and secret.encode() in path.read_bytes():
                leaked.add(str(path))
        return sorted(leaked)

    def _as_other(self, option: str, script: str) -> str:
        options = [option] if option else []
        options += ["--user", "nobody", "--env", f"SECRET={self.site.client_secret}"]
        return docker("exec", *options, self.name, "bash", "-c", script, check=False)

    @property
    def crates(self) -> list[str]:
        """Names of the crates on the node."""
        return self.shell("cd provenance/prov && ls -d *.crate 2>/dev/null || true").split()


@dataclass
class Site:
    """Network, broker and service; and the credentials of an endpoint's client."""

    name: str
    directory: Path
    client_id: str
    client_secret: str
    #: Where Ansible is run from. Short, for ssh's sockets; nothing else is in it: what is left there is looked at.
    home: Path

    @property
    def service(self) -> str:
        """The container of the service."""
        return f"{self.name}-service"

    def start(self, text: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a Python script with the stock SDK where a client is."""
        variables = LOCAL | {
            "GLOBUS_COMPUTE_CLIENT_ID": self.client_id,
            "GLOBUS_COMPUTE_CLIENT_SECRET": self.client_secret,
            "GLOBUS_COMPUTE_USER_DIR": "/tmp/sdk",
        }
        options = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
        return subprocess.Popen(
            ["docker", "exec", *options, self.service, "python", "-c", _AS_FILE, text, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def script(self, text: str, *arguments: str) -> Any:
        """Run such a script; the JSON that it prints last."""
        return self.ended(self.start(text, *arguments))

    @staticmethod
    def ended(process: subprocess.Popen[str]) -> Any:
        """What such a script printed last, once it has ended."""
        out, err = process.communicate(timeout=450)
        assert process.returncode == 0, err[-3000:]
        return json.loads(out.splitlines()[-1])


#: What the endpoints are: templates of sites, with options for nodes as small as these.
OPTIONS: dict[str, Any] = {
    "interface": "lo", "workers": 2, "plots": "none", "idle_time": 120, "strategy_period": 0.5,
    "heartbeat_period": 2, "heartbeat_threshold": 10,
}  # fmt: skip
PERLMUTTER: dict[str, Any] = {
    "endpoint_site": "perlmutter-cpu",
    "endpoint_options": OPTIONS
    | {"account": "nobody", "partition": "debug", "constraint": "", "licenses": "", "cpus_per_task": 1,
       "exclusive": False, "affinity": "none"},
}  # fmt: skip
SITES: dict[str, dict[str, Any]] = {
    "systemd": {"endpoint_site": "local", "endpoint_options": OPTIONS},
    "slurm": PERLMUTTER,
    # Workers on another node than the login node.
    "scrontab": PERLMUTTER | {"endpoint_options": PERLMUTTER["endpoint_options"] | {"interface": "eth0"}},
}
