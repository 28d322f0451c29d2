"""Questions to the tables of a stream while they grow: SQLite or PostgreSQL, read only."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from prov_worker.errors import InputError
from prov_worker.humanize import nearest
from prov_worker.stream.sink import TIMEOUT_S, need, password_of
from prov_worker.stream.sinks.postgresql import libpq_address
from prov_worker.stream.tables import TASK
from prov_worker.stream_url import ALIASES, SINKS, StreamUrl, stream_urls

#: Columns that are shown if nobody chooses.
DEFAULT_COLUMNS = (
    "start_time", "function", "status", "wall_s", "cpu_s", "peak_rss_bytes", "host", "task_id", "attempt", "error",
)  # fmt: skip
_BATCH = 1000
_READS = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)
_ESCAPE = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_", "*": "%", "?": "_"})


@dataclass(slots=True)
class LiveFilters:
    """Which attempts are asked for; empty asks for all.

    Attributes:
        status: ``running``, ``completed`` or ``failed``.
        names: of pairs of columns and patterns: any of the columns matches any of them; ``*`` and ``?`` are wildcards.
        bounds: by column: least and greatest value, None if there is no bound.
        since, until: began at or after the one, before the other.
        error: text in the error, the type or the kind of the failure, whatever its case.
    """

    status: str | None = None
    names: Sequence[tuple[Sequence[str], Sequence[str]]] = ()
    bounds: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None
    error: str | None = None

    def where(self, mark: str) -> tuple[str, list[Any]]:
        """Return an SQL condition, in which ``mark`` stands for a value, and the values."""
        parts: list[str] = ["1 = 1"]
        values: list[Any] = []
        if self.status is not None:
            parts.append(f"status = {mark}")
            values.append(self.status)
        for columns, patterns in self.names:
            pairs = [(column, pattern) for column in columns for pattern in patterns]
            if pairs:
                parts.append("(" + " OR ".join(f"{column} LIKE {mark} ESCAPE '\\'" for column, _ in pairs) + ")")
                values += [pattern.translate(_ESCAPE) for _, pattern in pairs]
        for column, ends in self.bounds.items():
            for sign, bound in zip((">=", "<="), ends, strict=True):
                if bound is not None:
                    parts.append(f"{column} {sign} {mark}")
                    values.append(bound)
        for sign, moment in ((">=", self.since), ("<", self.until)):
            if moment is not None:
                parts.append(f"start_ns {sign} {mark}")
                values.append(int(moment.timestamp() * 1_000_000) * 1000)
        if self.error is not None:
            columns = ("error", "failure_type", "failure_kind")
            parts.append("(" + " OR ".join(f"lower({name}) LIKE {mark} ESCAPE '\\'" for name in columns) + ")")
            values += [f"%{self.error.lower().translate(_ESCAPE)}%"] * len(columns)
        return " AND ".join(parts), values


@dataclass(slots=True)
class LiveAnswer:
    """Names of the columns, and an iterator over rows."""

    columns: list[str]
    rows: Iterator[tuple[Any, ...]]


def _not(address: str) -> str:
    """Say what was given: the scheme alone, as what follows it may be secret."""
    scheme, colon, _ = address.partition(":")
    return f"; unknown scheme {scheme!r}" if colon else "; there is no scheme"


class LiveDatabase:
    """A database that a stream writes to, open for questions.

    Args:
        address: ``sqlite:PATH`` or ``postgresql://…``; its password as for the first address of a stream.

    Raises:
        InputError: it is none of the two, cannot be opened, or has a password in it.
    """

    def __init__(self, address: str) -> None:
        scheme = address.partition(":")[0]
        if ALIASES.get(scheme, scheme) not in (*SINKS.names(), "") or ":" not in address:
            raise InputError(f"--live: expected sqlite:PATH or postgresql://HOST/DATABASE{_not(address)}")
        try:
            (self._url,) = stream_urls([address])
        except ValueError as error:
            raise InputError(f"--live: {error}") from None
        self._error: type[Exception] = sqlite3.Error
        if self._url.sink == "sqlite":
            self._connection, self._mark = _sqlite(self._url), "?"
        elif self._url.sink == "postgresql":
            self._connection, self._error = _postgresql(self._url)
            self._mark = "%s"
        else:
            raise InputError(f"--live: {self._url.scheme} answers no questions; name a sqlite or postgresql address")

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()

    def __enter__(self) -> LiveDatabase:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(
        self, filters: LiveFilters, columns: Sequence[str] = (), sort: Sequence[str] = (), limit: int | None = None
    ) -> LiveAnswer:
        """Return the attempts that filters let through.

        Args:
            filters: what they must be.
            columns: of :data:`~prov_worker.stream.tables.TASK`; empty for all.
            sort: columns, each with ``-`` before it for descending; empty sorts by start.
            limit: most rows.

        Raises:
            InputError: there is no such column, or the database refuses.
        """
        names = columns or list(TASK)
        orders = [(name.removeprefix("-"), "DESC" if name.startswith("-") else "ASC") for name in sort or ("start_ns",)]
        for name in (*names, *(name for name, _ in orders)):
            if name not in TASK:
                hint = nearest(name, TASK) or f"there are {', '.join(TASK)}"
                raise InputError(f"no column {name!r}; {hint}")
        where, values = filters.where(self._mark)
        order = ", ".join(f"{name} {direction} NULLS LAST" for name, direction in orders)
        # Names of columns are checked, values are bound.
        query = f"SELECT {', '.join(names)} FROM task WHERE {where} ORDER BY {order}"  # noqa: S608
        if limit is not None:
            query += f" LIMIT {self._mark}"
            values.append(limit)
        return self._answer(query, values)

    def sql(self, query: str) -> LiveAnswer:
        """Return the answer of one statement that reads.

        Raises:
            InputError: the database refuses it.
        """
        return self._answer(query, None)

    def _answer(self, query: str, values: list[Any] | None) -> LiveAnswer:
        try:
            cursor = self._connection.cursor()
            if self._url.sink == "sqlite":
                cursor.execute(query, values or [])
            else:
                cursor.execute(query, values, prepare=True)  # which takes one statement alone
            if cursor.description is None:
                raise InputError("query: gives no rows; a live database is only read")
            names = [column[0] for column in cursor.description]
            return LiveAnswer(names, self._rows(cursor, cursor.fetchmany(_BATCH)))
        except (self._error, sqlite3.Warning) as error:
            raise InputError(f"query: {' '.join(str(error).split())}") from None

    def _rows(self, cursor: Any, batch: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        try:
            while batch:
                yield from batch
                batch = cursor.fetchmany(_BATCH)
        except self._error as error:
            raise InputError(f"query: {' '.join(str(error).split())}") from None


def _sqlite(url: StreamUrl) -> Any:
    path = os.path.abspath(os.path.expanduser(url.path))
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such database")
    with ExitStack() as opened:
        try:
            connection = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=TIMEOUT_S)
            opened.callback(connection.close)
            connection.execute("SELECT 1 FROM task LIMIT 1")
        except sqlite3.Error as error:
            raise InputError(f"{path}: {error}") from None
        # ATTACH would make files, whatever mode the first has.
        connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY)
        opened.pop_all()
    return connection


def _postgresql(url: StreamUrl) -> tuple[Any, type[Exception]]:
    psycopg = need("psycopg", url.sink)
    password = password_of(url)
    try:
        connection = psycopg.connect(
            libpq_address(url),
            connect_timeout=int(TIMEOUT_S),
            application_name="prov-worker run query",
            **({} if password is None else {"password": password}),
        )
        connection.read_only = True
    except psycopg.Error as error:
        raise InputError(f"{url.text}: {' '.join(str(error).split())}") from None
    return connection, psycopg.Error
