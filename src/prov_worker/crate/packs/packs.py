"""The packs that one process writes into a directory: one at a time, closed by size and age."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.json_text import safe_name
from prov_worker.crate.packs import format as form
from prov_worker.crate.packs import recovery
from prov_worker.crate.packs.writer import MAX_CRATES, PackWriter
from prov_worker.crate.publish import Attempt
from prov_worker.crate.sources.packs import PackFile
from prov_worker.errors import CrateError
from prov_worker.humanize import plural

log = logging.getLogger(__name__)

#: A pack is closed when it is full, or open for so many seconds.
MAX_AGE_S = 3600.0
#: Closed packs of a host that are looked at for what a writer that died had not noted elsewhere.
_LOOK_BACK = 2


class Packs:
    """Appends crates to packs in one directory. May be used by several threads.

    What an earlier writer on this machine left open is made whole first, and what it had appended is known.

    Args:
        directory: where packs appear.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = threading.Lock()
        self._writer: PackWriter | None = None
        self._hosts: set[str] = set()
        #: By task, attempts in packs that this process has written or looked at: name of the crate, and attempt.
        self._known: dict[str, list[tuple[str, Attempt]]] = {}

    def published(self, me: Attempt, host: str) -> Attempt | None:
        """Return what is known in a pack of this very attempt.

        Args:
            me: the attempt.
            host: of its worker.
        """
        me = _by_stem(me)
        with self._lock:
            self._look_back(safe_name(host)[:32])
            return next((other for _, other in self._known.get(me.id.task_id, ()) if me.is_of(other)), None)

    def add(self, me: Attempt, files: Iterable[tuple[str, form.Packed]]) -> Path:
        """Append the crate of an attempt.

        Args:
            me: the attempt; a verdict on it in the same pack is replaced.
            files: path and content of each file; the metadata last.

        Returns:
            The pack, by the name that it has once it is closed.

        Raises:
            OSError: the file system refused; nothing was appended.
        """
        me = _by_stem(me)
        with self._lock:
            writer = self._writer
            if writer is not None and writer.is_full:
                self._close()
                writer = None
            if writer is None:
                writer = self._writer = self._open()
            crate = self._name(writer, me)
            writer.append(crate, files, me, me.end_ns)
            others = self._known.setdefault(me.id.task_id, [])
            others[:] = [(name, other) for name, other in others if not other.gives_way_to(me)]
            others.append((crate, me))
            return writer.closed_path

    def rest(self) -> None:
        """Close the pack that is open if it has been open for long."""
        with self._lock:
            if self._writer is not None and time.monotonic() - self._writer.opened_at > MAX_AGE_S:
                with contextlib.suppress(OSError):  # logged; the next process makes it whole
                    self._close()

    def close(self) -> None:
        """Close the pack that is open. What cannot be closed now is made whole by whoever comes next."""
        with self._lock, contextlib.suppress(OSError):
            self._close()

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        self._known.clear()  # what was appended so far is in ledgers
        try:
            writer.close()
        except OSError as error:
            log.warning("%s: cannot be closed, and is left to be made whole: %s", writer.part, error)
            raise

    def _open(self) -> PackWriter:
        try:
            return PackWriter(self.directory)
        except FileNotFoundError:
            os.makedirs(self.directory, exist_ok=True)
            return PackWriter(self.directory)

    @staticmethod
    def _name(writer: PackWriter, me: Attempt) -> str:
        """Return the name of the directory of a crate: of another attempt at its task, with its number."""
        stem = me.id.task_id
        plain = v.crate_name(stem)
        before = writer.attempt(plain)
        if before is None or before.gives_way_to(me):
            return plain
        for number in range(1, MAX_CRATES + 2):
            name = v.crate_name(v.attempt_key(stem, me.id.attempt, number))
            before = writer.attempt(name)
            if before is None or before.gives_way_to(me):
                break
        return name

    def _look_back(self, host: str) -> None:
        """Make whole what dead writers of this machine left, and take note of what was appended last for a host."""
        if host in self._hosts:
            return
        self._hosts.add(host)
        try:
            for path in recovery.left_open(self.directory):
                if self._writer is None or path != self._writer.part:
                    self._make_whole(path)
            names = [name for name in os.listdir(self.directory) if form.is_pack(name) and f"-{host}-" in name]
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("%s: its packs cannot be looked at: %s", self.directory, error)
            return
        parts = [name for name in names if name.endswith(form.PART)]
        closed = sorted((name for name in names if not name.endswith(form.PART)), key=self._changed)[-_LOOK_BACK:]
        for name in (*closed, *parts):
            if self._writer is None or name != self._writer.part.name:
                self._note(self.directory / name)

    def _changed(self, name: str) -> float:
        try:
            return (self.directory / name).stat().st_mtime
        except OSError:
            return 0.0

    def _make_whole(self, path: Path) -> None:
        try:
            whole = recovery.make_whole(path)
            log.info("%s was left open by its writer; kept: %s", path, plural(whole.crates, "crate"))
        except OSError as error:
            log.warning("%s: cannot be made whole: %s", path, error)

    def _note(self, path: Path) -> None:
        try:
            for crate, attempt in PackFile(path).attempts().items():
                self._known.setdefault(attempt.id.task_id, []).append((crate, attempt))
        except CrateError as error:
            log.warning("%s", error)


def _by_stem(attempt: Attempt) -> Attempt:
    """Return an attempt with its task as it stands in names of crates: packs state no other."""
    return replace(attempt, id=attempt.id._replace(task_id=safe_name(attempt.id.task_id)))
