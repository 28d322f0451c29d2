"""From journals to crates: the finaliser with all that it stands on, fed by hand instead of by a sampler."""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from prov_worker.agent import lost_tasks
from prov_worker.agent.burst import Burst
from prov_worker.agent.finaliser import Finaliser
from prov_worker.agent.journal_follower import Follower
from prov_worker.agent.sampler import Sampler
from prov_worker.agent.tick import Tick
from prov_worker.agent.worker_monitor import TaskSamples
from prov_worker.crate.check import check_crate
from prov_worker.model import Failure, TaskSeries
from prov_worker.processes import process_start
from prov_worker.spool.slot import Slot
from prov_worker.spool.slot_reader import SlotTask
from support.spools import ELSEWHERE, NOW, Spool, end, finish, lost, new_task, start

# -- the finaliser ---------------------------------------------------------------------------------------------------


def test_an_ended_task_waits_for_its_last_look_and_gets_its_series(spool: Spool) -> None:
    task = new_task()
    journal = spool.journal(start(task), end(task))
    slot = spool.slot(journal)
    slot.begin(NOW, 1000, 0, uuid.UUID(task).bytes, 1)
    slot.end()
    samples = TaskSamples(SlotTask(1, NOW, 1000, 0, uuid.UUID(task).bytes, 1))
    for number in range(1, 5):
        end_ns = 1000 + number * 50_000_000
        samples.rows.add(end_ns, (1e6, 1, *[0] * 6), [(25_000_000, end_ns - 50_000_000, end_ns)])
    finaliser = spool.finaliser()
    finaliser.take(Tick(mark_ns=5, slots=[slot.path], alive=1))
    finaliser.work(time.monotonic() + 1)
    assert spool.names() == []  # the sampler has not looked since it ended
    series = [((task, 1, NOW), TaskSeries(task=samples.series(10**9, 0.05)))]
    finaliser.take(Tick(mark_ns=2 * 10**9, changed=[slot.path], series=series, alive=1))
    finaliser.work(time.monotonic() + 1)
    assert spool.names() == [f"{task}.crate"]
    assert slot.finished() >= 1
    table = spool.crate(task).series().task
    assert table is not None
    assert table.columns["cpu_percent"].mean == [50, 50, 50, 50]
    assert finaliser.outstanding == 0
    finaliser.close()


def test_a_record_that_comes_before_its_slot_says_so_waits_for_its_last_look(spool: Spool) -> None:
    """A worker has written that its task ended, and is kept from saying so in its slot, as on a busy machine."""
    task = uuid.uuid4()
    ns, mono_ns = time.time_ns(), time.monotonic_ns()
    pid = os.getpid()
    journal = spool.journal(
        start(str(task), ns=ns), end(str(task), ns=ns) | {"m": mono_ns, "dur": 1000}, pid=pid, start=process_start(pid)
    )
    slot = spool.slot(journal, pid=pid, start=process_start(pid))
    slot.begin(ns, mono_ns, 0, task.bytes, 1)
    finaliser, sampler = spool.finaliser(), Sampler(spool.runtime)
    for _ in range(3):
        time.sleep(0.06)
        finaliser.take(sampler.tick(time.monotonic_ns()))
        finaliser.work(time.monotonic() + 1)
    assert spool.names() == []
    slot.end()
    finaliser.take(sampler.tick(time.monotonic_ns()))
    finaliser.work(time.monotonic() + 1)
    assert spool.names() == [f"{task}.crate"]
    assert spool.crate(str(task)).series().task is not None
    sampler.close()
    finaliser.close()


def in_a_burst(spool: Spool, task: str) -> tuple[Finaliser, Slot]:
    """A finaliser that has just seen hundreds of tasks begin, one of which is in the journal."""
    slot = spool.slot(spool.journal(start(task), end(task)))
    finaliser = spool.finaliser()
    finaliser.take(Tick(mark_ns=1 << 60, slots=[slot.path], alive=1))
    finaliser._burst.holds(0, time.monotonic() - 0.2)
    for _ in range(500):
        slot.begin(NOW, 1000, 0, uuid.UUID(task).bytes, 1)
        slot.end()
    return finaliser, slot


