"""``sqlite:PATH``: tables in a file, which `prov-worker run query --live` and any SQLite reads meanwhile.

The journal mode is SQLite's default: write-ahead logs need memory that all readers share, which those on other nodes of
a shared file system do not (https://www.sqlite.org/wal.html).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence

from prov_worker.stream.events import Event
from prov_worker.stream.sink import TIMEOUT_S, AwayError, RefusedError
from prov_worker.stream.tables import (
    SELECT_VERSION,
    VERSION,
    VERSION_TABLE,
    check_version,
    create,
    event_row,
    insert_event,
    insert_version,
    task_row,
    upsert_task,
)
from prov_worker.stream_url import SINKS, StreamUrl

_TYPES = {"text": "TEXT", "int": "INTEGER", "float": "REAL", "bool": "INTEGER", "time": "TEXT", "json": "TEXT"}
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"


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
            tables = {name for (name,) in connection.execute(_TABLES)}
            versions = None
            if VERSION_TABLE in tables:
                versions = [version for (version,) in connection.execute(SELECT_VERSION)]
            if check_version(self._path, versions, others=bool(tables & {"task", "event"})):
                connection.execute("BEGIN IMMEDIATE")
                for statement in create(_TYPES):
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
            rows = [row for row in map(task_row, events) if row is not None]
            connection.executemany(upsert_task("?"), rows)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise AwayError(f"{self._path}: {error}") from error

    def close(self) -> None:
        """Close the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


SINKS.add("sqlite", SqliteSink)
