"""Whose a process is that has left its worker's tree: by what it inherited, and nobody's in doubt."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prov_worker.agent.orphans import Image, Newcomer, ProcessTable, owner_of
from prov_worker.agent.process_meter import boot_offset_ns
from prov_worker.agent.sampler import Sampler
from prov_worker.processes import process_start
from prov_worker.spool.paths import JOURNAL_SUFFIX
from prov_worker.spool.slot import MARK, Slot

WAIT = [sys.executable, "-c", "print(flush=True); input()"]


def waiting(**options: Any) -> subprocess.Popen[bytes]:
    """A process that has begun its program: before exec(2) it has the environment of its parent."""
    process = subprocess.Popen(WAIT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.fixture
def others() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def newcomer(process: subprocess.Popen[bytes], parent: int = 1) -> Newcomer:
    return Newcomer(process.pid, parent, process_start(process.pid))


def test_newcomers_are_named_at_two_looks(others: list[subprocess.Popen[bytes]]) -> None:
    table = ProcessTable()
    others.append(waiting())
    described = {new.pid: new for new in table.newcomers()}
    assert described[others[0].pid] == Newcomer(others[0].pid, os.getpid(), process_start(others[0].pid))
    assert others[0].pid in {new.pid for new in table.newcomers()}, "it may have been amid execve(2)"
    assert others[0].pid not in {new.pid for new in table.newcomers()}
    table.close()


def test_one_whose_id_was_given_away_before_it_was_listed_is_named(
    others: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = ProcessTable()
    table.newcomers()
    others.append(waiting())
    pid = others[0].pid
    last = f"0.00 0.00 0.00 1/2 {pid}\n".encode()
    monkeypatch.setattr("prov_worker.agent.orphans.os.pread", lambda *_: last)
    with monkeypatch.context() as patch:
        names = [name for name in os.listdir("/proc") if name != str(pid)]
        patch.setattr("prov_worker.agent.orphans.os.listdir", lambda _: names)
        assert pid not in {new.pid for new in table.newcomers()}
    assert pid in {new.pid for new in table.newcomers()}
    table.close()


def test_the_first_look_names_all_there_are(others: list[subprocess.Popen[bytes]]) -> None:
    others.append(waiting())
    table = ProcessTable()  # a worker's first task may start a process before there is an agent
    assert {others[0].pid, os.getpid()} <= {new.pid for new in table.newcomers()}
    table.close()


def test_one_with_the_mark_of_a_worker_is_its_own(others: list[subprocess.Popen[bytes]]) -> None:
    here, start = os.getpid(), process_start(os.getpid())
    others.append(waiting(env={**os.environ, MARK: f"{here}-{start}"}))
    assert owner_of(newcomer(others[0]), {here: start}, []) == here
    assert owner_of(newcomer(others[0]), {here: start + 1}, []) is None, "the id was given away again"
    assert owner_of(newcomer(others[0]), {}, []) is None


def test_one_that_was_forked_is_known_by_its_image(others: list[subprocess.Popen[bytes]]) -> None:
    program = [sys.executable, "-c", "import os; child = os.fork(); print(child, flush=True) if child else 0; input()"]
    forked = []
    for _ in range(2):
        others.append(subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert others[-1].stdout is not None
        forked.append(int(others[-1].stdout.readline()))
    worker, alike = others
    orphan = Newcomer(forked[0], 1, process_start(forked[0]))
    workers = {each.pid: process_start(each.pid) for each in others}
    image, other_image, own_image = map(Image, (worker.pid, alike.pid, forked[0]))
    assert owner_of(orphan, workers, [image]) == worker.pid
    assert owner_of(orphan, workers, [image, other_image]) == worker.pid
    assert owner_of(orphan, workers, [other_image]) is None, "its command is the same, and it is another's"
    assert owner_of(orphan, workers, [image, own_image]) is None, "either of two"
    assert owner_of(orphan._replace(parent=os.getpid()), workers, [image]) is None, "a worker itself"
    before = process_start(worker.pid) - 1
    assert owner_of(orphan._replace(start=before), workers, [image]) is None, "what the worker was forked from"


def slot_of(worker: subprocess.Popen[bytes], runtime: Path) -> Slot:
    start, journal = process_start(worker.pid), f"{runtime}/w{JOURNAL_SUFFIX}"
    return Slot(str(runtime / f"slot.{worker.pid}"), worker.pid, 0, start, 0.05, journal)


DAEMON = """
import os, sys
sys.stdin.readline()
if os.fork() == 0:
    daemon = os.fork()
    if daemon == 0:
        sys.stdin.readline()
    else:
        print(daemon, flush=True)
    os._exit(0)
os.wait()
sys.stdin.readline()
"""


def test_one_that_a_task_leaves_at_its_end_is_counted(tmp_path: Path, others: list[subprocess.Popen[bytes]]) -> None:
    """It left its tree after the last look at the process table while the task ran."""
    others.append(
        worker := subprocess.Popen([sys.executable, "-c", DAEMON], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    slot = slot_of(worker, tmp_path)
    sampler = Sampler(str(tmp_path))
    began_ns = time.monotonic_ns()
    slot.begin(time.time_ns(), began_ns, 0, bytes(15) + b"1", 1)
    # moments of ticks are as given, whatever passes between them
    sampler.tick(began_ns)
    worker.stdin.write(b"go\n")
    worker.stdin.flush()
    daemon = int(worker.stdout.readline())
    while Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().strip():
        time.sleep(0.001)  # its parent is there still
    slot.end()
    ((_, tree),) = sampler.tick(began_ns + 200_000_000).trees
    assert daemon in {process.pid for process in tree.processes}
    sampler.close()


def test_a_child_is_older_than_its_task_though_the_machine_was_suspended_since(
    tmp_path: Path, others: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """CLOCK_MONOTONIC stands still meanwhile, and the start of a process is given by CLOCK_BOOTTIME."""
    others.append(worker := subprocess.Popen(["sh", "-c", "sleep 60; true"], stdin=subprocess.PIPE))
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")
    while not children.read_text().strip():
        time.sleep(0.001)
    child = int(children.read_text())
    slot = slot_of(worker, tmp_path)
    sampler = Sampler(str(tmp_path))
    with monkeypatch.context() as patch:
        offset_ns = boot_offset_ns()
        patch.setattr("prov_worker.agent.worker_monitor.boot_offset_ns", lambda: offset_ns - 3600 * 10**9)
        sampler.tick(time.monotonic_ns())
    time.sleep(0.05)
    began_ns = time.monotonic_ns()
    slot.begin(time.time_ns(), began_ns, 0, bytes(15) + b"1", 1)
    for _ in range(3):
        time.sleep(0.02)
        sampler.tick(time.monotonic_ns())
    slot.end()
    ((_, tree),) = sampler.tick(time.monotonic_ns()).trees
    assert [process.older for process in tree.processes if process.pid == child] == [True]
    os.kill(child, 9)
    sampler.close()
