"""Where a worker's records go: into its ring while an agent drains it, else into the journal itself.

While an agent lives nothing here touches the file system of the crates, which may hang for minutes. If none can be
started, the worker is its own agent: what is in the ring goes into the journal, and what follows is written there.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prov_worker.errors import SpoolError
from prov_worker.interruptions import is_own
from prov_worker.recorder.errors import log_internal_error
from prov_worker.spool import launch
from prov_worker.spool.agent_about import drains
from prov_worker.spool.paths import runtime_dir
from prov_worker.spool.ring import Ring
from prov_worker.spool.ring_format import DEFAULT_LIMIT
from prov_worker.spool.ring_records import ENDS, FIRST, KEPT, LINE, START, brief, line_of

if TYPE_CHECKING:
    from prov_worker.spool.journal import JournalWriter

#: So many looks without an agent that drains rings, and the worker writes the journal itself.
_PATIENCE = 3
_MAX_KEPT = 512


class Outlet:
    """Takes records of one worker thread.

    Args:
        runtime: the runtime directory; empty if there is none: then everything goes into the journal.
        crate_dir: whose agent it is.
        journal: path of the journal.
        pid, thread, start: as of :class:`~prov_worker.spool.ring.Ring`.

    Attributes:
        limit: most bytes of the node's rings.
        journal: path of the journal.
    """

    __slots__ = ("_crate_dir", "_identity", "_kept", "_missed", "_ring", "_runtime", "_writer", "journal", "limit")

    def __init__(self, runtime: str, crate_dir: str, journal: str, pid: int, thread: int, start: int) -> None:
        self._runtime = runtime
        self._crate_dir = crate_dir
        self.journal = journal
        self._identity = (pid, thread, start)
        self._writer: JournalWriter | None = None
        self._ring: Ring | None = None
        self._kept: list[bytes] = []
        self._missed = 0
        self.limit = DEFAULT_LIMIT

    def open(self, seen: bool) -> None:
        """Make the ring, if the worker can be seen by an agent and none of an earlier release serves here."""
        if not seen or drains(self._runtime) is False or not self._make_ring():
            self._write_journal()

    def keep(self, line: bytes, *, first: bool = False) -> None:
        """Take a line that later ones depend on; ``first`` forgets those before.

        Raises:
            OSError: there is neither space in memory nor a journal that takes it.
        """
        if first:
            self._kept.clear()
        if len(self._kept) < _MAX_KEPT:
            self._kept.append(line)
        if self._writer is not None:
            self._writer.remember(line, first)
        else:
            self._put(bytes((FIRST if first else KEPT,)) + line)

    def line(self, line: bytes) -> None:
        """Take any other line.

        Raises:
            OSError: as above.
        """
        self.put(bytes((LINE,)) + line)

    def put(self, body: bytes) -> None:
        """Take a record of :mod:`prov_worker.spool.ring_records`.

        Raises:
            OSError: as above.
        """
        ring = self._ring
        if ring is None:
            self._write(body)
        elif not ring.append(body):
            self._put(body)

    def check(self) -> None:
        """See whether an agent serves here, and start one if none does; called every few seconds."""
        if not self._runtime:
            return
        served = launch.ensure_agent(self._runtime, self._crate_dir)
        able = drains(self._runtime)
        if able:
            self._missed = 0
            if self._writer is not None and self._ring is None and self._make_ring():
                self._writer.close()
                self._writer = None
                for number, line in enumerate(self._kept):
                    self._put(bytes((KEPT if number else FIRST,)) + line)
            return
        self._missed += 1
        if self._ring is not None and (not served or able is False or self._missed >= _PATIENCE):
            self._write_journal()

    def look(self) -> None:
        """See whether ring or journal still are what their paths lead to."""
        if self._writer is not None:
            self._writer.look()
        ring = self._ring
        if ring is not None and not ring.is_there():
            # a log-out or the end of a job has removed it, with all that was not drained
            undrained = ring.undrained()
            ring.abandon()
            self._ring = None
            if not self._make_ring():
                self._write_journal()
            for number, line in enumerate(self._kept):
                self._put(bytes((KEPT if number else FIRST,)) + line)
            for body in undrained:
                self._put(body)

    def _make_ring(self) -> bool:
        try:
            if not os.path.isdir(self._runtime):
                runtime_dir(self._crate_dir)  # a log-out or the end of a job has removed that, too
            self._ring = Ring(self._runtime, self.journal, *self._identity, self.limit)
        except (OSError, ValueError, SpoolError) as error:
            if not is_own(error):
                raise
            log_internal_error("making a ring")
            return False
        return True

    def _put(self, body: bytes) -> None:
        """Take a record, whatever the space."""
        ring = self._ring
        if ring is None:
            self._write(body)
        elif body[0] in ENDS:
            if not ring.append(body) and not ring.append(brief(body), brief=True, last=True):
                ring.count_unrecorded()
        elif not ring.append(body, brief=True) and body[0] in (FIRST, KEPT):
            raise OSError("no space for what later records depend on")

    def _write(self, body: bytes) -> None:
        writer = self._writer
        if writer is None:
            raise OSError("the journal is not open")
        line = line_of(body, None)
        if body[0] == START:
            writer.begun = line
        writer.write(line)
        if body[0] in ENDS:
            writer.begun = b""

    def _write_journal(self) -> None:
        """Go on in the journal, unless somebody drains the ring after all."""
        # imported here: few workers are without an agent
        from prov_worker.spool.drain import drain, open_held
        from prov_worker.spool.journal import JournalWriter

        name = os.path.basename(self.journal)
        fallback = os.path.join(self._runtime, "spool", name) if self._runtime else self.journal
        writer = JournalWriter(self.journal, fallback)
        ring = self._ring
        if ring is not None:
            try:
                reader = open_held(ring.path)
                if reader is None:
                    return
                drain(reader, writer)
                ring.close()
                reader.remove()
            except (OSError, SpoolError) as error:
                if not is_own(error):
                    raise
                log_internal_error("writing what an agent should have")
                return
            self._ring = None
        for number, line in enumerate(self._kept):
            writer.keep(line, first=not number)
        self._writer = writer
