"""``postgresql://[USER@]HOST[:PORT]/DATABASE[?…]``: tables in a PostgreSQL, by psycopg.

The address is libpq's, with its parameters, such as ``sslmode`` and ``options=-csearch_path=prov``; so are the other
ways to give a password, PGPASSFILE (``~/.pgpass``) above all.
https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from prov_worker.errors import InputError
from prov_worker.processes import host_name
from prov_worker.stream.events import Event
from prov_worker.stream.sink import TIMEOUT_S, AwayError, RefusedError, clock_offset, need
from prov_worker.stream.tables import (
    CLOCK_TABLE,
    SELECT_VERSION,
    TASK,
    VERSION,
    VERSION_TABLE,
    add_columns,
    check_version,
    create,
    insert_clock,
    insert_version,
    replace_task,
    task_rows,
)
from prov_worker.stream.tls import is_distrust
from prov_worker.stream_url import PASSWORD_FILE, SINKS, StreamUrl

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_TYPES = {
    "text": "text", "int": "bigint", "float": "double precision", "bool": "boolean", "time": "timestamptz",
    "json": "jsonb",
}  # fmt: skip
#: Held while the tables are made, so that two senders do not make them at once.
_LOCK = 0x70726F76
#: Class 08 (connection), 53 (resources), 57 (operator), 40 (rolled back), 55 (busy), 25006 (a standby): these pass.
#: https://www.postgresql.org/docs/current/errcodes-appendix.html
_PASSING = ("08", "53", "57", "40", "55", "25006")

#: Both tables in one statement, which is a transaction of its own: two JSON texts are less work here than a parameter
#: per value, and than a message per row. The server takes events apart; of rows it is given types.
_SEND = f"""
WITH new AS (
    INSERT INTO event (id, type, source, sequence, task_id, time, data)
    SELECT e ->> 'id', e ->> 'type', e ->> 'source', (e ->> 'sequence')::bigint, e ->> 'subject',
        (e ->> 'time')::timestamptz, e -> 'data'
    FROM jsonb_array_elements(%s::jsonb) AS e ON CONFLICT (id) DO NOTHING
)
INSERT INTO task ({", ".join(TASK)})
SELECT * FROM jsonb_to_recordset(%s::jsonb) AS r ({", ".join(f"{name} {_TYPES[kind]}" for name, kind in TASK.items())})
{replace_task()}
"""  # noqa: S608 - names of this package
_COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = 'task'::regclass AND attnum > 0 AND NOT attisdropped"


def libpq_address(url: StreamUrl) -> str:
    """Return an address as libpq takes it: without the parameter that is ours."""
    parts = urlsplit(url.text)
    query = urlencode([pair for pair in parse_qsl(parts.query) if pair[0] != PASSWORD_FILE])
    return urlunsplit(parts._replace(query=query))


class PostgresqlSink:
    """Writes events to a database; each is there exactly once."""

    def __init__(self, url: StreamUrl, password: str | None) -> None:
        self._psycopg = need("psycopg", url.sink)
        self._address = libpq_address(url)
        self._name = urlsplit(url.text).path.strip("/") or "the database"
        self._password = password
        try:
            options = self._psycopg.conninfo.conninfo_to_dict(self._address)
        except self._psycopg.ProgrammingError as error:
            raise InputError(f"{url.text}: {' '.join(str(error).split())}") from error
        if options.get("sslmode", "prefer") not in _SSL_MODES:
            problem = f"sslmode: expected one of {', '.join(_SSL_MODES)}; got {options['sslmode']!r}"
            raise InputError(f"{url.text}: {problem}")
        for name in ("sslrootcert", "sslcert", "sslkey"):
            path = options.get(name, "system")
            if path != "system" and not os.path.exists(path):
                raise InputError(f"{url.text}: {name}: {path}: no such file")
        self._connection: Any = None

    def open(self) -> None:
        """Connect, and make the tables if they are missing."""
        more: dict[str, Any] = {} if self._password is None else {"password": self._password}
        try:
            connection = self._psycopg.connect(
                self._address,
                autocommit=True,
                connect_timeout=int(TIMEOUT_S),
                application_name="prov-worker stream",
                # a server that is gone without a word: Linux gives up what it has sent after so long
                tcp_user_timeout=int(TIMEOUT_S * 1000),
                **more,
            )
        except self._psycopg.OperationalError as error:
            raise self._refusal(error) from error
        except self._psycopg.Error as error:
            raise RefusedError(str(error)) from error
        try:
            connection.execute(f"SET statement_timeout = {int(TIMEOUT_S * 1000)}")
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                tables = [VERSION_TABLE, "task", "event", CLOCK_TABLE]
                query = "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NOT NULL"
                there = {name for (name,) in connection.execute(query, (tables,)).fetchall()}
                versions = None
                if VERSION_TABLE in there:
                    versions = [version for (version,) in connection.execute(SELECT_VERSION).fetchall()]
                if check_version(self._name, versions, others=bool(there & {"task", "event"})):
                    statements = create(_TYPES)
                else:
                    columns = {name for (name,) in connection.execute(_COLUMNS).fetchall()}
                    statements = add_columns(_TYPES, columns) + (create(_TYPES) if CLOCK_TABLE not in there else [])
                for statement in statements:
                    connection.execute(statement)
                if not versions:
                    connection.execute(insert_version("%s"), (VERSION,))
        except BaseException as error:
            connection.close()
            if isinstance(error, self._psycopg.Error):
                raise self._refusal(error) from error
            raise
        self._connection = connection

    def send(self, events: Sequence[Event]) -> None:
        """Write a batch, all of it or nothing."""
        lines = b"[" + b",".join(event.line for event in events) + b"]"
        try:
            self._connection.execute(_SEND, (lines.decode(), json.dumps(task_rows(events))))
        except self._psycopg.Error as error:
            raise self._refusal(error) from error

    def compare_clocks(self) -> None:
        """Note the difference between the database's clock and this node's."""
        connection = self._connection
        query = "SELECT extract(epoch FROM clock_timestamp())::float8"
        try:
            offset_s, within_s = clock_offset(lambda: float(connection.execute(query).fetchone()[0]))
            connection.execute(insert_clock("%s"), (host_name(), datetime.now(timezone.utc), offset_s, within_s))
        except self._psycopg.Error as error:
            raise self._refusal(error) from error

    def close(self) -> None:
        """Disconnect."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(self._psycopg.Error):
                connection.close()

    def _refusal(self, error: Any) -> AwayError | RefusedError:
        """Tell what passes by itself from what somebody must see to."""
        state = error.sqlstate
        text = " ".join(str(error).split())
        if state is None:
            # libpq gives no code for what happens before a session, but for the server's own words
            wanted = (
                "authentication failed", "no password supplied", "does not exist", "no pg_hba.conf entry",
                "does not support SSL",
            )  # fmt: skip
            refuses = any(part in text for part in wanted) or is_distrust(text)
            return RefusedError(text) if refuses else AwayError(text)
        return AwayError(text) if state.startswith(_PASSING) else RefusedError(text)


SINKS.add("postgresql", PostgresqlSink)
