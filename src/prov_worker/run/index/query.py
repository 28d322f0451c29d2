"""Asks an index, with DuckDB: filters of the command line, or SQL over the views ``tasks``, ``arguments``, ``files``.

Every filter is a parameter of a prepared statement, never a part of its text. A question reads the index and nothing
else, and writes nothing.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prov_worker.crate import vocabulary as v
from prov_worker.crate.packs.format import is_pack
from prov_worker.errors import InputError, MissingExtraError, ProvWorkerError
from prov_worker.humanize import nearest, plural
from prov_worker.moments import parse_moment
from prov_worker.run.index.build import SUFFIX, default_index
from prov_worker.run.index.record import SEEN_FILE, read_record
from prov_worker.run.index.tables import DUCKDB_KINDS, TABLES, TASKS
from prov_worker.run.selection import Condition, Filters, ambiguous

if TYPE_CHECKING:
    import pandas as pd

#: Columns that a table shows without being asked.
DEFAULT_COLUMNS = (
    "start",
    "function",
    "status",
    "wall_s",
    "cpu_s",
    "peak_rss_bytes",
    "host",
    "task_id",
    "attempt",
    "error",
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)\Z")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "": 1.0}
_BATCH = 1000
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\Z", re.IGNORECASE)


def duration_s(text: str) -> float:
    """Return seconds of ``90``, ``1.5m``, ``2h``, ``250ms``.

    Raises:
        ValueError: another form.
    """
    match = _DURATION.match(text.strip())
    if match is None:
        raise ValueError(f"expected a duration such as 90, 250ms, 1.5m or 2h; got {text!r}")
    return float(match[1]) * _SECONDS[match[2]]


def size_bytes(text: str) -> float:
    """Return bytes of ``1048576``, ``500MB``, ``1.5GiB``; a bare letter is binary: ``2G`` is 2 GiB.

    Raises:
        ValueError: another form.
    """
    match = _SIZE.match(text.strip())
    if match is None:
        raise ValueError(f"expected a size such as 1048576, 500MB or 1.5GiB; got {text!r}")
    decimal = not match[3] and text.strip().lower().endswith("b")
    power = "kmgt".index(match[2].lower()) + 1 if match[2] else 0
    return float(match[1]) * float((1000 if decimal else 1024) ** power)


def moment(text: str) -> datetime:
    """Return a time in ISO 8601; without an offset it is UTC.

    Raises:
        ValueError: another form.
    """
    try:
        instant = parse_moment(text)
    except ValueError:
        raise ValueError(f"expected a time such as 2026-11-20 or 2026-11-20T14:30; got {text!r}") from None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=timezone.utc)


class IndexDamageError(ProvWorkerError):
    """Files of an index are gone or damaged: an answer would be wrong. Its message names them and the remedy."""


@dataclass(slots=True)
class Answer:
    """Rows of an answer.

    Attributes:
        columns: their names.
        rows: an iterator over tuples, read as they are taken.
    """

    columns: list[str]
    rows: Iterator[tuple[Any, ...]]


class Index:
    """An index, open for questions.

    Args:
        path: directory of an index, or a run or directory of crates that has one beside it.

    Raises:
        InputError: there is no index, or DuckDB is not installed.
        IndexDamageError: a part of it is gone or damaged.
    """

    def __init__(self, path: Path) -> None:
        try:
            import duckdb
        except ImportError as error:
            raise MissingExtraError("queries need duckdb", "run", error) from error
        if not (path / SEEN_FILE).is_file():
            beside = default_index(path)
            if not (beside / SEEN_FILE).is_file():
                if path.is_file() and path.suffix != v.ZIP_SUFFIX and not is_pack(path.name):
                    raise InputError(f"{path}: is a file; expected an index, or a run or directory that has one")
                if not path.exists():
                    raise InputError(f"{path}: no such index")
                raise InputError(f"{path}: has no index; make one with: prov-worker run index {path}")
            path = beside
        self.path = path
        record = read_record(path)
        if record.wrong:
            more = f" (and {len(record.wrong) - 1} more)" if len(record.wrong) > 1 else ""
            raise IndexDamageError(
                f"{record.wrong[0]}: this part of the index is gone or damaged{more}; {self._remedy()}"
            )
        if record.unread:
            raise IndexDamageError(
                f"{path}: {plural(record.unread, 'crate has', 'crates have')} to be read again; {self._remedy()}"
            )
        self._error = duckdb.Error
        self._select = duckdb.StatementType.SELECT
        self._db = duckdb.connect(":memory:")
        # The path as it is, and as the views name it.
        top = os.path.abspath(path)
        own = ", ".join(_quoted(f"{fromkey}{os.sep}") for fromkey in dict.fromkeys((top, glob.escape(top))))
        self._db.execute(f"SET allowed_directories = [{own}]")
        if record.extra:
            self._db.execute("CREATE TABLE extra_crates (crate VARCHAR)")
            self._db.execute("INSERT INTO extra_crates SELECT unnest(?)", [record.extra])
        for table in TABLES:
            self._view(table, once=bool(record.extra), uniform=record.uniform)
        self._db.execute("SET enable_external_access = false")
        self._db.execute("SET lock_configuration = true")

    def _remedy(self) -> str:
        text = str(self.path)
        source = text.removesuffix(SUFFIX)
        if source != text and os.path.exists(source):
            return f"repair it with: prov-worker run index {source}"
        return f"repair it with: prov-worker run index DIR -o {text}, where DIR holds the crates"

    def _view(self, table: str, *, once: bool, uniform: bool) -> None:
        pattern = Path(glob.escape(os.path.abspath(self.path))) / table / "*" / "*" / "part-*.parquet"
        if any((self.path / table).glob("*/*/part-*.parquet")):
            # Hive types are not guessed: an endpoint that is all digits stays text.
            options = "hive_partitioning = true, hive_types_autocast = false"
            if not uniform:  # costs a look into each file
                options += ", union_by_name = true"
            files = f"read_parquet({_quoted(str(pattern))}, {options})"
            missing = "" if uniform else self._missing(table, files)
            # Times without a zone, in UTC: DuckDB hands those with one to Python only through another package.
            times = ", ".join(
                f'make_timestamp({name}_ns // 1000) AS "{name}"'
                for name, kind in TABLES[table].items()
                if kind == "time"
            )
            replaced = f"* REPLACE ({times})" if times else "*"
            # Table names are ours, and the path is quoted.
            query = f"CREATE VIEW {table} AS SELECT {replaced}{missing} FROM {files}"  # noqa: S608
            if once:  # a crate that lies there more than once is one attempt
                query += " ANTI JOIN extra_crates USING (crate)"
            try:
                self._db.execute(query)
            except self._error as error:
                raise IndexDamageError(f"{self.path}: {_line(error)}; {self._remedy()}") from None
            return
        columns = ", ".join(f'"{name}" {DUCKDB_KINDS[kind]}' for name, kind in TABLES[table].items())
        self._db.execute(f"CREATE TABLE {table} ({columns}, day VARCHAR, endpoint VARCHAR)")

    def _missing(self, table: str, files: str) -> str:
        """Return columns that no file has: those of counters that a later version added."""
        try:
            columns = self._db.execute(f"DESCRIBE SELECT * FROM {files}").fetchall()  # noqa: S608
        except self._error as error:
            raise IndexDamageError(f"{self.path}: {_line(error)}; {self._remedy()}") from None
        present = {column[0] for column in columns}
        absent = [(name, kind) for name, kind in TABLES[table].items() if name not in present]
        return "".join(f', NULL::{DUCKDB_KINDS[kind]} AS "{name}"' for name, kind in absent)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(
        self,
        filters: Filters,
        columns: Sequence[str] = (),
        sort: Sequence[str] = (),
        limit: int | None = None,
        condition: str | None = None,
    ) -> Answer:
        """Return attempts that filters let through.

        Args:
            filters: which.
            condition: that they meet too, in SQL, as of :class:`prov_worker.run.selection.Selection`.
            columns: which columns; empty for all.
            sort: columns to sort by, each with ``-`` before it for descending; empty sorts by start.
            limit: most rows.

        Raises:
            InputError: there is no such column, the condition is not understood, or the beginning of an id fits two
                tasks.
        """
        for text in filters.beginnings():
            of_task = "SELECT DISTINCT task_id FROM tasks WHERE starts_with(task_id, ?) ORDER BY 1 LIMIT 2"
            tasks = [row[0] for row in self.sql(of_task, [text]).rows]
            if len(tasks) > 1:
                raise ambiguous(text, *tasks)
        shown = ", ".join(f'"{_column(name)}"' for name in columns or TASKS)
        order = ", ".join(
            f'"{_column(name.removeprefix("-"))}" {"DESC" if name.startswith("-") else "ASC"} NULLS LAST'
            for name in sort or ("start_ns", "key")
        )
        where, values = filters.where()
        if condition is not None:
            Condition(condition)  # refuses what is none
            where = f"{where} AND ({condition}\n)"
        # Names of columns are checked, values are bound.
        query = f"SELECT {shown} FROM tasks WHERE {where} ORDER BY {order}"  # noqa: S608
        if limit is not None:
            query += " LIMIT ?"
            values.append(limit)
        return self.sql(query, values)

    def sql(self, query: str, values: Sequence[Any] = ()) -> Answer:
        """Answer of one SQL query that reads: ``SELECT``, ``FROM``, ``WITH``, ``DESCRIBE``, ``SUMMARIZE``, ``SHOW``.

        Raises:
            InputError: DuckDB refuses it, or it is none, several, or of another kind.
        """
        cursor = self._execute(query, values)
        columns = [column[0] for column in cursor.description or ()]
        # DuckDB 1 hands times with a zone over by pytz alone, and names their type as that of all times.
        timed = [column[0] for column in cursor.description or () if "TIME" in str(column[1])]
        try:
            first = cursor.fetchmany(_BATCH)
        except self._error as error:
            advice = f"; if {timed[0]} is a time with a zone, cast it, as in now()::TIMESTAMP" if timed else ""
            raise InputError(f"query: {_line(error)}{advice}") from None
        return Answer(columns, self._rows(first, cursor))

    def _execute(self, query: str, values: Sequence[Any]) -> Any:
        try:
            statements = self._db.extract_statements(query)
            if not statements:
                raise InputError("query: no statement in it")
            if len(statements) > 1:
                raise InputError(f"query: {len(statements)} statements; ask one at a time")
            if statements[0].type != self._select:
                kind = statements[0].type.name.replace("MULTI", "several in one, such as PIVOT without IN")
                raise InputError(
                    f"query: {kind}: an index is only read, by SELECT, FROM, WITH, DESCRIBE, SUMMARIZE, SHOW"
                )
            return self._db.execute(query, list(values))
        except self._error as error:
            raise InputError(f"query: {_line(error)}") from None

    def _rows(self, first: list[tuple[Any, ...]], cursor: Any) -> Iterator[tuple[Any, ...]]:
        yield from first
        try:
            while batch := cursor.fetchmany(_BATCH):
                yield from batch
        except self._error as error:
            raise InputError(f"query: {_line(error)}") from None

    def frame(
        self, query: str = "SELECT * FROM tasks ORDER BY start_ns, key", values: Sequence[Any] = ()
    ) -> pd.DataFrame:
        """Answer of a query as a pandas DataFrame.

        Times ``start`` and ``end`` are UTC, in microseconds, as in :meth:`prov_worker.run.api.RunRecord.tasks`;
        ``start_ns`` and ``end_ns`` have the nanoseconds.

        Raises:
            InputError: as for :meth:`sql`, or pandas is not installed.
        """
        try:
            import pandas  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("data frames need pandas", "run", error) from error
        try:
            table: pd.DataFrame = self._execute(query, values).df()
        except self._error as error:
            raise InputError(f"query: {_line(error)}") from None
        for name in ("start", "end"):
            if name in table and str(table[name].dtype).startswith("datetime64["):
                table[name] = table[name].dt.tz_localize("UTC").astype("datetime64[us, UTC]")
        return table


_NO_TABLE = re.compile(r"Catalog Error: Table with name (?P<name>.+?) does not exist!")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _line(error: Exception) -> str:
    # What was asked is not said again: it comes after an empty line.
    text = " ".join(str(error).partition("\n\n")[0].split())
    match = _NO_TABLE.match(text)
    if match is None:
        return text
    # DuckDB proposes tables of its own.
    hint = nearest(match["name"], TABLES) or f"there are {', '.join(TABLES)}"
    return f"no table {match['name']!r}; {hint}"


def _column(name: str) -> str:
    if name not in TASKS:
        hint = nearest(name, TASKS) or f"there are {', '.join(TASKS)}"
        raise InputError(f"no column {name!r}; {hint}")
    return name
