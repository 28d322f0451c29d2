"""``sqlite:PATH``: tables in a file, which `prov-worker run query --live` and any SQLite reads meanwhile.

On a file system of this node it has a write-ahead log, so that readers and the sender hold each other up no more. That
needs memory that all readers share, which those on other nodes of a shared file system do not
(https://www.sqlite.org/wal.html): there it has SQLite's default, a rollback journal.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Sequence
from typing import Any

from prov_worker.probes.base import ProbeContext
from prov_worker.probes.mounts import holding, read_mounts
from prov_worker.stream.events import Event
from prov_worker.stream.sink import TIMEOUT_S, AwayError, RefusedError
from prov_worker.stream.tables import (
    SELECT_VERSION,
    TASK,
    VERSION,
    VERSION_TABLE,
    add_columns,
    check_version,
    create,
    event_row,
    insert_event,
    insert_version,
    task_rows,
    upsert_task,
)
from prov_worker.stream_url import SINKS, StreamUrl

_TYPES = {"text": "TEXT", "int": "INTEGER", "float": "REAL", "bool": "INTEGER", "time": "TEXT", "json": "TEXT"}
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"
#: File systems that no other node mounts, so that all who have a file open share this node's memory.
_LOCAL = frozenset(
    ("bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "ramfs", "reiserfs", "tmpfs", "xfs")
)


class SqliteSink:
    """Writes events to a database file; each is there exactly once."""

    def __init__(self, url: StreamUrl, password: str | None) -> None:
        self._path = os.path.expanduser(url.path)
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the file, and make its tables if they are missing."""
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600))
            # closed by another thread than its own if a sender ends while the file system hangs
            connection = sqlite3.connect(self._path, timeout=TIMEOUT_S, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise AwayError(f"{self._path}: {error}") from error
        try:
            self._set_journal(connection)
            tables = {name for (name,) in connection.execute(_TABLES)}
            versions = None
            if VERSION_TABLE in tables:
                versions = [version for (version,) in connection.execute(SELECT_VERSION)]
            if check_version(self._path, versions, others=bool(tables & {"task", "event"})):
                statements = create(_TYPES)
            else:
                columns = {row[1] for row in connection.execute("PRAGMA table_info(task)")}
                statements = add_columns(_TYPES, columns)
            if statements:
                connection.execute("BEGIN IMMEDIATE")
                for statement in statements:
                    connection.execute(statement)
                connection.execute(insert_version("?"), (VERSION,))
                connection.execute("COMMIT")
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.OperationalError):
                raise AwayError(f"{self._path}: {error}") from error
            if isinstance(error, sqlite3.DatabaseError):
                raise RefusedError(f"{self._path}: {error}") from error
            raise
        self._connection = connection

    def send(self, events: Sequence[Event]) -> None:
        """Write a batch in one transaction."""
        connection = self._connection
        if connection is None:
            raise AwayError(f"{self._path}: is not open")
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(insert_event("?"), map(event_row, events))
            connection.executemany(upsert_task("?"), map(_values, task_rows(events)))
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise AwayError(f"{self._path}: {error}") from error

    def compare_clocks(self) -> None:
        """Return None: there is no clock but this node's."""

    def close(self) -> None:
        """Close the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _set_journal(self, connection: sqlite3.Connection) -> None:
        mount = holding(os.path.realpath(self._path), read_mounts(ProbeContext()))
        if mount is None or mount.type not in _LOCAL:
            connection.execute("PRAGMA journal_mode = DELETE")
            return
        with contextlib.suppress(sqlite3.OperationalError):  # somebody reads just now: what it has does as well
            connection.execute("PRAGMA journal_mode = WAL")


def _values(row: dict[str, Any]) -> list[Any]:
    """Return the values of a row in the order of columns."""
    usage = row["usage"]
    if usage is not None:
        row = {**row, "usage": json.dumps(usage)}
    return [row[name] for name in TASK]


SINKS.add("sqlite", SqliteSink)
