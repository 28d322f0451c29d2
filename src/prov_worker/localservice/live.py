"""What runs in the crate directories that the service was given, for the identity that asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from prov_worker.errors import ProvWorkerError
from prov_worker.live.agents import Agents, Remark

#: A look this old is shown again; a new one is waited for no longer than the second, should a file system hang.
_SHARED_S, _PATIENCE_S = 1.0, 2.0


class LiveTasks:
    """Looks at the agents of some crate directories when somebody asks, in one thread at a time.

    Args:
        directories: the crate directories.
    """

    def __init__(self, directories: Sequence[Path]) -> None:
        self._directories = directories
        self._lock = threading.Lock()
        self._looking: threading.Thread | None = None
        self._looked = -_SHARED_S
        self._words: list[tuple[Path, Remark]] = []
        self._problems: list[str] = []

    def __bool__(self) -> bool:
        """Return whether there is any directory."""
        return bool(self._directories)

    def latest(self) -> tuple[list[tuple[Path, Remark]], list[str]]:
        """Return what agents say, with their crate directory, and what could not be read."""
        with self._lock:
            thread = self._looking
            if thread is None and self._directories and time.monotonic() - self._looked >= _SHARED_S:
                thread = self._looking = threading.Thread(target=self._look, name="live", daemon=True)
                thread.start()
        if thread is not None:
            thread.join(_PATIENCE_S)
        with self._lock:
            return self._words, self._problems

    def _look(self) -> None:
        remarks: list[tuple[Path, Remark]] = []
        problems: list[str] = []
        for directory in self._directories:
            try:
                some, more = Agents(directory).collect()
            except (ProvWorkerError, OSError) as error:
                problems.append(str(error))
                continue
            remarks += [(directory, remark) for remark in some]
            problems += more
        with self._lock:
            self._words, self._problems = remarks, problems
            self._looking, self._looked = None, time.monotonic()


def of_identity(
    remarks: Iterable[tuple[Path, Remark]], own: Callable[[Collection[str]], Collection[str]], *, alone: bool
) -> list[tuple[Path, Remark]]:
    """Return what agents say of the tasks of one identity.

    Args:
        remarks: what they say of all.
        own: gives which tasks of some ids are the identity's.
        alone: there is no other identity: nodes that run nothing are shown too.
    """
    shown = []
    for directory, remark in remarks:
        lists = {key: _entries(remark.document.get(key)) for key in ("tasks", "ended")}
        ids = own({entry["task"] for entries in lists.values() for entry in entries})
        document = {
            **remark.document,
            **{key: [entry for entry in entries if entry["task"] in ids] for key, entries in lists.items()},
        }
        if alone or ids:
            document["more"] = remark.document.get("more", 0) if alone else 0
            shown.append((directory, Remark(document, remark.by, remark.state)))
    return shown


def _entries(value: Any) -> list[dict[str, Any]]:
    entries = value if isinstance(value, list) else []
    return [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("task"), str)]
