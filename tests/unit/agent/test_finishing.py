"""From journals to crates: the finaliser with all that it stands on, fed by hand instead of by a sampler."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prov_worker.agent import lost_tasks, recover
from prov_worker.agent.burst import Burst
from prov_worker.agent.finaliser import Finaliser
from prov_worker.agent.journal_follower import Follower
from prov_worker.agent.orphaned_journals import adopt_orphans, slots_of
from prov_worker.agent.publisher import Publisher
from prov_worker.agent.sampler import Sampler, Tick, WorkerDeath
from prov_worker.agent.worker_monitor import Death, TaskSamples
from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import find_crates
from prov_worker.errors import InputError
from prov_worker.model import Failure, TaskSeries, host_name
from prov_worker.processes import process_start
from prov_worker.spool.journal import JournalWriter
from prov_worker.spool.paths import JournalName, place_of, runtime_dir, spool_dir
from prov_worker.spool.ring_records import NO_ID
from prov_worker.spool.slot import Slot, SlotTask

ELSEWHERE = "0123456789ab"
NOW = 1_795_000_000_000_000_000


class Spool:
    """A crate directory whose journals and slots are written by the test."""

    def __init__(self, crates: Path) -> None:
        crates.mkdir()
        self.crates = crates
        self.runtime = runtime_dir(str(crates))
        self.settings = {"crate_dir": str(crates), "probes": [], "plots": "none"}

    def journal(
        self,
        *lines: dict[str, Any],
        pid: int = 2**22,
        start: int = 7,
        host: str | None = None,
        thread: int | None = None,
        place: str | None = None,
    ) -> str:
        place = place_of(self.runtime) if place is None else place
        name = JournalName(host or host_name(), pid, start, thread, place)
        path = Path(spool_dir(str(self.crates)), str(name))
        path.parent.mkdir(exist_ok=True)
        worker = {"t": "worker", "v": 1, "host": name.host, "place": place, "pid": pid, "settings": self.settings}
        function = {"t": "function", "k": 1, "name": "f", "module": "m"}
        path.write_bytes(
            b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in (worker, function, *lines))
        )
        return str(path)

    def slot(self, journal: str, pid: int = 2**22, start: int = 7) -> Slot:
        return Slot(os.path.join(self.runtime, f"slot.{pid}"), pid, 0, start, 0.05, journal)

    def finaliser(self) -> Finaliser:
        return Finaliser(self.runtime, Publisher(str(self.crates)), finaliser="test")

    def names(self) -> list[str]:
        return [path.name for path in find_crates(self.crates)]

    def crate(self, task: str) -> StepCrate:
        return StepCrate.open(self.crates / f"{task}.crate")


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "crates")
    yield made
    shutil.rmtree(made.runtime, ignore_errors=True)


def new_task() -> str:
    return str(uuid.uuid4())


def start(task: str, attempt: int = 1, ns: int = NOW, **more: Any) -> dict[str, Any]:
    return {"t": "start", "task": task, "n": attempt, "ns": ns, "k": 1, **more}


def end(task: str, attempt: int = 1, ns: int = NOW, **more: Any) -> dict[str, Any]:
    return {"t": "end", "task": task, "n": attempt, "ns": ns, "m": 1000, "dur": 10**9, "ok": 1, **more}


def lost(task: str, attempt: int = 1) -> dict[str, Any]:
    error = {"kind": "lost", "message": "WorkerLost: gone", "type": "parsl.WorkerLost", "traceback": None}
    return {"t": "lost", "task": task, "n": attempt, "ns": NOW, "end": NOW + 10**9, "fid": None, "err": error}


def finish(finaliser: Finaliser) -> None:
    finaliser.finish()
    for _ in range(50):
        if not finaliser.work(time.monotonic() + 1) and not finaliser.outstanding:
            break
    finaliser.close()


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


def engine(spool: Spool, *lines: dict[str, Any]) -> str:
    return spool.journal(*lines, pid=2**22 - 1, start=3, thread=0)


def test_a_loss_that_the_workers_agent_told_of_makes_no_second_crate(spool: Spool) -> None:
    task = new_task()
    journal = spool.journal(start(task), end(task))
    Path(journal.replace(".jsonl", ".other.done")).write_text(f"{task} 1 {NOW}\n")
    finaliser = spool.finaliser()
    finaliser.adopt(engine(spool, lost(task)), Failure("unknown", "gone"))
    finish(finaliser)
    assert spool.names() == []


def test_a_loss_takes_what_the_workers_journal_knows(spool: Spool) -> None:
    task = new_task()
    spool.journal(start(task), host="another-node", place=ELSEWHERE)
    finaliser = spool.finaliser()
    finaliser.adopt(engine(spool, lost(task)), Failure("unknown", "gone"))
    finish(finaliser)
    crate = spool.crate(task)
    assert (crate.status, crate.function_name, crate.host) == ("failed", "f", "another-node")
    assert "WorkerLost" in (crate.error or "")


def test_a_task_that_no_worker_began(spool: Spool) -> None:
    task = new_task()
    finaliser = spool.finaliser()
    finaliser.adopt(engine(spool, lost(task)), Failure("unknown", "gone"))
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
    follower = Follower(engine(spool, lost(task, attempt=2)), None, "test")
    (ended,) = follower.read_all()
    evidence = lost_tasks.evidence_of(str(spool.crates), spool.runtime, ended, "test")
    assert (evidence.published, evidence.ended) == (False, None)


def test_evidence_is_read_whatever_the_order_of_keys(spool: Spool) -> None:
    task, attempt = new_task(), 2
    line = dict(reversed(start(task, attempt).items()))
    journal = Path(spool.journal(pid=77))
    journal.write_text(f"{journal.read_text()}{json.dumps(line)}\n")
    (ended,) = Follower(engine(spool, lost(task, attempt)), None, "test").read_all()
    evidence = lost_tasks.evidence_of(str(spool.crates), spool.runtime, ended, "test")
    assert evidence.ended is not None
    assert (evidence.ended.record.function.name, evidence.ended.record.worker.pid) == ("f", 77)


# -- journals of a later release -------------------------------------------------------------------------------------


def later(spool: Spool, *lines: dict[str, Any], **name: Any) -> str:
    journal = spool.journal(**name)
    texts = [{"t": "worker", "v": 99, "settings": spool.settings}, *lines]
    Path(journal).write_text("".join(json.dumps(line) + "\n" for line in texts))
    return journal


def test_a_journal_of_a_later_release_is_named_and_kept_by_the_agent(spool: Spool) -> None:
    task, other, mine = new_task(), new_task(), new_task()
    journal = later(spool, start(task), end(task), start(other))
    slot = spool.slot(journal)
    slot.begin(NOW, 1000, 0, uuid.UUID(task).bytes, 1)
    before = Path(journal).read_bytes()
    finaliser = spool.finaliser()
    finaliser.take(Tick(mark_ns=5, slots=[slot.path], alive=1))
    finaliser.adopt(spool.journal(start(mine), end(mine), pid=77), Failure("unknown", "gone"))
    finaliser.work(time.monotonic() + 1)
    assert slot.finished() == 0  # nobody may take its crate for written
    running = SlotTask(1, NOW, 1000, 0, uuid.UUID(task).bytes, 1)
    death = WorkerDeath(slot.path, running, Death(signal.SIGKILL, 2000))
    finaliser.take(Tick(mark_ns=10**12, deaths=[death], alive=0))
    finish(finaliser)
    assert spool.names() == [f"{mine}.crate"]
    (problem,) = finaliser.problems
    assert problem.startswith(f"{journal}: its lines are of version 99, this release reads up to 1")
    assert Path(journal).read_bytes() == before
    assert os.path.exists(slot.path)


def test_recover_names_a_journal_of_a_later_release(spool: Spool) -> None:
    task = new_task()
    journal = later(spool, start(task))
    report = recover.recover(spool.crates)
    assert (report.finished, spool.names(), os.path.exists(journal)) == (0, [], True)
    (problem,) = report.problems
    assert problem.startswith(f"{journal}: its lines are of version 99")


def test_what_a_worker_of_a_later_release_knows_is_not_denied(spool: Spool) -> None:
    task = new_task()
    journal = later(spool, start(task), host="another-node", place=ELSEWHERE)
    finaliser = spool.finaliser()
    finaliser.adopt(engine(spool, lost(task)), Failure("unknown", "gone"))
    finish(finaliser)
    (note,) = spool.crate(task).notes
    assert note.startswith(f"The journal {journal} tells of this task and is of a later release")


# -- what cannot be read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        bytes(range(256)),
        b'{"t":"function","k":[1]}',
        b'{"t":"end","task":"a","n":1,"ns":5,"m":1,"dur":3,"ok":1,"u":[1,"x"]}',
        b'{"t":"end","task":"a","n":1,"ns":Infinity,"m":1,"dur":3,"ok":1}',
        b'{"t":"end","task":"a","n":1,"ns":5,"m":1,"dur":3,"ok":1,"notes":7}',
        b'{"t":"notes","task":"a","n":1,"u":3}',
        b'{"t":"lately","task":"a"}',
        b'{"t":["end"],"task":"a"}',
        b"{}",
        b"[]",
    ],
    ids=lambda line: line.decode("ascii", "replace")[:40],
)
def test_a_journal_with_a_line_that_cannot_be_understood_is_named_and_stays(spool: Spool, line: bytes) -> None:
    ended, open_ = new_task(), new_task()
    journal = Path(spool.journal(start(ended), end(ended), start(open_)))
    with journal.open("ab") as file:
        file.write(line + b"\n")
    before = journal.read_bytes()
    for finished in (1, 0):
        report = recover.recover(spool.crates)
        assert report.finished == finished
        assert [problem.partition(": ")[0] for problem in report.problems] == [str(journal)]
    assert journal.read_bytes() == before
    assert spool.names() == [f"{ended}.crate"]  # the end of the other may be the very line


def test_an_ending_in_junk_is_a_line_that_cannot_be_understood(spool: Spool) -> None:
    journal = Path(spool.journal())
    journal.write_bytes(bytes(range(128, 256)) * 4)
    (problem,) = recover.recover(spool.crates).problems
    assert problem.startswith(f"{journal}: 1 lines cannot be understood")
    assert journal.exists()


def test_what_a_full_disk_has_torn_and_a_dead_worker_left_is_no_damage(spool: Spool) -> None:
    first, second = new_task(), new_task()
    journal = Path(spool.journal(start(first)))
    whole = json.dumps(end(first)).encode()
    with journal.open("ab") as file:
        file.write(whole[:40] + b"\n" + whole + b"\n" + json.dumps(start(second)).encode() + b'\n{"t":"en')
    report = recover.recover(spool.crates)
    assert (report.finished, report.problems, journal.exists()) == (2, [], False)
    assert [spool.crate(task).status for task in (first, second)] == ["completed", "failed"]


@pytest.mark.parametrize("name", ["journal", "ledger", "notes"])
def test_what_may_not_be_read_is_named_and_stays(spool: Spool, name: str) -> None:
    task, other = new_task(), new_task()
    journal = Path(spool.journal(start(task), end(task), start(other)))
    paths = {
        "journal": journal,
        "ledger": journal.with_suffix(".other.done"),
        "notes": journal.with_suffix(".other.open"),
    }
    path = paths[name]
    if not path.exists():
        path.write_text("")
    mode = path.stat().st_mode
    path.chmod(0)
    command = [sys.executable, "-m", "prov_worker", "recover", str(spool.crates)]
    if os.geteuid() == 0:  # root reads everything, unless it lets that right go
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    path.chmod(mode)
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert str(path) in refused.stderr
    assert "Traceback" not in refused.stderr
    assert journal.exists()
    report = recover.recover(spool.crates)
    assert (report.problems, journal.exists()) == ([], False)
    assert sorted(spool.names()) == sorted(f"{task}.crate" for task in (task, other))
    assert spool.crate(task).status == "completed"


# -- what dies with nobody looking -----------------------------------------------------------------------------------


def test_orphans_are_journals_without_a_slot_and_without_a_living_process(spool: Spool) -> None:
    first, second, third = new_task(), new_task(), new_task()
    orphan = spool.journal(start(first), end(first))
    living = spool.journal(start(second), pid=os.getpid(), start=process_start(os.getpid()))
    spool.journal(start(third), host="another-node", place=ELSEWHERE)
    finaliser = spool.finaliser()
    assert adopt_orphans(finaliser, str(spool.crates), spool.runtime) == [orphan]
    finish(finaliser)
    assert spool.names() == [f"{first}.crate"]
    assert os.path.exists(living)


def test_recover_removes_what_a_killed_writer_left(spool: Spool) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "from prov_worker.crate.staging import staging_name; print(staging_name('x'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    left = spool.crates / dead.stdout.strip()
    left.mkdir()
    report = recover.recover(spool.crates)
    assert (report.removed, left.exists()) == ([str(left)], False)


@pytest.mark.parametrize("noted", [False, True])
def test_recover_reads_the_slot_of_a_worker_that_died_unseen(spool: Spool, noted: bool) -> None:
    task = new_task()
    journal = spool.journal()
    slot = spool.slot(journal)
    slot.begin(NOW, 1000, 0, uuid.UUID(task).bytes, 3)
    if noted:
        slot.note(1, NO_ID, b"")
    (Path(spool.runtime) / "slot.junk").write_bytes(b"junk")
    assert list(slots_of(spool.runtime)) == [journal]
    report = recover.recover(spool.crates)
    assert (report.finished, report.skipped) == (1, [])
    crate = spool.crate(task)
    assert (crate.status, crate.attempt) == ("failed", 3)
    assert crate.function_name == ("f" if noted else "unknown")
    assert not os.path.exists(slot.path)
    assert recover.recover(spool.crates).finished == 0


def test_recover_leaves_the_living_and_the_lately_heard_of_alone(spool: Spool) -> None:
    first, second = new_task(), new_task()
    spool.journal(start(first), pid=os.getpid(), start=process_start(os.getpid()))
    spool.journal(start(second), host="another-node", place=ELSEWHERE)
    seen: list[tuple[int, int]] = []
    report = recover.recover(spool.crates, progress=lambda done, total: seen.append((done, total)))
    assert report.finished == 0
    assert len(report.skipped) == 2
    assert "is running" in "".join(report.skipped)
    assert "--take-over" in "".join(report.skipped)
    assert recover.recover(spool.crates, take_over=True).finished == 1
    assert spool.names() == [f"{second}.crate"]


def test_journals_of_another_place_are_judged_by_no_process_of_this_one(spool: Spool) -> None:
    """Whatever process has the number here; nor are names of releases that knew no places."""
    tasks = [new_task() for _ in range(3)]
    journals = [
        spool.journal(start(tasks[0]), place=ELSEWHERE),
        spool.journal(start(tasks[1]), pid=os.getpid(), place=ELSEWHERE),  # a number that is another process's here
        spool.journal(start(tasks[2]), place=""),
    ]
    for _ in range(3):
        report = recover.recover(spool.crates)
        assert (report.finished, report.problems) == (0, [])
        assert [line.partition(": ")[2][:30] for line in report.skipped] == ["written to in the last minutes"] * 3
        assert adopt_orphans(spool.finaliser(), str(spool.crates), spool.runtime) == []
    old = time.time() - 301
    for journal in journals:
        os.utime(journal, (old, old))
    finaliser = spool.finaliser()
    assert sorted(adopt_orphans(finaliser, str(spool.crates), spool.runtime)) == sorted(journals)
    finish(finaliser)
    assert sorted(spool.names()) == sorted(f"{task}.crate" for task in tasks)


def test_a_writer_that_was_taken_for_dead_has_the_last_word(spool: Spool) -> None:
    task = new_task()
    journal = Path(spool.journal(place=ELSEWHERE))
    head = journal.read_bytes()
    journal.unlink()
    writer = JournalWriter(str(journal), str(spool.crates / "fallback"))
    for line in head.splitlines(keepends=True):
        writer.remember(line)
    writer.begun = json.dumps(start(task)).encode() + b"\n"
    writer.write(writer.begun)
    old = time.time() - 3600
    os.utime(journal, (old, old))
    (reason,) = recover.recover(spool.crates).skipped
    assert reason.startswith(f"{journal}: held by its writer on ")
    assert recover.recover(spool.crates, take_over=True).finished == 1
    assert spool.crate(task).status == "failed"
    assert not journal.exists()
    writer.look()
    writer.write(json.dumps(end(task)).encode() + b"\n")
    writer.close()
    assert recover.recover(spool.crates, take_over=True).finished == 1
    crate = spool.crate(task)
    assert (crate.status, crate.function_name) == ("completed", "f")
    (note,) = crate.notes
    assert note.startswith("Before its end was known, this attempt was published as failed (unknown)")
    closed = journal.parent / "closed" / journal.name
    assert closed.read_bytes().count(head) == 2
    assert recover.recover(spool.crates, take_over=True).finished == 0


def test_a_journal_that_grows_is_not_moved(spool: Spool) -> None:
    first, second = new_task(), new_task()
    journal = Path(spool.journal(start(first), end(first)))
    follower = Follower(str(journal), None, "test")
    for ended in follower.read_all():
        follower.done(ended)
    with journal.open("ab") as file:
        file.write(json.dumps(start(second)).encode() + b"\n")
    assert not follower.put_away()
    assert journal.exists()
    assert list(follower.read_all()) == []
    assert follower.put_away()
    assert not journal.exists()


def test_an_agent_renews_the_leases_of_its_workers(spool: Spool) -> None:
    journal = spool.journal()
    slot = spool.slot(journal)
    os.utime(journal, (1, 1))
    finaliser = spool.finaliser()
    finaliser.take(Tick(mark_ns=5, slots=[slot.path], alive=1))
    finaliser.work(time.monotonic())
    assert os.stat(journal).st_mtime > 1
    finaliser.close()


def test_recover_of_no_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such directory"):
        recover.recover(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert recover.recover(tmp_path / "empty").finished == 0


# -- the sampler -----------------------------------------------------------------------------------------------------


def test_the_sampler_follows_a_task_and_sees_its_worker_die(spool: Spool) -> None:
    task = uuid.uuid4()
    pid = os.fork()
    if pid == 0:
        while True:
            time.sleep(0.01)
    try:
        slot = spool.slot(spool.journal(), pid=pid, start=process_start(pid))
        sampler = Sampler(spool.runtime)
        first = sampler.tick(time.monotonic_ns())
        assert (first.slots, first.alive) == ([slot.path], 1)
        assert not sampler.is_new(slot.path)
        slot.begin(time.time_ns(), time.monotonic_ns(), 0, task.bytes, 1)
        for _ in range(4):
            time.sleep(0.06)
            sampler.tick(time.monotonic_ns())
        os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + 10
        last = sampler.tick(time.monotonic_ns())
        while not last.deaths and time.monotonic() < until:
            sampler.wait(time.monotonic_ns() + 20_000_000)
            last = sampler.tick(time.monotonic_ns())
        (death,) = last.deaths
        assert death.death.status == signal.SIGKILL
        assert death.task is not None
        assert death.task.running
        ((key, series),) = last.series
        assert key[0] == str(task)
        assert series.task is not None
        assert len(series.task) >= 2
        assert last.alive == 0 or sampler.tick(time.monotonic_ns()).alive == 0
        assert not sampler.is_new(slot.path)
        sampler.close()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
