"""A crate directory as a sceptic looks at it: crates, spool, slots, and the agent that serves it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import find_crates
from prov_worker.model import Series
from prov_worker.processes import is_running
from prov_worker.spool.agent_about import finaliser_lives
from prov_worker.spool.launch import agent_lives
from prov_worker.spool.paths import runtime_dir, spool_dir


def wait_until(condition: Callable[[], Any], event: str | Callable[[], str], limit_s: float = 90.0) -> None:
    """Wait until a condition holds; fail, with what was waited for, when it never does."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"never happened: {event if isinstance(event, str) else event()}", pytrace=False)
        time.sleep(0.03)


def alive(pid: int) -> bool:
    """Whether a process runs; zombies do not."""
    return is_running(pid)


def kill_together(*pids: int) -> None:
    """Kill processes as the loss of a node does: none of them sees another die, and does something about it."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)


class CrateDir:
    """One crate directory of a test.

    Args:
        crates: the directory.
    """

    def __init__(self, crates: Path) -> None:
        self.crates = crates

    @property
    def runtime(self) -> Path:
        """The private node-local directory."""
        return Path(runtime_dir(str(self.crates)))

    @property
    def spool(self) -> Path:
        return Path(spool_dir(str(self.crates)))

    # -- crates ------------------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """Names of the published crates."""
        return [path.name for path in find_crates(self.crates)] if self.crates.is_dir() else []

    def crate(self, task: str, attempt: int | None = None) -> StepCrate:
        """Read a crate."""
        suffix = "" if attempt is None else f".attempt-{attempt}"
        return StepCrate.open(self.crates / f"{task}{suffix}.crate")

    def wait_for(self, tasks: Iterable[str], limit_s: float = 90.0) -> list[StepCrate]:
        """Wait until each of these tasks has its crate; gives them in order."""
        tasks = list(tasks)

        def missing() -> list[str]:
            present = set(self.names())
            return [task for task in tasks if f"{task}.crate" not in present]

        wait_until(lambda: not missing(), lambda: f"crates of {missing()[:5]}\n{self.describe()}", limit_s)
        return [self.crate(task) for task in tasks]

    def describe(self) -> str:
        """What the agent logged, and what lies in the spool, for a failing test."""
        log = self.runtime / "agent.log"
        text = log.read_text(errors="replace")[-3000:] if log.exists() else "(no agent.log)"
        spool = (
            sorted(str(path.relative_to(self.spool)) for path in self.spool.rglob("*")) if self.spool.exists() else []
        )
        return f"agent.log:\n{text}\nspool: {spool}\nruntime: {sorted(os.listdir(self.runtime))}"

    def no_half_files(self) -> None:
        """Nothing is left that is half written."""
        left = [p.name for p in self.crates.iterdir() if p.name.startswith(".") and p.name != ".spool"]
        assert left == []

    # -- journals ----------------------------------------------------------------------------------------------------

    def journals(self, *, closed: bool = True) -> list[Path]:
        """Journals in the spool, those put away included."""
        paths = list(self.spool.glob("*.jsonl"))
        return sorted(paths + (list((self.spool / "closed").glob("*.jsonl")) if closed else []))

    def lines(self, kind: str | None = None) -> list[dict[str, Any]]:
        """All readable journal lines, in the order of each journal."""
        lines = []
        for path in self.journals():
            for text in path.read_bytes().split(b"\n"):
                with contextlib.suppress(ValueError):
                    line = json.loads(text)
                    if kind is None or line.get("t") == kind:
                        lines.append(line)
        return lines

    # -- the agent ---------------------------------------------------------------------------------------------------

    def agent(self) -> dict[str, Any] | None:
        """What ``agent.json`` says: ``pid`` (sampler) and ``finaliser``."""
        try:
            about: dict[str, Any] = json.loads((self.runtime / "agent.json").read_text())
        except (OSError, ValueError):
            return None
        return about

    def wait_for_agent(self, limit_s: float = 60.0, *, other_than: int | None = None) -> dict[str, Any]:
        """Wait until an agent serves here."""

        def there() -> bool:
            about = self.agent()
            return about is not None and about["pid"] != other_than and alive(about["pid"])

        wait_until(there, lambda: f"an agent\n{self.describe()}", limit_s)
        about = self.agent()
        assert about is not None
        return about

    def wait_for_end_of_agent(self, limit_s: float = 90.0) -> None:
        """Wait until nobody holds the agent's locks."""
        runtime = str(self.runtime)
        wait_until(
            lambda: not agent_lives(runtime) and not finaliser_lives(runtime),
            lambda: f"the agent ends\n{self.describe()}",
            limit_s,
        )

    def start_agent(self) -> subprocess.Popen[bytes]:
        """Start an agent as a worker would, but as this process's child."""
        code = f"from prov_worker.agent.main import main; main({str(self.runtime)!r}, {str(self.crates)!r})"
        with (self.runtime / "agent.log").open("ab") as log:
            return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def recover_command(self) -> list[str]:
        """The command of ``prov-worker recover``."""
        return [sys.executable, "-m", "prov_worker", "recover", str(self.crates)]

    def recover(self, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ``prov-worker recover``."""
        done = subprocess.run(
            self.recover_command(),
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def close(self) -> None:
        """End the agent and remove the runtime directory."""
        about = self.agent()
        for key in ("pid", "finaliser"):
            pid = about[key] if about else None
            if pid and alive(pid) and str(self.crates) in _command_line(pid):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.runtime, ignore_errors=True)


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def task_series(crate: StepCrate) -> Series | None:
    """The samples of the task's process tree."""
    series = crate.series()
    return None if series is None else series.task
