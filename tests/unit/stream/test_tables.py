"""The two tables: whatever order events come in, and however often, the latest word on an attempt stands."""

from __future__ import annotations

import itertools
import json
import sqlite3
from typing import Any

import pytest

from prov_worker.stream.events import Event
from prov_worker.stream.sink import RefusedError
from prov_worker.stream.sinks.sqlite import _values
from prov_worker.stream.tables import (
    EVENT,
    TASK,
    add_columns,
    check_version,
    create,
    event_row,
    insert_event,
    task_rows,
    upsert_task,
)

TYPES = dict.fromkeys(("text", "int", "float", "bool", "time", "json"), "")
STARTS = ["2026-11-29T10:00:00.000000001Z", "2026-11-29T10:00:00.000000002Z"]


def event(kind: str, sequence: int, source: str = "aaaaaaaaaaaa", time: str = "10:00:00", **data: Any) -> Event:
    fields = {"task_id": "t", "attempt": 1, "start": STARTS[0], "function": "f", "host": "h", **data}
    line = {
        "id": f"{source}-{sequence:016d}", "type": kind, "source": source, "subject": "t",
        "time": f"2026-11-29T{time}Z", "sequence": f"{sequence:016d}", "data": fields,
    }  # fmt: skip
    parsed = Event.parse(json.dumps(line).encode())
    assert parsed is not None
    return parsed


def state_after(events: list[Event], batch: int = 1) -> dict[str, Any]:
    connection = sqlite3.connect(":memory:")
    for statement in create(TYPES):
        connection.execute(statement)
    connection.executemany(insert_event("?"), map(event_row, events))
    for first in range(0, len(events), batch):
        connection.executemany(upsert_task("?"), map(_values, task_rows(events[first : first + batch])))
    connection.row_factory = sqlite3.Row
    (row,) = connection.execute("SELECT * FROM task").fetchall()
    (count,) = connection.execute("SELECT count(*) FROM event").fetchone()
    connection.close()
    return {**dict(row), "events": count}


STORY = [
    event("task.started", 1, status="running"),
    event("task.sampled", 2, status="running", sample={"rss_bytes": 7}),
    event("task.ended", 3, status="completed", wall_s=1.5),
    event("crate.published", 4, status="completed", wall_s=1.5, crate="t.crate", usage={"read_bytes": 1}),
]


def test_any_order_and_any_repetition_leave_the_last_word() -> None:
    for order in itertools.permutations(STORY):
        state = state_after([*order, *order])
        assert all(state_after([*order, *order], batch) == state for batch in (2, 3, 8))
        assert (state["status"], state["crate"], state["wall_s"], state["events"]) == ("completed", "t.crate", 1.5, 4)
    assert json.loads(state["usage"]) == {"read_bytes": 1}
    assert len(event_row(STORY[0])) == len(EVENT)
    assert set(task_rows(STORY)[0]) == set(TASK)


def test_what_an_agent_that_takes_over_tells_again_changes_nothing() -> None:
    again = event("task.started", 9, status="running")
    assert state_after([*STORY, again])["status"] == "completed"
    assert state_after(STORY[:2])["rss_bytes"] == 7
    later = event("task.sampled", 9, status="running", sample={"rss_bytes": 9})
    assert state_after([*STORY[:2], later])["rss_bytes"] == 9


def test_a_true_end_replaces_a_verdict_and_not_the_other_way() -> None:
    lost = event("task.ended", 50, "bbbbbbbbbbbb", "10:01:00", status="failed", verdict=True, failure_kind="lost")
    published = event("crate.published", 51, "bbbbbbbbbbbb", "10:01:01", status="failed", verdict=True)
    assert state_after([STORY[0], lost, published])["status"] == "failed"
    for order in itertools.permutations([STORY[0], STORY[2], lost, published]):
        assert state_after(list(order))["status"] == "completed"


def test_of_two_places_the_later_counts_and_of_one_the_number() -> None:
    early = event("task.ended", 9, "bbbbbbbbbbbb", "09:00:00", status="failed")
    assert state_after([STORY[2], early])["status"] == "completed"
    set_back = event("task.ended", 9, time="09:00:00", status="failed")  # the clock went back, the number did not
    assert state_after([STORY[2], set_back])["status"] == "failed"


def test_a_later_execution_of_the_same_number_replaces_all() -> None:
    again = event("task.started", 1, "cccccccccccc", "08:00:00", start=STARTS[1], status="running")
    for order in itertools.permutations([*STORY[2:], again]):
        assert state_after(list(order))["status"] == "running"


@pytest.mark.parametrize(
    "data",
    [{"attempt": "1"}, {"start": 3}, {"start": "yesterday"}],
)
def test_an_event_without_its_attempt_makes_no_row(data: dict[str, Any]) -> None:
    assert task_rows([event("task.ended", 1, **data)]) == []


def test_events_of_other_kinds_and_types_of_values() -> None:
    assert task_rows([event("node.lost", 1)]) == []
    (row,) = task_rows([event("task.ended", 1, wall_s="long", exit_status=3, pid=1 << 70)])
    assert (row["wall_s"], row["exit_status"], row["pid"]) == (None, 3, None)


def test_what_no_database_takes_is_made_sound_and_the_rest_is_left_as_it_is() -> None:
    odd = event(
        "task.ended", 1, error="a\0b \ud800 \U0001f600", usage={"cpu_s": float("nan"), "user_s": [1.5, "\udfff"]}
    )
    assert odd.data["error"] == "a\ufffdb \ufffd \U0001f600"
    assert odd.data["usage"] == {"cpu_s": None, "user_s": [1.5, "\ufffd"]}
    assert json.loads(odd.line)["data"] == odd.data
    line = b'{"id":"i","type":"t","source":"s","subject":"c","time":"d","sequence":"1","data":{"x":"\\u00e9"}}'
    plain = Event.parse(line)
    assert plain is not None
    assert (plain.line, plain.data) == (line, {"x": "é"})


def test_a_table_of_an_earlier_release_gets_its_new_columns() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE task (task_id, attempt, status)")
    for statement in add_columns(TYPES, ["task_id", "attempt", "status"]):
        connection.execute(statement)
    assert {row[1] for row in connection.execute("PRAGMA table_info(task)")} == set(TASK)
    assert add_columns(TYPES, TASK) == []
    connection.close()


WRONG_TYPE = b'{"id": 1, "type": "a", "source": "b", "subject": "c", "time": "d", "sequence": "1", "data": {}}'


@pytest.mark.parametrize(
    "line",
    [b"", b"[]", b"{}", b"\0\0", b'{"data": 1}', WRONG_TYPE, b"[" * 100_000],
)
def test_a_line_that_is_no_event(line: bytes) -> None:
    assert Event.parse(line) is None


def test_tables_of_others_are_left_alone() -> None:
    assert check_version("db", None, others=False)
    assert check_version("db", [], others=False)
    assert not check_version("db", [1], others=True)
    with pytest.raises(RefusedError, match="db: its tables are of version 7, this release writes version 1"):
        check_version("db", [7], others=True)
    with pytest.raises(RefusedError, match="is not of prov-worker"):
        check_version("db", None, others=True)
