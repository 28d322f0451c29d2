"""The descendants of one worker, as processes come and go between two tasks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from prov_worker.agent.descendants import Descendants
from prov_worker.agent.process_meter import ProcessMeter, boot_offset_ns

#: Says the id of a child that it leaves behind, once that has burned for a moment.
PROGRAM = """
import os, time
if os.fork() == 0:
    while time.process_time() < 0.05:
        pass
    print(os.getpid(), flush=True)
    time.sleep(60)
"""


@pytest.fixture
def orphan() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.wait()
    pid = int(process.stdout.readline())
    yield pid
    process.stdout.close()
    if ProcessMeter(pid).cpu_ns() is not None:
        os.kill(pid, signal.SIGKILL)


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    while ProcessMeter(pid).cpu_ns() is not None:
        time.sleep(0.01)


@pytest.fixture
def descendants() -> Iterator[Descendants]:
    worker = ProcessMeter(os.getpid())
    descendants = Descendants(worker, True)
    yield descendants
    descendants.close()
    worker.close()


def begin(descendants: Descendants, begun: dict[int, tuple[int, bool]]) -> None:
    now = time.monotonic_ns()
    descendants.begin(now, boot_offset_ns(), begun, now)


def test_an_orphan_that_ends_before_the_agent_sees_a_task_is_known_as_nobodys(
    descendants: Descendants, orphan: int
) -> None:
    begin(descendants, {})
    descendants.adopt(orphan, time.monotonic_ns())
    cpu_ns = ProcessMeter(orphan).cpu_ns()
    assert cpu_ns is not None
    end(orphan)
    descendants.look(time.monotonic_ns())
    begin(descendants, {orphan: (cpu_ns, False)})
    (use,) = descendants.use()[0]
    assert use.pid == orphan
    assert use.older
    assert not use.alive
    assert not use.waited, "its time is in nobody's counters, and must be taken off nobody's"
    assert use.began_ns == use.cpu_ns == cpu_ns
    begin(descendants, {})
    assert descendants.use()[0] == []


def test_the_clock_since_boot_is_read_at_one_moment() -> None:
    offset_ns = boot_offset_ns()
    assert abs(offset_ns - boot_offset_ns()) < 1_000_000
    started = time.monotonic_ns() + offset_ns
    with subprocess.Popen(["true"]) as process:
        stat = ProcessMeter(process.pid).stat()
        ended = time.monotonic_ns() + boot_offset_ns()
    assert stat is not None
    tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    assert started - tick_ns <= stat.start * tick_ns <= ended
