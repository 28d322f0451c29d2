"""Folders of a directory that have come to rest.

A folder is settled when no path, size, mtime or inode in it has changed between looks for the settle time, by the
monotonic clock of this host: times of files may be of another host's clock, or restored (``rsync -a``), and say
nothing. Looks go on where an earlier process left off, within one boot of the host.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prov_worker.errors import InputError
from prov_worker.printable import line
from prov_worker.processes import boot_id
from prov_worker.trigger import scan
from prov_worker.trigger import state as events
from prov_worker.trigger.places import check_state, matches
from prov_worker.trigger.scan import Entry, Tree, UnreadableError, VanishedError
from prov_worker.trigger.state import FolderRecord, State

#: One in so many of the folders that are done is read again at each look: a file written in place shows in no
#: directory's mtime.
_REREAD = 20
_YEAR_S = 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class Settled:
    """A folder that has come to rest.

    Attributes:
        path: of the folder, or of a single file.
        files: number of its files.
        size_bytes: their size.
        seen_ns: when it was first seen, nanoseconds since the epoch.
        settled_ns: when it was found to be settled.
        content: a digest of paths, sizes and mtimes.
        entries: its files; empty after a restart.
    """

    path: Path
    files: int
    size_bytes: int
    seen_ns: int
    settled_ns: int
    content: str
    entries: tuple[Entry, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name


class Watcher:
    """Finds folders that are settled; iterating yields each content once, over restarts.

    ``for settled in Watcher("/data")`` takes a folder as done when the loop asks for the next one; one whose body
    raises, or that is killed, gets the folder again.

    Args:
        directory: whose entries are looked at; a link to it is followed.
        pattern: of the names (``fnmatch``); hidden ones match only a pattern that begins with a dot.
        settle_s: how long nothing may change.
        every_s: seconds between looks.
        expect: patterns; a folder is not settled before a file matches each.
        done_file: name of a file at the top of the folder without which it is not settled.
        existing: ``fire`` or ``skip``: folders that are there when the state is new.
        state: file; the default is below ``$XDG_STATE_HOME/prov-worker/trigger``.
        say: gets a line about what is held back, and why, once.

    Raises:
        InputError: the directory is not there, settle time or another value is none, the state is among what is
            watched, or another trigger has it.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        pattern: str = "*",
        settle_s: float = 60.0,
        every_s: float = 30.0,
        expect: Sequence[str] = (),
        done_file: str | None = None,
        existing: str = "fire",
        state: str | os.PathLike[str] | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.directory = Path(directory)
        if not self.directory.is_dir():
            raise InputError(f"{directory}: no such directory")
        for key, seconds in (("settle", settle_s), ("every", every_s)):
            if not 0 < seconds <= _YEAR_S:
                raise InputError(f"{key} {seconds:g}: expected seconds above 0, and no more than a year")
        if settle_s < 2 * every_s:
            raise InputError(
                f"settle {settle_s:g} s: is shorter than two looks; with one each {every_s:g} s, "
                f"{2 * every_s:g} s is the least"
            )
        if existing not in ("fire", "skip"):
            raise InputError(f"existing {existing!r}: expected fire or skip")
        if done_file is not None and (done_file in ("", ".", "..") or "/" in done_file):
            raise InputError(f"done-file {done_file!r}: expected a name without directories")
        if not pattern or "/" in pattern:
            raise InputError(f"pattern {pattern!r}: expected names without directories, such as run*")
        for glob in expect:
            if not glob or glob.startswith("/"):
                raise InputError(f"expect {glob!r}: expected a file below the folder, such as *.nxs")
        check_state(self.directory, pattern, None if state is None else Path(state))
        self.pattern, self.settle_s, self.every_s = pattern, settle_s, every_s
        self._expect, self._done_file = tuple(expect), done_file
        self._say = say
        self.state = State(Path(state) if state is not None else events.default_path(self.directory))
        self._skip = existing == "skip" and self.state.is_new
        self._trees: dict[str, Tree] = {}
        self._notices: dict[str, str] = {}
        self._away = ""
        self._device = os.stat(self.directory).st_dev
        self._round = 0
        self._boot = boot_id()

    def close(self) -> None:
        """Give the state up, for another trigger."""
        self.state.close()

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Settled]:
        while True:
            for settled in self.look():
                yield settled
                self.fired(settled.name, settled.content, {})
            time.sleep(self.every_s)

    def fired(self, name: str, content: str, run: dict[str, Any]) -> None:
        """Record that a content is done."""
        self.state.write({"event": "fired", "name": name, "content": content, "run": run})

    def look(self) -> list[Settled]:
        """Look once; return the folders that are settled and not done, those that came first at the front."""
        names = self._names()
        if names is None:
            return []
        now, wall = time.monotonic(), time.time_ns()
        self._round += 1
        changes: list[dict[str, Any]] = []
        settled: list[Settled] = []
        for number, name in enumerate(names):
            record = self.state.records.get(name)
            tree = self._trees.get(name)
            if (
                record is not None
                and tree is not None
                and record.content in record.fired
                and number % _REREAD != self._round % _REREAD
                and scan.is_unchanged(tree)
            ):
                continue
            tree = self._read(name)
            if tree is None:
                self._trees.pop(name, None)
                continue
            self._trees[name] = Tree(tree.signature, tree.content, (), tree.directories)
            if record is None or record.signature != tree.signature or record.boot != self._boot:
                first = wall if record is None or not record.seen_ns else record.seen_ns
                changes.append(events.seen(name, tree.signature, tree.content, now, self._boot, first))
                if self._skip:
                    changes.append({"event": "skipped", "name": name, "content": tree.content})
                continue
            if self._is_due(name, record, tree, now, wall):
                settled.append(self._settled(name, record, tree, wall))
        self._skip = False
        self.state.write(*changes, sync=bool(changes))
        for name in set(self._trees).difference(names):
            del self._trees[name]
        return sorted(settled, key=lambda folder: (folder.seen_ns, folder.name))

    def _names(self) -> list[str] | None:
        """Return names that match; None while the directory is away."""
        try:
            device = os.stat(self.directory).st_dev
            names = [name for name in os.listdir(self.directory) if self._matches(name)]
        except OSError as error:
            if not self._away:
                self._say(f"{self.directory}: is away ({error.strerror}); it is waited for")
            self._away = error.strerror or str(error)
            self._trees.clear()
            return None
        if self._away:
            self._say(f"{self.directory}: is there again")
            self._away = ""
            self._begin_anew()
        elif device != self._device:
            # What was mounted here is not any more, or is again.
            self._say(f"{self.directory}: is of another file system than before")
            self._begin_anew()
        self._device = device
        return sorted(names)

    def _matches(self, name: str) -> bool:
        return matches(name, self.pattern)

    def _begin_anew(self) -> None:
        """Count the settle time of what is not done from now on: who writes there was held up as well."""
        now = time.monotonic()
        self.state.write(
            *(
                events.seen(name, record.signature, record.content, now, self._boot, record.seen_ns)
                for name, record in self.state.records.items()
                if record.content not in record.fired
            )
        )

    def _read(self, name: str) -> Tree | None:
        path = os.path.join(self.directory, name)
        try:
            if os.path.islink(path) and self._leads_back(path):
                raise UnreadableError("a link that leads back to where it is")
            return scan.take(path)
        except VanishedError:
            return None
        except UnreadableError as error:
            self._notice(name, f"is skipped: {error}")
        return None

    def _leads_back(self, path: str) -> bool:
        """Return whether a link leads to the directory, to one around it, or to itself."""
        try:
            target = os.path.realpath(path, strict=True)
        except OSError as error:
            return error.errno == errno.ELOOP
        here = os.path.realpath(self.directory)
        return here == target or here.startswith(target.rstrip("/") + "/")

    def _is_due(self, name: str, record: FolderRecord, tree: Tree, now: float, wall: int) -> bool:
        """Return whether a folder that has not changed since the last look is settled and not done."""
        if record.content in record.fired or record.pending is not None or now - record.since_s < self.settle_s:
            return False
        if not tree.entries:
            return self._hold(name, "has no file yet")
        if tree.unfinished:
            return self._hold(name, f"rsync has not finished {line(tree.unfinished[0])}")
        if self._done_file is not None and not any(entry.path == self._done_file for entry in tree.entries):
            return self._hold(name, f"has no {self._done_file} yet")
        for pattern in self._expect:
            if not tree.has(pattern):
                return self._hold(name, f"has no file {pattern} yet")
        self._notices.pop(name, None)
        return wall >= record.next_ns

    def _hold(self, name: str, reason: str) -> bool:
        self._notice(name, f"is held back: {reason}")
        return False

    def _notice(self, name: str, text: str) -> None:
        if self._notices.get(name) != text:
            self._notices[name] = text
            self._say(f"{line(name)}: {text}")

    def _settled(self, name: str, record: FolderRecord, tree: Tree, wall: int) -> Settled:
        path = Path(os.path.abspath(self.directory)) / name
        size = sum(entry.size_bytes for entry in tree.entries)
        return Settled(path, len(tree.entries), size, record.seen_ns, wall, tree.content, tree.entries)
