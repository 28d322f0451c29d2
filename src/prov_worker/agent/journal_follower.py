"""One journal as the finaliser follows it: its lines, its ledger, and the fallback that a full disk made."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

from prov_worker.attempt import AttemptId
from prov_worker.model import Failure
from prov_worker.spool.journal import JournalReader
from prov_worker.spool.ledger import Ledger
from prov_worker.spool.notes import note_files
from prov_worker.spool.paths import CLOSED, JournalName
from prov_worker.spool.records import Ended, JournalState, cannot_read

_CHUNK = 256 << 10


class Follower:
    """Follows the journal of one worker or engine.

    Args:
        journal: its path.
        fallback: where its writer goes on when it cannot write there; None outside of a running node.
        finaliser: name of this process, for the ledger.

    Attributes:
        unfinished: attempts given by :meth:`read` or :meth:`close_open` that are not done.
        dead: its writer is gone, so that there will be no more lines.
        unread: why not all of it could be read when that was tried last; None if it was.
        undrained: why there may be more in its writer's ring; None if there was not when it was read last.
    """

    def __init__(self, journal: str, fallback: str | None, finaliser: str) -> None:
        self.path = journal
        self.name = JournalName.parse(os.path.basename(journal))
        self.ledger = Ledger(journal, finaliser)
        self._parts = [(JournalReader(journal), self._state())]
        self._fallback = fallback
        self.unfinished = 0
        self.dead = False
        self.unread: str | None = None
        self.undrained: str | None = None

    def _state(self) -> JournalState:
        """Return a state that knows what the journal's name says, should the line that says more be torn."""
        state = JournalState()
        if self.name is not None:
            state.worker = {"host": self.name.host, "pid": self.name.pid, "thread": self.name.thread}
        return state

    @property
    def is_engine(self) -> bool:
        """Whether it is an engine's, which runs no task itself."""
        return self.name is not None and self.name.is_engine

    @property
    def state(self) -> JournalState:
        """Meaning of the lines read last: of the fallback if there is one."""
        return self._parts[-1][1]

    @property
    def later_version(self) -> int | None:
        """Version of lines that this release cannot read; None if it can read all of them."""
        return next((state.later_version for _, state in self._parts if state.later_version is not None), None)

    @property
    def problems(self) -> int:
        """Lines that could not be understood."""
        return sum(reader.problems + reader.ends_in_junk + state.problems for reader, state in self._parts)

    def obstacle(self) -> str | None:
        """Return why nothing may be concluded from what this journal does not say; None if it was read whole."""
        if self.unread is not None:
            return self.unread
        if self.undrained is not None:
            return self.undrained
        if self.ledger.unread:
            return self.ledger.unread[0]
        if self.later_version is not None:
            return f"{self.path}: {cannot_read(self.later_version)}"
        return None

    def read(self) -> Iterator[Ended]:
        """Yield attempts that were closed since the last call and are not in the ledger; a bounded part at a time."""
        if self._fallback and len(self._parts) == 1 and os.path.exists(self._fallback):
            self._parts.append((JournalReader(self._fallback), self._state()))
        for reader, state in self._parts:
            for line in reader.read(_CHUNK):
                ended = state.feed(line)
                if ended is None:
                    continue
                if state is not self._parts[0][1]:
                    self._complete(ended)
                if not self.is_done(ended):
                    self.unfinished += 1
                    yield ended

    def read_all(self) -> Iterator[Ended]:
        """Yield all of :meth:`read`, to the end of the files."""
        size = -1
        while size != self.size:
            size = self.size
            yield from self.read()

    @property
    def size(self) -> int:
        """Bytes read so far."""
        return sum(reader.offset for reader, _ in self._parts)

    def _complete(self, ended: Ended) -> None:
        """Complete a record whose task began in the journal and ended in its fallback."""
        first = self._parts[0][1]
        attempt = ended.record.attempt_id
        if first.is_open(attempt):
            began = first.close(attempt, Failure("unknown", ""), ended.record.end_ns).record
            ended.record.function = began.function
            ended.record.arguments = began.arguments

    def has_begun(self, attempt: AttemptId) -> bool:
        """Return whether an attempt began, and did not end, as far as was read."""
        return any(state.is_open(attempt) for _, state in self._parts)

    def close_open(self, failure: Failure, end_ns: int, running: AttemptId | None) -> Iterator[Ended]:
        """Close what a dead worker left open.

        Args:
            failure: why it died.
            end_ns: when, wall clock.
            running: the attempt that its slot says ran, if any; it may have no line yet. In a journal with lines that
                cannot be understood it is the only one to close: they may be the ends of others.
        """
        states = {attempt: state for _, state in self._parts for attempt in state.open_attempts()}
        if self.problems:
            states = {attempt: state for attempt, state in states.items() if attempt == running}
        if running is not None:
            states.setdefault(running, self.state)
        for attempt, state in states.items():
            ended = state.close(attempt, failure, end_ns)
            if not self.is_done(ended):
                self.unfinished += 1
                yield ended

    def function_name(self, attempt: AttemptId, number: int = 0) -> str | None:
        """Return :meth:`~prov_worker.spool.records.JournalState.function_name` of the journal and its fallback."""
        names = (state.function_name(attempt, number) for _, state in self._parts)
        return next(filter(None, names), None)

    def is_done(self, ended: Ended) -> bool:
        """Return whether an attempt needs no crate any more."""
        return self.ledger.has(ended.record.attempt_id, verdict=ended.record.is_verdict)

    def skip(self) -> None:
        """Drop an attempt that was given: it needs no crate any more."""
        self.unfinished = max(0, self.unfinished - 1)

    def note(self, line: dict[str, Any]) -> None:
        """Take a ``start`` line that stands elsewhere, unless the journal has it."""
        attempt = AttemptId(line["task"], line["n"], line["ns"])
        if not self.has_begun(attempt):
            self.state.feed(line)

    def done(self, ended: Ended) -> None:
        """Mark an attempt as done: it has its crate."""
        self.skip()
        with contextlib.suppress(OSError):  # a full disk: the crate itself tells the next finaliser
            self.ledger.add(ended.record.attempt_id, verdict=ended.record.is_verdict)

    def put_away(self) -> bool:
        """Move a journal that is finished, with its ledgers, out of the way of those that are not.

        Returns:
            Whether it is away; one that has grown since it was read stays.

        Raises:
            OSError: the directory cannot be written.
        """
        closed = os.path.join(os.path.dirname(self.path), CLOSED)
        if any(_size(reader.path) > reader.offset for reader, _ in self._parts):
            return False
        os.makedirs(closed, 0o700, exist_ok=True)
        self.ledger.close()
        for path in (*self.ledger.paths(), *note_files(self.path)):
            with contextlib.suppress(FileNotFoundError):
                os.replace(path, os.path.join(closed, os.path.basename(path)))
        target = os.path.join(closed, os.path.basename(self.path))
        if os.path.exists(target):
            _append(self.path, target)  # its writer had begun another one when this one was put away before
        else:
            with contextlib.suppress(FileNotFoundError):
                os.rename(self.path, target)
            if _size(target) > self._parts[0][0].offset and not os.path.exists(self.path):
                os.rename(target, self.path)  # it lives after all
                return False
        if self._fallback and os.path.exists(self._fallback):
            _append(self._fallback, target)
        return True


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _append(path: str, target: str) -> None:
    """Move what is in a file to the end of another."""
    with open(path, "rb") as source, open(target, "ab") as file:
        shutil.copyfileobj(source, file)
    os.unlink(path)
