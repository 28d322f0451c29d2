"""Parquet files of an index, and the record of which of them count.

``tasks/day=2026-11-20/endpoint=<id>/part-<n>.parquet``, and so for ``arguments`` and ``files``: the layout that
DuckDB, Spark, Dask and Trino read alike. What a crate gave and which files count is kept in ``seen.sqlite``. A change
is first written under hidden names, then committed there, then renamed; :meth:`IndexStore.recover` finishes whatever a
crash left between the two. Size and hash of each file are kept there too: what is gone or damaged is known, and
:meth:`IndexStore.repair` has its crates read again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

from prov_worker.crate.json_text import safe_name
from prov_worker.errors import InputError, MissingExtraError
from prov_worker.files import sha256_of_file
from prov_worker.run.index.record import (
    SCHEMA,
    SEEN_FILE,
    UNREAD,
    VERSION,
    check_version,
    columns_id,
    part_path,
    size_of,
)
from prov_worker.run.index.tables import PLAIN, TABLES, Values

#: A partition with more files than this is made one.
MAX_PARTS = 32
_DAY_NS = 86_400 * 1_000_000_000
_ARROW = {"text": "string", "int": "int64", "float": "float64", "bool": "bool_"}


def need_arrow() -> Any:
    """Return the module ``pyarrow``.

    Raises:
        InputError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("an index needs pyarrow", "run", error) from error
    return pyarrow


def schema_of(table: str) -> Any:
    """Return Arrow schema of a table: microseconds for times, as Spark knows no finer ones."""
    pa = need_arrow()
    kinds = {name: getattr(pa, arrow)() for name, arrow in _ARROW.items()}
    kinds["time"] = pa.timestamp("us", tz="UTC")
    return pa.schema([(name, kinds[kind]) for name, kind in TABLES[table].items()])


