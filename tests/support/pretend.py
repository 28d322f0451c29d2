"""Processes that look like those of Globus Compute and Parsl: a command line, an environment, open files."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

#: What follows the code is the command line that others see; Python itself looks at the first word alone.
_CODE = """
import os, sys, time
file = open(sys.argv[1], "a")
open(sys.argv[2], "w").close()
time.sleep(600)
"""
#: Starts a process and ends at once: the process has init for a parent then.
_PARENT = """
import os, sys
uid, program, note = int(sys.argv[1]), sys.argv[2], sys.argv[3]
child = os.fork()
if child == 0:
    if uid:
        os.setgroups([])
        os.setuid(uid)
    os.execv(program, sys.argv[4:])
with open(note, "w") as file:
    file.write(str(child))
"""


class Pretender:
    """Starts processes, and ends them with the test.

    Args:
        directory: for files of its own.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._children: list[subprocess.Popen[bytes]] = []
        self._orphans: list[psutil.Process] = []

    def __call__(self, *command: str, opened: Path | None = None, **environment: str) -> subprocess.Popen[bytes]:
        """Start a child of this process that has these words as its command line, and a file open."""
        ready, arguments = self._arguments(command, opened)
        process = subprocess.Popen(
            arguments, executable=sys.executable, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, cwd="/"
        )
        self._children.append(process)
        _wait_for(ready)
        return process

    def orphan(
        self, *command: str, opened: Path | None = None, stdout: Path | None = None, **environment: str
    ) -> psutil.Process:
        """Start such a process whose parent has ended.

        Args:
            words: its command line.
            opened: a file that it has open.
            stdout: its standard output.
            environment: variables.
        """
        ready, arguments = self._arguments(command, opened)
        process = self._orphan(0, sys.executable, arguments, stdout or Path(os.devnull), environment)
        _wait_for(ready)
        return process

    def orphan_of(self, uid: int, title: str) -> psutil.Process:
        """Start a process of another user whose parent has ended; only root may."""
        return self._orphan(uid, "/bin/sleep", [title, "600"], Path(os.devnull), {})

    def _orphan(
        self, uid: int, program: str, arguments: list[str], stdout: Path, environment: dict[str, str]
    ) -> psutil.Process:
        note = self._directory / f"pid-{len(self._orphans)}"
        with stdout.open("ab") as file:
            subprocess.run(
                [sys.executable, "-c", _PARENT, str(uid), program, str(note), *arguments],
                env={**os.environ, **environment}, stdout=file, cwd="/", check=True, start_new_session=True,
            )  # fmt: skip
        self._orphans.append(psutil.Process(int(note.read_text())))
        return self._orphans[-1]

    def _arguments(self, command: tuple[str, ...], opened: Path | None) -> tuple[Path, list[str]]:
        ready = self._directory / f"ready-{len(self._children) + len(self._orphans)}"
        return ready, [command[0], "-c", _CODE, str(opened or os.devnull), str(ready), *command[1:]]

    def close(self) -> None:
        """End all."""
        for process in self._children:
            process.kill()
            process.wait()
        for orphan in self._orphans:
            with contextlib.suppress(psutil.Error):
                orphan.kill()
        psutil.wait_procs(self._orphans, timeout=60)


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 90
    while not path.exists():
        assert time.monotonic() < deadline, "the process did not start"
        time.sleep(0.01)


def pretending(directory: Path) -> Iterator[Pretender]:
    """For a fixture."""
    directory.mkdir(parents=True, exist_ok=True)
    pretender = Pretender(directory)
    try:
        yield pretender
    finally:
        pretender.close()
