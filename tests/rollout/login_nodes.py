"""Login nodes as containers, the service that they reach, and Ansible beside them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: On everything made here, with the checkout's path, so that what a killed run left can be found and removed.
LABEL = f"prov-worker.test={ROOT}"
TAG = f"prov-rollout-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"
BIN = Path(os.environ.get("PROV_ANSIBLE") or ROOT / ".venv-ansible" / "bin")
VERSION = "0.1.0"
#: How stock software finds the local service, as `prov-worker service env` says it.
LOCAL = {"GLOBUS_SDK_ENVIRONMENT": "local", "GLOBUS_SDK_SERVICE_URL_AUTH": "http://localhost:5000/"}
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
}


def docker(*arguments: str, check: bool = True) -> str:
    """Run the docker client; standard output."""
    done = subprocess.run(["docker", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, (
        f"docker {' '.join(arguments)}:\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
    )
    return done.stdout


def missing(why: str) -> None:
    """Skip; fail where containers are demanded."""
    if os.environ.get("PROV_REQUIRE_DOCKER", "0") not in ("", "0"):
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


def until(what: Callable[[], Any], *, timeout_s: float = 120, pause_s: float = 0.5) -> Any:
    """Wait for something to become true; what it is."""
    end = time.monotonic() + timeout_s
    while not (found := what()) and time.monotonic() < end:
        time.sleep(pause_s)
    return found


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

    def play(self, book: str, *options: str, **variables: Any) -> Play:
        """Run a playbook against this node alone."""
        inventory = self.site.directory / f"{self.name}.json"
        values = self.variables | variables
        inventory.write_text(json.dumps({"endpoints": {"hosts": {"node": {"ansible_host": self.address} | values}}}))
        inventory.chmod(0o600)
        done = subprocess.run(
            [BIN / "ansible-playbook", "-i", inventory, *options, f"{book}.yml"],
            cwd=ROOT / "ansible",
            env=os.environ | {"HOME": str(self.site.directory), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip
        output = done.stdout + done.stderr
        recap = [word for line in output.splitlines() if line.startswith("node ") for word in line.split()]
        changed = sum(int(word.removeprefix("changed=")) for word in recap if word.startswith("changed="))
        return Play(done.returncode, output, changed)

    def status(self) -> dict[str, Any]:
        """What the endpoint's command on the node says."""
        said = self.shell(".local/share/prov-worker/bin/prov-worker-prov status", check=False)
        found: dict[str, Any] = json.loads(said or "{}")
        return found

    def online(self, *, not_process: int | None = None) -> bool:
        """Whether the endpoint is online, with another process than one before."""
        found = self.status()
        return found.get("service") == "online" and found["process"] not in (None, not_process)

    def logs(self) -> str:
        """What its endpoint wrote, and the service manager of it."""
        ask = "tail -n 40 .globus_compute/prov/endpoint.log .local/state/prov-worker/*.log"
        manager = docker("exec", self.name, "journalctl", "--no-pager", "-n", "40", check=False)
        return self.shell(f"{ask} 2>&1 || true") + manager

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
            ["docker", "exec", *options, self.service, "python", "-c", text, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def script(self, text: str, *arguments: str) -> Any:
        """Run such a script; the JSON that it prints last."""
        process = self.start(text, *arguments)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err[-3000:]
        return json.loads(out.splitlines()[-1])


_COMMON = {
    "max_workers_per_node": 2, "address": "127.0.0.1", "encrypted": False, "heartbeat_period": 2,
    "heartbeat_threshold": 10, "job_status_kwargs": {"max_idletime": 120.0, "strategy_period": 0.5},
}  # fmt: skip
ENGINES = {
    "systemd": _COMMON | {"provider": {"type": "LocalProvider", "init_blocks": 1, "min_blocks": 1, "max_blocks": 1}},
    "slurm": _COMMON
    | {
        "provider": {
            "type": "SlurmProvider", "partition": "debug", "exclusive": False, "cores_per_node": 2,
            "walltime": "00:20:00", "init_blocks": 1, "min_blocks": 1, "max_blocks": 1,
            "launcher": {"type": "SrunLauncher"},
        }
    },
}  # fmt: skip
