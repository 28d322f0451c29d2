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
from prov_worker.agent.process_use import ProcessUse

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


def uses(descendants: Descendants, pid: int) -> list[ProcessUse]:
    """Return what is known of one process; this one may have other children, such as a server that forks."""
    return [use for use in descendants.use().processes if use.pid == pid]


def begin(descendants: Descendants, begun: dict[int, tuple[int, bool]] | None) -> None:
    now = time.monotonic_ns()
    descendants.begin(now, boot_offset_ns(), begun, now)


def test_an_orphan_that_ends_before_the_agent_sees_a_task_is_known_as_nobodys(
    descendants: Descendants, orphan: int
) -> None:
    begin(descendants, None)
    descendants.adopt(orphan, time.monotonic_ns())
    cpu_ns = ProcessMeter(orphan).cpu_ns()
    assert cpu_ns is not None
    end(orphan)
    descendants.look(time.monotonic_ns())
    begin(descendants, {orphan: (cpu_ns, False)})
    (use,) = uses(descendants, orphan)
    assert use.older
    assert not use.alive
    assert not use.waited, "its time is in nobody's counters, and must be taken off nobody's"
    assert use.began_ns == use.cpu_ns == cpu_ns
    begin(descendants, {})
    assert uses(descendants, orphan) == []


def test_a_child_that_was_waited_for_between_two_tasks_is_taken_off_none(descendants: Descendants) -> None:
    begin(descendants, None)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        descendants.look(time.monotonic_ns())
        assert descendants.follows(child.pid)
    begin(descendants, {})  # the worker looked, and it was gone
    descendants.look(time.monotonic_ns())
    assert uses(descendants, child.pid) == []


def test_what_began_after_a_task_has_used_nothing_in_it(descendants: Descendants) -> None:
    begin(descendants, {})
    end_ns = time.monotonic_ns()
    time.sleep(0.05)  # more than the tick in which the kernel says when it began
    program = "import time\nwhile time.process_time() < 0.05: pass\nprint(flush=True)\nimport sys\nsys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        # as at a task's end: sampled and looked at within a moment
        descendants.look(time.monotonic_ns())
        descendants.sample(time.monotonic_ns())
        (use,) = uses(descendants, child.pid)
    assert use.cpu_ns >= 50_000_000
    assert use.cpu_at(end_ns) == 0


def test_it_is_known_if_not_all_were_looked_at(descendants: Descendants, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(descendants, {})
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE), subprocess.Popen(["cat"], stdin=subprocess.PIPE):
        descendants.look(time.monotonic_ns())
        assert descendants.use().most is None
        monkeypatch.setattr("prov_worker.agent.descendants.MAX_PROCESSES", 1)
        descendants.look(time.monotonic_ns())
        assert descendants.use().most == 1
    begin(descendants, {})
    assert descendants.use().most is None


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
