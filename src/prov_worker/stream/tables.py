"""Two tables of a database, alike in SQLite and PostgreSQL: ``task``, the latest of each attempt, and ``event``, all.

Events may come twice, and those of two places in any order. ``event`` takes each id once. A row of ``task`` is replaced
by a later word on its attempt only: of a later execution of the same number, then of a later stage (running, ended by
a verdict, ended), then by sequence within a place and by time between two. So what is reported again changes nothing.

A database with a clock of its own has a third table, ``prov_worker_clock``: how far that clock was from the node's.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timezone
from typing import Any

from prov_worker.stream.events import Event
from prov_worker.stream.sink import RefusedError

#: Of the tables; a change that older senders would misunderstand needs a new one.
VERSION = 1
VERSION_TABLE = "prov_worker_stream"
CLOCK_TABLE = "prov_worker_clock"
SELECT_VERSION = "SELECT version FROM prov_worker_stream"
#: Columns of ``task`` and their types: ``text``, ``int``, ``float``, ``bool``, ``time``, ``json``. Those from ``stage``
#: on say which event the row is of.
TASK: dict[str, str] = {
    "task_id": "text",
    "attempt": "int",
    "status": "text",
    "function": "text",
    "function_id": "text",
    "start_time": "time",
    "end_time": "time",
    "wall_s": "float",
    "cpu_s": "float",
    "peak_rss_bytes": "int",
    "cpu_percent": "float",
    "rss_bytes": "int",
    "gpu_percent": "float",
    "gpu_memory_bytes": "int",
    "gpu_power_watts": "float",
    "error": "text",
    "failure_kind": "text",
    "failure_type": "text",
    "failure_signal": "text",
    "exit_status": "int",
    "verdict": "bool",
    "endpoint_id": "text",
    "endpoint_name": "text",
    "host": "text",
    "pid": "int",
    "rank": "text",
    "block": "text",
    "scheduler_job": "text",
    "crate": "text",
    "usage": "json",
    "stage": "int",
    "start_ns": "int",
    "event_time": "time",
    "source": "text",
    "sequence": "int",
}
EVENT: dict[str, str] = {
    "id": "text",
    "type": "text",
    "source": "text",
    "sequence": "int",
    "task_id": "text",
    "time": "time",
    "data": "json",
}
#: ``offset_s`` is what the database's clock was ahead of the clock of ``host`` at ``time``, right within ``within_s``.
CLOCK: dict[str, str] = {"host": "text", "time": "time", "offset_s": "float", "within_s": "float"}
_KEYS = {"task": ("task_id", "attempt"), "event": ("id",), CLOCK_TABLE: ("host", "time")}
#: Of whole numbers in both databases.
_LARGEST = (1 << 63) - 1
#: Keys of an event's data that have other names as columns.
_RENAMED = {"start_time": "start", "end_time": "end"}
_STAGES = {"task.ended": 2, "crate.published": 3}
_TYPES: dict[str, type | tuple[type, ...]] = {
    "text": str, "int": int, "float": (int, float), "bool": bool, "time": str,
}  # fmt: skip
#: Columns whose value is one of an event's data: name, key, and what it is in Python.
_PLAIN = [
    (name, _RENAMED.get(name, name), _TYPES[kind])
    for name, kind in TASK.items()
    if kind in _TYPES and name not in ("task_id", "stage", "start_ns", "event_time", "source", "sequence")
]
#: Characters of a time up to the second.
_SECONDS = len("2026-11-29T10:00:00")


def create(types: dict[str, str]) -> list[str]:
    """Return the statements that make the tables if they are missing.

    Args:
        types: names of types in the database, by those of :data:`TASK`.
    """
    statements = [f"CREATE TABLE IF NOT EXISTS {VERSION_TABLE} (version {types['int']} PRIMARY KEY)"]
    for table, columns in (("task", TASK), ("event", EVENT), (CLOCK_TABLE, CLOCK)):
        lines = ", ".join(f"{name} {types[kind]}" for name, kind in columns.items())
        statements.append(f"CREATE TABLE IF NOT EXISTS {table} ({lines}, PRIMARY KEY ({', '.join(_KEYS[table])}))")
    statements += [
        "CREATE INDEX IF NOT EXISTS task_start ON task (start_time)",
        "CREATE INDEX IF NOT EXISTS event_task ON event (task_id)",
    ]
    return statements


def add_columns(types: dict[str, str], there: Collection[str]) -> list[str]:
    """Return the statements that add to ``task`` what an earlier release of this version did not have.

    Args:
        types: as of :func:`create`.
        there: columns of the table that is there.
    """
    return [f"ALTER TABLE task ADD COLUMN {name} {types[kind]}" for name, kind in TASK.items() if name not in there]


def check_version(database: str, versions: Sequence[int] | None, *, others: bool) -> bool:
    """Return whether the tables are to be made.

    Args:
        database: for messages.
        versions: rows of the table of versions; None if there is no such table.
        others: whether there is a table ``task`` or ``event``.

    Raises:
        RefusedError: the tables are of another version, or somebody else's.
    """
    if versions is None and others:
        raise RefusedError(f"{database}: has a table task or event that is not of prov-worker; name another database")
    if versions and list(versions) != [VERSION]:
        text = ", ".join(map(str, versions))
        raise RefusedError(f"{database}: its tables are of version {text}, this release writes version {VERSION}")
    return not versions


def insert_version(mark: str) -> str:
    """Return the statement that notes the version of the tables."""
    return _insert(VERSION_TABLE, {"version": "int"}, mark) + " ON CONFLICT (version) DO NOTHING"


def insert_clock(mark: str) -> str:
    """Return the statement that notes a comparison of clocks."""
    return _insert(CLOCK_TABLE, CLOCK, mark) + " ON CONFLICT (host, time) DO NOTHING"


def insert_event(mark: str) -> str:
    """Return the statement that adds an event, unless it is there; ``mark`` stands for a value."""
    return _insert("event", EVENT, mark) + " ON CONFLICT (id) DO NOTHING"


def upsert_task(mark: str) -> str:
    """Return the statement that writes a row of ``task``, unless what is there is later."""
    return f"{_insert('task', TASK, mark)} {replace_task()}"


def replace_task() -> str:
    """Return the end of a statement that inserts into ``task``: what is there is replaced by what is later."""
    columns = ", ".join(f"{name} = excluded.{name}" for name in TASK if name not in _KEYS["task"])
    return f"""ON CONFLICT (task_id, attempt) DO UPDATE SET {columns}
        WHERE excluded.start_ns > task.start_ns OR (excluded.start_ns = task.start_ns AND (
            excluded.stage > task.stage OR (excluded.stage = task.stage AND
            CASE WHEN excluded.source = task.source THEN excluded.sequence > task.sequence
                 ELSE excluded.event_time > task.event_time END)))"""


def _insert(table: str, columns: dict[str, str], mark: str) -> str:
    names, marks = ", ".join(columns), ", ".join([mark] * len(columns))
    return f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - names of this module


def event_row(event: Event) -> tuple[Any, ...]:
    """Return the row of ``event``."""
    data = json.dumps(event.data)
    return (event.id, event.kind, event.source, event.sequence, event.task_id, event.time, data)


def task_rows(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Return the rows of ``task`` that events make, by column: of each attempt the latest word alone."""
    latest: dict[tuple[str, int], tuple[Event, int, int]] = {}
    for event in events:
        rank = _rank(event)
        if rank is None:
            continue
        key = event.task_id, event.data["attempt"]
        before = latest.get(key)
        if before is None or _is_later(event, rank, *before):
            latest[key] = event, *rank
    return [_row(*entry) for entry in latest.values()]


