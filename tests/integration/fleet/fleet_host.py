"""A fleet of the tests' own: its file, its commands, its watch; and what of it runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import yaml

from prov_worker.fleet import fleetfile, waiting
from prov_worker.fleet.endpoint import ManagedEndpoint
from prov_worker.fleet.state import EndpointRecord, State
from prov_worker.globus.processes import has_open_below

NAMES = ("one", "two", "three")
LIMIT_S = 180.0
OPTIONS: dict[str, Any] = {
    "email": "someone@example.org",
    "plots": "none",
    "workers": 1,
    "strategy_period": 0.5,
    "idle_time": 60,
}
WATCH: dict[str, Any] = {"interval": 0.3, "backoff": [0.5, 2], "cap": 20, "window": 3600}


class FleetHost:
    """A directory with a fleet file, endpoints and state."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self.directory = directory
        self.user_dir = directory / "gc"
        self.file = directory / "fleet.yaml"
        self.environment = {
            **environment,
            "XDG_STATE_HOME": str(directory / "state"),
            "PROV_WORKER_FLEET": str(self.file),
            "GLOBUS_COMPUTE_USER_DIR": str(self.user_dir),
        }
        self.watches: list[subprocess.Popen[str]] = []
        self.elsewhere: list[subprocess.Popen[str]] = []
        #: Interpreter of the commands.
        self.python = sys.executable

    def write(
        self, *names: str, watch: Mapping[str, Any] | None = None, options: Mapping[str, Any] | None = None, **more: Any
    ) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        values = {**OPTIONS, **(options or {})}
        content = {
            "user_dir": str(self.user_dir),
            "watch": {**WATCH, **(watch or {})},
            "endpoints": [{"name": name, "site": "local", "options": values} for name in names],
            **more,
        }
        self.file.write_text(yaml.safe_dump(content))

    def run(self, *arguments: str, code: int | None = 0, **environment: str) -> str:
        """A command of ``prov-worker fleet``; its output, and what it says of it."""
        done = self._run(arguments, code, environment)
        return done.stdout + done.stderr

    def _run(
        self, arguments: Sequence[str], code: int | None, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [self.python, "-m", "prov_worker", "fleet", *arguments],
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        if code is not None:
            assert done.returncode == code, (
                f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.consoles()}"
            )
        return done

    def json(self, *arguments: str, code: int | None = 0, **environment: str) -> dict[str, dict[str, Any]]:
        """A command's rows by the names of endpoints."""
        # What is said beside it may be of processes that tests beside this one have left.
        done = self._run([*arguments, "--json"], code, environment)
        return {row["name"]: row for row in json.loads(done.stdout)}

    def running(self, name: str) -> int:
        """Tasks under way, as ``status`` has them; without a process of its own, for those who wait."""
        (row,) = waiting.look(self.fleet, self.state, [name]).statuses
        return row.running or 0

    def watch(self, *arguments: str, prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start a watch; by a program that takes no signal but the last, such as one that runs it on another host."""
        process = subprocess.Popen(
            [*prefix, self.python, "-m", "prov_worker", "fleet", "watch", *arguments],
            env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        (self.elsewhere if prefix else self.watches).append(process)
        return process

    def end_watches(self) -> None:
        for process in self.watches:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.elsewhere:
            process.kill()
        ended, self.watches, self.elsewhere = [*self.watches, *self.elsewhere], [], []
        for process in ended:
            try:
                _, errors = process.communicate(timeout=180)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                raise
            assert "Traceback" not in errors, errors

    @property
    def fleet(self) -> fleetfile.Fleet:
        return fleetfile.read(self.file)

    @property
    def state(self) -> State:
        before = os.environ.get("XDG_STATE_HOME")
        os.environ["XDG_STATE_HOME"] = self.environment["XDG_STATE_HOME"]
        try:
            return State(self.fleet)
        finally:
            if before is None:
                del os.environ["XDG_STATE_HOME"]
            else:
                os.environ["XDG_STATE_HOME"] = before

    def records(self) -> dict[str, EndpointRecord]:
        return self.state.load()

    def log(self, name: str = "") -> list[str]:
        """Decisions of the watch; of one endpoint, where it is named."""
        path = self.state.log
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if not name or line.split(" ", 2)[1] == f"{name}:"]

    def folder(self, name: str) -> ManagedEndpoint:
        (spec,) = self.fleet.chosen([name])
        return ManagedEndpoint(spec)

    def core(self, name: str) -> psutil.Process | None:
        return self.folder(name).core().process

    def up(self, name: str, other_than: psutil.Process | None = None) -> bool:
        core = self.core(name)
        return core is not None and core != other_than

    def kill(self, *names: str) -> dict[str, psutil.Process]:
        processes = {}
        for name in names:
            process = self.core(name)
            assert process is not None, name
            processes[name] = process
        for process in processes.values():
            os.kill(process.pid, signal.SIGKILL)
        return processes

    def consoles(self) -> str:
        return "\n".join(
            f"-- {path}\n{path.read_text(errors='replace')[-3000:]}"
            for path in (*self.user_dir.glob("*/console.log"), *self.user_dir.glob("*/endpoint.log"))
        )

    def close(self) -> None:
        """End the watch, then every process of every endpoint that is here."""
        try:
            self.end_watches()
        finally:
            self._end_endpoints()

    def _end_endpoints(self) -> None:
        mark = f"GLOBUS_COMPUTE_USER_DIR={self.user_dir}\0".encode()
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + 15
            while (left := self._processes(mark)) and time.monotonic() < deadline:
                for pid in left:
                    try:
                        os.kill(pid, number)
                    except ProcessLookupError:
                        continue
                time.sleep(0.3)

    def _processes(self, mark: bytes) -> list[int]:
        pids = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                process = psutil.Process(int(path.name))
                if mark in (path / "environ").read_bytes() or has_open_below(process, self.user_dir):
                    pids.append(process.pid)
            except (psutil.Error, OSError):
                continue
        return [pid for pid in pids if pid != os.getpid()]
