"""Rows of the tables as records, and JSON columns."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from prov_worker.localservice.records import Endpoint, Function, Pulse, Task, TaskState, UserEndpoint


def dump(value: Any) -> str:
    """Return a JSON column."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def load(text: str | None) -> Any:
    """Return what a JSON column holds; None for NULL."""
    return None if text is None else json.loads(text)


def pulse(row: sqlite3.Row) -> Pulse:
    """Return the heartbeat columns of a row."""
    return Pulse(row["heard"], row["period_s"], load(row["report"]))


def endpoint(row: sqlite3.Row) -> Endpoint:
    """Return a row of ``endpoints``."""
    return Endpoint(
        row["id"],
        row["owner"],
        row["name"],
        row["registered"],
        load(row["registration"]),
        pulse(row),
        bool(row["locked"]),
    )


def user_endpoint(row: sqlite3.Row) -> UserEndpoint:
    """Return a row of ``user_endpoints``."""
    return UserEndpoint(
        row["id"],
        row["core"],
        row["owner"],
        load(row["options"]),
        load(row["runtime"]),
        row["started"],
        pulse(row),
    )


def function(row: sqlite3.Row) -> Function:
    """Return a row of ``functions``."""
    return Function(
        row["id"],
        row["owner"],
        row["name"],
        row["buffer"],
        row["registered"],
        row["description"],
        load(row["meta"]),
        bool(row["public"]),
    )


def task(row: sqlite3.Row) -> Task:
    """Return a row of ``tasks``."""
    return Task(
        row["id"],
        row["owner"],
        row["user_endpoint"],
        row["function"],
        row["grp"],
        row["submitted"],
        TaskState(row["state"]),
        row["finished"],
        row["message"],
    )