def test_crates_wait_for_a_burst_and_are_written_when_it_is_over(spool: Spool) -> None:
    task = new_task()
    finaliser, _ = in_a_burst(spool, task)
    assert finaliser.work(time.monotonic() + 1) is False
    assert spool.names() == []
    assert finaliser.next_s() <= 0.05  # it looks again soon
    finaliser._burst.holds(500, time.monotonic() + 1)  # a second without a task
    finaliser.work(time.monotonic() + 1)
    assert spool.names() == [f"{task}.crate"]
    finaliser.close()


def test_at_the_end_crates_wait_for_no_burst(spool: Spool) -> None:
    task = new_task()
    finaliser, _ = in_a_burst(spool, task)
    finaliser.finish()
    finaliser.work(time.monotonic() + 1)
    assert spool.names() == [f"{task}.crate"]
    finaliser.close()


def test_results_that_wait_for_their_crates_wait_for_no_burst(spool: Spool) -> None:
    spool.settings["write"] = "before_result"
    first = new_task()
    slot = spool.slot(spool.journal(start(first), end(first)))
    finaliser = spool.finaliser()
    finaliser.take(Tick(mark_ns=1 << 60, slots=[slot.path], changed=[slot.path], alive=1))
    finaliser.work(time.monotonic() + 1)
    finaliser._burst = Burst()
    finaliser._burst.holds(0, time.monotonic() - 0.2)
    for _ in range(500):
        slot.begin(NOW, 1000, 0, uuid.UUID(first).bytes, 1)
        slot.end()
    assert not finaliser._holds()
    assert finaliser._burst.holds(500, time.monotonic())  # it is one
    finaliser.close()


def test_what_the_ledger_names_is_not_written_again_and_is_acknowledged(spool: Spool) -> None:
    task = new_task()
    journal = spool.journal(start(task), end(task))
    Path(journal.replace(".jsonl", ".other.done")).write_text(f"{task} 1 {NOW}\n")
    slot = spool.slot(journal)
    slot.begin(NOW, 1000, 0, uuid.UUID(task).bytes, 1)
    slot.end()
    finaliser = spool.finaliser()
    finaliser.take(Tick(mark_ns=1 << 60, slots=[slot.path], changed=[slot.path], alive=1))
    while finaliser.work(time.monotonic() + 1):
        pass
    assert spool.names() == []
    assert slot.finished() == 2  # or its worker would wait for ever
    finaliser.close()