def _rank(event: Event) -> tuple[int, int] | None:
    """Return which execution an event is of, by its start in ns, and how final it is.

    None if it is of a kind that this release does not know, or does not say of which attempt it is.
    """
    if not event.kind.startswith(("task.", "crate.")) or not isinstance(event.data.get("attempt"), int):
        return None
    start_ns = _nanoseconds(event.data.get("start"))
    return None if start_ns is None else (start_ns, _stage(event.kind, verdict=bool(event.data.get("verdict"))))


def _is_later(event: Event, rank: tuple[int, int], before: Event, *before_rank: int) -> bool:
    """Return whether an event replaces another one of its attempt; the same rule as that of :func:`replace_task`."""
    if rank != before_rank:
        return rank > before_rank
    return event.sequence > before.sequence if event.source == before.source else event.time > before.time


def _row(event: Event, start_ns: int, stage: int) -> dict[str, Any]:
    """Return the row that an event makes, by column; ``usage`` is a mapping."""
    data, sample, usage = event.data, event.data.get("sample"), event.data.get("usage")
    if isinstance(sample, dict):
        data = {**data, **sample}
    return {
        **{name: _value(data.get(key), kinds) for name, key, kinds in _PLAIN},
        "task_id": event.task_id,
        "stage": stage,
        "start_ns": start_ns,
        "event_time": event.time,
        "source": event.source,
        "sequence": event.sequence,
        "usage": usage if isinstance(usage, dict) else None,
    }


def _value(value: Any, kinds: type | tuple[type, ...]) -> Any:
    """Return a value that is of its column's type; None for another one."""
    if not isinstance(value, kinds):
        return None
    return None if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST else value


def _stage(kind: str, *, verdict: bool) -> int:
    """Return how final an event is: 0 while the task runs, 1 and 2 with a verdict, 3 and 4 with its true end."""
    if kind not in _STAGES:
        return 0
    return _STAGES[kind] - 1 if verdict else _STAGES[kind] + 1


def _nanoseconds(text: Any) -> int | None:
    if not isinstance(text, str):
        return None
    try:
        head, _, rest = text.partition(".")
        if len(head) != _SECONDS or head[10] != "T":  # the one form that all releases of Python read alike
            return None
        moment = datetime.fromisoformat(head).replace(tzinfo=timezone.utc)
        return int(moment.timestamp()) * 1_000_000_000 + int(rest.rstrip("Z").ljust(9, "0")[:9] or 0)
    except ValueError:
        return None
