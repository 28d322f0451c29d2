"""Which attempts of a run are meant: filters, in SQL for an index and here for crates that are read one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from prov_worker.crate.summary import RunStep
from prov_worker.errors import InputError, MissingExtraError
from prov_worker.run.index.tables import DUCKDB_KINDS, TASKS, rows

_ERROR_COLUMNS = ("error", "failure_type", "failure_kind")
_WILDCARDS = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Filters:
    """Which attempts are asked for; None and empty ask for all.

    Attributes:
        status: ``completed`` or ``failed``.
        function, host, endpoint, task, user: any of these names; ``*`` and ``?`` stand for any text and character. An
            endpoint goes by its id, its name or the id of a user endpoint, a task also by the beginning of its id,
            which a :class:`Selection` and an index take if it fits one task alone.
        run_name: any of these names of runs (:func:`prov_worker.name_run`); wildcards as above.
        since, until: UTC times: attempts that began at or after the one and before the other.
        min_wall_s … max_gpu_percent: bounds, inclusive; attempts of which the quantity is unknown are left out.
        gpu: true: attempts that used a GPU; false: that saw one and used none.
        error: text in the error, the type or the kind of the failure, whatever its case.
        latest: only the latest attempt at each task.
        tasks: only these, by their whole ids, such as those of a task group.
    """

    status: str | None = None
    function: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    endpoint: tuple[str, ...] = ()
    task: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    run_name: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    min_wall_s: float | None = None
    max_wall_s: float | None = None
    min_cpu_s: float | None = None
    max_cpu_s: float | None = None
    min_rss_bytes: float | None = None
    max_rss_bytes: float | None = None
    min_gpu_percent: float | None = None
    max_gpu_percent: float | None = None
    gpu: bool | None = None
    error: str | None = None
    latest: bool = False
    tasks: frozenset[str] | None = None

    def beginnings(self) -> tuple[str, ...]:
        """Return the beginnings of ids, each of which is to fit one task."""
        return tuple(text for text in self.task if not _WILDCARDS & set(text))

    def _names(self) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
        """Return columns, any of which has to match any of the patterns."""
        return (
            (("function",), self.function),
            (("host",), self.host),
            (("endpoint_id", "endpoint_name", "user_endpoint_id"), self.endpoint),
            (("task_id",), tuple(map(_task_pattern, self.task))),
            (("user",), self.user),
            (("run",), self.run_name),
        )

    def _bounds(self) -> tuple[tuple[str, float | None, float | None], ...]:
        return (
            ("wall_s", self.min_wall_s, self.max_wall_s),
            ("cpu_s", self.min_cpu_s, self.max_cpu_s),
            ("peak_rss_bytes", self.min_rss_bytes, self.max_rss_bytes),
            ("gpu_max_percent", self.min_gpu_percent, self.max_gpu_percent),
        )

    def where(self) -> tuple[str, list[Any]]:
        """Return SQL condition with placeholders, and their values."""
        parts: list[str] = []
        values: list[Any] = []

        def need(condition: str, *some: Any) -> None:
            parts.append(condition)
            values.extend(some)

        if self.status is not None:
            need("status = ?", self.status)
        for columns, names in self._names():
            if names:
                need(
                    "(" + " OR ".join(f'"{column}" GLOB ?' for _ in names for column in columns) + ")",
                    *(name for name in names for _ in columns),
                )
        for column, low, high in self._bounds():
            if low is not None:
                need(f"{column} >= ?", low)
            if high is not None:
                need(f"{column} <= ?", high)
        if self.since is not None:
            need("start_ns >= ?", _ns(self.since))
        if self.until is not None:
            need("start_ns < ?", _ns(self.until))
        if self.gpu is True:
            need("gpus_used > 0")
        elif self.gpu is False:
            need("gpus_used = 0 AND coalesce(gpus_visible, node_gpus) > 0")
        if self.error is not None:
            need(
                "(" + " OR ".join(f"contains(lower({name}), lower(?))" for name in _ERROR_COLUMNS) + ")",
                *(self.error for _ in _ERROR_COLUMNS),
            )
        if self.latest:
            need("latest")
        if self.tasks is not None:
            need("task_id IN (SELECT unnest(?::VARCHAR[]))", sorted(self.tasks))
        return " AND ".join(parts) or "true", values

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row of the table of tasks is let through, as :meth:`where` does it."""
        for columns, names in self._names():
            texts = [text for column in columns if (text := row[column]) is not None]
            if names and not any(fnmatchcase(text, name) for text in texts for name in names):
                return False
        for column, low, high in self._bounds():
            value = row[column]
            if (low is not None and (value is None or value < low)) or (
                high is not None and (value is None or value > high)
            ):
                return False
        return all(condition(row) for condition in self._conditions())

    def _conditions(self) -> Iterator[Callable[[Mapping[str, Any]], bool]]:
        if self.status is not None:
            yield lambda row: bool(row["status"] == self.status)
        if self.since is not None:
            since_ns = _ns(self.since)
            yield lambda row: row["start_ns"] is not None and bool(row["start_ns"] >= since_ns)
        if self.until is not None:
            until_ns = _ns(self.until)
            yield lambda row: row["start_ns"] is not None and bool(row["start_ns"] < until_ns)
        if self.gpu is True:
            yield lambda row: (row["gpus_used"] or 0) > 0
        elif self.gpu is False:
            yield lambda row: row["gpus_used"] == 0 and _seen_gpus(row) > 0
        if self.error is not None:
            text = self.error.lower()
            yield lambda row: any(text in (row[name] or "").lower() for name in _ERROR_COLUMNS)
        if self.latest:
            yield lambda row: bool(row["latest"])
        if self.tasks is not None:
            tasks = self.tasks
            yield lambda row: row["task_id"] in tasks


