"""Tasks, groups and results in SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from prov_worker.localservice import records
from prov_worker.localservice.sqlite import rows
from prov_worker.localservice.sqlite.database import Database
from prov_worker.localservice.sqlite.endpoints import DELETE_UNUSED

_T = TypeVar("_T")
#: Values in one ``IN (…)``; SQLite's own limit was 999 until 3.32.
_AT_ONCE = 900


_IDLE_GROUP = "touched < ? AND NOT EXISTS (SELECT 1 FROM tasks WHERE grp = groups.id)"


def _portions(values: Iterable[Any]) -> Iterator[list[Any]]:
    everything = list(values)
    for start in range(0, len(everything), _AT_ONCE):
        yield everything[start : start + _AT_ONCE]


def _marks(values: Sequence[Any]) -> str:
    return ",".join("?" * len(values))


def _up_to(values: Iterable[_T], limit_bytes: int | None, size_of: Callable[[_T], int]) -> list[_T]:
    """Return the first of some values, until they have the limit together."""
    taken, size = [], 0
    for value in values:
        taken.append(value)
        size += size_of(value)
        if limit_bytes is not None and size >= limit_bytes:
            break
    return taken


class Tasks:
    """See :class:`prov_worker.localservice.storage.TaskStore`."""

    database: Database

    def add_tasks(self, tasks: Sequence[records.NewTask], submission: records.Submission, now: float) -> None:
        """Accept tasks."""
        specification, serializers = (
            None if value is None else rows.dump(value)
            for value in (submission.resource_specification, submission.result_serializers)
        )
        with self.database.write() as db:
            db.execute(
                "INSERT INTO groups (id, owner, queue, touched) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET queue = max(queue, excluded.queue), touched = excluded.touched",
                (submission.group, submission.owner, submission.queue, now),
            )
            db.executemany(
                "INSERT INTO tasks (id, owner, user_endpoint, function, grp, payload, resource_specification,"
                " result_serializers, submitted, size) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        each.id,
                        submission.owner,
                        submission.user_endpoint,
                        each.function,
                        submission.group,
                        each.payload,
                        specification,
                        serializers,
                        now,
                        each.size,
                    )
                    for each in tasks
                ],
            )

    def group_owner(self, group: str) -> str | None:
        """Return who owns a task group."""
        row = self.database.read().execute("SELECT owner FROM groups WHERE id = ?", (group,)).fetchone()
        return None if row is None else str(row["owner"])

    def open_group_queue(self, group: str) -> None:
        """Send results of the group to its queue from now on."""
        with self.database.write() as db:
            db.execute("UPDATE groups SET queue = 1 WHERE id = ?", (group,))

    def group_tasks(self, group: str) -> list[str]:
        """Return tasks of a group."""
        cursor = self.database.read().execute("SELECT id FROM tasks WHERE grp = ? ORDER BY seq", (group,))
        return [row["id"] for row in cursor]

    def tasks(self, task_ids: Iterable[str], owner: str) -> dict[str, records.Task]:
        """Return those of the tasks that exist and are the owner's."""
        by_id: dict[str, records.Task] = {}
        for portion in _portions(task_ids):
            query = f"SELECT * FROM tasks WHERE owner = ? AND id IN ({_marks(portion)})"  # noqa: S608
            for row in self.database.read().execute(query, (owner, *portion)):
                by_id[row["id"]] = rows.task(row)
        return by_id

    def numbered(self, numbers: Iterable[int]) -> dict[int, records.Task]:
        """Return those of the tasks that exist, by number."""
        by_number: dict[int, records.Task] = {}
        for portion in _portions(numbers):
            query = f"SELECT * FROM tasks WHERE seq IN ({_marks(portion)})"  # noqa: S608
            by_number.update((row["seq"], rows.task(row)) for row in self.database.read().execute(query, portion))
        return by_number

    def to_publish(
        self, user_endpoint: str | None = None, limit: int = 1000, after: int = 0, limit_bytes: int | None = None
    ) -> list[records.Outgoing]:
        """Return tasks that are not known to be in a queue."""
        cursor = self.database.read().execute(
            "SELECT t.seq, t.id, t.owner, t.user_endpoint, t.function, f.buffer, t.payload, t.resource_specification,"
            " t.result_serializers FROM tasks t JOIN functions f ON f.id = t.function"
            " WHERE t.state = 0 AND t.seq > ? AND (? IS NULL OR t.user_endpoint = ?) ORDER BY t.seq LIMIT ?",
            (after, user_endpoint, user_endpoint, limit),
        )
        tasks = (
            records.Outgoing(
                row["seq"],
                row["id"],
                row["owner"],
                row["user_endpoint"],
                row["function"],
                row["buffer"],
                row["payload"],
                rows.load(row["resource_specification"]),
                rows.load(row["result_serializers"]),
            )
            for row in cursor
        )
        return _up_to(tasks, limit_bytes, lambda task: len(task.buffer) + len(task.payload))

    def to_forward(self, limit: int = 1000, after: int = 0, limit_bytes: int | None = None) -> list[records.Forward]:
        """Return results that are not known to be in their group's queue."""
        cursor = self.database.read().execute(
            "SELECT seq, owner, grp, message, finished FROM tasks WHERE forward = 1 AND seq > ? ORDER BY seq LIMIT ?",
            (after, limit),
        )
        return _up_to((records.Forward(*row) for row in cursor), limit_bytes, lambda result: len(result.message))

    def waiting(self) -> bool:
        """Return whether a task or a result is not known to be in its queue."""
        query = "SELECT 1 FROM tasks WHERE state = 0 UNION ALL SELECT 1 FROM tasks WHERE forward = 1 LIMIT 1"
        return self.database.read().execute(query).fetchone() is not None

    def apply(self, incoming: records.Incoming, now: float) -> records.Stored:
        """Take in what the broker brought."""
        forwards: list[records.Forward] = []
        ended = {True: 0, False: 0}
        with self.database.write() as db:
            for result in incoming.results:
                state = records.TaskState.FAILED if result.failed else records.TaskState.SUCCESS
                row = db.execute(
                    "UPDATE tasks SET state = ?, finished = ?, message = ?, size = ?, payload = NULL,"
                    " forward = (SELECT queue FROM groups WHERE groups.id = tasks.grp)"
                    " WHERE id = ? AND owner = ? AND user_endpoint = ? AND state < 2"
                    " RETURNING seq, owner, grp, forward",
                    (state, now, result.message, len(result.message), result.task, result.owner, result.user_endpoint),
                ).fetchone()
                if row is None:
                    continue
                ended[result.failed] += 1
                if row["forward"]:
                    forwards.append(records.Forward(row["seq"], row["owner"], row["grp"], result.message, now))
            for (owner, endpoint), pulse in incoming.pulses.items():
                values = (pulse.heard, pulse.period_s, rows.dump(pulse.report), endpoint, owner)
                for table in ("endpoints", "user_endpoints"):
                    query = f"UPDATE {table} SET heard = ?, period_s = ?, report = ? WHERE id = ? AND owner = ?"  # noqa: S608
                    db.execute(query, values)
            queued = ((seq,) for seq in incoming.queued)
            db.executemany("UPDATE tasks SET state = 1 WHERE seq = ? AND state = 0", queued)
            db.executemany(
                "UPDATE tasks SET message = ?, state = ? WHERE seq = ? AND forward = 1",
                ((message, records.TaskState.FAILED, seq) for seq, message in incoming.replaced.items()),
            )
            db.executemany("UPDATE tasks SET forward = 0 WHERE seq = ?", ((seq,) for seq in incoming.forwarded))
        return records.Stored(forwards, succeeded=ended[False], failed=ended[True])

    def requeue(self, user_endpoint: str, most: int) -> records.Requeued:
        """Publish unfinished tasks again, unless they have been too often."""
        with self.database.write() as db:
            which = "WHERE user_endpoint = ? AND state < 2 AND resent"
            given_up = db.execute(f"SELECT seq FROM tasks {which} >= ?", (user_endpoint, most)).fetchall()  # noqa: S608
            number = db.execute(
                f"UPDATE tasks SET state = 0, resent = resent + 1 {which} < ?",  # noqa: S608
                (user_endpoint, most),
            ).rowcount
        return records.Requeued(number, [row["seq"] for row in given_up])

    def unfinished(self, user_endpoint: str, before: float) -> list[str]:
        """Return unfinished tasks submitted before a time."""
        cursor = self.database.read().execute(
            "SELECT id FROM tasks WHERE user_endpoint = ? AND state < 2 AND submitted <= ? ORDER BY seq",
            (user_endpoint, before),
        )
        return [row["id"] for row in cursor]

    def open_work(self) -> list[records.OpenWork]:
        """Return user endpoints with unfinished tasks."""
        db = self.database.read()
        work = []
        for row in db.execute(
            "SELECT user_endpoint, count(*) AS unfinished, max(submitted) AS newest"
            " FROM tasks WHERE state < 2 GROUP BY user_endpoint"
        ).fetchall():
            user_endpoint = db.execute("SELECT * FROM user_endpoints WHERE id = ?", (row["user_endpoint"],)).fetchone()
            if user_endpoint is None:
                continue
            core = db.execute("SELECT * FROM endpoints WHERE id = ?", (user_endpoint["core"],)).fetchone()
            if core is None:
                continue
            work.append(
                records.OpenWork(
                    rows.user_endpoint(user_endpoint),
                    rows.endpoint(core),
                    row["unfinished"],
                    row["newest"],
                )
            )
        return work

    def forget(self, before: float, limit: int = 5000) -> int:
        """Delete what is old."""
        with self.database.write() as db:
            deleted = db.execute(
                "DELETE FROM tasks WHERE seq IN"
                " (SELECT seq FROM tasks WHERE state >= 2 AND finished < ? ORDER BY finished LIMIT ?)",
                (before, limit),
            ).rowcount
            db.execute(DELETE_UNUSED)
        self.database.shrink()
        return deleted

    def idle_groups(self, before: float) -> list[tuple[str, str]]:
        """Return groups without tasks, and without a new one since a time."""
        cursor = self.database.read().execute(f"SELECT owner, id FROM groups WHERE {_IDLE_GROUP}", (before,))  # noqa: S608
        return [(row["owner"], row["id"]) for row in cursor]

    def forget_groups(self, groups: Iterable[str], before: float) -> None:
        """Delete those of the groups that are still idle."""
        with self.database.write() as db:
            values = [(before, group) for group in groups]
            db.executemany(f"DELETE FROM groups WHERE {_IDLE_GROUP} AND id = ?", values)  # noqa: S608
