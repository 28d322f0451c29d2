"""Workers that are ended: real processes, whose slots the test writes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prov_worker.agent import endings as agent_endings
from prov_worker.agent.endings import Endings
from prov_worker.model import Failure, Function, TaskRecord, Worker
from prov_worker.processes import is_running, process_start
from prov_worker.spool import endings
from prov_worker.spool.paths import runtime_dir
from prov_worker.spool.slot import Slot
from prov_worker.spool.slot_reader import SlotReader

SLEEP = "import time; print(flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
#: A child from before the task, and one that is made when a line comes.
FAMILY = """
import subprocess, sys, time
first = subprocess.Popen(["sleep", "600"])
print(first.pid, flush=True)
sys.stdin.readline()
print(subprocess.Popen(["sleep", "600"]).pid, flush=True)
time.sleep(600)
"""


class TestWorker:
    """A process with a slot."""

    __test__ = False

    def __init__(self, runtime: str, code: str, thread: int = 0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.first = self.read()
        self.start = process_start(self.process.pid)
        path = os.path.join(runtime, f"slot.{self.process.pid}")
        self.slot = Slot(path, self.process.pid, thread, self.start, 0.05, f"{runtime}/spool/h-1-1.jsonl")
        self.reader = SlotReader(path)

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def begin(self, limit_s: float = 0.0) -> str:
        """Begin a task; return its id."""
        task = uuid.uuid4()
        if limit_s:
            self.slot.limit(int(limit_s * 1e9))
        self.slot.begin(time.time_ns(), time.monotonic_ns(), 0, task.bytes, 1)
        return str(task)

    def record(self, failure: Failure) -> TaskRecord:
        """The record of the task that runs."""
        task = self.reader.read()
        assert task is not None
        attempt = task.attempt_id
        function, place = Function("f"), Worker("h", 1)
        end_ns = attempt.start_ns + 1
        return TaskRecord(attempt.task_id, 1, "failed", attempt.start_ns, end_ns, function, place, failure=failure)


@pytest.fixture
def crates(tmp_path: Path) -> Path:
    (tmp_path / "crates").mkdir()
    return tmp_path / "crates"


@pytest.fixture
def worker(crates: Path) -> Iterator[Callable[..., TestWorker]]:
    runtime, workers = runtime_dir(str(crates)), []

    def make(code: str = SLEEP, thread: int = 0) -> TestWorker:
        workers.append(TestWorker(runtime, code, thread))
        return workers[-1]

    yield make
    for made in workers:
        made.process.kill()
        made.process.communicate()
    shutil.rmtree(runtime, ignore_errors=True)


def look(ending: Endings, *workers: TestWorker, until: Callable[[], bool]) -> None:
    for _ in range(600):
        ending.look([worker.reader for worker in workers])
        if until():
            return
        time.sleep(min(0.05, ending.next_s()))
    raise AssertionError("it did not come to that")


def test_a_time_limit_ends_the_worker_of_its_task_alone(crates: Path, worker: Callable[..., TestWorker]) -> None:
    limited, free, quick = worker(), worker(), worker()
    ending = Endings(str(crates))
    assert ending.next_s() == float("inf")
    task = limited.begin(0.2)
    free.begin()
    quick.begin(0.01)
    quick.slot.end()  # in time; the next one has no limit
    quick.begin()
    ending.look([limited.reader])
    assert limited.process.poll() is None
    assert 0 < ending.next_s() <= 0.5
    look(ending, limited, free, quick, until=lambda: limited.process.poll() is not None)
    assert limited.process.returncode == -signal.SIGTERM
    assert (free.process.poll(), quick.process.poll()) == (None, None)
    record = limited.record(Failure("signal", "was killed by SIGTERM", signal="SIGTERM"))
    written = endings.ending_of(str(crates), task, 1, record.start_ns)
    assert written is not None
    assert (
        written.text == f"time limit of 0.2 s: worker process {limited.process.pid} on {os.uname().nodename} was ended"
    )
    look(ending, limited, free, quick, until=lambda: not ending._condemned)
    ending.look([limited.reader])  # the slot of a dead worker is there until its journal is finished
    assert endings.ending_of(str(crates), task, 1, record.start_ns) == written
    for explainer in (ending, Endings(str(crates))):  # also by the agent that comes after
        record.failure = Failure("signal", "was killed by SIGTERM", signal="SIGTERM")
        explainer.explain(record)
        assert (record.failure.kind, record.failure.message) == ("time_limit", written.text)
    raised = limited.record(Failure("exception", "ValueError"))
    ending.explain(raised)
    assert raised.failure == Failure("exception", "ValueError")


def test_what_began_meanwhile_is_not_hurt(crates: Path, worker: Callable[..., TestWorker]) -> None:
    """The task ends between the decision and the signal."""
    moving = worker()
    ending = Endings(str(crates))
    task = moving.begin(0.01)
    seen = ending._task_of(moving.reader)
    assert seen is not None
    moving.slot.end()
    moving.begin()
    ending._end(moving.reader, seen, "time_limit")
    assert is_running(moving.process.pid, moving.start)
    assert endings.ending_of(str(crates), task, 1, 0) is None


def test_who_ignores_sigterm_is_killed_with_what_the_task_started(
    crates: Path, worker: Callable[..., TestWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_endings, "GRACE_S", 0.3)
    stubborn, family = worker(STUBBORN), worker(FAMILY)
    ending = Endings(str(crates))
    older = int(family.first)
    time.sleep(0.05)  # the kernel counts starts in hundredths of a second
    stubborn.begin(0.01)
    family.begin(0.3)
    assert family.process.stdin is not None
    family.process.stdin.write("\n")
    family.process.stdin.flush()
    younger = int(family.read())
    look(
        ending, stubborn, family,
        until=lambda: stubborn.process.poll() is not None and not is_running(younger) and not ending._condemned,
    )  # fmt: skip
    assert stubborn.process.returncode == -signal.SIGKILL
    assert family.process.wait(30) == -signal.SIGTERM
    assert is_running(older)
    os.kill(older, signal.SIGKILL)


def test_a_wish_ends_the_task_once_it_runs_and_says_who(crates: Path, worker: Callable[..., TestWorker]) -> None:
    resting, threaded = worker(), worker(thread=7)
    ending = Endings(str(crates))
    asked_ns = time.time_ns()
    first = resting.begin()
    resting.slot.end()
    task, other = str(uuid.uuid4()), threaded.begin()
    for wanted in (first, task, other):  # what has ended, what is to begin, what cannot be ended
        endings.ask(str(crates), wanted, "alice@login1 password=hunter2")
    look(ending, resting, threaded, until=lambda: endings.answers(str(crates), {other}, 0) != {})
    assert resting.process.poll() is None
    assert "cannot be ended alone" in str(endings.answers(str(crates), {other}, asked_ns)[other])
    resting.slot.begin(time.time_ns(), time.monotonic_ns(), 0, uuid.UUID(task).bytes, 1)
    look(ending, resting, threaded, until=lambda: resting.process.poll() is not None)
    answer = endings.answers(str(crates), {task, first}, asked_ns)[task]
    assert isinstance(answer, endings.Ending)
    assert answer.text.startswith("cancelled by alice@login1 password=[redacted]: worker process ")
    assert endings.answers(str(crates), {task}, asked_ns + 10**12) == {}
    look(ending, resting, until=lambda: not ending._condemned)
    assert {wish.task_id for wish in endings.wishes(str(crates))} == {first, other}
    assert threaded.process.poll() is None


def test_files_of_others_are_not_believed(crates: Path) -> None:
    task = str(uuid.uuid4())
    endings.ask(str(crates), task, "alice")
    folder = crates / ".spool" / "endings"
    assert folder.stat().st_mode & 0o777 == 0o700
    for name, text in {"x.asked": "{", f"{task}.1.ended": '{"kind": "time_limit"}', f"{task}.refused": "[]"}.items():
        (folder / name).write_text(text)
    os.symlink("/etc/passwd", folder / f"{task}.2.ended")
    assert [wish.by for wish in endings.wishes(str(crates))] == ["alice"]
    assert endings.answers(str(crates), {task}, 0) == {}
    os.utime(folder / "x.asked", (1, 1))
    endings.remove_old(str(crates))
    assert not (folder / "x.asked").exists()
    (crates / ".spool").chmod(0o777)
    assert list(endings.wishes(str(crates))) == []