class Selection:
    """Which attempts of a run are taken.

    Args:
        filters: those that they must pass.
        where: a condition on the columns of the table of tasks, in DuckDB's SQL; None for none.

    Raises:
        InputError: the condition is not understood.
        MissingExtraError: there is a condition, and DuckDB is not installed.
    """

    def __init__(self, filters: Filters, where: str | None = None) -> None:
        self._filters = filters
        self._where = where
        self._condition = None if where is None else Condition(where)
        self._beginnings = dict.fromkeys(filters.beginnings(), "")
        self.is_all = filters == Filters() and where is None

    def copy(self) -> Selection:
        """Return the same for another run, in which a beginning of an id may fit another task."""
        return Selection(self._filters, self._where)

    def names_run(self, name: str) -> bool:
        """Return whether attempts are chosen by the name of their run, and a name or pattern is this one's."""
        return any(fnmatchcase(name, pattern) for pattern in self._filters.run_name)

    def takes(self, step: RunStep) -> bool:
        """Return whether an attempt is taken.

        Raises:
            InputError: the condition cannot be evaluated for it, or the beginning of an id fits this task and an
                earlier one.
        """
        if self.is_all:
            return True
        for text, task in self._beginnings.items():
            if step.task_id.startswith(text):
                if task not in ("", step.task_id):
                    raise ambiguous(text, task, step.task_id)
                self._beginnings[text] = step.task_id
        (row,) = rows("tasks", step)
        return self._filters.matches(row) and (self._condition is None or self._condition.holds(row))


_NOT_ONE = "--where: expected one condition, such as \"cpu_s > 10 AND host LIKE 'nid%'\""


def ambiguous(text: str, first: str, second: str) -> InputError:
    """Return the error of a beginning of an id that fits two tasks."""
    return InputError(f"--task {text}: fits more than one task, such as {min(first, second)} and {max(first, second)}")


class Condition:
    """A condition in SQL on one row at a time; it reads nothing else.

    Args:
        where: the text.

    Raises:
        InputError: it is not understood.
        MissingExtraError: DuckDB is not installed.
    """

    def __init__(self, where: str) -> None:
        try:
            import duckdb
        except ImportError as error:
            raise MissingExtraError("--where needs duckdb", "run", error) from error
        self._error = duckdb.Error
        self._db = duckdb.connect(":memory:", config={"threads": 1})
        stored = {name: kind for name, kind in TASKS.items() if kind != "time"}
        times = [name for name, kind in TASKS.items() if kind == "time"]
        columns = ", ".join(f'"{name}" {DUCKDB_KINDS[kind]}' for name, kind in stored.items())
        derived = ", ".join(f'make_timestamp({name}_ns // 1000) AS "{name}"' for name in times)
        # Names of columns are ours.
        self._db.execute(f"CREATE TABLE attempt ({columns})")
        self._db.execute(f"CREATE VIEW tasks AS SELECT *, {derived} FROM attempt")  # noqa: S608
        self._db.execute("SET enable_external_access = false")
        self._db.execute("SET lock_configuration = true")
        self._insert = f"INSERT INTO attempt VALUES ({', '.join('?' for _ in stored)})"  # noqa: S608
        self._names = list(stored)
        if not where.strip():
            raise InputError('--where: empty; expected a condition, such as "cpu_s > 10"')
        self._question = f"SELECT count(*) FROM tasks WHERE ({where}\n)"  # noqa: S608 - the user's own condition
        self._refuse_unbalanced(where)
        try:
            (statement,) = self._db.extract_statements(self._question)
            self._db.execute(statement)
        except ValueError:
            raise InputError(_NOT_ONE) from None
        except self._error as error:
            raise InputError(f"--where: {_first_lines(error)}") from None

    def _refuse_unbalanced(self, where: str) -> None:
        """Parse the condition alone, at the end of a statement: what is wrong with it is said of its own text."""
        try:
            statements = self._db.extract_statements(f"SELECT 1 WHERE {where}\n")
        except self._error as error:
            message = _first_lines(error)
            if '"WHERE"' in message and "where" not in where.lower():
                message = "no condition, but a comment"
            raise InputError(f"--where: {message}") from None
        if len(statements) != 1:
            raise InputError(_NOT_ONE)

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row of the table of tasks meets it.

        Raises:
            InputError: it cannot be evaluated.
        """
        try:
            self._db.execute("DELETE FROM attempt")
            self._db.execute(self._insert, [row[name] for name in self._names])
            answer = self._db.execute(self._question).fetchone()
        except self._error as error:
            raise InputError(f"--where: {_first_lines(error)}") from None
        return answer is not None and answer[0] > 0


def _first_lines(error: Exception) -> str:
    # The query is not repeated: it comes after an empty line.
    return " ".join(str(error).partition("\n\n")[0].split())


def _seen_gpus(row: Mapping[str, Any]) -> int:
    visible = row["gpus_visible"]
    return (row["node_gpus"] if visible is None else visible) or 0


def _task_pattern(text: str) -> str:
    """Return the pattern of a task's id: the beginning of one is enough."""
    return text if _WILDCARDS & set(text) else f"{text}*"


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
