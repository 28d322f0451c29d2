"""The ledger: which attempts of a journal have their crate.

Crates are collected and moved, so their presence does not tell. Each finaliser appends to a file of its own,
``<journal>.<finaliser>.done``: one line per attempt: task id, attempt and start. All of a journal's ledgers are read.
A fourth field says that the crate has a verdict, made without the end of the task, which may come yet.
"""

from __future__ import annotations

import glob
import os
from collections import deque
from collections.abc import Iterator

from prov_worker.attempt import AttemptId
from prov_worker.spool.journal import mentions
from prov_worker.spool.own_files import open_in_private, read_own
from prov_worker.spool.paths import CLOSED, JOURNAL_SUFFIX, LEDGER_SUFFIX

#: So many attempts that were added are remembered: a journal is read once, so that older ones do not come again.
_REMEMBERED = 4096
_VERDICT = "verdict"


class Ledger:
    """What has been finished of one journal.

    Args:
        journal: path of the journal; ledgers stand beside it.
        finaliser: name of the process that writes, such as ``node1-4711``.

    Attributes:
        unread: ledgers of the journal that cannot be read, each with the reason.
    """

    __slots__ = ("_added", "_done", "_fd", "_path", "_stem", "_torn", "_verdicts", "unread")

    def __init__(self, journal: str, finaliser: str) -> None:
        self._stem = journal.removesuffix(JOURNAL_SUFFIX)
        self._path = f"{self._stem}.{finaliser}{LEDGER_SUFFIX}"
        self._fd = -1
        self._torn = False
        self._added: deque[AttemptId] = deque()
        self._done: set[AttemptId] = set()
        self._verdicts: set[AttemptId] = set()
        self.unread: list[str] = []
        directory, name = os.path.split(self._stem)
        closed = os.path.join(glob.escape(os.path.join(directory, CLOSED)), f"{glob.escape(name)}.*{LEDGER_SUFFIX}")
        for path in (*self.paths(), *glob.glob(closed)):
            self._read(path)

    def has(self, attempt: AttemptId, *, verdict: bool) -> bool:
        """Return whether an attempt needs no crate any more.

        Args:
            attempt: which.
            verdict: whether what would be written is a verdict; an end is not done with by an earlier verdict.
        """
        return attempt in self._done or (verdict and attempt in self._verdicts)

    def paths(self) -> list[str]:
        """Return the ledgers that stand beside the journal."""
        return sorted(glob.glob(f"{glob.escape(self._stem)}.*{LEDGER_SUFFIX}"))

    def add(self, attempt: AttemptId, *, verdict: bool = False) -> None:
        """Note an attempt as finished.

        Args:
            attempt: which.
            verdict: whether its crate has a verdict alone.

        Raises:
            OSError: the line cannot be written; it is remembered in memory all the same.
        """
        (self._verdicts if verdict else self._done).add(attempt)
        self._added.append(attempt)
        if len(self._added) > _REMEMBERED:
            oldest = self._added.popleft()
            self._done.discard(oldest)
            self._verdicts.discard(oldest)
        if self._fd < 0:
            self._fd = open_in_private(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        line = " ".join(map(str, (*attempt, _VERDICT) if verdict else attempt)).encode() + b"\n"
        line = b"\n" + line if self._torn else line
        self._torn = os.write(self._fd, line) != len(line)

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _read(self, path: str) -> None:
        try:
            for attempt, verdict in _attempts(path):
                (self._verdicts if verdict else self._done).add(attempt)
        except OSError as error:
            self.unread.append(f"{path}: cannot be read: {error}")


def is_done(path: str, task_id: str, attempt: int) -> bool:
    """Return whether a ledger has an attempt, whenever that began.

    Raises:
        OSError: it cannot be read.
    """
    return mentions(path, task_id) and any(done[:2] == (task_id, attempt) for done, _ in _attempts(path))


def _attempts(path: str) -> Iterator[tuple[AttemptId, bool]]:
    """Yield the attempts of a ledger, each with whether it has a verdict; a missing one has none."""
    try:
        lines = read_own(path).decode("ascii", "replace").split("\n")
    except FileNotFoundError:
        return
    for line in lines[:-1]:  # what follows the last newline is torn
        fields = line.split(" ")
        verdict = len(fields) == 4 and fields[3] == _VERDICT
        if (len(fields) == 3 or verdict) and fields[1].isdigit() and fields[2].lstrip("-").isdigit():
            yield AttemptId(fields[0], int(fields[1]), int(fields[2])), verdict
