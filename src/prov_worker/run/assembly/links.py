"""What flowed from step to step: stated links first, then those that equal content suggests, marked as inferred.

A link is stated if one step declared the file that another had declared to generate, or if a workflow definition
says so. It is inferred if an argument or a used file has the sha256 of an earlier result or generated file. Equal
content by chance gives false links, so values that say nothing (None, truth values, small integers, short text, empty
containers, empty files) make none, nor does content that many tasks made.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.summary import GENERATED, FileRef, RunStep, StepValue
from prov_worker.errors import CrateError
from prov_worker.run.assembly.staging import StagingDb
from prov_worker.run.model import DECLARED, FILE, VALUE, WORKFLOW, Link

#: Clocks of two nodes may differ: a step may have begun this much before the end of the one whose result it used.
CLOCK_TOLERANCE_NS = 1_000_000_000
#: Content that more tasks than this made is a constant, not a message from one to the next.
MAX_MAKERS = 4
#: Text and buffers below this many bytes are equal by chance too often.
MIN_BYTES = 8
_SMALL_INTEGERS = range(-256, 65_536)
_COMMON_FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 10.0, 100.0, float("inf"), float("-inf"), float("nan"))
_SIMPLE = frozenset(("NoneType", "bool", "ellipsis"))
_NUMBERS = frozenset(("int", "float", "complex"))
_EMPTY = hashlib.sha256(b"").hexdigest()
_INDEXES = """
CREATE INDEX IF NOT EXISTS made_sha ON made (sha);
CREATE INDEX IF NOT EXISTS made_path ON made (path);
CREATE INDEX IF NOT EXISTS used_step ON used (step);
"""
_BY_PATH = """
SELECT s.key, m.id, m.sha, m.sha FROM made m JOIN step s ON s.number = m.step
WHERE m.path = ?1 AND s.task != ?2 AND s.end <= iif(s.host = ?5, ?3 - ?6, ?3)
AND (s.start IS NULL OR s.start < ?7) AND (m.sha IS NULL OR ?4 IS NULL OR m.sha = ?4)
ORDER BY s.end DESC, s.number DESC LIMIT 1
"""
_LATEST = "SELECT key FROM step WHERE task = ? ORDER BY end DESC LIMIT 1"
_BY_HASH = """
SELECT s.key, m.id, m.name, m.file, s.task FROM made m JOIN step s ON s.number = m.step
WHERE m.sha = ?1 AND s.task != ?2 AND s.end <= iif(s.host = ?5, ?3 - ?6, ?3)
AND (s.start IS NULL OR s.start < ?7)
ORDER BY s.end DESC, s.number DESC LIMIT 64
"""


#: Host of the step that used something, tolerance between hosts, and its end.
_When = tuple["str | None", int, int]


@lru_cache(maxsize=1)
def _trivial_digests() -> frozenset[str]:
    """Return digests of small integers and common floats, as the recorder takes them: of their pickle, protocol 4."""
    values: list[object] = [*_SMALL_INTEGERS, *_COMMON_FLOATS, None, True, False, (), [], {}, "", b""]
    return frozenset(hashlib.sha256(pickle.dumps(value, 4)).hexdigest() for value in values) | {_EMPTY}


def is_trivial(value: StepValue) -> bool:
    """Return whether equal values say nothing of where they came from."""
    if value.type in _SIMPLE or value.sha256 is None or value.length == 0:
        return True
    if value.type in _NUMBERS:
        return value.sha256 in _trivial_digests()
    if value.type in ("str", "bytes", "bytearray", "memoryview"):
        return value.size_bytes is None or value.size_bytes < MIN_BYTES
    return value.sha256 in _trivial_digests()


class LinkFinder:
    """Takes steps one by one and finds what flowed between them.

    Args:
        staging: has the steps.
        after: stated order, task id to the ids of the tasks before it. Of a task that is named here, no link is
            inferred from any other task.
    """

    def __init__(self, staging: StagingDb, after: Mapping[str, Iterable[str]] | None = None) -> None:
        self._needs: dict[int, list[str]] = {}
        self._after = {task: tuple(dict.fromkeys(before)) for task, before in (after or {}).items()}
        self._db = staging.connection

    def add(self, number: int, step: RunStep) -> None:
        """Take what a step made and used; ``number`` is its number in the database."""
        if step.needs:
            self._needs[number] = step.needs
        made: list[tuple[int, str | None, str | None, str, str, int]] = []
        used: list[tuple[int, str | None, str | None, str, str]] = []
        for file in step.files:
            if file.role == GENERATED:
                if not (file.inside and file.id.startswith(v.LOGS_DIR + "/")):
                    made.append((number, _path(file), _digest(file), file.id, file.path, 1))
            else:
                used.append((number, _path(file), _digest(file), file.id, file.path))
        made += [
            (number, None, value.sha256, value.id, value.name, 0) for value in step.results if not is_trivial(value)
        ]
        used += [
            (number, None, value.sha256, value.id, value.name) for value in step.arguments if not is_trivial(value)
        ]
        self._db.executemany("INSERT INTO made VALUES (?, ?, ?, ?, ?, ?)", made)
        self._db.executemany("INSERT INTO used VALUES (?, ?, ?, ?, ?)", used)

    def links(self) -> Iterator[Link]:
        """Yield all links, those of one step together, steps in the order of their start."""
        self._db.executescript(_INDEXES)
        steps = self._db.execute("SELECT number, key, task, start, end, host FROM step ORDER BY start, key")
        for number, key, task, start, end, host in steps:
            yield from self._links_of(number, key, task, start, (host, CLOCK_TOLERANCE_NS, end))

    def _links_of(self, number: int, key: str, task: str, start: int | None, when: _When) -> Iterator[Link]:
        before = self._after.get(task)
        for other in before or ():
            latest = self._db.execute(_LATEST, (other,)).fetchone()
            if latest is not None:
                yield Link(latest[0], key, WORKFLOW, "order")
        for other in self._needs.get(number, ()):
            latest = self._db.execute(_LATEST, (other,)).fetchone()
            if latest is not None:
                yield Link(latest[0], key, WORKFLOW, "result")
        if start is None:
            return
        limit = start + CLOCK_TOLERANCE_NS
        for path, sha, identifier, name in self._db.execute(
            "SELECT path, sha, id, name FROM used WHERE step = ? ORDER BY rowid", (number,)
        ):
            link = self._declared(key, task, limit, path, sha, identifier, when) if path is not None else None
            if link is None and sha is not None:
                link = self._inferred(key, task, limit, sha, identifier, name, before, when)
            if link is not None:
                yield link

    def _declared(
        self, key: str, task: str, limit: int, path: str, sha: str | None, identifier: str, when: _When
    ) -> Link | None:
        maker = self._db.execute(_BY_PATH, (path, task, limit, sha, *when)).fetchone()
        return None if maker is None else Link(maker[0], key, DECLARED, path, sha or maker[2], maker[1], identifier)

    def _inferred(
        self,
        key: str,
        task: str,
        limit: int,
        sha: str,
        identifier: str,
        name: str,
        before: tuple[str, ...] | None,
        when: _When,
    ) -> Link | None:
        makers = self._db.execute(_BY_HASH, (sha, task, limit, None, *when)).fetchall()
        if before is not None:
            makers = [maker for maker in makers if maker[4] in before]
        if not makers or len({maker[4] for maker in makers}) > MAX_MAKERS:
            return None
        source, source_id, source_name, is_file, _ = makers[0]
        via = FILE if is_file else VALUE
        return Link(source, key, via, source_name if is_file else name, sha, source_id, identifier)


def _path(file: FileRef) -> str | None:
    """Return the path of a declared file; one that the recorder found has a path of its sandbox."""
    return file.path if file.declared else None


def _digest(file: FileRef) -> str | None:
    return None if file.size_bytes == 0 or file.sha256 == _EMPTY else file.sha256


def link_line(link: Link) -> str:
    """Return a link as one line of ``links.jsonl``."""
    fields = {name: value for name, value in asdict(link).items() if value is not None}
    fields["inferred"] = link.inferred
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")) + "\n"


def read_links(path: Path) -> Iterator[Link]:
    """Yield the links in a ``links.jsonl``.

    Raises:
        CrateError: a line is not a link.
    """
    with path.open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, 1):
            try:
                fields = json.loads(line)
                fields.pop("inferred", None)
                if not all(isinstance(value, str) for value in fields.values()):
                    raise ValueError("expected strings")
                link = Link(**fields)
            except (ValueError, TypeError, AttributeError) as error:
                raise CrateError(path, f"no link: {error}", f"line {number}") from None
            yield link
