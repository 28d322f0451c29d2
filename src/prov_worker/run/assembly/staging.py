"""The steps of a run while it is assembled or its links are found, in a database on disk."""

from __future__ import annotations

import json
import pickle
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field

from prov_worker.attempt import AttemptId
from prov_worker.crate import vocabulary as v
from prov_worker.crate.graph import Entity
from prov_worker.crate.identifiers import is_absolute
from prov_worker.crate.summary import RunStep
from prov_worker.model import COMPLETED

_SCHEMA = """
CREATE TABLE step (
    number INTEGER PRIMARY KEY, key TEXT, task TEXT, attempt INTEGER, start INTEGER, began INTEGER, end INTEGER,
    host TEXT, status TEXT, function TEXT, sha TEXT, named TEXT, name TEXT, wall REAL, error TEXT,
    latest INTEGER DEFAULT 1
);
CREATE INDEX step_key ON step (key);
CREATE INDEX step_task ON step (task);
CREATE TABLE entry (step INTEGER PRIMARY KEY, action TEXT, parts TEXT, data BLOB, manifest TEXT);
CREATE TABLE made (step INTEGER, path TEXT, sha TEXT, id TEXT, name TEXT, file INTEGER);
CREATE TABLE used (step INTEGER, path TEXT, sha TEXT, id TEXT, name TEXT);
CREATE TABLE link (target TEXT, target_id TEXT, source TEXT, source_id TEXT, via TEXT);
CREATE TABLE outer (role TEXT, id TEXT);
"""
_INDEXES = """
CREATE INDEX IF NOT EXISTS step_began ON step (began, key);
"""


def temporary_database(schema: str) -> sqlite3.Connection:
    """Open a database of this process alone, which spills to disk: what is in it is not bounded by memory.

    Args:
        schema: statements that make its tables.
    """
    database = sqlite3.connect("")  # the empty name: a temporary file, of which only the cache is in memory
    try:
        database.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-16384;" + schema)
    except BaseException:
        database.close()
        raise
    return database


@dataclass(frozen=True, slots=True)
class StagedAttempt:
    """An attempt that is in the run crate.

    Attributes:
        key: name under which its crate is kept, without suffix.
        id: which attempt.
        end_ns: nanoseconds since the epoch.
        sha256: of the crate's metadata file.
        named: name that the crate had, without suffix.
    """

    key: str
    id: AttemptId
    end_ns: int
    sha256: str
    named: str


@dataclass(slots=True)
class Entry:
    """A step and those entities of its crate that the run crate shows too.

    Attributes:
        step: the facts.
        entities: arguments, results, files and totals, by id in the step crate.
        root: root of the step crate: name, description, datePublished.
        action_id: of the execution, in the step crate.
        license, agent, provider: ids in the run crate.
    """

    step: RunStep
    action_id: str
    entities: dict[str, Entity] = field(default_factory=dict)
    root: Entity = field(default_factory=dict)
    license: str | None = None
    agent: str | None = None
    provider: str | None = None


