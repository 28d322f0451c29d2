"""The record of an index: a SQLite file that says which Parquet files count, and what is known of them.

A writer changes it by :mod:`prov_worker.run.index.store`; here is what both need, and what a reader asks of it.
"""

from __future__ import annotations

import json
import sqlite3
import time
import zlib
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from prov_worker.errors import InputError
from prov_worker.run.index.tables import TABLES

SEEN_FILE = "seen.sqlite"
#: How often a reader looks again for a file that a writer is about to rename.
_PATIENCE = 40
SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (
    identity TEXT PRIMARY KEY, size INTEGER, mtime INTEGER, sha TEXT, partition TEXT
);
CREATE TABLE IF NOT EXISTS part (
    number INTEGER PRIMARY KEY AUTOINCREMENT, tab TEXT, partition TEXT, live INTEGER, size INTEGER, sha TEXT
);
CREATE TABLE IF NOT EXISTS extra (identity TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS settled (yes INTEGER PRIMARY KEY);
"""
#: Version of the files and of the rules by which their rows are made of crates.
VERSION = 4
#: Their files are the same, but GPUs of other workers counted: read as they are, and made of the crates again.
OUTDATED = (2, 3)
#: Size, time and hash of crates that have to be read again, whatever these are.
UNREAD = (-2, -2, "")


@dataclass(frozen=True, slots=True)
class IndexRecord:
    """What a reader has to know of an index.

    Attributes:
        wrong: files of it that are gone or have another size, as far as one can see without reading them.
        unread: number of crates that were in such files, and that nobody has read again since.
        extra: crates whose content is in the index under another path as well.
        uniform: whether all of its files have the columns of this version.
    """

    wrong: list[Path]
    unread: int
    extra: list[str]
    uniform: bool


def read_record(directory: Path) -> IndexRecord:
    """Look at an index without writing to it; somebody else may be.

    Raises:
        InputError: the record cannot be read.
    """
    path = directory / SEEN_FILE
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            check_version(db, path)
            # A file that was renamed or replaced between the two looks: a writer is at work, and soon done.
            for waited in range(_PATIENCE):
                live = db.execute("SELECT tab, partition, number, size FROM part WHERE live = 1").fetchall()
                wrong = [
                    file
                    for tab, partition, number, size in live
                    if size_of(file := part_path(directory, number, tab, partition)) != size
                ]
                if not wrong or (waited and not any(part.with_name(f".{part.name}").exists() for part in wrong)):
                    break
                time.sleep(0.05)
            (unread,) = db.execute("SELECT count(*) FROM seen WHERE size = ?", UNREAD[:1]).fetchone()
            (columns,) = db.execute("PRAGMA application_id").fetchone()
            extra = [row[0] for row in db.execute("SELECT identity FROM extra")]
            return IndexRecord(sorted(wrong), unread, extra, columns == columns_id())
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path}: no record of an index: {error}; remove it, and index again") from None


def columns_id() -> int:
    """Return a number, 31 bits, that stands for the tables' columns and their types."""
    return zlib.crc32(json.dumps(TABLES).encode()) >> 1


def check_version(db: sqlite3.Connection, path: Path) -> bool:
    """Return whether the rows of an index follow rules of an earlier version."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version not in (0, *OUTDATED, VERSION):
        raise InputError(f"{path}: an index of another version; remove {path.parent}, and index again")
    return version in OUTDATED


def part_path(directory: Path, number: int, table: str, partition: str, *, hidden: bool = False) -> Path:
    """Return the path of a file of an index; ``hidden`` while it does not count yet."""
    return directory / table / partition / f"{'.' if hidden else ''}part-{number:08d}.parquet"


def size_of(path: Path) -> int | None:
    """Return the size of a file; None if it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return None
