"""One SQLite file: one writer at a time, readers beside it (write-ahead log), each write durable when it returns."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from prov_worker.errors import InputError
from prov_worker.localservice.sqlite.schema import MIGRATIONS
from prov_worker.locks import FORK_WAIT_S, lock, open_lock

#: ``UPDATE … RETURNING``.
_OLDEST_SQLITE = (3, 35, 0)


class Database:
    """Connections to one file, made by one process at a time.

    Args:
        path: the file; it and its directory are made if they are missing, readable by their owner alone.

    Raises:
        InputError: the file is not a database of ours, of a later version, in use, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise InputError(f"this Python's SQLite is {sqlite3.sqlite_version}; 3.35 or later is needed")
        self.path = path
        self._write_lock = threading.Lock()
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._readers_lock = threading.Lock()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._guard = open_lock(path.with_name(path.name + ".lock"))
        except OSError as error:
            raise InputError(f"{path}: cannot keep state there: {error.strerror}") from error
        try:
            if not lock(self._guard, FORK_WAIT_S):
                raise InputError(f"{path}: another service uses this database")
        except InputError:
            os.close(self._guard)
            raise
        except OSError as error:
            os.close(self._guard)
            raise InputError(f"{path}: cannot be locked: {error.strerror}") from error
        with ExitStack() as opened:
            opened.callback(os.close, self._guard)
            try:
                os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
                self._writer = self._connect()
                opened.callback(self._writer.close)
                self._prepare()
            except (OSError, sqlite3.Error) as error:
                raise InputError(f"{path}: not a database that can be used: {error}") from error
            opened.pop_all()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=30)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA busy_timeout = 30000")
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self) -> None:
        writer = self._writer
        version = writer.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise InputError(
                f"{self.path}: written by a later version (schema {version}, this one knows {len(MIGRATIONS)})"
            )
        if version == 0:
            if writer.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise InputError(f"{self.path}: a database of something else")
            # Only before the first table: lets the file shrink when old tasks go.
            writer.execute("PRAGMA auto_vacuum = INCREMENTAL")
        writer.execute("PRAGMA journal_mode = WAL")
        # FULL: a commit survives a power cut too. Work comes in batches, so that a sync per commit is cheap.
        writer.execute("PRAGMA synchronous = FULL")
        writer.execute("PRAGMA journal_size_limit = 67108864")
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            writer.executescript(f"BEGIN;{script};PRAGMA user_version = {number};COMMIT;")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction: committed at the end of the block, rolled back if it raises."""
        with self._write_lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("COMMIT")

    def read(self) -> sqlite3.Connection:
        """Return this thread's connection for reading."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect()
            connection.execute("PRAGMA query_only = ON")
            self._local.connection = connection
            with self._readers_lock:
                self._readers.append(connection)
        return connection

    def shrink(self) -> None:
        """Give free pages back to the file system."""
        with self._write_lock:
            self._writer.execute("PRAGMA incremental_vacuum(2000)").fetchall()

    def size_bytes(self) -> int:
        """Return size of the file and its log."""
        return sum(
            each.stat().st_size for each in (self.path, self.path.with_name(self.path.name + "-wal")) if each.exists()
        )

    def close(self) -> None:
        """Fold the log into the file and let go of it."""
        with self._readers_lock:
            for connection in self._readers:
                connection.close()
            self._readers.clear()
        with self._write_lock:
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._writer.close()
        os.close(self._guard)
