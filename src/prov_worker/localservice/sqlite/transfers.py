"""Transfer's tasks in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from prov_worker.localservice.sqlite.database import Database
from prov_worker.localservice.sqlite.rows import dump, load
from prov_worker.localservice.transfers.records import ACTIVE, Event, SentFile, Task

#: Files of a task that are listed as sent; all are counted.
_MOST_FILES = 100_000
#: Fields that change, with their columns.
_COLUMNS = {name: name for name in ("status", "deadline", "completed", "body", "progress")}


class TransferStore:
    """What is durable of tasks; each method is one transaction.

    Args:
        database: of the service.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, task: Task) -> Task:
        """Keep a new task; returns the one that is there if it was submitted before, under its id or its submission."""
        with self._database.write() as db:
            query = "SELECT * FROM transfer_tasks WHERE id = ? OR owner = ? AND submission = ?"
            row = db.execute(query, (task.id, task.owner, task.submission)).fetchone()
            if row is not None:
                return _task(row)
            db.execute(
                "INSERT INTO transfer_tasks (id, owner, submission, kind, status, requested, deadline, body, progress)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    task.id, task.owner, task.submission, task.kind, task.status, task.requested, task.deadline,
                    dump(task.body), dump(task.progress),
                ),
            )  # fmt: skip
        return task

    def task(self, task_id: str) -> Task | None:
        """Return a task of anyone; the caller checks who may see it."""
        row = self._database.read().execute("SELECT * FROM transfer_tasks WHERE id = ?", (task_id,)).fetchone()
        return None if row is None else _task(row)

    def tasks(self, owner: str) -> list[Task]:
        """Return all tasks of an identity, newest first."""
        query = "SELECT * FROM transfer_tasks WHERE owner = ? ORDER BY requested DESC, id"
        return [_task(row) for row in self._database.read().execute(query, (owner,))]

    def count(self, owner: str) -> tuple[int, int]:
        """Return how many tasks of an identity there are, and how many of them have not ended."""
        query = "SELECT count(*) AS kept, count(*) - count(completed) AS under_way FROM transfer_tasks WHERE owner = ?"
        row = self._database.read().execute(query, (owner,)).fetchone()
        return int(row["kept"]), int(row["under_way"])

    def under_way(self) -> list[Task]:
        """Return tasks of all that have not ended, oldest first."""
        query = "SELECT * FROM transfer_tasks WHERE status = ? ORDER BY requested"
        return [_task(row) for row in self._database.read().execute(query, (ACTIVE,))]

    def change(
        self, task: Task, now: float, events: Sequence[Event] = (), sent: Sequence[SentFile] = (), **fields: Any
    ) -> Task:
        """Change fields of a task that has not ended; returns it as it is then.

        Args:
            task: the task.
            now: the time.
            events: for its log.
            sent: files that were sent or left out.
            **fields: of the task; those that are not named are left as somebody else may have changed them.
        """
        select = "SELECT * FROM transfer_tasks WHERE id = ?"
        with self._database.write() as db:
            row = db.execute(select, (task.id,)).fetchone()
            if row is None or row["status"] != ACTIVE:
                return task if row is None else _task(row)
            for name, value in fields.items():
                column = dump(value) if name in ("body", "progress") else value
                db.execute(f"UPDATE transfer_tasks SET {_COLUMNS[name]} = ? WHERE id = ?", (column, task.id))  # noqa: S608
            db.executemany(
                "INSERT INTO transfer_events (task, time, code, description, details, is_error)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [(task.id, now, *event) for event in events],
            )
            kept = db.execute("SELECT count(*) FROM transfer_files WHERE task = ?", (task.id,)).fetchone()[0]
            db.executemany(
                "INSERT INTO transfer_files (task, source_path, destination_path, size, error_code)"
                " VALUES (?, ?, ?, ?, ?)",
                [
                    (task.id, file.source_path, file.destination_path, file.size, file.error_code)
                    for file in sent[: max(_MOST_FILES - kept, 0)]
                ],
            )
            return _task(db.execute(select, (task.id,)).fetchone())

    def events(self, task_id: str) -> list[dict[str, Any]]:
        """Return the log of a task, newest first."""
        query = "SELECT * FROM transfer_events WHERE task = ? ORDER BY seq DESC"
        return [dict(row) for row in self._database.read().execute(query, (task_id,))]

    def files(self, task_id: str, after: int, limit: int, *, skipped: bool) -> list[dict[str, Any]]:
        """Return files of a task that were sent, or left out, from behind the number ``after``; 0 begins."""
        query = (
            "SELECT * FROM transfer_files WHERE task = ? AND seq > ? AND (error_code != '') = ? ORDER BY seq LIMIT ?"
        )
        return [dict(row) for row in self._database.read().execute(query, (task_id, after, skipped, limit))]

    def forget(self, before: float) -> int:
        """Delete tasks that ended before a time; returns their number."""
        with self._database.write() as db:
            return db.execute("DELETE FROM transfer_tasks WHERE completed < ?", (before,)).rowcount


def _task(row: sqlite3.Row) -> Task:
    return Task(
        row["id"],
        row["owner"],
        row["submission"],
        row["kind"],
        row["status"],
        row["requested"],
        row["deadline"],
        row["completed"],
        load(row["body"]),
        load(row["progress"]),
    )