def partition_of(start_ns: int, endpoint: str) -> str:
    """Return directories of a partition, Hive style."""
    return _partition(start_ns // _DAY_NS, endpoint)


@lru_cache(maxsize=1024)
def _partition(days: int, endpoint: str) -> str:
    day = datetime.fromtimestamp(days * 86_400, timezone.utc).strftime("%Y-%m-%d")
    return f"day={day}/endpoint={safe_name(endpoint) if endpoint else 'unknown'}"


class IndexStore:
    """The files of one index. One writer at a time: the caller holds the lock.

    Args:
        directory: of the index; it exists.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._db = sqlite3.connect(directory / SEEN_FILE, isolation_level=None)
        try:
            self._outdated = check_version(self._db, directory / SEEN_FILE)
            self._db.executescript(SCHEMA)
            self._set_columns()
            if not self._outdated:
                self._set_version()
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise InputError(
                f"{directory / SEEN_FILE}: no record of an index: {error}; remove it, and index again"
            ) from None
        except InputError:
            self._db.close()
            raise

    def close(self) -> None:
        """Let the record go."""
        self._db.close()

    def _set_columns(self) -> None:
        """Write down which columns all files have: 0 once they differ, as after a version with another counter."""
        (files,) = self._db.execute("SELECT count(*) FROM part").fetchone()
        (columns,) = self._db.execute("PRAGMA application_id").fetchone()
        if not files or columns != columns_id():
            self._db.execute(f"PRAGMA application_id = {0 if files else columns_id()}")

    def _set_version(self) -> None:
        self._db.execute(f"PRAGMA user_version = {VERSION}")

    def outdated(self) -> set[str]:
        """Return the paths that have to be read again because their rows follow rules of an earlier version."""
        if not self._outdated:
            return set()
        paths = {location.rpartition("!")[0] or location for location in self.locations()}
        return {path for path in paths if os.path.exists(path)}

    def _path(self, number: int, table: str, partition: str, *, hidden: bool = False) -> Path:
        return part_path(self._directory, number, table, partition, hidden=hidden)

    def recover(self) -> None:
        """Finish or undo what an interrupted writer left."""
        rows = self._db.execute("SELECT number, tab, partition, live FROM part").fetchall()
        expected = set()
        for number, table, partition, live in rows:
            final = self._path(number, table, partition)
            if not live:
                final.unlink(missing_ok=True)
                continue
            expected.add(final)
            hidden = self._path(number, table, partition, hidden=True)
            if hidden.exists() and not final.exists():
                os.replace(hidden, final)
        self._db.execute("DELETE FROM part WHERE live = 0")
        for table in TABLES:
            for path in (self._directory / table).glob("*/*/*.parquet"):
                if path not in expected:
                    path.unlink()

    def repair(self) -> tuple[list[Path], set[str], int]:
        """Give up files that are gone or damaged, so that what was in them is read again: all or nothing.

        Returns:
            The files, paths to read again, and the number of crates that are gone: of them the index keeps what its
            other files hold.
        """
        rows = self._db.execute("SELECT number, tab, partition, size, sha FROM part WHERE live = 1").fetchall()
        broken = [
            (number, partition, path)
            for number, tab, partition, size, sha in rows
            if not _is_whole(path := self._path(number, tab, partition), size, sha)
        ]
        if not broken:
            return [], set(), 0
        paths: set[str] = set()
        again, gone = [], 0
        for partition in {part[1] for part in broken}:
            for (identity,) in self._db.execute("SELECT identity FROM seen WHERE partition = ?", (partition,)):
                path = identity.rpartition("!")[0] or identity
                if os.path.exists(path):
                    paths.add(path)
                    again.append((*UNREAD, identity))
                else:
                    gone += 1
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("UPDATE seen SET size = ?, mtime = ?, sha = ? WHERE identity = ?", again)
        self._db.executemany("UPDATE part SET live = 0 WHERE number = ?", [part[:1] for part in broken])
        self._db.execute("COMMIT")
        for _, _, path in broken:
            path.unlink(missing_ok=True)
        self._db.execute("DELETE FROM part WHERE live = 0")
        return sorted(part[2] for part in broken), paths, gone

    def unread(self) -> set[str]:
        """Return crates that :meth:`repair` wanted to be read again, and that were not."""
        return {row[0] for row in self._db.execute("SELECT identity FROM seen WHERE size = ?", UNREAD[:1])}

    def mark_duplicates(self) -> None:
        """Find crates that lie there more than once, byte for byte, once all are in. One of each counts."""
        if self._outdated:
            self._outdated = False
            self._set_version()
        if self._db.execute("SELECT 1 FROM settled").fetchone() is not None:
            return
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("DELETE FROM extra")
        self._db.execute(
            "INSERT INTO extra SELECT identity FROM seen WHERE sha != '' "
            "AND identity NOT IN (SELECT min(identity) FROM seen GROUP BY sha)"
        )
        self._db.execute("INSERT INTO settled VALUES (1)")
        self._db.execute("COMMIT")

    def extra(self) -> int:
        """Return number of crates that do not count: their content is there under another path."""
        number: int = self._db.execute("SELECT count(*) FROM extra").fetchone()[0]
        return number

    def unchanged(self, location: str, size: int, mtime: int) -> bool:
        """Return whether the crate at a place was read as it is now, and as crates are read now."""
        if self._outdated:
            return False
        row = self._db.execute("SELECT size, mtime FROM seen WHERE identity = ?", (location,)).fetchone()
        return bool(row == (size, mtime))

    def sha256(self, location: str) -> str | None:
        """Hash of the metadata that was read there; None for what was not, or is to be read again."""
        if self._outdated:
            return None
        row = self._db.execute("SELECT sha FROM seen WHERE identity = ?", (location,)).fetchone()
        return None if row is None else row[0]

    def touch(self, location: str, size: int, mtime: int) -> None:
        """Note that the same content has another time."""
        self._db.execute("UPDATE seen SET size = ?, mtime = ? WHERE identity = ?", (size, mtime, location))

    def locations(self) -> set[str]:
        """Return all crates that are in the index."""
        return {row[0] for row in self._db.execute("SELECT identity FROM seen")}

    def add(self, seen: Sequence[tuple[str, int, int, str, str]], rows: dict[tuple[str, str], list[Values]]) -> None:
        """Add rows and what they came from, all or nothing.

        Args:
            seen: location, size, mtime, sha256 and partition of each crate.
            rows: by table and partition, as :attr:`prov_worker.run.index.read.ReadStep.rows`.
        """
        self._db.execute("BEGIN IMMEDIATE")
        try:
            files = []
            for (table, partition), some in rows.items():
                number = self._new(table, partition)
                self._write(number, table, partition, self._table(table, some))
                files.append((number, table, partition))
            self._db.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?)", seen)
            self._db.execute("DELETE FROM settled")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        self._show(files)

    def remove(self, locations: Iterable[str]) -> None:
        """Take what some crates gave out of the index, all or nothing."""
        gone = set(locations)
        partitions = {
            row[0]
            for identity in gone
            for row in self._db.execute("SELECT partition FROM seen WHERE identity = ?", (identity,)).fetchall()
        }
        for partition in partitions:
            self._rewrite(partition, gone)
        self._db.executemany("DELETE FROM seen WHERE identity = ?", [(identity,) for identity in gone])
        self._db.execute("DELETE FROM settled")

    def compact(self) -> None:
        """Make one file of the many that a partition has gathered."""
        crowded = self._db.execute(
            "SELECT DISTINCT partition FROM part WHERE live = 1 GROUP BY tab, partition HAVING count(*) > ?",
            (MAX_PARTS,),
        ).fetchall()
        for (partition,) in crowded:
            self._rewrite(partition, set())

    def _rewrite(self, partition: str, gone: set[str]) -> None:
        pa = need_arrow()
        self._db.execute("BEGIN IMMEDIATE")
        try:
            new, old = [], []
            for table in TABLES:
                numbers = self._db.execute(
                    "SELECT number FROM part WHERE tab = ? AND partition = ? AND live = 1", (table, partition)
                ).fetchall()
                if not numbers:
                    continue
                paths = [self._path(number, table, partition) for (number,) in numbers]
                data = pa.concat_tables(
                    [pa.parquet.read_table(path, partitioning=None) for path in paths],
                    promote_options="default",  # parts of a version with fewer counters lack columns
                )
                if gone:
                    data = data.filter(pa.compute.invert(pa.compute.is_in(data["crate"], pa.array(sorted(gone)))))
                if data.num_rows:
                    number = self._new(table, partition)
                    self._write(number, table, partition, data)
                    new.append((number, table, partition))
                self._db.executemany("UPDATE part SET live = 0 WHERE number = ?", numbers)
                old += paths
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        # A reader that comes between the two sees rows twice, never too few; it is for an instant.
        self._show(new)
        for path in old:
            path.unlink(missing_ok=True)
        self._db.execute("DELETE FROM part WHERE live = 0")

    def _new(self, table: str, partition: str) -> int:
        cursor = self._db.execute("INSERT INTO part (tab, partition, live) VALUES (?, ?, 1)", (table, partition))
        number = cursor.lastrowid
        assert number is not None  # an INSERT has one
        return number

    def _show(self, files: Iterable[tuple[int, str, str]]) -> None:
        for number, table, partition in files:
            os.replace(self._path(number, table, partition, hidden=True), self._path(number, table, partition))

    def _write(self, number: int, table: str, partition: str, data: Any) -> None:
        pa = need_arrow()
        path = self._path(number, table, partition, hidden=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        pa.parquet.write_table(data, path, compression="zstd")
        digest = sha256_of_file(path)
        self._db.execute("UPDATE part SET size = ?, sha = ? WHERE number = ?", (path.stat().st_size, digest, number))

    @staticmethod
    def _table(table: str, rows: list[Values]) -> Any:
        pa = need_arrow()
        schema = schema_of(table)
        columns: dict[str, Sequence[Any]] = dict(zip(PLAIN[table], zip(*rows, strict=True), strict=True))
        for name, kind in TABLES[table].items():
            if kind == "time":
                columns[name] = [None if ns is None else ns // 1000 for ns in columns[f"{name}_ns"]]
        return pa.Table.from_arrays([pa.array(columns[field.name], field.type) for field in schema], schema=schema)


def _is_whole(path: Path, size: int | None, sha: str | None) -> bool:
    if size_of(path) != size:
        return False
    try:
        return sha256_of_file(path) == sha
    except OSError:
        return False
