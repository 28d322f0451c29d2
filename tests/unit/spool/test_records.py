"""From lines of a journal to attempts: which attempt a line belongs to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prov_worker.attempt import AttemptId
from prov_worker.model import Failure
from prov_worker.spool import VERSION
from prov_worker.spool.records import JournalState

TASK = "7a171870-b038-4174-84e1-29cdcc42f72c"


def start(ns: Any = 100, **more: Any) -> dict[str, Any]:
    return {"t": "start", "task": TASK, "n": 1, "ns": ns, "k": 1} | more


def end(ns: int = 100) -> dict[str, Any]:
    return {"t": "end", "task": TASK, "n": 1, "ns": ns, "m": 1, "dur": 5, "ok": 1}


def test_an_attempt_is_open_until_its_own_end() -> None:
    state = JournalState()
    assert state.feed(start(100)) is None
    assert state.open_attempts() == [AttemptId(TASK, 1, 100)]
    assert not state.is_open(AttemptId(TASK, 1, 101))
    ended = state.feed(end(100))
    assert ended is not None
    assert ended.record.attempt_id == (TASK, 1, 100)
    assert state.open_attempts() == []


def test_a_task_that_came_twice_under_one_number_is_two_attempts() -> None:
    """The end of the first is lost: a disk was full, say."""
    state = JournalState()
    state.feed(start(100, args=[["x", "int"]]))
    state.feed(start(200, args=[["y", "int"]]))
    ended = state.feed(end(200))
    assert ended is not None
    assert [value.name for value in ended.record.arguments] == ["y"]
    assert state.open_attempts() == [AttemptId(TASK, 1, 100)]
    lost = state.close(AttemptId(TASK, 1, 100), Failure("unknown", "gone"), 50)
    assert (lost.record.start_ns, lost.record.end_ns) == (100, 100)
    assert [value.name for value in lost.record.arguments] == ["x"]


def test_an_attempt_that_has_no_line_is_closed_too() -> None:
    ended = JournalState().close(AttemptId(TASK, 3, 70), Failure("signal", "killed"), 90)
    assert ended.record.attempt_id == (TASK, 3, 70)
    assert ended.record.end_ns == 90
    assert "function is not known" in ended.record.notes[0]


@pytest.mark.parametrize("ns", [None, "soon", [], {}])
def test_a_start_without_a_time_is_counted_and_opens_nothing(ns: Any) -> None:
    state = JournalState()
    state.feed(start(ns))
    assert state.open_attempts() == []
    assert state.problems == 1


@pytest.mark.parametrize("version", [{}, {"v": 0}, {"v": 1}])
def test_lines_of_earlier_versions_are_read(version: dict[str, Any]) -> None:
    state = JournalState()
    state.feed({"t": "worker", "host": "n1", "pid": 7, **version})
    state.feed(start())
    ended = state.feed(end())
    assert ended is not None
    assert (ended.record.worker.host, state.later_version, state.problems) == ("n1", None, 0)


def test_lines_of_a_later_version_are_passed_over() -> None:
    state = JournalState()
    state.feed(start(100))
    state.feed({"v": 2, "kind": "another form"})
    assert (state.feed(start(200)), state.feed(end(100)), state.later_version, state.problems) == (None, None, 2, 0)
    # Who goes on in the form of this version, as a fallback journal may, is understood again.
    state.feed({"t": "worker", "v": 1})
    assert state.later_version is None
    assert state.feed(end(100)) is not None


def test_the_first_line_that_is_written_has_the_version_that_is_read(tmp_path: Path) -> None:
    from prov_worker.globus.engine_journal import EngineJournal

    EngineJournal(tmp_path, None, None, {}).close()
    (journal,) = (tmp_path / ".spool").glob("*.jsonl")
    assert json.loads(journal.read_text().splitlines()[0])["v"] == VERSION


@pytest.mark.parametrize(
    "line",
    [
        {"t": ["start"]},
        start(n={}),
        start(n=-1),
        start(n=1 << 40),
        start(-5),
        start(1 << 63),
        start(task=["x"]),
        start(k=[]),
        start(args=[["x"]]),
        start(args=7),
        start(args=[["x", "int", None, None, None, {"deep": 1}]]),
        start(mpi=1.5),
        start(aff=["a"]),
        start(box=3),
        end() | {"task": {}},
        end() | {"ok": "yes"},
        end() | {"dur": 1.5},
        end() | {"kin": 3},
        end() | {"files": {"a": [1]}},
        end() | {"err": {"kind": "x", "message": "m", "unknown": 1}},
        end() | {"notes": {"u": [1]}},
        {"t": "notes", "task": TASK, "n": [], "a": {}},
        {"t": "notes", "task": TASK, "n": 1, "ns": "now", "a": {"epoch": 1}},
        {"t": "lost", "task": TASK, "n": 1, "ns": 1, "end": "late", "err": {"kind": "lost", "message": ""}},
        {"t": "function", "k": {}},
        {"t": "worker", "env": ["A"]},
        {"t": "worker", "aff": 5},
    ],
)
def test_a_damaged_line_is_counted_when_it_is_read_and_stops_nothing_later(line: dict[str, Any]) -> None:
    state = JournalState()
    state.feed({"t": "worker", "v": 1, "host": "n1", "pid": 7})
    state.feed(start(300))
    assert state.feed(line) is None
    assert state.problems == 1
    assert state.open_attempts() == [AttemptId(TASK, 1, 300)]
    ended = state.close(AttemptId(TASK, 1, 300), Failure("unknown", "gone"), 400)
    assert (ended.record.worker.host, ended.record.end_ns) == ("n1", 400)


def note(ns: int | None, **values: Any) -> dict[str, Any]:
    return {"t": "notes", "task": TASK, "n": 1, "a": values} | ({} if ns is None else {"ns": ns})


@pytest.mark.parametrize("is_killed", [False, True])
def test_numbers_that_were_noted_with_an_epoch_are_curves(is_killed: bool) -> None:
    state = JournalState()
    state.feed(start(100))
    state.feed(note(None, model="linear", loss=9.0))
    for epoch in range(3):
        state.feed(note(1000 + epoch, epoch=epoch, loss=1.0 / (epoch + 1), done=True, name="x", huge=10**400))
    state.feed(note(2000, epoch="last", loss=7.0))
    if is_killed:
        ended = state.close(AttemptId(TASK, 1, 100), Failure("signal", "killed"), 5000)
    else:
        ended = state.feed(end(100) | {"notes": {"a": {"epoch": 2, "loss": 0.1}}})
    training = ended.record.training
    assert training is not None
    (run,) = training.runs
    assert (run.tool, run.id) == ("annotate", TASK)
    (loss,) = run.metrics
    assert (loss.name, loss.steps, loss.values) == ("loss", [0, 1, 2], [1.0, 0.5, 1.0 / 3])
    assert (loss.times_ns, loss.count, loss.last) == ([1000, 1001, 1002], 3, 1.0 / 3)


def test_curves_without_end_are_thinned_with_their_extremes() -> None:
    state = JournalState()
    state.feed(start(100))
    for epoch in range(40_000):
        state.feed(note(epoch, epoch=epoch, loss=float(epoch == 17_777)))
    ended = state.feed(end(100))
    (loss,) = ended.record.training.runs[0].metrics
    assert len(loss.values) <= 4096
    assert (loss.count, loss.high, loss.low, loss.steps[0], loss.steps[-1]) == (40_000, 1.0, 0.0, 0, 39_999)


def test_without_an_epoch_there_is_no_curve() -> None:
    state = JournalState()
    state.feed(start(100))
    state.feed(note(None, loss=1.0))
    assert state.feed(end(100)).record.training is None