class StagingDb:
    """The steps of one run, what they made and used, and the links between them, in one temporary database.

    Attributes:
        connection: the database; :class:`~prov_worker.run.assembly.links.LinkFinder` keeps its tables there too.
    """

    def __init__(self) -> None:
        self.connection = self._db = temporary_database(_SCHEMA)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def __len__(self) -> int:
        count: int = self._db.execute("SELECT count(*) FROM step").fetchone()[0]
        return count

    def add(self, step: RunStep, named: str = "") -> int:
        """Add the facts of a step.

        Args:
            step: the step.
            named: name of its crate, without suffix.

        Returns:
            Number of the step in the database.
        """
        number = self._db.execute(
            "INSERT INTO step "
            "(key, task, attempt, began, start, end, host, status, function, sha, named, name, wall, error) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                step.key,
                *step.attempt_id,
                step.start_ns,
                step.end_ns,
                step.host,
                step.status,
                step.function_id,
                step.metadata_sha256,
                named,
                step.function,
                step.wall_s,
                step.error,
            ),
        ).lastrowid
        assert number is not None  # an INSERT has one
        return number

    def add_entry(self, number: int, entry: Entry, manifest: str) -> None:
        """Add what the run crate shows of a step.

        Args:
            number: as :meth:`add` gave it.
            entry: the step's entities.
            manifest: lines of its files: ``<sha256>  <path>``.
        """
        parts = [file.id for file in entry.step.files if file.inside or is_absolute(file.id)]
        self._db.execute(
            "INSERT INTO entry VALUES (?, ?, ?, ?, ?)",
            (number, entry.action_id, json.dumps(parts), pickle.dumps(entry, 5), manifest),
        )

    def has(self, key: str) -> bool:
        """Return whether there is a step of this key."""
        return self._db.execute("SELECT 1 FROM step WHERE key = ?", (key,)).fetchone() is not None

    def attempts(self, task_id: str) -> list[StagedAttempt]:
        """Return the attempts at a task, by end."""
        rows = self._db.execute(
            "SELECT key, attempt, began, end, sha, named FROM step WHERE task = ? ORDER BY end, attempt", (task_id,)
        )
        return [
            StagedAttempt(key, AttemptId(task_id, attempt, began_ns), *more) for key, attempt, began_ns, *more in rows
        ]

    def action_of(self, key: str) -> str:
        """Return id of a step's execution in its crate."""
        (action,) = self._db.execute(
            "SELECT e.action FROM entry e JOIN step s ON s.number = e.step WHERE s.key = ?", (key,)
        ).fetchone()
        return str(action)

    def rename(self, old: str, new: str) -> None:
        """Give a step another key."""
        self._db.execute("UPDATE step SET key = ? WHERE key = ?", (new, old))

    def finalize_attempts(self) -> None:
        """Find the latest attempt of each task, once all steps are in."""
        self._db.executescript(_INDEXES)
        self._db.execute("UPDATE step SET latest = 0")
        self._db.execute(
            "UPDATE step SET latest = 1 WHERE key IN (SELECT key FROM ("
            "SELECT key, row_number() OVER (PARTITION BY task ORDER BY end DESC, attempt DESC, key) AS place FROM step"
            ") WHERE place = 1)"
        )

    def link(self, target: str, target_id: str | None, source: str, source_id: str | None, via: str) -> None:
        """Note what flowed into a step."""
        self._db.execute("INSERT INTO link VALUES (?, ?, ?, ?, ?)", (target, target_id, source, source_id, via))

    def finalize_links(self) -> None:
        """Sort the links, once all are in."""
        self._db.executescript(
            "CREATE INDEX IF NOT EXISTS link_target ON link (target);"
            "CREATE INDEX IF NOT EXISTS link_source ON link (source);"
        )

    def links_into(self, key: str) -> list[tuple[str, str, str, str, str]]:
        """Return entity, source step, its entity, its function and the kind of all data that flowed into a step."""
        return self._db.execute(
            "SELECT l.target_id, l.source, l.source_id, s.function, l.via FROM link l JOIN step s ON s.key = l.source "
            "WHERE l.target = ? AND l.target_id IS NOT NULL AND l.source_id IS NOT NULL ORDER BY l.rowid",
            (key,),
        ).fetchall()

    def links_from(self, key: str) -> list[tuple[str, str, str, str]]:
        """Return entity, function that used it, its entity there and the kind of all data that flowed out of a step."""
        return self._db.execute(
            "SELECT DISTINCT l.source_id, s.function, l.target_id, l.via FROM link l JOIN step s ON s.key = l.target "
            "WHERE l.source = ? AND l.target_id IS NOT NULL AND l.source_id IS NOT NULL "
            "ORDER BY s.function, l.target_id",
            (key,),
        ).fetchall()

    def note_outer(self, role: str, identifier: str) -> None:
        """Note what entered (``object``) or left (``result``) the run as a whole."""
        self._db.execute("INSERT INTO outer VALUES (?, ?)", (role, identifier))

    def outer(self, role: str) -> Iterator[str]:
        """Yield ids of what entered or left the run."""
        for row in self._db.execute("SELECT id FROM outer WHERE role = ? ORDER BY rowid", (role,)):
            yield row[0]

    def entries(self) -> Iterator[Entry]:
        """Yield all entries in the order of their start."""
        rows = self._db.execute(
            "SELECT s.key, s.latest, e.data FROM step s JOIN entry e ON e.step = s.number ORDER BY s.began, s.key"
        )
        for key, latest, blob in rows:
            entry: Entry = pickle.loads(blob)  # our own, of this process
            entry.step.key = key
            entry.step.crate_id = v.step_id(key)
            entry.step.latest = bool(latest)
            yield entry

    def parts(self) -> Iterator[tuple[str, str, list[str]]]:
        """Yield key, action and files of all steps, in the order of :meth:`entries`, by their ids in the step crates.

        Files are those within the crate, and those that have an absolute id.
        """
        rows = self._db.execute(
            "SELECT s.key, e.action, e.parts FROM step s JOIN entry e ON e.step = s.number ORDER BY s.began, s.key"
        )
        for key, action, parts in rows:
            yield key, action, json.loads(parts)

    def overview(self) -> Iterator[tuple[str, str, bool, float | None, str | None, str | None]]:
        """Yield key, function, whether it failed, seconds, host and error of all steps, as :meth:`entries` does."""
        rows = self._db.execute(
            "SELECT key, name, status != ?, wall, host, error FROM step ORDER BY began, key", (COMPLETED,)
        )
        for key, name, failed, *more in rows:
            yield key, name, bool(failed), *more

    def manifests(self) -> Iterator[tuple[str, str]]:
        """Yield key and manifest of all steps, by key."""
        yield from self._db.execute(
            "SELECT s.key, e.manifest FROM step s JOIN entry e ON e.step = s.number ORDER BY s.key"
        )

    def ordered_keys(self, *, latest: bool = False) -> Iterator[tuple[str, str]]:
        """Yield key and task id of all steps (of the latest attempts alone), in the order of :meth:`entries`."""
        yield from self._db.execute("SELECT key, task FROM step WHERE latest >= ? ORDER BY began, key", (int(latest),))

    def tasks(self) -> tuple[int, int]:
        """Return number of tasks, and of those whose latest attempt failed."""
        tasks, failed = self._db.execute(
            "SELECT count(*), coalesce(sum(status != 'completed'), 0) FROM step WHERE latest = 1"
        ).fetchone()
        return tasks, failed

    def span(self) -> tuple[int | None, int | None]:
        """Return earliest start and latest end, ns."""
        first, last = self._db.execute("SELECT min(began), max(end) FROM step").fetchone()
        return first, last
