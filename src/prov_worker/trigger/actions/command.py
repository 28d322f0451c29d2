"""``--exec``: a command of the shell, which outlives the trigger and is begun once per attempt."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from prov_worker import processes
from prov_worker.trigger.actions import keeper
from prov_worker.trigger.actions.action import ActionError, Outcome
from prov_worker.trigger.watcher import Settled

_LOG_TAIL_BYTES = 2000


class CommandAction:
    """Runs ``sh -c COMMAND`` with the folder's path as ``$1`` and in ``PROV_WORKER_TRIGGER_PATH``.

    Args:
        command: for the shell.
        runs: directory for what keepers leave: beginnings, ends, logs.
    """

    def __init__(self, command: str, runs: Path) -> None:
        self._command, self._runs = command, runs
        self._keepers: dict[str, subprocess.Popen[bytes]] = {}

    def begin(self, key: str, folder: Settled, *, again: bool) -> Outcome | None:
        """Begin; see :class:`~prov_worker.trigger.actions.action.Action`."""
        prefix = self._runs / key
        if not again or not prefix.with_suffix(".began").exists():
            variables = {
                "PROV_WORKER_TRIGGER_PATH": os.fspath(folder.path),
                "PROV_WORKER_TRIGGER_KEY": key,
            }
            try:
                self._keepers[key] = subprocess.Popen(
                    [sys.executable, "-I", "-S", keeper.__file__, str(prefix), self._command, str(folder.path)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, **variables},
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                raise ActionError(f"cannot be started: {error}") from None
        return self.outcome(key)

    def outcome(self, key: str) -> Outcome | None:
        """Return how the command ended; None while it runs."""
        prefix = self._runs / key
        child = self._keepers.get(key)
        is_over = child is not None and child.poll() is not None
        for _ in range(2):  # it may end between the two looks
            try:
                status = int(prefix.with_suffix(".ended").read_text())
            except FileNotFoundError:
                if self._is_alive(prefix, child):
                    return None
            else:
                self._reap(key)
                return Outcome(_error(status, prefix), {"command": self._command, "exit": status})
        if child is not None and not is_over and child.poll() is None:
            return None
        self._reap(key)
        return Outcome("was killed before it ended, or could not begin", {"command": self._command})

    def _reap(self, key: str) -> None:
        """Take the end of a keeper, which has written its last line or is gone."""
        child = self._keepers.pop(key, None)
        if child is not None:
            child.wait()

    @staticmethod
    def _is_alive(prefix: Path, child: subprocess.Popen[bytes] | None) -> bool:
        try:
            pid, start, boot = prefix.with_suffix(".began").read_text().split()
        except FileNotFoundError:
            return child is not None and child.poll() is None
        if child is not None and child.pid == int(pid) and child.poll() is not None:
            return False
        return boot == processes.boot_id() and processes.is_running(int(pid), int(start))

    def release(self) -> None:
        """Leave the keepers to themselves."""
        for child in self._keepers.values():
            child.returncode = child.poll() or 0
        self._keepers.clear()

    def preview(self, folder: Settled) -> str:
        """Return what would be run."""
        return f"sh -c {self._command!r} sh {folder.path}"


def _error(status: int, prefix: Path) -> str:
    if status == 0:
        return ""
    try:
        text = prefix.with_suffix(".log").read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
    except OSError:
        text = ""
    last = text.strip().rpartition("\n")[2]
    reason = f"was ended by signal {-status}" if status < 0 else f"ended with code {status}"
    return f"{reason}{f': {last}' if last else ''}; its output is in {prefix}.log"
