"""Numbers for people and monitors, from SQLite."""

from __future__ import annotations

from typing import Any

from prov_worker.localservice.records import TaskState, Usage
from prov_worker.localservice.sqlite.database import Database


def _counts() -> dict[str, int]:
    return {state.name.lower(): 0 for state in TaskState}


class Numbers:
    """See :class:`prov_worker.localservice.storage.Overview`."""

    database: Database

    def task_counts(self, owner: str | None = None) -> dict[str, int]:
        """Return tasks by state."""
        counts = _counts()
        for row in self.database.read().execute(
            "SELECT state, count(*) AS number FROM tasks WHERE ? IS NULL OR owner = ? GROUP BY state", (owner, owner)
        ):
            counts[TaskState(row["state"]).name.lower()] = row["number"]
        return counts

    def endpoint_tasks(self, owner: str) -> dict[str, dict[str, int]]:
        """Return tasks by core endpoint and state."""
        counts: dict[str, dict[str, int]] = {}
        for row in self.database.read().execute(
            "SELECT u.core, t.state, count(*) AS number FROM tasks t JOIN user_endpoints u ON u.id = t.user_endpoint"
            " WHERE t.owner = ? GROUP BY u.core, t.state",
            (owner,),
        ):
            counts.setdefault(row["core"], _counts())[TaskState(row["state"]).name.lower()] = row["number"]
        return counts

    def recent_tasks(self, owner: str, limit: int = 20) -> list[dict[str, Any]]:
        """Return the latest tasks."""
        cursor = self.database.read().execute(
            "SELECT t.id, coalesce(f.name, '') AS function, coalesce(e.name, '') AS endpoint, t.state, t.submitted,"
            " t.finished FROM tasks t LEFT JOIN functions f ON f.id = t.function"
            " LEFT JOIN user_endpoints u ON u.id = t.user_endpoint LEFT JOIN endpoints e ON e.id = u.core"
            " WHERE t.owner = ? ORDER BY t.seq DESC LIMIT ?",
            (owner, limit),
        )
        return [{**dict(row), "state": TaskState(row["state"]).name.lower()} for row in cursor]

    def throughput(self, owner: str, since: float, bucket_s: float) -> dict[int, int]:
        """Return tasks finished by bucket."""
        cursor = self.database.read().execute(
            "SELECT CAST(finished / ? AS INTEGER) AS bucket, count(*) AS number FROM tasks"
            " WHERE owner = ? AND finished >= ? GROUP BY bucket",
            (bucket_s, owner, since),
        )
        return {row["bucket"]: row["number"] for row in cursor}

    def usage(self, owner: str) -> Usage:
        """Return what an identity has."""
        db = self.database.read()
        counts = db.execute("SELECT functions, tasks, bytes FROM usage WHERE owner = ?", (owner,)).fetchone()
        (queues,) = db.execute(
            "SELECT (SELECT count(*) FROM endpoints WHERE owner = ?) + (SELECT count(*) FROM user_endpoints"
            " WHERE owner = ?) + (SELECT count(*) FROM groups WHERE owner = ?)",
            (owner, owner, owner),
        ).fetchone()
        functions, tasks, size = counts or (0, 0, 0)
        return Usage(functions, tasks, size, queues)

    def size_bytes(self) -> int:
        """Return size of the state on disk."""
        return self.database.size_bytes()
