"""Timers in SQLite."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, replace

from prov_worker.localservice.sqlite.database import Database
from prov_worker.localservice.sqlite.rows import dump, load
from prov_worker.localservice.timers.records import Schedule, Timer

#: Columns of their own; all else is in one.
_COLUMNS = ("id", "owner", "submitted", "status", "wake", "turn")


class TimerStore:
    """What is durable of timers; each method is one transaction.

    Args:
        database: of the service.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, timer: Timer) -> None:
        """Keep a new timer."""
        with self._database.write() as db:
            db.execute(
                "INSERT INTO timers (id, owner, submitted, status, wake, content) VALUES (?, ?, ?, ?, ?, ?)",
                (timer.id, timer.owner, timer.submitted, timer.status, timer.wake, _content(timer)),
            )

    def change(self, before: Timer, after: Timer) -> bool:
        """Replace a timer, unless somebody has changed it since ``before``; returns whether it did."""
        with self._database.write() as db:
            return bool(
                db.execute(
                    "UPDATE timers SET status = ?, wake = ?, content = ?, turn = turn + 1 WHERE id = ? AND turn = ?",
                    (after.status, after.wake, _content(after), before.id, before.turn),
                ).rowcount
            )

    def timer(self, timer_id: str) -> Timer | None:
        """Return a timer of anyone; the caller checks who may see it."""
        row = self._database.read().execute("SELECT * FROM timers WHERE id = ?", (timer_id,)).fetchone()
        return None if row is None else _timer(row)

    def timers(self, owner: str) -> list[Timer]:
        """Return all timers of an identity, oldest first."""
        query = "SELECT * FROM timers WHERE owner = ? ORDER BY submitted, id"
        return [_timer(row) for row in self._database.read().execute(query, (owner,))]

    def due(self, now: float) -> list[Timer]:
        """Return timers that are to be looked at."""
        query = "SELECT * FROM timers WHERE wake <= ? ORDER BY wake LIMIT 100"
        return [_timer(row) for row in self._database.read().execute(query, (now,))]

    def next_wake(self) -> float | None:
        """Return when the next timer is to be looked at; None if none is."""
        wake = self._database.read().execute("SELECT min(wake) AS wake FROM timers").fetchone()["wake"]
        return None if wake is None else float(wake)

    def delete(self, timer_id: str) -> None:
        """Forget a timer; what it has begun goes on."""
        with self._database.write() as db:
            db.execute("DELETE FROM timers WHERE id = ?", (timer_id,))


def _content(timer: Timer) -> str:
    return dump({key: value for key, value in asdict(timer).items() if key not in _COLUMNS})


def _timer(row: sqlite3.Row) -> Timer:
    content = load(row["content"])
    timer = Timer(**{key: row[key] for key in _COLUMNS}, **content)
    return replace(timer, schedule=Schedule(**content["schedule"]))
