"""Runs of flows in SQLite: changed once, counted, and forgotten when they are old."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("fastapi")

from prov_worker.flow.machine.machine import Entry
from prov_worker.localservice.flows.records import ACTIVE, FAILED, Position, Run

if TYPE_CHECKING:
    from prov_worker.localservice.sqlite import SqliteStorage


def a_run(number: int, owner: str = "alice") -> Run:
    return Run(f"run{number}", "flow", owner, float(number), None, ACTIVE, {}, {}, Position("A"), {})


def test_of_two_changes_at_once_one_is_taken(storage: SqliteStorage) -> None:
    store = storage.flow_store()
    store.add_run(a_run(1), [Entry("FlowStarted", "", {})], 1.0)
    before = store.run("run1")
    assert before is not None
    canceled = replace(before, status=FAILED, ended=3.0)
    assert store.change_run(before, canceled, [Entry("FlowCanceled", "", {})], 3.0, 3.0)
    assert not store.change_run(before, replace(before, state={"x": 1}), [Entry("PassStarted", "", {})], 4.0, 4.0)
    after = store.run("run1")
    assert after is not None
    assert (after.status, after.state, after.turn) == (FAILED, {}, 1)
    assert [line["code"] for line in store.log("run1", 0, 10)] == ["FlowStarted", "FlowCanceled"]
    assert [line["code"] for line in store.log("run1", 0, 1, reverse=True)] == ["FlowCanceled"]
    assert store.due(10.0) == []
    assert store.next_wake() is None


def test_runs_are_counted_by_owner_and_forgotten_by_age(storage: SqliteStorage) -> None:
    store = storage.flow_store()
    for number in range(3):
        store.add_run(a_run(number), [Entry("FlowStarted", "", {})], 0.0)
    store.add_run(a_run(9, "bob"), [], 0.0)
    for number, ended in ((0, 10.0), (1, 20.0)):
        run = store.run(f"run{number}")
        assert run is not None
        store.change_run(run, replace(run, status=FAILED, ended=ended), [], ended, ended)
    assert (store.count_runs("alice"), store.count_runs("bob"), store.count_runs("nobody")) == ((3, 1), (1, 1), (0, 0))
    assert store.forget_runs(15.0) == 1
    assert [run.id for run in store.runs()] == ["run9", "run2", "run1"]
    assert store.log("run0", 0, 10) == []


def test_consents_are_kept_by_owner_the_newest_of_them(storage: SqliteStorage) -> None:
    store = storage.flow_store()
    store.add_consents("alice", [f"scope{number}[x]" for number in range(1010)])
    store.add_consents("alice", ["scope5[x]"])
    consents = store.consents("alice")
    assert (len(consents), consents[-1]) == (1000, "scope5[x]")
    assert store.consents("bob") == []
