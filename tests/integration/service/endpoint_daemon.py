"""A real ``globus-compute-endpoint`` daemon of the tests' own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

TEMPLATE = """\
heartbeat_period: {{ hb | default(5) }}
idle_heartbeats_soft: {{ idle | default(0) }}
engine:
  type: {{ engine | default("GlobusComputeEngine") }}
%(provenance)s  address: 127.0.0.1
  encrypted: false
  max_workers_per_node: {{ workers | default(2) }}
  heartbeat_period: 2
  heartbeat_threshold: 6
  max_retries_on_system_failure: {{ retries | default(0) }}
  job_status_kwargs: {max_idletime: 120.0, strategy_period: 0.5}
  provider: {type: LocalProvider, init_blocks: 1, min_blocks: 1, max_blocks: 1, worker_init: "true"}
"""
PROVENANCE = """\
{%% if engine is defined and "Provenance" in engine %%}
  provenance: {crate_dir: %(crates)s, plots: none, write: {{ write | default("background") }}}
{%% endif %%}
"""


#: By command, the option for the core's configuration: asking takes seconds.
_core_options: dict[str, str] = {}


class Daemon:
    """One endpoint in a directory of its own, as ``configure`` makes it."""

    def __init__(
        self,
        directory: Path,
        environment: Mapping[str, str],
        python: str = sys.executable,
        *,
        crates: Path | None = None,
    ) -> None:
        self.user_dir = directory
        self.crates = crates or directory / "crates"
        self.bin = Path(python).parent
        self.environment = {
            **environment,
            "GLOBUS_COMPUTE_USER_DIR": str(directory),
            "PATH": f"{self.bin}:{os.environ['PATH']}",
        }
        self.name = "ep"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> str:
        return str(self.bin / "globus-compute-endpoint")

    @property
    def id(self) -> str:
        content = json.loads((self.user_dir / self.name / "endpoint.json").read_text())
        return str(content["endpoint_id"])

    @property
    def log(self) -> str:
        texts = [path.read_text(errors="replace")[-6000:] for path in self.user_dir.glob("*/endpoint.log")]
        console = self.user_dir / "console"
        return "\n".join([*texts, console.read_text(errors="replace")[-6000:] if console.exists() else ""])

    def configure(self) -> None:
        self.user_dir.mkdir(parents=True, exist_ok=True)
        if self.command not in _core_options:
            usage = subprocess.run(
                [self.command, "configure", "--help"],
                env=self.environment, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            ).stdout  # fmt: skip
            # The oldest supported release calls it otherwise, and asks for no address.
            _core_options[self.command] = "--core-config" if "--core-config" in usage else "--manager-config"
        core = _core_options[self.command]
        email = "email: someone@example.org\n" if core == "--core-config" else ""
        files = {
            "config.yaml": f"{email}heartbeat_period: 5\ndisplay_name: Test endpoint\n",
            "t.yaml.j2": TEMPLATE % {"provenance": PROVENANCE % {"crates": self.crates}},
            "schema.json": '{"type": "object", "additionalProperties": true}\n',
            "user_environment.yaml": "".join(
                f"{name}: {json.dumps(value)}\n"
                for name, value in self.environment.items()
                if name in ("PATH", "GLOBUS_COMPUTE_USER_DIR", "PYTHONPATH") or name.startswith("PROV_WORKER")
            ),
        }
        for name, text in files.items():
            (self.user_dir / name).write_text(text)
        subprocess.run(
            [
                self.command, "configure", self.name, "--multi-user", "false",
                core, self.user_dir / "config.yaml",
                "--template-config", self.user_dir / "t.yaml.j2",
                "--schema-config", self.user_dir / "schema.json",
                "--user-env-config", self.user_dir / "user_environment.yaml",
            ],
            env=self.environment, check=True, capture_output=True, timeout=180, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def start(self) -> None:
        for stale in self.user_dir.glob("*/daemon.pid"):
            stale.unlink()
        with (self.user_dir / "console").open("ab") as console:
            self.process = subprocess.Popen(
                [self.command, "start", self.name],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 180
        while not (self.user_dir / self.name / "endpoint.json").exists():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.1)

    def children(self) -> dict[int, str]:
        """Processes of this endpoint, by pid, with their command lines.

        Descendants of the core, and what has been orphaned but still has its directory in its environment; a process
        that gives itself a title overwrites its environment, so that one sign alone is not enough.
        """
        mark = f"GLOBUS_COMPUTE_USER_DIR={self.user_dir}\0".encode()
        parents, lines, descendants = {}, {}, set()
        for path in Path("/proc").glob("[0-9]*"):
            pid = int(path.name)
            try:
                parents[pid] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                lines[pid] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if mark in (path / "environ").read_bytes():
                    descendants.add(pid)
            except OSError:
                continue
        roots = {self.process.pid} if self.process else set()
        while more := {pid for pid, parent in parents.items() if parent in roots | descendants} - roots - descendants:
            descendants |= more
        return {pid: lines[pid] for pid in descendants - roots if pid in lines and parents[pid] != os.getpid()}

    def user_endpoints(self) -> list[int]:
        """Process ids of its user endpoints: the core's own children."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def kill(self, pid: int | None = None) -> None:
        """SIGKILL to one process: the core, unless said otherwise."""
        assert self.process is not None
        os.kill(pid or self.process.pid, signal.SIGKILL)
        if pid is None:
            self.process.wait(60)

    def stop(self) -> None:
        """End the core, then whatever of it is left."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(60)
        deadline = time.monotonic() + 5
        while self.children() and time.monotonic() < deadline:
            time.sleep(0.2)
        for pid in self.children():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
