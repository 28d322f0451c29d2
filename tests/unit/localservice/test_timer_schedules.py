"""When timers run, and which documents a filter of Transfer lets pass."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("fastapi")

from prov_worker.localservice.timers.records import Schedule
from prov_worker.localservice.transfers import filters
from prov_worker.localservice.transfers.collections import bytes_of, text_of
from prov_worker.localservice.transfers.errors import TransferError
from prov_worker.localservice.transfers.rsync import filters as options

HOUR = 3600.0
TASKS: list[dict[str, Any]] = [
    {"label": "run1", "status": "ACTIVE", "size": 3, "request_time": "2026-01-01T10:00:00+00:00", "done": None},
    {"label": "Run2", "status": "FAILED", "size": 30, "request_time": "2026-01-02T10:00:00+00:00", "done": True},
    {"label": "x[1]", "status": "SUCCEEDED", "size": 0, "request_time": "2026-01-03T10:00:00+00:00", "done": False},
]


def labels(*texts: str) -> list[str]:
    return [document["label"] for document in filters.kept(TASKS, texts)]


@pytest.mark.parametrize(
    ("schedule", "number", "now", "runs", "follows"),
    [
        (Schedule(0.0), 0, 1.0, 1, None),
        (Schedule(0.0, HOUR), 0, 1.0, 1, 1),
        (Schedule(0.0, HOUR), 0, 3.5 * HOUR, 1, 4),  # those that passed meanwhile are left out
        (Schedule(0.0, HOUR), 2, 1.5 * HOUR, 3, 3),
        (Schedule(0.0, HOUR, count=2), 0, 1.0, 1, 1),
        (Schedule(0.0, HOUR, count=2), 5, 5.1 * HOUR, 2, None),
        (Schedule(0.0, HOUR, until=2 * HOUR), 1, 1.1 * HOUR, 2, 2),
        (Schedule(0.0, HOUR, until=2 * HOUR), 2, 2.1 * HOUR, 3, None),
    ],
)
def test_which_time_of_a_schedule_follows(
    schedule: Schedule, number: int, now: float, runs: int, follows: int | None
) -> None:
    assert schedule.next_after(number, now, runs) == follows


def test_filters_let_pass_what_they_name() -> None:
    assert labels("") == ["run1", "Run2", "x[1]"]
    assert labels("status:ACTIVE,FAILED") == ["run1", "Run2"]
    assert labels("label:~run*/status:!FAILED") == ["run1"]
    assert labels("label:~x[1]") == ["x[1]"]
    assert labels("label:!~run*") == ["x[1]"]
    assert labels("size:>2") == ["run1", "Run2"]
    assert labels("size:>=3,<=29") == ["run1"]
    assert labels("request_time:2026-01-02,") == ["Run2", "x[1]"]
    assert labels("request_time:,2026-01-02 10:00:00") == ["run1", "Run2"]
    assert labels("done:1") == ["Run2"]
    assert labels("status:ACTIVE", "status:FAILED") == ["run1", "Run2"]
    for wrong in ("label", "nothing:1", "size:>x"):
        with pytest.raises(TransferError):
            labels(wrong)


def test_lists_are_ordered_by_several_fields() -> None:
    shown = filters.ordered(list(TASKS), "done,label DESC")
    assert [document["label"] for document in shown] == ["x[1]", "Run2", "run1"]
    with pytest.raises(TransferError):
        filters.ordered(list(TASKS), "nothing")


def test_filter_rules_become_those_of_rsync() -> None:
    rules: list[dict[str, Any]] = [
        {"method": "include", "name": "a*", "type": "file"},
        {"method": "exclude", "name": "b", "type": "dir"},
        {"method": "exclude", "name": "*", "type": None},
    ]
    assert options([]) == []
    assert options(rules) == [
        "--filter=- b/", "--filter=- */", "--filter=+ */", "--filter=+ a*", "--filter=- *",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["plain", "\u00fc", "\udcff\udc80"])
def test_names_that_are_no_text_are_sent_and_found_again(name: str) -> None:
    assert bytes_of(text_of(name)) == name
    text_of(name).encode()


@pytest.mark.parametrize("name", ["\ufffd..", "\ufffd.", "\ufffd", "\ufffdplain", "\ufffd\u1234"])
def test_a_mark_does_not_hide_another_name(name: str) -> None:
    assert bytes_of(name) == name
