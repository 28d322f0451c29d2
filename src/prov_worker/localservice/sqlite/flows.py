"""Flows and their runs in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from prov_worker.flow.machine.machine import Entry
from prov_worker.localservice.flows.records import ACTIVE, Flow, Position, Run
from prov_worker.localservice.sqlite.database import Database
from prov_worker.localservice.sqlite.rows import dump, load

#: Of one identity; older ones are forgotten.
_MOST_CONSENTS = 1000


class FlowStore:
    """What is durable of flows; each method is one transaction.

    Args:
        database: of the service.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def save_flow(self, flow: Flow) -> None:
        """Keep a flow, in place of what was kept of it."""
        with self._database.write() as db:
            db.execute(
                "INSERT INTO flows (id, owner, created, updated, content) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, updated = excluded.updated,"
                " content = excluded.content",
                (flow.id, flow.owner, flow.created, flow.updated, dump(flow.content)),
            )

    def flow(self, flow_id: str) -> Flow | None:
        """Return a flow of anyone; the caller checks who may see it."""
        row = self._database.read().execute("SELECT * FROM flows WHERE id = ?", (flow_id,)).fetchone()
        return None if row is None else _flow(row)

    def flows(self) -> list[Flow]:
        """Return all flows, newest first."""
        cursor = self._database.read().execute("SELECT * FROM flows ORDER BY created DESC, id")
        return [_flow(row) for row in cursor]

    def delete_flow(self, flow_id: str) -> None:
        """Forget a flow; its runs stay."""
        with self._database.write() as db:
            db.execute("DELETE FROM flows WHERE id = ?", (flow_id,))

    def add_consents(self, owner: str, scopes: Sequence[str]) -> None:
        """Remember what an identity has consented to: scopes with those that depend on them."""
        with self._database.write() as db:
            db.executemany("INSERT OR IGNORE INTO consents VALUES (?, ?)", [(owner, scope) for scope in scopes])
            db.execute(
                "DELETE FROM consents WHERE owner = ? AND rowid NOT IN"
                " (SELECT rowid FROM consents WHERE owner = ? ORDER BY rowid DESC LIMIT ?)",
                (owner, owner, _MOST_CONSENTS),
            )

    def note_login(self, owner: str, flows: Sequence[str], now: float) -> None:
        """Remember when an identity has logged in last for flows; those that are none are left out."""
        with self._database.write() as db:
            query = "INSERT OR REPLACE INTO logins SELECT ?, id, ? FROM flows WHERE id = ?"
            db.executemany(query, [(owner, now, flow) for flow in flows])

    def login_time(self, owner: str, flow: str) -> float:
        """Return when an identity has logged in last for a flow; 0 if it has not."""
        query = "SELECT time FROM logins WHERE owner = ? AND flow = ?"
        row = self._database.read().execute(query, (owner, flow)).fetchone()
        return 0.0 if row is None else float(row["time"])

    def consents(self, owner: str) -> list[str]:
        """Return what an identity has consented to."""
        cursor = self._database.read().execute("SELECT scope FROM consents WHERE owner = ? ORDER BY rowid", (owner,))
        return [row["scope"] for row in cursor]

    def add_run(self, run: Run, entries: Sequence[Entry], now: float) -> None:
        """Keep a new run."""
        with self._database.write() as db:
            db.execute(
                "INSERT INTO runs (id, flow, owner, started, status, content, state, position, details, wake)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run.id, run.flow, run.owner, run.started, run.status, dump(run.content), dump(run.state),
                    dump(asdict(run.position)), dump(run.details), now,
                ),
            )  # fmt: skip
            _log(db, run.id, entries, now)

    def change_run(self, before: Run, after: Run, entries: Sequence[Entry], now: float, wake: float) -> bool:
        """Replace what is known of a run, unless somebody has changed it since ``before``; returns whether it did.

        Args:
            before: as it was read.
            after: as it is to be.
            entries: for its log.
            now: the time.
            wake: when it is to be looked at again.
        """
        with self._database.write() as db:
            changed = db.execute(
                "UPDATE runs SET ended = ?, status = ?, content = ?, state = ?, position = ?, details = ?, wake = ?,"
                " turn = turn + 1 WHERE id = ? AND turn = ?",
                (
                    after.ended, after.status, dump(after.content), dump(after.state), dump(asdict(after.position)),
                    dump(after.details), wake, before.id, before.turn,
                ),
            ).rowcount  # fmt: skip
            if changed:
                _log(db, before.id, entries, now)
        return bool(changed)

    def postpone(self, run: Run, wake: float) -> None:
        """Look at a run later, unless it has changed."""
        with self._database.write() as db:
            db.execute("UPDATE runs SET wake = ? WHERE id = ? AND turn = ?", (wake, run.id, run.turn))

    def run(self, run_id: str) -> Run | None:
        """Return a run of anyone; the caller checks who may see it."""
        row = self._database.read().execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
        return None if row is None else _run(row)

    def runs(self) -> list[Run]:
        """Return all runs, newest first."""
        return [_run(row) for row in self._database.read().execute("SELECT * FROM runs ORDER BY started DESC, id")]

    def due(self, now: float) -> list[Run]:
        """Return runs under way that are to be looked at."""
        query = "SELECT * FROM runs WHERE status = ? AND wake <= ? ORDER BY wake LIMIT 100"
        return [_run(row) for row in self._database.read().execute(query, (ACTIVE, now))]

    def next_wake(self) -> float | None:
        """Return when the next run is to be looked at; None if there is none under way."""
        query = "SELECT min(wake) AS wake FROM runs WHERE status = ?"
        wake = self._database.read().execute(query, (ACTIVE,)).fetchone()["wake"]
        return None if wake is None else float(wake)

    def count_runs(self, owner: str) -> tuple[int, int]:
        """Return how many runs of an identity there are, and how many of them have not ended."""
        query = "SELECT count(*) AS kept, count(*) - count(ended) AS under_way FROM runs WHERE owner = ?"
        row = self._database.read().execute(query, (owner,)).fetchone()
        return int(row["kept"]), int(row["under_way"])

    def forget_runs(self, before: float) -> int:
        """Delete runs that ended before a time; returns their number."""
        with self._database.write() as db:
            return db.execute("DELETE FROM runs WHERE ended < ?", (before,)).rowcount

    def release_run(self, run_id: str) -> None:
        """Forget a run and its log."""
        with self._database.write() as db:
            db.execute("DELETE FROM runs WHERE id = ?", (run_id,))

    def log(self, run_id: str, after: int, limit: int, *, reverse: bool = False) -> list[dict[str, Any]]:
        """Return lines of a run's log with their numbers, from behind the number ``after``; 0 begins."""
        bound, order = ("<", "DESC") if reverse else (">", "ASC")
        first = after if after or not reverse else 1 << 62
        query = f"SELECT * FROM run_log WHERE run = ? AND seq {bound} ? ORDER BY seq {order} LIMIT ?"  # noqa: S608
        cursor = self._database.read().execute(query, (run_id, first, limit))
        return [
            {
                "seq": row["seq"],
                "time": row["time"],
                "code": row["code"],
                "description": row["description"],
                "details": load(row["details"]),
            }
            for row in cursor
        ]


def _log(db: sqlite3.Connection, run_id: str, entries: Sequence[Entry], now: float) -> None:
    db.executemany(
        "INSERT INTO run_log (run, time, code, description, details) VALUES (?, ?, ?, ?, ?)",
        [(run_id, now, entry.code, entry.description, dump(entry.details)) for entry in entries],
    )


def _flow(row: sqlite3.Row) -> Flow:
    return Flow(row["id"], row["owner"], row["created"], row["updated"], load(row["content"]))


def _run(row: sqlite3.Row) -> Run:
    return Run(
        row["id"],
        row["flow"],
        row["owner"],
        row["started"],
        row["ended"],
        row["status"],
        load(row["content"]),
        load(row["state"]),
        Position(**load(row["position"])),
        load(row["details"]),
        row["turn"],
    )