def test_a_task_that_came_and_went_between_slot_and_journal_is_acknowledged(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = new_task()
    journal = spool.journal(start(task), end(task))
    slot = spool.slot(journal)
    read = Follower.read

    def read_late(follower: Follower) -> Any:
        if not slot.sequence:
            slot.begin(NOW, 1000, 0, uuid.UUID(task).bytes, 1)
            slot.end()
        return read(follower)

    monkeypatch.setattr(Follower, "read", read_late)
    finaliser = spool.finaliser()
    finaliser.take(Tick(mark_ns=0, slots=[slot.path], changed=[slot.path], alive=1))
    finaliser.work(time.monotonic() + 1)  # its last look is still to come
    finaliser.take(Tick(mark_ns=1 << 60, slots=[slot.path], alive=1))
    while finaliser.work(time.monotonic() + 1):
        pass
    assert spool.names() == [f"{task}.crate"]
    assert slot.finished() == 2  # or its worker would wait for ever
    finaliser.close()


def test_a_record_that_makes_no_crate_harms_no_other_and_is_kept(spool: Spool) -> None:
    good, bad = new_task(), new_task()
    journal = spool.journal(
        start(bad, args=[["x", 5, {}, [], 1, {}]]),
        end(bad, u=None, res=["return", {"no": "type"}, None, None, None, None]),
        start(good),
        end(good),
    )
    finaliser = spool.finaliser()
    finaliser.adopt(journal, Failure("unknown", "gone"))
    finish(finaliser)
    assert f"{good}.crate" in spool.names()
    assert os.path.exists(journal) == bool(finaliser.problems)


def test_a_directory_that_refuses_crates_is_tried_again(spool: Spool) -> None:
    tasks = [new_task() for _ in range(5)]
    journal = spool.journal(*(line for task in tasks for line in (start(task), end(task))))
    away = spool.crates.with_name("away")
    finaliser = spool.finaliser()
    finaliser.adopt(journal, Failure("unknown", "gone"))
    spool.crates.rename(away)
    spool.crates.write_text("in the way")
    finaliser.finish()
    finaliser.work(time.monotonic() + 0.2)
    assert finaliser.stuck > 0
    assert any("their records are kept" in problem for problem in finaliser.problems)
    assert 0 <= finaliser.next_s() <= 1
    spool.crates.unlink()
    away.rename(spool.crates)
    until = time.monotonic() + 60
    while finaliser.outstanding and time.monotonic() < until:
        finaliser.work(time.monotonic() + 0.1)
    assert sorted(spool.names()) == sorted(f"{task}.crate" for task in tasks)
    finaliser.work(time.monotonic())
    assert not os.path.exists(journal)
    finaliser.close()


def test_a_task_that_is_open_in_one_file_and_ends_in_the_other(spool: Spool) -> None:
    task = new_task()
    journal = spool.journal(start(task, args=[["x", "int", None, None, None, None]]))
    fallback = os.path.join(spool.runtime, "spool", os.path.basename(journal))
    os.makedirs(os.path.dirname(fallback))
    Path(fallback).write_text(json.dumps({"t": "worker", "host": "h", "pid": 4}) + "\n" + json.dumps(end(task)) + "\n")
    finaliser = spool.finaliser()
    finaliser.adopt(journal, Failure("unknown", "gone"), fallback)
    finish(finaliser)
    crate = spool.crate(task)
    assert (crate.status, crate.function_name) == ("completed", "f")
    assert not os.path.exists(fallback)
    assert not os.path.exists(journal)


# -- lost tasks ------------------------------------------------------------------------------------------------------


def test_a_loss_that_the_workers_agent_told_of_makes_no_second_crate(spool: Spool) -> None:
    task = new_task()
    journal = spool.journal(start(task), end(task))
    Path(journal.replace(".jsonl", ".other.done")).write_text(f"{task} 1 {NOW}\n")
    finaliser = spool.finaliser()
    finaliser.adopt(spool.engine(lost(task)), Failure("unknown", "gone"))
    finish(finaliser)
    assert spool.names() == []


def test_a_loss_takes_what_the_workers_journal_knows(spool: Spool) -> None:
    task = new_task()
    spool.journal(start(task), host="another-node", place=ELSEWHERE)
    finaliser = spool.finaliser()
    finaliser.adopt(spool.engine(lost(task)), Failure("unknown", "gone"))
    finish(finaliser)
    crate = spool.crate(task)
    assert (crate.status, crate.function_name, crate.host) == ("failed", "f", "another-node")
    assert "WorkerLost" in (crate.error or "")


def test_a_task_that_no_worker_began(spool: Spool) -> None:
    task = new_task()
    finaliser = spool.finaliser()
    finaliser.adopt(spool.engine(lost(task)), Failure("unknown", "gone"))
    finish(finaliser)
    crate = spool.crate(task)
    assert crate.status == "failed"
    assert crate.notes == ["No worker began this task: its start is the moment when the engine took it."]
    assert crate.wall_time_s is None
    assert crate.host is None
    assert crate.start is not None
    assert crate.entities["#begun"]["value"] is False
    assert not {"#usage-wall", "#worker-host", "#worker-pid"} & crate.entities.keys()
    assert check_crate(crate.source) == []


def test_evidence_is_none_where_nobody_knows_of_the_attempt(spool: Spool) -> None:
    task = new_task()
    spool.journal(start(task, attempt=1), end(task, attempt=1))
    follower = Follower(spool.engine(lost(task, attempt=2)), None, "test")
    (ended,) = follower.read_all()
    evidence = lost_tasks.evidence_of(str(spool.crates), spool.runtime, ended, "test")
    assert (evidence.published, evidence.ended) == (False, None)


def test_evidence_is_read_whatever_the_order_of_keys(spool: Spool) -> None:
    task, attempt = new_task(), 2
    line = dict(reversed(start(task, attempt).items()))
    journal = Path(spool.journal(pid=77))
    journal.write_text(f"{journal.read_text()}{json.dumps(line)}\n")
    (ended,) = Follower(spool.engine(lost(task, attempt)), None, "test").read_all()
    evidence = lost_tasks.evidence_of(str(spool.crates), spool.runtime, ended, "test")
    assert evidence.ended is not None
    assert (evidence.ended.record.function.name, evidence.ended.record.worker.pid) == ("f", 77)
